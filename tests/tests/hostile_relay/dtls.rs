//! Somebody between the two ends of a WebRTC connection.

use bytes::BytesMut;
use peers::clock::Clock;
use peers::random;
use peers::transport::webrtc::{Attempt, WebRtcConfig};
use peers::transport::{CloseReason, FrameSink, FrameSource, Transport};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::handshake::{Alert, Config, Established, Event, Expected, Handshake, HandshakeError, Mode};
use peers_proto::id::ConnectionId;
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::time::UnixTime;
use peers_proto::trust::KnownKeys;
use tokio::task::JoinHandle;

use crate::world::within;

// proves S079, S126, S130, S131, S132: who terminates DTLS on both sides and passes the handshake on unchanged gets
// no connection, whether or not the ends would have sealed their frames.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_man_in_the_middle_of_dtls_is_noticed_at_both_ends() {
    for sealing in [false, true] {
        let (alice, bob) = (Party::new("a"), Party::new("b"));
        let (mut here, to_alice) = within(pair()).await;
        let (to_bob, mut there) = within(pair()).await;
        assert_ne!(here.binding, there.binding);
        let (Transport { sink: to_a, source: from_a, .. }, Transport { sink: to_b, source: from_b, .. }) =
            (to_alice, to_bob);
        let (up, down) = (forward(from_a, to_b), forward(from_b, to_a));

        let (at_a, at_b) = within(async {
            tokio::join!(
                run(&mut here, |t| alice.dials(&bob.certificate, t, sealing)),
                run(&mut there, |t| bob.answers(t, sealing, false)),
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
        let (alice, bob) = (Party::new("a"), Party::new("b"));
        let (mut here, mut there) = within(pair()).await;
        let (at_a, at_b) = within(async {
            tokio::join!(
                run(&mut here, |t| alice.dials(&bob.certificate, t, sealing)),
                run(&mut there, |t| bob.answers(t, sealing, false)),
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
    let (alice, bob, mallory) = (Party::new("a"), Party::new("b"), Party::new("m"));
    let expected = bob.certificate.device_id();
    let reached = mallory.certificate.device_id();
    let thief = Party { keys: copy(&mallory.keys), certificate: bob.certificate.clone() };
    for (impostor, error) in [
        (mallory, HandshakeError::WrongDevice { expected, reached }),
        (thief, HandshakeError::StolenCertificate),
    ] {
        let (mut here, mut there) = within(pair()).await;
        let (at_a, at_m) = within(async {
            tokio::join!(
                run(&mut here, |t| alice.dials(&bob.certificate, t, true)),
                // It answers callers who mean somebody else.
                run(&mut there, |t| impostor.answers(t, true, true)),
            )
        })
        .await;
        assert_eq!(at_a.unwrap_err(), Failure::Handshake(error));
        assert_eq!(at_m.unwrap_err(), Failure::Handshake(HandshakeError::Refused));
    }
}

struct Party {
    keys: DeviceKeys,
    certificate: DeviceCertificate,
}

impl Party {
    fn new(name: &str) -> Self {
        let keys = DeviceKeys::from_seed(random::array());
        let user = UserKeys::from_seed(random::array());
        let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), UnixTime(0), name).unwrap();
        Self { keys, certificate }
    }

    fn dials(&self, peer: &DeviceCertificate, transport: &Transport, sealing: bool) -> Handshake {
        let expected = Expected { device: peer.device_id(), keys: Some(KnownKeys::of(peer)) };
        let config = self.config(transport, sealing, false);
        Handshake::initiator(config, expected, Clock::system().now()).unwrap()
    }

    fn answers(&self, transport: &Transport, sealing: bool, strangers: bool) -> Handshake {
        Handshake::responder(self.config(transport, sealing, strangers), Clock::system().now()).unwrap()
    }

    fn config(&self, transport: &Transport, require_sealing: bool, pairing: bool) -> Config {
        Config {
            keys: copy(&self.keys),
            certificate: self.certificate.clone(),
            kind: transport.route.kind,
            connection_id: ConnectionId::from_bytes([7; 16]),
            binding: transport.binding.clone(),
            require_sealing,
            pairing,
            clock: Clock::system().unix_now(),
            entropy: random::array(),
        }
    }
}

fn copy(keys: &DeviceKeys) -> DeviceKeys {
    DeviceKeys::from_seed(*keys.seed())
}

#[derive(Debug, PartialEq)]
enum Failure {
    Handshake(HandshakeError),
    Transport(CloseReason),
}

impl From<HandshakeError> for Failure {
    fn from(e: HandshakeError) -> Self {
        Self::Handshake(e)
    }
}

impl From<CloseReason> for Failure {
    fn from(e: CloseReason) -> Self {
        Self::Transport(e)
    }
}

/// Runs a handshake as the engine does, admitting whoever proves to be somebody.
async fn run(
    transport: &mut Transport,
    begin: impl FnOnce(&Transport) -> Handshake,
) -> Result<Established, Failure> {
    let mut handshake = begin(transport);
    let outcome = drive(transport, &mut handshake).await;
    // Farewell included.
    let sent = send_output(transport, &mut handshake).await;
    if outcome.is_err() {
        transport.sink.close().await;
    }
    outcome?;
    sent?;
    Ok(handshake.finish()?)
}

async fn drive(transport: &mut Transport, handshake: &mut Handshake) -> Result<(), Failure> {
    loop {
        send_output(transport, handshake).await?;
        let frame = transport.source.recv().await?;
        let event = match handshake.handle_frame(&frame, Clock::system().now())? {
            Some(Event::Authenticated(_)) => handshake.accept(b"")?,
            event => event,
        };
        if event == Some(Event::Established) {
            return Ok(());
        }
    }
}

async fn send_output(transport: &mut Transport, handshake: &mut Handshake) -> Result<(), CloseReason> {
    while let Some(frame) = handshake.poll_output() {
        transport.sink.send(BytesMut::from(&frame[..])).await?;
    }
    transport.sink.flush().await
}

/// Two connected ends, initiator first.
async fn pair() -> (Transport, Transport) {
    let config = WebRtcConfig { include_loopback: true, ..WebRtcConfig::default() };
    let offering = Attempt::offer(&config).await.unwrap();
    let answering = Attempt::answer(&config, &offering.sdp).await.unwrap();
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
