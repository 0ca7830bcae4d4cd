//! Handshakes that strangers begin.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use peers::random;
use peers_proto::signaling::RelayFrame;
use peers_tests::bench::Outcome;
use peers_tests::party::shake_hands;

use super::{FLOOD, fresh};
use crate::behaviours::Behaviour;
use crate::scene::Scene;

pub(super) fn all() -> Vec<Behaviour> {
    let open = behaviours().into_iter().map(Behaviour::open);
    behaviours().into_iter().chain(open).collect()
}

fn behaviours() -> Vec<Behaviour> {
    vec![
        Behaviour::relay("handshakes begun by 8", |s| begun(s, 8)),
        Behaviour::relay("handshakes begun by 64", |s| begun(s, 64)),
        Behaviour::relay("handshakes of garbage by 64", garbage),
        Behaviour::relay("8 that wait for a decision", |s| undecided(s, 8)),
        Behaviour::relay("16 that wait for a decision", |s| undecided(s, 16)),
        Behaviour::relay("48 that wait for a decision", |s| undecided(s, 48)),
        Behaviour::relay("a decision forced by repetition", repeated),
    ]
}

/// Message 1, and then nothing.
async fn begun(scene: Scene, strangers: usize) -> Outcome<()> {
    let mut kept = Vec::new();
    for n in 0..strangers {
        let link = scene.stranger(n).await?;
        let connection = fresh();
        let mut transport = link.transport(scene.victim.id(), connection);
        let mut handshake = link.party.dials(&scene.victim.certificate, &transport, connection, false)?;
        let m1 = handshake.poll_output().ok_or("no message 1")?;
        transport.sink.send(BytesMut::from(&m1[..])).await?;
        kept.push((link, transport));
    }
    tokio::time::sleep(FLOOD).await;
    Ok(())
}

async fn garbage(scene: Scene) -> Outcome<()> {
    let peer = scene.victim.id();
    let mut kept = Vec::new();
    for n in 0..64 {
        let link = scene.stranger(n).await?;
        let frame = Bytes::from(random::array::<64>().to_vec());
        link.speaker.frame(&RelayFrame::Data { peer, connection: fresh(), frame }).await?;
        kept.push(link);
    }
    tokio::time::sleep(FLOOD / 2).await;
    Ok(())
}

/// Proven devices, about which the victim's app does not decide.
async fn undecided(scene: Scene, strangers: usize) -> Outcome<()> {
    let mut kept = Vec::new();
    for n in 0..strangers {
        let link = scene.stranger(n).await?;
        let connection = fresh();
        let mut transport = link.transport(scene.victim.id(), connection);
        let handshake = link.party.dials(&scene.victim.certificate, &transport, connection, false)?;
        kept.push(tokio::spawn(async move {
            let _ = shake_hands(&mut transport, handshake, &[1; 24]).await;
            drop((link, transport));
        }));
    }
    tokio::time::sleep(FLOOD).await;
    kept.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// A person is asked about a stranger; not again and again.
async fn repeated(scene: Scene) -> Outcome<()> {
    let link = scene.stranger(0).await?;
    let before = scene.count().await?.incoming;
    let end = Instant::now() + FLOOD;
    while Instant::now() < end {
        let connection = fresh();
        let mut transport = link.transport(scene.victim.id(), connection);
        let handshake = link.party.dials(&scene.victim.certificate, &transport, connection, false)?;
        let _ =
            tokio::time::timeout(Duration::from_millis(30), shake_hands(&mut transport, handshake, &[1; 24]))
                .await;
        transport.sink.close().await;
    }
    let asked = scene.count().await?.incoming - before;
    if asked > 8 {
        Err(format!("a person was asked {asked} times about one stranger").into())
    } else {
        Ok(())
    }
}
