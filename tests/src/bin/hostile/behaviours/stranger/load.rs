//! As much as a stranger may send.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use peers_proto::signaling::{Body, ExchangeKind, RelayCloseReason, RelayFrame};
use peers_tests::bench::Outcome;
use peers_tests::party::Party;

use super::{FLOOD, fresh, noise};
use crate::behaviours::{Behaviour, before};
use crate::link::{self, Link};
use crate::scene::Scene;
use crate::socket::{Socket, address};

/// As many messages as the relay takes from a device at once.
const MESSAGES: usize = 480;

pub(super) fn all() -> Vec<Behaviour> {
    let mut slow = Behaviour::relay("messages to a victim on a slow link", |s| messages(s, 30_000));
    slow.setting.slow_link = Some(250_000);
    slow.setting.p99 = Duration::from_secs(2);
    vec![
        slow,
        Behaviour::relay("two thousand made-up registrations", registrations),
        Behaviour::relay("messages at once", |s| messages(s, 500)),
        Behaviour::relay("large messages at once", |s| messages(s, 40_000)),
        Behaviour::relay("envelopes that open and mean nothing", envelopes),
        Behaviour::relay("envelopes that do not open", garbled),
        Behaviour::relay("offers of strangers", offers),
        Behaviour::relay("frames to the victim", frames),
        Behaviour::relay("connections to the victim", connections),
        Behaviour::relay("connections opened and closed", opened_and_closed),
        Behaviour::relay("envelopes that open and mean nothing", envelopes).open(),
        Behaviour::relay("offers of strangers", offers).open(),
        Behaviour::relay("frames to the victim", frames).open(),
        Behaviour::relay("connections to the victim", connections).open(),
        Behaviour::relay("connections opened and closed", opened_and_closed).open(),
    ]
}

async fn messages(scene: Scene, len: usize) -> Outcome<()> {
    let stranger = scene.stranger(0).await?;
    let envelope = noise(len);
    let end = Instant::now() + FLOOD;
    for _ in 0..MESSAGES {
        let envelope = vec![envelope.clone()];
        let sent = stranger.speaker.exchange(ExchangeKind::Offer, scene.victim.id(), fresh(), envelope);
        if !before(end, sent).await {
            break;
        }
    }
    tokio::time::sleep_until(end.into()).await;
    Ok(())
}

async fn registrations(scene: Scene) -> Outcome<()> {
    // Eight at a time.
    let scenes = (0..8).map(|first| {
        let scene = scene.clone();
        async move {
            for n in 0..251 {
                let party = Arc::new(Party::new("made up")?);
                let mut socket = Socket::dial(scene.relay, address(2000 + first * 251 + n)).await?;
                // A relay that has enough of it says so.
                let _ = socket.register(&party).await;
            }
            Ok(())
        }
    });
    join_all(scenes).await.into_iter().collect()
}

async fn exchanges(
    scene: &Scene,
    strangers: usize,
    envelope: impl Fn(&Link) -> Outcome<String>,
) -> Outcome<()> {
    let mut links = Vec::new();
    for n in 0..strangers {
        links.push(scene.stranger(n).await?);
    }
    let end = Instant::now() + FLOOD;
    for n in 0.. {
        let link = &links[n % strangers];
        let sealed = envelope(link)?;
        let sent = link.speaker.exchange(ExchangeKind::Offer, scene.victim.id(), fresh(), vec![sealed]);
        if !before(end, sent).await {
            break;
        }
    }
    Ok(())
}

async fn envelopes(scene: Scene) -> Outcome<()> {
    let body = Body::Candidates(vec!["candidate:1 1 udp 1 127.0.0.1 9 typ host".into(); 32]);
    exchanges(&scene, 8, |link| link::seal(&link.party, &scene.victim, fresh(), 1, Some([1; 32]), &body))
        .await
}

async fn garbled(scene: Scene) -> Outcome<()> {
    let envelope = noise(30_000);
    exchanges(&scene, 8, |_| Ok(envelope.clone())).await
}

async fn offers(scene: Scene) -> Outcome<()> {
    let body = Body::Offer { instance: 1, to: None, sdp: "v=0\r\n".repeat(3000) };
    exchanges(&scene, 24, |link| link::seal(&link.party, &scene.victim, fresh(), 1, Some([1; 32]), &body))
        .await
}

async fn frames(scene: Scene) -> Outcome<()> {
    let stranger = scene.stranger(0).await?;
    let peer = scene.victim.id();
    let (end, frame) = (Instant::now() + FLOOD, Bytes::from(vec![0xf0; 16_000]));
    let connection = fresh();
    let message = RelayFrame::Data { peer, connection, frame: frame.clone() };
    while before(end, stranger.speaker.frame(&message)).await {}
    Ok(())
}

async fn connections(scene: Scene) -> Outcome<()> {
    let mut links = Vec::new();
    for n in 0..8 {
        links.push(scene.stranger(n).await?);
    }
    let (end, peer) = (Instant::now() + FLOOD, scene.victim.id());
    for n in 0.. {
        let frame = Bytes::from_static(&[0xf0; 100]);
        let message = RelayFrame::Data { peer, connection: fresh(), frame };
        if !before(end, links[n % 8].speaker.frame(&message)).await {
            break;
        }
    }
    Ok(())
}

async fn opened_and_closed(scene: Scene) -> Outcome<()> {
    let stranger = scene.stranger(0).await?;
    let (end, peer) = (Instant::now() + FLOOD, scene.victim.id());
    while Instant::now() < end {
        let connection = fresh();
        let message = RelayFrame::Data { peer, connection, frame: Bytes::from_static(&[0xf0; 100]) };
        let close = RelayFrame::Close { peer, connection, reason: RelayCloseReason::Closed };
        if !before(end, stranger.speaker.frame(&message)).await
            || !before(end, stranger.speaker.frame(&close)).await
        {
            break;
        }
    }
    Ok(())
}
