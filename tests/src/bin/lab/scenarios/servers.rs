//! Servers that die.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use peers_tests::process::Process;
use serde_json::{Value, json};

use super::pair::Pair;
use crate::Outcome;
use crate::flow::unix_micros;
use crate::nat::{Carrier, Nat};
use crate::runner::Scenario;
use crate::world::{FAR, Ice, World};

/// Devices beside the two: enough for a storm.
const CROWD: u64 = 40;
/// Devices that may register within one second: full jitter spreads them over the longest wait, 30 s; a handful more is
/// chance.
const STORM: u64 = 12;

pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    let down = if quick { 15 } else { 60 };
    vec![
        Scenario::new(format!("relay killed, back after {down} s"), move |f| relay_killed(f, down)).idle(),
        Scenario::new("TURN killed", turn_killed),
    ]
}

/// Direct sessions do not notice; all devices come back, but not at once.
async fn relay_killed(folder: PathBuf, seconds: u64) -> Outcome<Value> {
    let mut world = World::of_two(&folder, Nat::PortRestricted, Nat::PortRestricted, Ice::Both, FAR).await?;
    world.add_device("c", "wlan0", 2).await?;
    let mut crowd = world.crowd("c", &["--count", &CROWD.to_string()])?;
    crowd.line(Duration::from_secs(40)).await?;
    let mut pair = Pair::begin(&world, Carrier::Direct).await?;
    world.kill_relay();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    world.restart_relay().await?;
    let back = Instant::now();
    let (mut registered, mut busiest) = (0, 0);
    // The longest wait before a device dials again, and a moment.
    while online(&mut crowd).await? < CROWD || registered < CROWD + 2 {
        if back.elapsed() > peers_proto::timing::RECONNECT_MAX + Duration::from_secs(10) {
            return Err(format!("after {:?} {registered} devices have registered", back.elapsed()).into());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = world.relay_metric("peers_relay_registrations_total").await?;
        busiest = busiest.max(now - registered);
        registered = now;
    }
    let recovered_ms = back.elapsed().as_millis();
    pair.flows_since(unix_micros(), Duration::from_secs(5)).await?;
    let flow = pair.finish().await?;
    let value = json!({ "registrations": registered, "most_in_a_second": busiest, "all_back_ms": recovered_ms, "flow": flow });
    let affected = flow["longest_gap_ms"].as_u64().is_none_or(|gap| gap > 1000);
    if affected || busiest > STORM || registered > CROWD + 2 + 4 {
        Err(value.to_string().into())
    } else {
        Ok(value)
    }
}

async fn online(crowd: &mut Process) -> Outcome<u64> {
    crowd.tell("count").await?;
    let counts: Value = serde_json::from_str(&crowd.line(Duration::from_secs(5)).await?)?;
    Ok(counts["online"].as_u64().unwrap_or_default())
}

/// The session goes on through the relay.
async fn turn_killed(folder: PathBuf) -> Outcome<Value> {
    let mut world = World::of_two(&folder, Nat::Symmetric, Nat::Symmetric, Ice::Both, FAR).await?;
    let mut pair = Pair::begin(&world, Carrier::Turn).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let at = unix_micros();
    world.kill_turn();
    let resumed_ms = pair.flows_since(at + 500_000, Duration::from_secs(30)).await? + 500;
    pair.a.settle(pair.b.id, Carrier::Relay, Duration::from_secs(10)).await?;
    let flow = pair.finish().await?;
    let value = json!({ "resumed_ms": resumed_ms, "flow": flow });
    if resumed_ms < 5000 { Ok(value) } else { Err(value.to_string().into()) }
}
