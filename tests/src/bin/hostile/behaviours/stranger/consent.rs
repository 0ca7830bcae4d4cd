//! Actions that need the consent of the other device.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use peers::{DeviceId, random};
use peers_proto::id::ConnectionId;
use peers_proto::signaling::{ClientMessage, ExchangeKind, Knock, MessageId, ServerMessage, knock};
use peers_tests::bench::Outcome;
use peers_tests::party::Party;

use super::{FLOOD, fresh, noise};
use crate::behaviours::{Behaviour, before};
use crate::link::Link;
use crate::raw_peer::RawPeer;
use crate::scene::Scene;
use crate::socket::address;

/// The relay answers within this.
const ANSWER: Duration = Duration::from_millis(300);

pub(super) fn all() -> Vec<Behaviour> {
    vec![
        Behaviour::relay("knocks of one without end", |s| knocks(s, 1)),
        Behaviour::relay("knocks of 64", |s| knocks(s, 64)),
        Behaviour::relay("knocks that are none", |s| false_knocks(s, Forgery::Garbage)),
        Behaviour::relay("knocks for another device", |s| false_knocks(s, Forgery::OtherRecipient)),
        Behaviour::relay("knocks in the name of a trusted device", |s| false_knocks(s, Forgery::OtherSender)),
        Behaviour::relay("an offline friend's queue filled by one", offline_queue),
        Behaviour::relay("certificates of devices that do not accept the asker", probed_certificate),
        Behaviour::relay("presence of devices that do not accept the asker", probed_presence),
        Behaviour::relay("messages without consent", without_consent),
    ]
}

async fn send_knock(scene: &Scene, link: &Link, connection_id: ConnectionId, knock: Vec<u8>) -> Outcome<()> {
    let knock = Knock {
        connection_id,
        from_device_id: link.party.id(),
        to_device_id: scene.victim.id(),
        message_id: MessageId::from_bytes(random::array()),
        knock,
        queued: false,
    };
    link.speaker.say(&ClientMessage::Knock(knock)).await
}

/// A person is asked about each of them once at most.
async fn knocks(scene: Scene, strangers: usize) -> Outcome<()> {
    let asked = scene.count().await?.incoming;
    let mut links = Vec::new();
    for n in 0..strangers {
        links.push(scene.stranger(n).await?);
    }
    let end = Instant::now() + FLOOD;
    for n in 0.. {
        let (link, connection) = (&links[n % strangers], fresh());
        let Party { keys, certificate } = &*link.party;
        let bytes = knock::make(keys, certificate, scene.victim.id(), connection);
        if !before(end, send_knock(&scene, link, connection, bytes)).await {
            break;
        }
    }
    let asked = scene.count().await?.incoming - asked;
    if asked > strangers as u64 {
        return Err(format!("a person was asked {asked} times about {strangers} strangers").into());
    }
    Ok(())
}

/// Faults of a knock.
#[derive(Debug, Clone, Copy)]
enum Forgery {
    Garbage,
    OtherRecipient,
    OtherSender,
}

/// The app hears of none of them.
async fn false_knocks(scene: Scene, forgery: Forgery) -> Outcome<()> {
    let asked = scene.count().await?.incoming;
    let link = scene.stranger(0).await?;
    let (own, other) = (&link.party, &scene.attackers[0]);
    let end = Instant::now() + FLOOD / 2;
    loop {
        let connection = fresh();
        let bytes = match forgery {
            Forgery::Garbage => random::array::<400>().to_vec(),
            Forgery::OtherRecipient => knock::make(&own.keys, &own.certificate, other.id(), connection),
            Forgery::OtherSender => knock::make(&own.keys, &other.certificate, scene.victim.id(), connection),
        };
        if !before(end, send_knock(&scene, &link, connection, bytes)).await {
            break;
        }
    }
    match scene.count().await?.incoming - asked {
        0 => Ok(()),
        asked => Err(format!("a person was asked {asked} times because of knocks that prove nothing").into()),
    }
}

