//! A phone in a pocket.

use std::path::PathBuf;
use std::time::Duration;

use peers_proto::timing::{BEAT, IDLE_AFTER};
use serde_json::{Value, json};

use super::crowd::Crowd;
use crate::Outcome;
use crate::agent::Command;
use crate::runner::Scenario;

const CONNECTIONS: u64 = peers_proto::limits::MAX_CONNECTIONS as u64;
/// The time for which it is watched.
const WATCHED: Duration = Duration::from_secs(144);
/// 150 an hour.
const MOST: u32 = 6;

pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    // proves S179
    if quick { Vec::new() } else { vec![Scenario::new("idle with 30 connections", idle).idle()] }
}

async fn idle(folder: PathBuf) -> Outcome<Value> {
    let mut crowd = Crowd::gather(folder, CONNECTIONS).await?;
    let phone = &mut crowd.hub;
    tokio::time::sleep(IDLE_AFTER + 2 * BEAT).await;
    let wakes = phone.wakes(WATCHED).await?;
    let kept = phone.ask(&Command::Count, "sessions", Duration::from_secs(10)).await?;
    phone.order(&Command::Suspend { yes: true }, Duration::from_secs(10)).await?;
    // The runtime went to sleep before its last timers were taken away, and wakes up once for one of them.
    tokio::time::sleep(BEAT + Duration::from_secs(5)).await;
    let suspended = phone.wakes(BEAT).await?;
    let value = json!({ "wakes": wakes, "in_s": WATCHED.as_secs(), "kept": kept, "suspended": suspended });
    let asleep = (suspended.radio, suspended.processor) == (0, 0);
    let held = wakes.radio <= MOST && kept == CONNECTIONS && asleep;
    if held { Ok(value) } else { Err(value.to_string().into()) }
}
