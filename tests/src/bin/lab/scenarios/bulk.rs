//! Speed of a long or a lossy path: the session beside the raw channel below it, in turns on one link.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::pair::Pair;
use crate::Outcome;
use crate::agent::Command;
use crate::nat::{Carrier, Nat};
use crate::runner::{Percentiles, Scenario};
use crate::world::{FAR, Ice, Wire, World};

/// Turns of each side.
const ROUNDS: usize = 6;
/// Time in which a connection finds its speed, and time that is measured. With loss the stack stands still for a second or more
/// at a time: only many such times make a speed.
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(4);
const MEASURED_WITH_LOSS: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(30);
/// "Never below the raw stack", as far as six turns on a noisy machine can tell two equal speeds apart.
const AS_FAST: f64 = 0.9;

/// MB/s that a session has to reach.
#[derive(Clone, Copy)]
struct Link {
    name: &'static str,
    wire: Wire,
    least: f64,
}

pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    if quick {
        return Vec::new(); // a debug build says nothing about speed
    }
    let links = [
        Link { name: "bulk, 50 ms RTT", wire: FAR, least: 50.0 },
        Link {
            name: "bulk, short path, 2 % loss",
            wire: Wire { delay: Duration::ZERO, loss: 2 },
            least: 0.0,
        },
        Link { name: "bulk, 50 ms RTT, 1 % loss", wire: Wire { loss: 1, ..FAR }, least: 0.0 },
    ];
    links
        .into_iter()
        .map(|link| Scenario::new(link.name, move |folder| compare(folder, link)).alone())
        .collect()
}

async fn compare(folder: PathBuf, link: Link) -> Outcome<Value> {
    let world = World::of_two(&folder, Nat::None, Nat::None, Ice::Stun, link.wire).await?;
    let (mut session, mut raw) = (Vec::new(), Vec::new());
    let measured = if link.wire.loss > 0 { MEASURED_WITH_LOSS } else { MEASURED };
    for _ in 0..ROUNDS {
        raw.push(raw_run(&world, measured).await?);
        session.push(session_run(&world, measured).await?);
    }
    let turns = json!({ "session_kb_per_s": session, "raw_kb_per_s": raw });
    let [session, raw] =
        [session, raw].map(|mut kb_per_s| Percentiles::of(&mut kb_per_s).map(|p| p.median()));
    let (session, raw) =
        (session.ok_or("nothing was measured")? as f64, raw.ok_or("nothing was measured")? as f64);
    let value = json!({
        "session_mb_per_s": session / 1e3, "raw_mb_per_s": raw / 1e3, "ratio": session / raw, "turns": turns
    });
    let holds = session >= AS_FAST * raw && session / 1e3 >= link.least;
    if holds { Ok(value) } else { Err(format!("{value}, wanted {} MB/s", link.least).into()) }
}

async fn session_run(world: &World, measured: Duration) -> Outcome<u64> {
    let mut pair = Pair::connect(world, Carrier::Direct).await?;
    pair.a.order(&Command::Bulk { with: pair.b.id }, PATIENCE).await?;
    kb_per_s(&mut pair, measured).await
}

async fn raw_run(world: &World, measured: Duration) -> Outcome<u64> {
    let mut pair = Pair::strangers(world).await?;
    let offer = pair.a.text(&Command::RawOffer, "sdp", PATIENCE).await?;
    let answer = pair.b.text(&Command::RawAnswer { offer }, "sdp", PATIENCE).await?;
    let (here, there) = (Command::RawOpen { answer: Some(answer) }, Command::RawOpen { answer: None });
    let (a, b) = tokio::join!(pair.a.order(&here, PATIENCE), pair.b.order(&there, PATIENCE));
    a.and(b)?;
    pair.b.order(&Command::Raw { sends: false }, PATIENCE).await?;
    pair.a.order(&Command::Raw { sends: true }, PATIENCE).await?;
    kb_per_s(&mut pair, measured).await
}

/// Arriving data, in kB (10^3) a second.
async fn kb_per_s(pair: &mut Pair, measured: Duration) -> Outcome<u64> {
    tokio::time::sleep(WARM_UP).await;
    let (before, began) = (pair.b.ask(&Command::Bytes, "bytes", PATIENCE).await?, std::time::Instant::now());
    tokio::time::sleep(measured).await;
    let (after, took) = (pair.b.ask(&Command::Bytes, "bytes", PATIENCE).await?, began.elapsed());
    Ok(((after - before) as f64 / 1e3 / took.as_secs_f64()) as u64)
}
