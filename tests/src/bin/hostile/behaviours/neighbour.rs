//! A host on the same network that sends datagrams to the victim's ports.

use std::time::{Duration, Instant};

use peers::random;
use peers_tests::bench::Outcome;
use tokio::net::UdpSocket;

use super::Behaviour;
use crate::measure;
use crate::scene::{Carrier, Scene};

/// As long as a fault needs to show.
const FLOOD: Duration = Duration::from_millis(1200);
/// Datagrams to each port between two pauses: ten thousand a second in all.
const BURST: usize = 20;
const PAUSE: Duration = Duration::from_millis(2);

pub(super) fn all() -> Vec<Behaviour> {
    let mut all = vec![
        Behaviour::webrtc("STUN requests from nowhere", |s| flood(s, stun(0x0001))),
        Behaviour::webrtc("STUN answers from nowhere", |s| flood(s, stun(0x0101))),
        Behaviour::webrtc("DTLS alerts from nowhere", |s| flood(s, ALERT.to_vec())),
        Behaviour::webrtc("DTLS application data from nowhere", |s| flood(s, record(23, 0, &[0; 400]))),
        Behaviour::webrtc("DTLS records of a later epoch from nowhere", |s| {
            flood(s, record(22, 7, &[0; 400]))
        }),
        Behaviour::webrtc("RTP from nowhere", |s| flood(s, vec![0x80; 1200])),
        Behaviour::webrtc("datagrams of no known kind", |s| flood(s, vec![0xff; 1200])),
        Behaviour::webrtc("empty datagrams", |s| flood(s, Vec::new())),
        Behaviour::webrtc("random datagrams", |s| flood(s, random::array::<1000>().to_vec())),
    ];
    let mut alerted = Behaviour::webrtc("DTLS alerts while a trusted device connects", alerts);
    alerted.setting.dials = Some(Carrier::WebRtc);
    all.push(alerted);
    let mut confused = Behaviour::webrtc("DTLS records of no version while a trusted device connects", |s| {
        spray(s, vec![22, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0])
    });
    confused.setting.dials = Some(Carrier::WebRtc);
    all.push(confused);
    all
}

/// Fatal, `close_notify`'s neighbour: `handshake_failure`, in plain text.
const ALERT: [u8; 15] = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40];

fn record(kind: u8, epoch: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap_or(0).to_be_bytes();
    [&[kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1][..], &len, content].concat()
}

fn stun(kind: u16) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &[0, 0, 0x21, 0x12, 0xa4, 0x42], &random::array::<12>()].concat()
}

async fn flood(scene: Scene, datagram: Vec<u8>) -> Outcome<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let ports = measure::udp_sockets(scene.victim_process)?;
    if ports.is_empty() {
        return Err("the victim has no UDP socket".into());
    }
    let end = Instant::now() + FLOOD;
    while Instant::now() < end {
        for _ in 0..BURST {
            for port in &ports {
                // A port that was closed meanwhile says so at the next datagram.
                let _ = socket.send_to(&datagram, port).await;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn alerts(scene: Scene) -> Outcome<()> {
    spray(scene, ALERT.to_vec()).await
}

/// To whatever port the victim opens, as soon as it does.
async fn spray(scene: Scene, datagram: Vec<u8>) -> Outcome<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let end = Instant::now() + FLOOD;
    while Instant::now() < end {
        for port in measure::udp_sockets(scene.victim_process)? {
            let _ = socket.send_to(&datagram, port).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
