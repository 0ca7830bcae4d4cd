//! Networks that change, go away and come back, and a phone in a pocket.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::pair::Pair;
use crate::Outcome;
use crate::agent::Command;
use crate::flow::unix_micros;
use crate::nat::{Carrier, Nat};
use crate::process::Peer;
use crate::runner::{Percentiles, Scenario};
use crate::world::{FAR, Ice, Wire, World};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    let mut all = vec![
        // proves S096, S109, S159
        Scenario::new("switch Wi-Fi - cellular and back", move |f| switches(f, if quick { 10 } else { 34 }))
            .idle(),
        Scenario::new("same address after a moment without", move |f| {
            reconnects(f, if quick { 3 } else { 10 })
        })
        .idle(),
        Scenario::new("hybrid: two on a LAN, one beyond a NAT", hybrid),
    ];
    let outages: &[u64] = if quick { &[8, 35] } else { &[8, 22, 35, 90] };
    for &seconds in outages {
        let times = if quick { 1 } else { 3 };
        all.push(
            Scenario::new(format!("outage of {seconds} s"), move |f| outages_of(f, seconds, times)).idle(),
        );
    }
    let asleep = if quick { 30 } else { 600 };
    all.push(Scenario::new(format!("suspended for {asleep} s"), move |f| suspended(f, asleep)).idle());
    let losses: &[u64] = if quick { &[5, 30] } else { &[0, 2, 5, 10, 20, 30] };
    for &loss in losses {
        all.push(Scenario::new(format!("loss of {loss} %"), move |f| lossy(f, loss)));
    }
    all
}

/// The other network has another address, another NAT and another delay.
async fn switches(folder: PathBuf, times: usize) -> Outcome<Value> {
    let mut world = World::of_two(&folder, Nat::PortRestricted, Nat::PortRestricted, Ice::Both, FAR).await?;
    world.add_router(3, Nat::AddressRestricted, Wire { delay: Duration::from_millis(35), loss: 0 }).await?;
    world.add_device("a", "rmnet0", 3).await?;
    world.disconnect("a", "rmnet0").await?;
    world.disconnect("a", "wlan0").await?;
    world.connect("a", "wlan0").await?;
    let mut pair = Pair::begin(&world, Carrier::Direct).await?;
    let mut took = Vec::new();
    for time in 0..times {
        // As long as people stay on one, shortened; not in step with any timer.
        tokio::time::sleep(Duration::from_millis(3000 + 130 * time as u64)).await;
        let (from, to) = if time % 2 == 0 { ("wlan0", "rmnet0") } else { ("rmnet0", "wlan0") };
        world.disconnect("a", from).await?;
        let at = unix_micros();
        world.connect("a", to).await?;
        took.push(pair.flows_since(at, PATIENCE).await?);
    }
    let flow = pair.finish().await?;
    let times = Percentiles::of(&mut took).ok_or("nothing was measured")?.within(Some(1000), 3000)?;
    Ok(json!({ "resumed": times, "flow": flow }))
}

async fn reconnects(folder: PathBuf, times: usize) -> Outcome<Value> {
    let world = World::of_two(&folder, Nat::PortRestricted, Nat::PortRestricted, Ice::Both, FAR).await?;
    let mut pair = Pair::begin(&world, Carrier::Direct).await?;
    let mut took = Vec::new();
    for time in 0..times {
        tokio::time::sleep(Duration::from_millis(3000 + 130 * time as u64)).await;
        world.disconnect("a", "wlan0").await?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let at = unix_micros();
        world.connect("a", "wlan0").await?;
        took.push(pair.flows_since(at, PATIENCE).await?);
    }
    let flow = pair.finish().await?;
    let times = Percentiles::of(&mut took).ok_or("nothing was measured")?.within(Some(1000), 3000)?;
    Ok(json!({ "resumed": times, "flow": flow }))
}

