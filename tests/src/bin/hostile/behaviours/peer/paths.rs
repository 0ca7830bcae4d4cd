//! Connections of one peer, before, beside and after its session.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use peers::clock::Clock;
use peers::random;
use peers::transport::Transport;
use peers_proto::handshake::{Handshake, HandshakeEvent};
use peers_proto::id::ConnectionId;
use peers_proto::limits::{ARRIVAL_BURST, ARRIVALS_PER_SECOND};
use peers_proto::seal::{Opener, Sealer};
use peers_proto::session::Resume;
use peers_proto::session::wire::{FrameKind, Header};
use peers_tests::bench::Outcome;

use super::{FILL, FLOOD, call};
use crate::behaviours::{Behaviour, over_both};
use crate::raw_peer::RawPeer;
use crate::scene::{Carrier, Scene};
use crate::victim::Order;

/// Connections that one peer opens at once.
const AT_ONCE: usize = 64;
/// The victim answers within this.
const ANSWER: Duration = Duration::from_millis(400);

pub(super) fn all() -> Vec<Behaviour> {
    let mut all = Vec::new();
    all.extend(over_both("sessions begun and left", flapping));
    all.extend([
        Behaviour::relay("very many paths of one session", many_paths),
        Behaviour::relay("the trusted device turns malicious while its READY is on the way", turned),
        Behaviour::relay("a session resumed in the far future", resumed),
        Behaviour::relay("sessions that end with their first frame", byes),
    ]);
    all
}

async fn flapping(scene: Scene) -> Outcome<()> {
    let before = scene.count().await?.connected;
    let end = Instant::now() + FILL;
    let mut link = scene.link(0).await?;
    while Instant::now() < end {
        let begun = async {
            match scene.carrier {
                Carrier::Relay => RawPeer::over_relay(&link, &scene.victim).await,
                Carrier::WebRtc => RawPeer::over_webrtc(&mut link, &scene.victim, true).await,
            }
        };
        // A victim that has enough of it does not answer.
        let Ok(begun) = tokio::time::timeout(end.saturating_duration_since(Instant::now()), begun).await
        else {
            break;
        };
        let Ok(mut peer) = begun else { continue };
        let _ = peer.header(FrameKind::Bye, 0, 0).await;
        let _ = peer.flush().await;
    }
    let began = scene.count().await?.connected - before;
    // The honest device that dials anew is among them.
    let most = ARRIVAL_BURST + (ARRIVALS_PER_SECOND + 5) * (FILL.as_secs() + 1);
    if began > most { Err(format!("{began} sessions began within {FILL:?}").into()) } else { Ok(()) }
}

async fn many_paths(scene: Scene) -> Outcome<()> {
    let (mut peers, mut links) = (Vec::new(), Vec::new());
    for n in 0..AT_ONCE / 16 {
        links.push(scene.link(n).await?);
    }
    let end = Instant::now() + FLOOD;
    for n in 0..AT_ONCE {
        let link = &links[n % links.len()];
        let begun = RawPeer::over_relay(link, &scene.victim);
        // A victim that has enough of them refuses, or says nothing.
        if let Ok(Ok(peer)) = tokio::time::timeout(Duration::from_millis(500), begun).await {
            peers.push(peer);
        }
        if Instant::now() > end {
            break;
        }
    }
    Ok(())
}

/// The decision of the last moment counts: no session, and no call is answered.
async fn turned(scene: Scene) -> Outcome<()> {
    let link = scene.link(0).await?;
    let device = link.party.id();
    let end = Instant::now() + FLOOD;
    for _ in 0..3 {
        let (mut transport, mut handshake, established) = loop {
            let connection = ConnectionId::from_bytes(random::array());
            let mut transport = link.transport(scene.victim.id(), connection);
            let mut handshake = link.party.dials(&scene.victim.certificate, &transport, connection, false)?;
            match until_ready(&mut transport, &mut handshake).await {
                Ok(established) => break (transport, handshake, established),
                // The relay has not heard yet that the victim lets this device in again.
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => {}
            }
        };
        let ready = handshake.poll_output().ok_or("no READY")?;
        scene.victim_orders.lock().await.order(&Order::Trust { device, yes: false }).await?;
        // A victim that has closed the transport has decided, too.
        let sent = transport.sink.send(BytesMut::from(&ready[..])).await;
        if sent.is_ok() && established == Some(HandshakeEvent::Established) {
            let seal = handshake.finish()?.seal.ok_or("not sealed")?;
            if answers(&mut transport, seal).await? {
                return Err("a malicious device's call was answered".into());
            }
        }
        if scene.count().await?.sessions.contains(&device) {
            return Err("a malicious device has a session".into());
        }
        scene.victim_orders.lock().await.order(&Order::Trust { device, yes: true }).await?;
    }
    Ok(())
}

/// Runs a handshake until the victim's READY is here, and this device's is the next output.
async fn until_ready(
    transport: &mut Transport,
    handshake: &mut Handshake,
) -> Outcome<Option<HandshakeEvent>> {
    let clock = Clock::system();
    loop {
        while let Some(frame) = handshake.poll_output() {
            transport.sink.send(BytesMut::from(&frame[..])).await?;
        }
        let frame = transport.source.recv().await?;
        if let Some(HandshakeEvent::Authenticated(_)) = handshake.handle_frame(&frame, clock.now())? {
            break;
        }
    }
    let epoch = u64::from_be_bytes(random::array()).max(1);
    handshake.accept(&Resume { epoch, with: 0, next: 0 }.encode())?;
    let m3 = handshake.poll_output().ok_or("no message 3")?;
    transport.sink.send(BytesMut::from(&m3[..])).await?;
    let frame = transport.source.recv().await?;
    Ok(handshake.handle_frame(&frame, clock.now())?)
}

/// True if a call is answered with its own argument.
async fn answers(transport: &mut Transport, (mut sealer, mut opener): (Sealer, Opener)) -> Outcome<bool> {
    let mut frame = BytesMut::new();
    Header { kind: FrameKind::Data, seq: 0, ack: 0 }.write(&mut frame);
    call(0, "echo", b"let me in").write(&mut frame);
    sealer.seal(&mut frame, Clock::system().now())?;
    let answered = async {
        transport.sink.send(frame).await.ok()?;
        loop {
            let frame = opener.open(&transport.source.recv().await.ok()?).ok()?;
            if frame.windows(9).any(|words| words == b"let me in") {
                return Some(());
            }
        }
    };
    Ok(matches!(tokio::time::timeout(ANSWER, answered).await, Ok(Some(()))))
}

async fn resumed(scene: Scene) -> Outcome<()> {
    let (mut peer, link) = scene.peer().await?;
    let _ = peer.data(&[call(0, "echo", b"?")]).await;
    // The victim's instance is not known: whatever is claimed about it is wrong.
    for next in [u64::MAX, 1 << 62, 1] {
        let connection = ConnectionId::from_bytes(random::array());
        let mut transport = link.transport(scene.victim.id(), connection);
        let handshake = link.party.dials(&scene.victim.certificate, &transport, connection, false)?;
        let ready = Resume { epoch: next, with: u64::MAX, next }.encode();
        let _ = peers_tests::party::shake_hands(&mut transport, handshake, &ready).await;
    }
    Ok(())
}

async fn byes(scene: Scene) -> Outcome<()> {
    for kind in [FrameKind::Bye, FrameKind::Leave] {
        for _ in 0..20 {
            let (mut peer, _link) = scene.peer().await?;
            let _ = peer.header(kind, 0, 0).await;
            let _ = peer.flush().await;
        }
    }
    Ok(())
}
