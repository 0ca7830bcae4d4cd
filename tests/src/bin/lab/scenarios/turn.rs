//! TURN servers as operators run them: with nonces that end, quotas, forbidden peers, IPv6 alone.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::pair::Pair;
use crate::Outcome;
use crate::agent::Command;
use crate::nat::{Carrier, Nat};
use crate::process::Peer;
use crate::runner::Scenario;
use crate::world::{Ice, NEAR, SECRET, TURN_ADDRESS, World};

const RELAY_ONLY: [&str; 2] = ["--webrtc-only", "--relay-only"];
/// Longer than a permission and a channel last without a refresh (RFC 8656 sections 9 and 12). Both are renewed under a nonce
/// that is not the first, the channel twice.
const LONG: Duration = Duration::from_secs(640);

pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    let dials = if quick { 5 } else { 20 };
    let mut all = vec![
        Scenario::new("TURN only, set up at once", move |f| set_up(f, dials)),
        Scenario::new("TURN refuses credentials", refused),
        Scenario::new("TURN forbids the peer's address", forbidden),
        Scenario::new("TURN over IPv6 alone", ipv6),
    ];
    if !quick {
        all.push(Scenario::new("TURN with nonces that end", stale_nonces).idle());
    }
    all
}

async fn world(folder: &std::path::Path, nat: Nat, secret: &str, more: &[&str]) -> Outcome<World> {
    let mut world = World::new(folder).await?;
    for (number, host) in [(1, "a"), (2, "b")] {
        world.add_router(number, nat, NEAR).await?;
        world.add_device(host, "wlan0", number).await?;
    }
    world.start_turn_at("net", TURN_ADDRESS, secret, more).await?;
    world.start_relay(Ice::Both).await?;
    Ok(world)
}

async fn set_up(folder: PathBuf, dials: usize) -> Outcome<Value> {
    let world = world(&folder, Nat::PortRestricted, SECRET, &[]).await?;
    let mut b = Peer::new(world.device("b", &RELAY_ONLY)?).await?;
    let mut times = Vec::new();
    for _ in 0..dials {
        let mut a = Peer::new(world.device("a", &RELAY_ONLY)?).await?;
        times.push(a.dial(b.id).await?);
        b.settle(a.id, Carrier::Turn, Duration::from_secs(5)).await?;
    }
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(u64::MAX);
    let value = json!({ "usable_ms": times, "p50_ms": at(50) });
    if at(50) <= 300 && at(99) <= 500 { Ok(value) } else { Err(value.to_string().into()) }
}

/// The dial ends at once and says which server said what.
async fn refused(folder: PathBuf) -> Outcome<Value> {
    let world = world(&folder, Nat::PortRestricted, "another secret", &[]).await?;
    let b = Peer::new(world.device("b", &RELAY_ONLY)?).await?;
    let mut a = Peer::new(world.device("a", &RELAY_ONLY)?).await?;
    let answer = a.order(&Command::Dial { to: b.id }, Duration::from_secs(30)).await?;
    let soon = answer["refused_ms"].as_u64().is_some_and(|ms| ms <= 1000);
    let why = answer["why"].as_str().is_some_and(|why| why.contains("TURN") && why.contains("401"));
    if soon && why { Ok(answer) } else { Err(answer.to_string().into()) }
}

/// A candidate that the server does not forward to costs it three requests at most.
async fn forbidden(folder: PathBuf) -> Outcome<Value> {
    let denied = "--denied-peer-ip=198.18.0.0-198.18.255.255";
    // The devices' own addresses are public, but for the server.
    let world = world(&folder, Nat::None, SECRET, &["--verbose", denied]).await?;
    let b = Peer::new(world.device("b", &["--webrtc-only"])?).await?;
    let mut a = Peer::new(world.device("a", &RELAY_ONLY)?).await?;
    let established_ms = a.dial(b.id).await?;
    a.settle(b.id, Carrier::Turn, Duration::from_secs(10)).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let requests = world.turn_said("CREATE_PERMISSION processed, error 403")?;
    let value = json!({ "established_ms": established_ms, "refused_requests": requests });
    // One candidate each side is denied to the other's allocation.
    if (1..=6).contains(&requests) { Ok(value) } else { Err(value.to_string().into()) }
}

async fn ipv6(folder: PathBuf) -> Outcome<Value> {
    let mut world = World::new(&folder).await?;
    world.add_router(1, Nat::PortRestricted, NEAR).await?;
    world.add_ipv6("g1", "lan", "2001:db8:1::1/64").await?;
    for (host, address) in [("a", "2001:db8:1::2/64"), ("b", "2001:db8:1::3/64")] {
        world.add_device(host, "wlan0", 1).await?;
        world.add_ipv6(host, "wlan0", address).await?;
    }
    world.start_turn_at("g1", "2001:db8:1::1", SECRET, &[]).await?;
    let ice = format!(
        "[[ice.turn]]\nurls = [\"turn:[2001:db8:1::1]:3478?transport=udp\"]\nsecret = \"{SECRET}\"\n"
    );
    world.start_relay_naming(&ice).await?;
    let mut b = Peer::new(world.device("b", &RELAY_ONLY)?).await?;
    let mut a = Peer::new(world.device("a", &RELAY_ONLY)?).await?;
    let established_ms = a.dial(b.id).await?;
    b.settle(a.id, Carrier::Turn, Duration::from_secs(5)).await?;
    Ok(json!({ "established_ms": established_ms }))
}

/// Nothing is lost or late, whatever the server forgets meanwhile.
async fn stale_nonces(folder: PathBuf) -> Outcome<Value> {
    let world = world(&folder, Nat::Symmetric, SECRET, &["--stale-nonce=20", "--verbose"]).await?;
    let mut pair = Pair::begin(&world, Carrier::Turn).await?;
    tokio::time::sleep(LONG).await;
    pair.a.settle(pair.b.id, Carrier::Turn, Duration::from_secs(1)).await?;
    let flow = pair.finish().await?;
    let stale = world.turn_said("error 438")?;
    let value = json!({ "stale": stale, "flow": flow });
    // A machine with other things to do makes half of it.
    let late = flow["longest_gap_ms"].as_u64().is_none_or(|gap| gap > 1000);
    if stale > 0 && !late { Ok(value) } else { Err(value.to_string().into()) }
}
