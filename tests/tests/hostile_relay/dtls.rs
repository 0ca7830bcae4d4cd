//! Somebody between the two ends of a WebRTC connection.

use bytes::BytesMut;
use peers::transport::webrtc::{WebRtcAttempt, WebRtcConfig};
use peers::transport::{FrameSink, FrameSource, Transport};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::handshake::{Alert, Established, Handshake, HandshakeError, Mode};
use peers_proto::id::ConnectionId;
use peers_proto::keys::DeviceKeys;
use peers_tests::party::{Failure, Party, shake_hands};
use tokio::task::JoinHandle;

use crate::world::within;

// proves S079, S126, S130, S131, S132: who terminates DTLS on both sides and passes the handshake on unchanged gets
// no connection, whether or not the ends would have sealed their frames.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_man_in_the_middle_of_dtls_is_noticed_at_both_ends() {
    for sealing in [false, true] {
        let (alice, bob) = (party("a"), party("b"));
        let (mut here, to_alice) = within(pair()).await;
        let (to_bob, mut there) = within(pair()).await;
        assert_ne!(here.binding, there.binding);
        let (Transport { sink: to_a, source: from_a, .. }, Transport { sink: to_b, source: from_b, .. }) =
            (to_alice, to_bob);
        let (up, down) = (forward(from_a, to_b), forward(from_b, to_a));

        let (at_a, at_b) = within(async {
            tokio::join!(
                run(&mut here, |t| dials(&alice, &bob.certificate, t, sealing)),
                run(&mut there, |t| answers(&bob, t, sealing, false)),
            )
        })
        .await;
        assert_eq!(at_a.unwrap_err(), Failure::Handshake(HandshakeError::NotAuthentic));
        assert_eq!(at_b.unwrap_err(), Failure::Handshake(HandshakeError::Alerted(Alert::Malformed)));
        // All that passed: message 1 and an alert one way, message 2 the other. No proof of the caller, no content.
        assert_eq!(within(up).await.unwrap(), [0xF0, 0xF5]);
        assert_eq!(within(down).await.unwrap(), [0xF1]);
    }
}

// The guard of the test above: without the man in the middle the same ends connect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nobody_in_between_both_ends_connect() {
    for (sealing, mode) in [(false, Mode::Plain), (true, Mode::Sealed)] {
        let (alice, bob) = (party("a"), party("b"));
        let (mut here, mut there) = within(pair()).await;
        let (at_a, at_b) = within(async {
            tokio::join!(
                run(&mut here, |t| dials(&alice, &bob.certificate, t, sealing)),
                run(&mut there, |t| answers(&bob, t, sealing, false)),
            )
        })
        .await;
        let (at_a, at_b) = (at_a.unwrap(), at_b.unwrap());
        assert_eq!((at_a.mode, at_b.mode), (mode, mode));
        assert_eq!((&at_a.certificate, &at_b.certificate), (&bob.certificate, &alice.certificate));
        assert_eq!(at_a.handshake_hash, at_b.handshake_hash);
    }
}

// proves S126, S130, S131: nor does one that answers itself, with its own certificate or with the victim's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impostor_is_not_taken_for_the_device_that_was_dialed() {
    let (alice, bob, mallory) = (party("a"), party("b"), party("m"));
    let expected = bob.certificate.device_id();
    let reached = mallory.certificate.device_id();
    let thief =
        Party { keys: DeviceKeys::from_seed(*mallory.keys.seed()), certificate: bob.certificate.clone() };
    for (impostor, error) in [
        (mallory, HandshakeError::WrongDevice { expected, reached }),
        (thief, HandshakeError::StolenCertificate),
    ] {
        let (mut here, mut there) = within(pair()).await;
        let (at_a, at_m) = within(async {
            tokio::join!(
                run(&mut here, |t| dials(&alice, &bob.certificate, t, true)),
                // It answers callers who mean somebody else.
                run(&mut there, |t| answers(&impostor, t, true, true)),
            )
        })
        .await;
        assert_eq!(at_a.unwrap_err(), Failure::Handshake(error));
        assert_eq!(at_m.unwrap_err(), Failure::Handshake(HandshakeError::Refused));
    }
}

const CONNECTION: ConnectionId = ConnectionId::from_bytes([7; 16]);

fn dials(party: &Party, peer: &DeviceCertificate, transport: &Transport, sealing: bool) -> Handshake {
    party.dials(peer, transport, CONNECTION, sealing).unwrap()
}

fn answers(party: &Party, transport: &Transport, sealing: bool, strangers: bool) -> Handshake {
    party.answers(transport, CONNECTION, sealing, strangers).unwrap()
}

fn party(name: &str) -> Party {
    Party::new(name).unwrap()
}

/// Runs a handshake that begins with what the transport is bound to.
async fn run(
    transport: &mut Transport,
    begin: impl FnOnce(&Transport) -> Handshake,
) -> Result<Established, Failure> {
    let handshake = begin(transport);
    shake_hands(transport, handshake, b"").await
}

/// Two connected ends, initiator first.
async fn pair() -> (Transport, Transport) {
    let config = WebRtcConfig { include_loopback: true, ..WebRtcConfig::default() };
    let offering = WebRtcAttempt::offer(&config).await.unwrap();
    let answering = WebRtcAttempt::answer(&config, &offering.sdp).await.unwrap();
    offering.negotiation.set_remote_answer(&answering.sdp).await.unwrap();
    let (here, there) = tokio::join!(offering.connecting.connected(), answering.connecting.connected());
    (here.unwrap(), there.unwrap())
}

/// Passes every frame on unchanged until the end; the first byte of each.
fn forward(mut source: Box<dyn FrameSource>, mut sink: Box<dyn FrameSink>) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut tags = Vec::new();
        while let Ok(frame) = source.recv().await {
            tags.push(frame[0]);
            // An end that has closed already takes no more.
            let _ = sink.send(BytesMut::from(&frame[..])).await;
            let _ = sink.flush().await;
        }
        sink.close().await;
        tags
    })
}