/// No network at all for a while, and the system says so, as phones do.
async fn outages_of(folder: PathBuf, seconds: u64, times: usize) -> Outcome<Value> {
    let world = World::of_two(&folder, Nat::PortRestricted, Nat::PortRestricted, Ice::Both, FAR).await?;
    let mut pair = Pair::begin(&world, Carrier::Direct).await?;
    let mut took = Vec::new();
    for _ in 0..times {
        tokio::time::sleep(Duration::from_secs(4)).await;
        world.disconnect("a", "wlan0").await?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let at = unix_micros();
        world.connect("a", "wlan0").await?;
        took.push(pair.flows_since(at, PATIENCE).await?);
    }
    let flow = pair.finish().await?;
    let times = Percentiles::of(&mut took).ok_or("nothing was measured")?.within(None, 2000)?;
    Ok(json!({ "resumed": times, "flow": flow }))
}

/// An announced absence, a long sleep, and back. The other one goes on sending meanwhile.
async fn suspended(folder: PathBuf, seconds: u64) -> Outcome<Value> {
    let world = World::of_two(&folder, Nat::PortRestricted, Nat::PortRestricted, Ice::Both, FAR).await?;
    let mut pair = Pair::connect(&world, Carrier::Direct).await?;
    let with_a = Command::Flow { with: pair.a.id, every_ms: 1000 };
    pair.b.order(&with_a, PATIENCE).await?;
    pair.a.order(&Command::Suspend { yes: true }, PATIENCE).await?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let at = unix_micros();
    pair.a.order(&Command::Suspend { yes: false }, PATIENCE).await?;
    pair.a.dial(pair.b.id).await?;
    let usable_ms = (unix_micros() - at) / 1000;
    let flow = pair.finish().await?;
    let times = Percentiles::of(&mut [usable_ms]).ok_or("nothing was measured")?.within(None, 3000)?;
    Ok(json!({ "usable": times, "flow": flow }))
}

async fn lossy(folder: PathBuf, loss: u64) -> Outcome<Value> {
    let wire = Wire { loss, ..FAR };
    let world = World::of_two(&folder, Nat::PortRestricted, Nat::PortRestricted, Ice::Both, wire).await?;
    let mut b = Peer::new(world.device("b", &[])?).await?;
    let mut a = Peer::new(world.device("a", &[])?).await?;
    let connected_ms = a.dial(b.id).await?;
    a.order(&Command::Flow { with: b.id, every_ms: 40 }, PATIENCE).await?;
    b.order(&Command::Flow { with: a.id, every_ms: 40 }, PATIENCE).await?;
    let mut pair = Pair { a, b };
    tokio::time::sleep(Duration::from_secs(10)).await;
    let began = unix_micros();
    let flow = pair.finish().await?;
    let path = pair.a.order(&Command::Path { with: pair.b.id }, PATIENCE).await?;
    let drained_ms = (unix_micros() - began) / 1000;
    Ok(
        json!({ "connected_ms": connected_ms, "carrier": path["carrier"], "drained_ms": drained_ms, "flow": flow }),
    )
}

/// proves S108: what stays in the LAN does not cross its router.
async fn hybrid(folder: PathBuf) -> Outcome<Value> {
    let mut world = World::of_two(&folder, Nat::PortRestricted, Nat::PortRestricted, Ice::Both, FAR).await?;
    world.add_device("c", "wlan0", 1).await?;
    let mut a = Peer::new(world.device("a", &[])?).await?;
    let mut c = Peer::new(world.device("c", &[])?).await?;
    let b = Peer::new(world.device("b", &[])?).await?;
    a.dial(c.id).await?;
    a.dial(b.id).await?;
    c.dial(b.id).await?;
    for (one, other) in [(&mut a, c.id), (&mut c, b.id)] {
        one.settle(other, Carrier::Direct, Duration::from_secs(15)).await?;
    }
    a.settle(b.id, Carrier::Direct, Duration::from_secs(15)).await?;
    let before = world.forwarded_by("g1").await?;
    a.order(&Command::Load { with: c.id }, PATIENCE).await?;
    let inside = world.forwarded_by("g1").await? - before;
    a.order(&Command::Load { with: b.id }, PATIENCE).await?;
    c.order(&Command::Load { with: b.id }, PATIENCE).await?;
    let outside = world.forwarded_by("g1").await? - before - inside;
    let value = json!({ "lan_bytes_outside": inside, "far_bytes_outside": outside });
    if inside < 50_000 && outside > 100_000 { Ok(value) } else { Err(value.to_string().into()) }
}
