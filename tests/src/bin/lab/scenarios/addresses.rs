//! Devices with many addresses, and a resolver that does not answer.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;
use crate::agent::Command;
use crate::nat::{Carrier, Nat};
use crate::process::Peer;
use crate::runner::Scenario;
use crate::world::{FAR, Ice, NEAR, World};

const PEERS: u64 = peers_proto::limits::MAX_CONNECTIONS as u64;
/// Those of an iPhone's process, and how many the app keeps.
const DESCRIPTORS: usize = 256;
const FOR_THE_APP: usize = 64;

pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    let dials = if quick { 3 } else { 20 };
    vec![
        Scenario::new("30 peers, 8 addresses, 256 descriptors", descriptors),
        Scenario::new("20 addresses at each end", move |f| many_addresses(f, dials)),
        Scenario::new("black-holed resolver", unresolved),
    ]
}

/// Each peer is usable while they all connect, and the app keeps its share throughout.
async fn descriptors(folder: PathBuf) -> Outcome<Value> {
    let world = World::of_two(&folder, Nat::FullCone, Nat::PortRestricted, Ice::Both, FAR).await?;
    world.add_addresses("a", 7).await?;
    let mut hub = Peer::new(world.device("a", &[])?).await?;
    hub.limit_descriptors(DESCRIPTORS).await?;
    let (count, to) = (PEERS.to_string(), hub.id.to_string());
    let mut others = world.crowd("b", &["--count", &count, "--to", &to])?;
    let end = Instant::now() + Duration::from_secs(45);
    let (mut most, mut sessions) = (0, 0);
    while Instant::now() < end {
        most = most.max(hub.descriptors()?);
        if sessions < PEERS {
            sessions = hub.ask(&Command::Count, "sessions", Duration::from_secs(10)).await?;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    others.line(Duration::from_secs(60)).await?;
    let said: Value = serde_json::from_str(&others.line(Duration::from_secs(90)).await?)?;
    let settled = hub.descriptors()?;
    let value = json!({ "served": said["served"], "sessions": sessions, "most": most, "settled": settled });
    let held = sessions == PEERS && said["served"] == PEERS && most + FOR_THE_APP <= DESCRIPTORS;
    if held { Ok(value) } else { Err(value.to_string().into()) }
}

/// A direct path is found among hundreds of pairs, of which most lead nowhere.
async fn many_addresses(folder: PathBuf, dials: usize) -> Outcome<Value> {
    let world = World::of_two(&folder, Nat::PortRestricted, Nat::PortRestricted, Ice::Both, FAR).await?;
    for host in ["a", "b"] {
        world.add_addresses(host, 19).await?;
    }
    let mut b = Peer::new(world.device("b", &[])?).await?;
    let mut times = Vec::new();
    for _ in 0..dials {
        let mut a = Peer::new(world.device("a", &[])?).await?;
        let usable = a.dial(b.id).await?;
        times.push(usable + a.settle(b.id, Carrier::Direct, Duration::from_secs(20)).await?);
        b.settle(a.id, Carrier::Direct, Duration::from_secs(5)).await?;
    }
    times.sort_unstable();
    let p95 = times.get((times.len() * 95).div_ceil(100).saturating_sub(1)).copied().unwrap_or(u64::MAX);
    let value = json!({ "direct_ms": times, "p95_ms": p95 });
    if p95 <= 2000 { Ok(value) } else { Err(value.to_string().into()) }
}

/// On one network a direct path needs neither STUN nor TURN.
async fn unresolved(folder: PathBuf) -> Outcome<Value> {
    let mut world = World::new(&folder).await?;
    world.add_router(1, Nat::PortRestricted, NEAR).await?;
    for host in ["a", "b"] {
        world.add_device(host, "wlan0", 1).await?;
        // No answer, and no error either.
        world.resolve_at(host, "203.0.113.99")?;
    }
    let ice = "stun = [\"stun:s1.example\", \"stun:s2.example\"]\n\
        [[ice.turn]]\nurls = [\"turn:t1.example\", \"turn:t2.example\"]\nsecret = \"x\"\n";
    world.start_relay_naming(ice).await?;
    let b = Peer::new(world.device("b", &[])?).await?;
    let mut a = Peer::new(world.device("a", &[])?).await?;
    let usable_ms = a.dial(b.id).await?;
    let direct_ms = usable_ms + a.settle(b.id, Carrier::Direct, Duration::from_secs(20)).await?;
    let value = json!({ "usable_ms": usable_ms, "direct_ms": direct_ms });
    if direct_ms <= 1000 { Ok(value) } else { Err(value.to_string().into()) }
}
