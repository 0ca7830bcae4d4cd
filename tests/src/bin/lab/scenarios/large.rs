//! A network that carries small datagrams and loses large ones.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::pair::Pair;
use crate::Outcome;
use crate::agent::Command;
use crate::nat::{Carrier, Nat};
use crate::runner::{Percentiles, Scenario};
use crate::world::{FAR, Ice, World};

/// Bytes in the largest datagram that gets through. ICE, DTLS and small frames have fewer, a full SCTP packet has more.
const WIDTH: u16 = 1200;
const PATIENCE: Duration = Duration::from_secs(60);
/// Calls are made this often.
const EVERY: Duration = Duration::from_millis(250);
/// Calls beside each other that are slower than this were held up.
const FAST_MS: u64 = 1000;
/// The one time that a path is found out while it carries the session.
const FOUND_OUT_MS: u64 = 10_000;
/// Paths that a device's session gets: the first one and, if that was not the relay, the relay.
const MOVES: u64 = 2;
/// The same if the better one is good for a while.
const MOVES_LATER: u64 = 4;

pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    // As long as something better is looked for often.
    let watched = Duration::from_secs(if quick { 45 } else { 180 });
    vec![
        Scenario::new("UDP above 1 200 bytes lost", move |f| from_the_start(f, watched)).idle(),
        Scenario::new("UDP above 1 200 bytes lost, later", move |f| later(f, watched)).idle(),
    ]
}

async fn from_the_start(folder: PathBuf, watched: Duration) -> Outcome<Value> {
    let world = World::of_two(&folder, Nat::PortRestricted, Nat::PortRestricted, Ice::Both, FAR).await?;
    world.lose_above("g1", WIDTH).await?;
    let mut pair = Pair::strangers(&world).await?;
    pair.a.dial(pair.b.id).await?;
    let (took, value) = settle(&mut pair, watched, MOVES).await?;
    if took.iter().all(|ms| *ms < FAST_MS) { Ok(value) } else { Err(value.to_string().into()) }
}

async fn later(folder: PathBuf, watched: Duration) -> Outcome<Value> {
    let world = World::of_two(&folder, Nat::PortRestricted, Nat::PortRestricted, Ice::Both, FAR).await?;
    let mut pair = Pair::connect(&world, Carrier::Direct).await?;
    world.lose_above("g1", WIDTH).await?;
    let (took, value) = settle(&mut pair, watched, MOVES_LATER).await?;
    let slow: Vec<_> = took.iter().filter(|ms| **ms >= FAST_MS).collect();
    // Each direction is found out by its own sender.
    let once = slow.len() <= 2 && slow.iter().all(|ms| **ms < FOUND_OUT_MS);
    if once { Ok(value) } else { Err(value.to_string().into()) }
}

/// Small messages both ways all the time, and calls that need full packets. Returns the milliseconds that each round of those
/// took.
async fn settle(pair: &mut Pair, watched: Duration, most: u64) -> Outcome<(Vec<u64>, Value)> {
    let (with_a, with_b) = (Command::Load { with: pair.a.id }, Command::Load { with: pair.b.id });
    let flow = |with| Command::Flow { with, every_ms: 40 };
    pair.a.order(&flow(pair.b.id), PATIENCE).await?;
    pair.b.order(&flow(pair.a.id), PATIENCE).await?;
    let (end, mut took) = (Instant::now() + watched, Vec::new());
    while Instant::now() < end {
        for (caller, calls) in [(&mut pair.a, &with_b), (&mut pair.b, &with_a)] {
            let began = Instant::now();
            caller.order(calls, PATIENCE).await?;
            took.push(u64::try_from(began.elapsed().as_millis())?);
            tokio::time::sleep(EVERY).await;
        }
    }
    let moves = [
        pair.a.ask(&Command::Moves, "moves", PATIENCE).await?,
        pair.b.ask(&Command::Moves, "moves", PATIENCE).await?,
    ];
    let path = pair.a.order(&Command::Path { with: pair.b.id }, PATIENCE).await?;
    let flow = pair.finish().await?;
    let calls =
        Percentiles::of(&mut took.clone()).ok_or("nothing was measured")?.within(None, FOUND_OUT_MS)?;
    let slow: Vec<_> = took.iter().filter(|ms| **ms >= FAST_MS).collect();
    let value =
        json!({ "calls": calls, "slow_ms": slow, "moves": moves, "carrier": path["carrier"], "flow": flow });
    if moves.iter().all(|moves| *moves <= most) { Ok((took, value)) } else { Err(value.to_string().into()) }
}