/// Messages of strangers to a device that is away neither push out a friend's nor keep them out.
async fn offline_queue(scene: Scene) -> Outcome<()> {
    let friend = scene.link(0).await?;
    let away = Arc::new(Party::new("away")?);
    consent(&scene, &friend, &away).await?;
    let leave = async |words: &str| {
        let envelope = vec![words.to_owned()];
        friend.speaker.exchange(ExchangeKind::IceCandidate, away.id(), fresh(), envelope).await
    };
    leave("before").await?;
    let full = vec![noise(20_000)];
    for n in 0..16 {
        let stranger = scene.stranger(n).await?;
        for _ in 0..64 {
            let sent =
                stranger.speaker.exchange(ExchangeKind::IceCandidate, away.id(), fresh(), full.clone());
            if sent.await.is_err() {
                break;
            }
        }
        settle(&stranger).await?;
    }
    leave("after").await?;
    settle(&friend).await?;
    let mut back = Link::register(scene.relay, &away, address(500)).await?;
    back.watch(&[friend.party.id()]).await?;
    tokio::time::sleep(ANSWER).await;
    let events = std::iter::from_fn(|| back.try_event());
    let envelopes = events.filter_map(|event| match event {
        ServerMessage::IceCandidate(exchange) => Some(exchange.ice_candidates),
        _ => None,
    });
    let left: Vec<_> = envelopes.flatten().collect();
    for words in ["before", "after"] {
        if !left.iter().any(|envelope| envelope == words) {
            return Err(format!("what a friend left {words} the strangers is not there").into());
        }
    }
    Ok(())
}

/// Both devices have said that they know each other.
async fn consent(scene: &Scene, friend: &Link, away: &Arc<Party>) -> Outcome<()> {
    let there = Link::register(scene.relay, away, address(500)).await?;
    there.watch(&[friend.party.id()]).await?;
    friend.watch(&[away.id()]).await?;
    settle(&there).await?;
    settle(friend).await?;
    drop(there);
    // The relay notices that the socket has ended.
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
}

async fn settle(link: &Link) -> Outcome<()> {
    link.speaker.say(&ClientMessage::GetIceServers).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}

/// The victim does not know the asker: the relay answers as if there were no such device.
async fn probed_certificate(scene: Scene) -> Outcome<()> {
    let mut link = scene.stranger(0).await?;
    for device_id in [scene.victim.id(), DeviceId::derive(b"absent")] {
        link.speaker.say(&ClientMessage::GetCertificate { device_id }).await?;
        match link.event().await? {
            ServerMessage::Certificate { certificate: None, .. } => {}
            ServerMessage::Certificate { .. } => {
                return Err("a stranger got the certificate of a device that does not know it".into());
            }
            other => return Err(format!("no certificate but {other:?}").into()),
        }
    }
    Ok(())
}

async fn probed_presence(scene: Scene) -> Outcome<()> {
    let mut link = scene.stranger(0).await?;
    link.watch(&[scene.victim.id(), scene.caller]).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    while let Some(event) = link.try_event() {
        if matches!(event, ServerMessage::DeviceOnline { .. } | ServerMessage::DeviceOffline { .. }) {
            return Err("a stranger saw the presence of a device that does not know it".into());
        }
    }
    // Nor by what happens to frames: they are refused alike.
    for peer in [scene.victim.id(), DeviceId::derive(b"absent")] {
        let connection = fresh();
        let mut transport = link.transport(peer, connection);
        transport.sink.send(BytesMut::from(&[0xf0; 64][..])).await?;
        let refused = tokio::time::timeout(Duration::from_millis(500), transport.source.recv()).await;
        if !matches!(refused, Ok(Err(_))) {
            return Err(format!("frames to {peer} were not refused as to an absent device").into());
        }
    }
    Ok(())
}

/// The victim's app hears nothing of devices that it has not accepted and that did not knock.
async fn without_consent(scene: Scene) -> Outcome<()> {
    let before = scene.count().await?;
    for n in 0..4 {
        let link = scene.stranger(n).await?;
        let begun = RawPeer::over_relay(&link, &scene.victim);
        if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(500), begun).await {
            return Err("a stranger has a session".into());
        }
    }
    let after = scene.count().await?;
    if after.incoming > before.incoming {
        return Err("the bytes of a stranger reached the victim before anybody consented".into());
    }
    Ok(())
}
