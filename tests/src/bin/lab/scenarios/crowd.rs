//! More devices than one keeps.

use std::path::PathBuf;
use std::time::Duration;

use peers_tests::process::Process;
use serde_json::{Value, json};

use crate::Outcome;
use crate::agent::Command;
use crate::nat::Nat;
use crate::process::Peer;
use crate::runner::Scenario;
use crate::world::{FAR, Ice, World};

const DEVICES: u64 = 40;
const KEPT: u64 = peers_proto::limits::MAX_CONNECTIONS as u64;

pub(crate) fn all(_: bool) -> Vec<Scenario> {
    // proves S113, S114, S115
    vec![Scenario::new("40 devices on one that keeps 30", crowd)]
}

/// A device that many others have dialed. All is gone when this is dropped.
pub(super) struct Crowd {
    pub(super) hub: Peer,
    /// The number of them that had an answer.
    served: Value,
    _others: Process,
    _world: World,
}

impl Crowd {
    pub(super) async fn gather(folder: PathBuf, count: u64) -> Outcome<Self> {
        let world = World::of_two(&folder, Nat::FullCone, Nat::PortRestricted, Ice::Both, FAR).await?;
        let hub = Peer::new(world.device("a", &[])?).await?;
        let (count, to) = (count.to_string(), hub.id.to_string());
        let mut others = world.crowd("b", &["--count", &count, "--to", &to])?;
        others.line(Duration::from_secs(60)).await?;
        let said: Value = serde_json::from_str(&others.line(Duration::from_secs(90)).await?)?;
        Ok(Self { hub, served: said["served"].clone(), _others: others, _world: world })
    }
}

async fn crowd(folder: PathBuf) -> Outcome<Value> {
    let mut crowd = Crowd::gather(folder, DEVICES).await?;
    let mut counts = Vec::new();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        counts.push(crowd.hub.ask(&Command::Count, "sessions", Duration::from_secs(10)).await?);
    }
    let value = json!({ "served": crowd.served, "kept": counts });
    if counts.iter().all(|count| *count == KEPT) { Ok(value) } else { Err(value.to_string().into()) }
}
