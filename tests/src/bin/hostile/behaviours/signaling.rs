//! A trusted device that negotiates WebRTC in bad faith, and one whose data channel breaks the rules.

use std::time::{Duration, Instant};

use peers::random;
use peers::transport::webrtc::{WebRtcAttempt, WebRtcConfig};
use peers_proto::id::ConnectionId;
use peers_proto::limits::MAX_CANDIDATES;
use peers_proto::signaling::{Body, ByeReason, ExchangeKind};
use peers_tests::bench::Outcome;
use tokio::net::UdpSocket;

use super::{Behaviour, before};
use crate::bare_peer::BarePeer;
use crate::link::{self, Link, Offer};
use crate::raw_peer::RawPeer;
use crate::scene::Scene;

/// At full speed, as long as a fault needs to show.
const FLOOD: Duration = Duration::from_millis(1500);
/// Packets that a third party may get for each candidate that names it: what checks of ICE there are until the victim knows
/// better.
const CHECKS: usize = 200;

pub(super) fn all() -> Vec<Behaviour> {
    vec![
        Behaviour::webrtc("offers without end", offers),
        Behaviour::webrtc("candidates without end", candidates),
        Behaviour::webrtc("candidates of attempts that never were", early_candidates),
        Behaviour::webrtc("candidates that point at others", third_party),
        Behaviour::webrtc("byes of attempts that never were", byes),
        Behaviour::webrtc("descriptions that are none", descriptions),
        Behaviour::webrtc("offers without a continuation", abandoned_offers),
        Behaviour::webrtc("a second data channel", second_channel),
        Behaviour::webrtc("very many data channels", many_channels),
        Behaviour::webrtc("texts that say the channel is open, without end", |s| texts(s, "open")),
        Behaviour::webrtc("texts beside the frames", |s| texts(s, "hello")),
        Behaviour::webrtc("frames before the handshake", before_handshake),
    ]
}

async fn attempt() -> Outcome<WebRtcAttempt> {
    let config = WebRtcConfig { include_loopback: true, ..WebRtcConfig::default() };
    Ok(WebRtcAttempt::offer(&config).await?)
}

/// Sends what belongs to an attempt and is neither offer nor answer.
async fn say(
    scene: &Scene,
    link: &Link,
    connection: ConnectionId,
    number: u32,
    fingerprint: [u8; 32],
    body: &Body,
) -> Outcome<()> {
    let sealed = link::seal(&link.party, &scene.victim, connection, number, Some(fingerprint), body)?;
    link.speaker.exchange(ExchangeKind::IceCandidate, scene.victim.id(), connection, vec![sealed]).await
}

fn fresh() -> ConnectionId {
    ConnectionId::from_bytes(random::array())
}

async fn offers(scene: Scene) -> Outcome<()> {
    let (mut link, attempt) = (scene.link(0).await?, attempt().await?);
    let instance = link.instance(&scene.victim).await?;
    let fingerprint = attempt.negotiation.local_fingerprint();
    let end = Instant::now() + FLOOD;
    loop {
        let (connection, number) = (fresh(), link.count());
        let offer = Offer { connection, number, fingerprint, sdp: attempt.sdp.clone() };
        if !before(end, link.speaker.offer(&link.party, &scene.victim, &offer, Some(instance))).await {
            return Ok(());
        }
    }
}

/// Makes an offer that is answered, and says nothing after it.
async fn begin(scene: &Scene, link: &mut Link, attempt: &WebRtcAttempt, sdp: String) -> Outcome<Offer> {
    let instance = link.instance(&scene.victim).await?;
    let fingerprint = attempt.negotiation.local_fingerprint();
    let offer = Offer { connection: fresh(), number: link.count(), fingerprint, sdp };
    link.speaker.offer(&link.party, &scene.victim, &offer, Some(instance)).await?;
    Ok(offer)
}

async fn abandoned_offers(scene: Scene) -> Outcome<()> {
    // Each of them a device of its own: an attempt of one ends the one before.
    for n in 0..scene.attackers.len() {
        let (mut link, attempt) = (scene.link(n).await?, attempt().await?);
        begin(&scene, &mut link, &attempt, attempt.sdp.clone()).await?;
    }
    tokio::time::sleep(FLOOD / 2).await;
    Ok(())
}

async fn candidates(scene: Scene) -> Outcome<()> {
    let (mut link, attempt) = (scene.link(0).await?, attempt().await?);
    let Offer { connection, number, fingerprint, .. } =
        begin(&scene, &mut link, &attempt, attempt.sdp.clone()).await?;
    let end = Instant::now() + FLOOD;
    for n in 0..u32::MAX {
        let list = (0..32).map(|i| candidate(&format!("127.0.0.1 {}", 1024 + (n * 32 + i) % 60_000)));
        let body = Body::Candidates(list.collect());
        if !before(end, say(&scene, &link, connection, number, fingerprint, &body)).await {
            break;
        }
    }
    Ok(())
}

async fn early_candidates(scene: Scene) -> Outcome<()> {
    let link = scene.link(0).await?;
    let end = Instant::now() + FLOOD;
    let body = Body::Candidates(vec![candidate("127.0.0.1 9"); 32]);
    while before(end, say(&scene, &link, fresh(), 1, [1; 32], &body)).await {}
    Ok(())
}

async fn byes(scene: Scene) -> Outcome<()> {
    let link = scene.link(0).await?;
    let end = Instant::now() + FLOOD / 2;
    let body = Body::Bye(ByeReason::Cancelled);
    while before(end, say(&scene, &link, fresh(), 1, [1; 32], &body)).await {}
    Ok(())
}

