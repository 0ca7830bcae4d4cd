//! Every kind of NAT with every other.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Outcome;
use crate::agent::Command;
use crate::nat::{Carrier, Nat};
use crate::probe::Answers;
use crate::process::Peer;
use crate::runner::Scenario;
use crate::world::{FAR, Ice, NEAR, World};

/// Dials of each pair, each by a new device.
const DIALS: usize = 2;
/// ICE through TURN over a slow link, on a machine with other things to do.
const SETTLED: Duration = Duration::from_secs(12);

pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    let mut all: Vec<_> = Nat::ALL
        .into_iter()
        .map(|nat| {
            Scenario::new(format!("NAT is what it is called: {nat}"), move |folder| probe(folder, nat))
        })
        .collect();
    for (row, far) in Nat::ALL.into_iter().enumerate() {
        for (column, near) in Nat::ALL.into_iter().enumerate() {
            // Three diagonals hold every kind on both sides, and every carrier.
            if !quick
                || matches!((column + 7 - row) % 7, 0 | 1)
                || (far, near) == (Nat::Symmetric, Nat::PortRestricted)
            {
                let name = format!("matrix: {far} - {near}");
                all.push(Scenario::new(name, move |folder| cell(folder, far, near)));
            }
        }
    }
    // proves S003, S082, S106, S144: no relay of any kind carries the data, only holes in both NATs.
    all.push(Scenario::new("two NATs, WebRTC only", |f| {
        webrtc_only(f, Nat::PortRestricted, Ice::Stun, &["--webrtc-only"], Carrier::Direct)
    }));
    // proves S112, S136: credentials come from the relay, and no datagram passes but to and from the TURN server.
    all.push(Scenario::new("TURN only, without STUN", |f| {
        webrtc_only(f, Nat::TurnOnly, Ice::Turn, &["--webrtc-only", "--relay-only"], Carrier::Turn)
    }));
    // proves S095, S158, S164, S168: neither a hole nor a TURN server, only the relay.
    all.push(Scenario::new("two symmetric NATs, without TURN", |f| {
        webrtc_only(f, Nat::Symmetric, Ice::Stun, &[], Carrier::Relay)
    }));
    // proves S111: with nothing to fall back to, the dial ends and says why.
    all.push(Scenario::new("UDP blocked, WebRTC only", refusal));
    all
}

async fn probe(folder: PathBuf, nat: Nat) -> Outcome<Value> {
    let mut world = World::new(&folder).await?;
    world.add_router(1, nat, NEAR).await?;
    world.add_device("a", "wlan0", 1).await?;
    let mut probed = world.spawn("net", "probed", &["probed"])?;
    probed.line(Duration::from_secs(20)).await?;
    let local = if nat == Nat::None { "198.18.1.2:5000" } else { "10.1.0.2:5000" };
    let mut probe = world.spawn("a", "probe", &["probe", local])?;
    let answers: Answers = serde_json::from_str(&probe.line(Duration::from_secs(20)).await?)?;
    let found = Nat::from_answers(&answers);
    if found == Some(nat) { Ok(json!({})) } else { Err(format!("it is {found:?}: {answers:?}").into()) }
}

/// proves S028, S110, S164, S168, S186: the best there can be carries the session, whatever is in between.
async fn cell(folder: PathBuf, far: Nat, near: Nat) -> Outcome<Value> {
    let world = World::of_two(&folder, far, near, Ice::Both, FAR).await?;
    let best = far.best(near);
    let mut b = Peer::new(world.device("b", &[])?).await?;
    let (mut usable, mut settled) = (Vec::new(), Vec::new());
    for _ in 0..DIALS {
        let mut a = Peer::new(world.device("a", &[])?).await?;
        usable.push(a.dial(b.id).await?);
        settled.push(a.settle(b.id, best, SETTLED).await?);
        b.settle(a.id, best, SETTLED).await?;
        proven(&world, &mut a, &b, best).await?;
    }
    Ok(json!({ "carrier": best, "usable_ms": usable, "settled_ms": settled }))
}

/// The packets' evidence, not the SDK's: most bytes went where they should.
async fn proven(world: &World, a: &mut Peer, b: &Peer, best: Carrier) -> Outcome<()> {
    let before = world.carried().await?;
    a.order(&Command::Load { with: b.id }, Duration::from_secs(20)).await?;
    let after = world.carried().await?;
    let carried = before.iter().zip(after).map(|((_, before), (carrier, after))| (carrier, after - before));
    let most = carried.clone().max_by_key(|(_, bytes)| *bytes);
    if most.is_some_and(|(carrier, bytes)| carrier == best && bytes > 50_000) {
        return Ok(());
    }
    Err(format!("the session says {best:?}, its packets {:?}", carried.collect::<Vec<_>>()).into())
}

async fn webrtc_only(
    folder: PathBuf,
    nat: Nat,
    ice: Ice,
    flags: &'static [&'static str],
    want: Carrier,
) -> Outcome<Value> {
    let world = World::of_two(&folder, nat, nat, ice, FAR).await?;
    let mut b = Peer::new(world.device("b", flags)?).await?;
    let mut a = Peer::new(world.device("a", flags)?).await?;
    let established_ms = a.dial(b.id).await?;
    if want == Carrier::Relay {
        // The attempt at WebRTC ends meanwhile; it must not take the session with it.
        tokio::time::sleep(peers_proto::timing::WEBRTC_ESTABLISHMENT + Duration::from_secs(2)).await;
    }
    a.settle(b.id, want, SETTLED).await?;
    b.settle(a.id, want, SETTLED).await?;
    proven(&world, &mut a, &b, want).await?;
    Ok(json!({ "carrier": want, "established_ms": established_ms }))
}

async fn refusal(folder: PathBuf) -> Outcome<Value> {
    let world = World::of_two(&folder, Nat::UdpBlocked, Nat::PortRestricted, Ice::Both, FAR).await?;
    let b = Peer::new(world.device("b", &["--webrtc-only"])?).await?;
    let mut a = Peer::new(world.device("a", &["--webrtc-only"])?).await?;
    let answer = a.order(&Command::Dial { to: b.id }, Duration::from_secs(30)).await?;
    if answer["refused"] == "unreachable" { Ok(answer) } else { Err(answer.to_string().into()) }
}