fn candidate(address: &str) -> String {
    format!("candidate:1 1 udp 2130706431 {address} typ host")
}

/// An address that is named as a candidate gets the checks of one ICE agent at most, however often it is named.
async fn third_party(scene: Scene) -> Outcome<()> {
    let bystander = UdpSocket::bind("127.0.0.1:0").await?;
    let address = bystander.local_addr()?;
    let counting = tokio::spawn(async move {
        let (mut packets, mut buffer) = (0, [0; 2048]);
        let end = Instant::now() + FLOOD;
        while let Ok(Ok(_)) =
            tokio::time::timeout(end.saturating_duration_since(Instant::now()), bystander.recv(&mut buffer))
                .await
        {
            packets += 1;
        }
        packets
    });
    let (mut link, attempt) = (scene.link(0).await?, attempt().await?);
    // No candidate of its own: all the victim can do is to ask the bystander.
    let lines = attempt.sdp.lines().filter(|line| !line.starts_with("a=candidate"));
    let sdp = lines.map(|line| format!("{line}\r\n")).collect();
    let Offer { connection, number, fingerprint, .. } = begin(&scene, &mut link, &attempt, sdp).await?;
    let named = candidate(&format!("{} {}", address.ip(), address.port()));
    for _ in 0..10 {
        let body = Body::Candidates(vec![named.clone(); MAX_CANDIDATES]);
        say(&scene, &link, connection, number, fingerprint, &body).await?;
    }
    let packets: usize = counting.await?;
    if packets > CHECKS { Err(format!("a bystander got {packets} packets").into()) } else { Ok(()) }
}

/// Descriptions that one reader may take for another thing than the next one does.
async fn descriptions(scene: Scene) -> Outcome<()> {
    let mut link = scene.link(0).await?;
    let attempt = attempt().await?;
    let good = attempt.sdp.clone();
    let own = attempt.negotiation.local_fingerprint();
    let line = good.lines().find(|l| l.starts_with("a=fingerprint")).ok_or("no fingerprint")?;
    let other = format!("a=fingerprint:sha-256 {}", vec!["AB"; 32].join(":"));
    let twisted = [
        good.replace("\r\n", "\r"),
        good.replace(line, &format!("{other}\r{line}")),
        good.replace(line, &format!("{line}\r{other}")),
        good.replace(line, &format!("{line}\r\n{other}")),
        good.replace(line, &line.to_lowercase()),
        good.replace(line, ""),
        format!("{good}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n"),
        format!("{good}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"),
        format!("{good} m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"),
        format!(
            "{good}a=candidate:1 1 udp 1 127.0.0.1 9 typ host\ra=candidate:2 1 udp 1 127.0.0.1 9 typ host\r\n"
        ),
        good.replace("UDP/DTLS/SCTP", "TCP/DTLS/SCTP"),
        good.replace("a=ice-ufrag", "a=ice-lite\r\na=ice-ufrag"),
        good.replace("a=mid:", "a=mid:\u{0}"),
        "a=x\r\n".repeat(3000),
        String::new(),
        "\r\r\r\n\n".into(),
    ];
    let instance = link.instance(&scene.victim).await?;
    for sdp in twisted {
        let offer = Offer { connection: fresh(), number: link.count(), fingerprint: own, sdp };
        link.speaker.offer(&link.party, &scene.victim, &offer, Some(instance)).await?;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    // One that names another certificate anywhere is not answered: DTLS would take it for the signed one.
    for sdp in [
        good.replace(line, &format!("{line}\r{other}")),
        good.replace(line, &format!("{line}\r\n{other}")),
        good.replace(line, &format!("{line}\n {other}")),
    ] {
        let offer = Offer { connection: fresh(), number: link.count(), fingerprint: own, sdp };
        let answer = link.offer(&scene.victim, &offer);
        if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(300), answer).await {
            return Err("an offer with a second certificate in it was answered".into());
        }
    }
    Ok(())
}

async fn second_channel(scene: Scene) -> Outcome<()> {
    let mut link = scene.link(0).await?;
    let bare = BarePeer::connect(&mut link, &scene.victim).await?;
    let mut peer =
        RawPeer::begin(bare.transport(), bare.connection, &link.party, &scene.victim, true).await?;
    let second = bare.pc.create_data_channel("second", None).await?;
    let ended = peer.must_end().await;
    drop(second);
    bare.close().await;
    ended
}

async fn many_channels(scene: Scene) -> Outcome<()> {
    let mut link = scene.link(0).await?;
    let bare = BarePeer::connect(&mut link, &scene.victim).await?;
    let (mut channels, end) = (Vec::new(), Instant::now() + FLOOD);
    while Instant::now() < end && channels.len() < 20_000 {
        match bare.pc.create_data_channel("more", None).await {
            Ok(channel) => channels.push(channel),
            Err(_) => break,
        }
    }
    bare.close().await;
    Ok(())
}

async fn texts(scene: Scene, text: &str) -> Outcome<()> {
    let mut link = scene.link(0).await?;
    let bare = BarePeer::connect(&mut link, &scene.victim).await?;
    // The victim's answer is never taken from the stack.
    let end = Instant::now() + 2 * FLOOD;
    while before(end, bare.channel.send_text(text)).await {}
    bare.close().await;
    Ok(())
}

async fn before_handshake(scene: Scene) -> Outcome<()> {
    let mut link = scene.link(0).await?;
    let bare = BarePeer::connect(&mut link, &scene.victim).await?;
    let mut transport = bare.transport();
    let end = Instant::now() + FLOOD / 2;
    while before(end, transport.sink.send(bytes::BytesMut::zeroed(16_000))).await {}
    bare.close().await;
    Ok(())
}
