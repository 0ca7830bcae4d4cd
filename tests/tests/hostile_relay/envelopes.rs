//! A relay that tampers with offers and answers.

use futures_util::future::join_all;
use peers::transport::webrtc::{WebRtcAttempt, WebRtcConfig};
use peers::{DeviceId, Error, PathKind, Transports, random};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::envelope::{self, Content};
use peers_proto::id::ConnectionId;
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::signaling::{Body, ClientMessage, Exchange, ExchangeKind, MessageId, ServerMessage, base64};
use peers_proto::time::UnixTime;
use peers_proto::trust::KnownKeys;

use crate::world::{Device, Hits, WEBRTC, within};
use peers_tests::hostile_relay::{HostileRelay, Parcel, Said, Told};

/// The relay's treatment of an offer or an answer.
#[derive(Debug, Clone, Copy)]
enum Lie {
    FlipBit,
    Truncate,
    OtherSender,
    OtherConnection,
    Forge,
}

const LIES: [(ExchangeKind, Lie); 7] = [
    (ExchangeKind::Offer, Lie::FlipBit),
    (ExchangeKind::Answer, Lie::FlipBit),
    (ExchangeKind::Offer, Lie::Truncate),
    (ExchangeKind::Offer, Lie::OtherSender),
    (ExchangeKind::Answer, Lie::OtherSender),
    (ExchangeKind::Offer, Lie::OtherConnection),
    (ExchangeKind::Offer, Lie::Forge),
];

// proves S079, S126, S130, S131, S132. All at once: each ends by the deadline of an attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_offer_or_answer_connects_nobody() {
    join_all(LIES.map(|(kind, lie)| attempt_under(kind, lie))).await;
}

async fn attempt_under(kind: ExchangeKind, lie: Lie) {
    let relay = HostileRelay::start().await;
    let [a, b, c] = devices(&relay, WEBRTC).await;
    let hits = Hits::default();
    let forger = Forger::new(&relay, b.id()).await;
    relay.attack({
        let (hits, other) = (hits.clone(), c.id());
        move |mut parcel| {
            if let Some(exchange) = exchange_of(&mut parcel.told, kind) {
                hits.add();
                tell(lie, exchange, other, &forger);
            }
            vec![parcel]
        }
    });
    let error = within(a.client.session(b.id())).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{kind:?} {lie:?}: {error:?}");
    assert!(hits.count() > 0, "{kind:?} {lie:?}");
    for device in [a, b, c] {
        device.end_unbothered().await;
    }
}

fn tell(lie: Lie, exchange: &mut Exchange, other: DeviceId, forger: &Forger) {
    let sealed = exchange.sdi.as_mut().unwrap();
    let mut bytes = base64::decode(sealed).unwrap();
    match lie {
        Lie::FlipBit => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            *sealed = base64::encode(&bytes);
        }
        Lie::Truncate => *sealed = base64::encode(&bytes[..bytes.len() - 1]),
        Lie::OtherSender => exchange.from_device_id = other,
        Lie::OtherConnection => exchange.connection_id = ConnectionId::from_bytes(random::array()),
        Lie::Forge => *sealed = forger.offer(exchange.connection_id),
    }
}

// proves S130, S132: an envelope is for one device.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_swapped_between_two_devices_connect_nobody() {
    let relay = HostileRelay::start().await;
    let [a, b, c] = devices(&relay, WEBRTC).await;
    let mut waiting: Option<Parcel> = None;
    let hits = Hits::default();
    relay.attack({
        let hits = hits.clone();
        move |mut parcel| {
            let Some(exchange) = exchange_of(&mut parcel.told, ExchangeKind::Offer) else {
                return vec![parcel];
            };
            let Some(mut first) = waiting.take() else {
                waiting = Some(parcel);
                return Vec::new();
            };
            let other = exchange_of(&mut first.told, ExchangeKind::Offer).unwrap();
            std::mem::swap(&mut other.sdi, &mut exchange.sdi);
            hits.add();
            vec![first, parcel]
        }
    });
    let (at_b, at_c) =
        within(async { tokio::join!(a.client.session(b.id()), a.client.session(c.id())) }).await;
    for error in [at_b.unwrap_err(), at_c.unwrap_err()] {
        assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    }
    assert_eq!(hits.count(), 1);
    for device in [a, b, c] {
        device.end_unbothered().await;
    }
}

// proves S130: where the relay is also a way to the peer, spoiled WebRTC costs speed, not safety.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_webrtc_is_spoiled_the_session_is_with_the_right_device_over_the_relay() {
    let relay = HostileRelay::start().await;
    let [a, mut b, c] = devices(&relay, Transports::default()).await;
    let (hits, forger) = (Hits::default(), Forger::new(&relay, b.id()).await);
    relay.attack({
        let (hits, c) = (hits.clone(), c.id());
        move |mut parcel| {
            if let Some(exchange) = exchange_of(&mut parcel.told, ExchangeKind::Offer) {
                hits.add();
                tell(Lie::Forge, exchange, c, &forger);
            }
            vec![parcel]
        }
    });
    let session = within(a.client.session(b.id())).await.unwrap();
    let there = b.connected().await;
    assert_eq!((session.device(), there.device()), (b.id(), a.id()));
    session.send("safe").await.unwrap();
    assert_eq!(within(there.recv()).await.unwrap().decode::<String>().unwrap(), "safe");
    within(hits.first()).await;
    session.send("still safe").await.unwrap();
    assert_eq!(within(there.recv()).await.unwrap().decode::<String>().unwrap(), "still safe");
    assert_eq!((session.path(), there.path()), (Some(PathKind::Relay), Some(PathKind::Relay)));
    c.end_unbothered().await;
}

// proves S130: a device answers an offer once, however often the relay brings it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_offers_and_answers_are_not_heard() {
    let relay = HostileRelay::start().await;
    let [a, mut b, c] = devices(&relay, WEBRTC).await;
    let session = within(a.client.session(b.id())).await.unwrap();
    b.connected().await;
    session.close().await;
    b.disconnected().await;
    // A welcome to the knock, and a retry and an answer to the offer.
    let before = answers(&relay, b.id());
    assert!(!before.is_empty());

    for (from, to) in [(a.id(), b.id()), (b.id(), a.id())] {
        for said in relay.heard(from) {
            if let Some(told) = replay(said) {
                relay.tell(Parcel { to, told }).await.unwrap();
            }
        }
    }
    // Envelopes are taken in order: when the new offer is answered, the old ones have had their chance.
    let again = within(a.client.session(b.id())).await.unwrap();
    let there = b.connected().await;
    again.send("new").await.unwrap();
    assert_eq!(within(there.recv()).await.unwrap().decode::<String>().unwrap(), "new");
    let answered = answers(&relay, b.id());
    let [first @ .., new] = &answered[..] else { panic!("no answers") };
    assert_eq!(first, before, "only the new offer is answered");
    assert!(!before.contains(new));
    c.end_unbothered().await;
}

/// As new a message as a relay can make of an old one.
fn replay(said: Said) -> Option<Told> {
    let Said::Text(message) = said else { return None };
    let (kind, exchange) = match message {
        ClientMessage::Offer(e) => (ExchangeKind::Offer, e),
        ClientMessage::Answer(e) => (ExchangeKind::Answer, e),
        ClientMessage::IceCandidate(e) => (ExchangeKind::IceCandidate, e),
        _ => return None,
    };
    let message_id = MessageId::from_bytes(random::array());
    Some(Told::Text(ServerMessage::exchange(kind, Exchange { message_id, ..exchange })))
}

fn answers(relay: &HostileRelay, device: DeviceId) -> Vec<ConnectionId> {
    let said = relay.heard(device).into_iter();
    said.filter_map(|said| match said {
        Said::Text(ClientMessage::Answer(exchange)) => Some(exchange.connection_id),
        _ => None,
    })
    .collect()
}

async fn devices(relay: &HostileRelay, transports: Transports) -> [Device; 3] {
    let [a, b, c] = ["a", "b", "c"].map(|name| Device::start(relay, name, transports));
    [a.await, b.await, c.await]
}

fn exchange_of(told: &mut Told, wanted: ExchangeKind) -> Option<&mut Exchange> {
    let Told::Text(message) = told else { return None };
    let (kind, exchange) = match message {
        ServerMessage::Offer(exchange) => (ExchangeKind::Offer, exchange),
        ServerMessage::Answer(exchange) => (ExchangeKind::Answer, exchange),
        _ => return None,
    };
    (kind == wanted).then_some(exchange)
}

/// Writes envelopes of its own: all correct but for who it is.
struct Forger {
    keys: DeviceKeys,
    certificate: DeviceCertificate,
    victim: DeviceCertificate,
    attempt: WebRtcAttempt,
}

impl Forger {
    async fn new(relay: &HostileRelay, victim: DeviceId) -> Self {
        let keys = DeviceKeys::from_seed(random::array());
        let user = UserKeys::from_seed(random::array());
        let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), "a").unwrap();
        let config = WebRtcConfig { include_loopback: true, ..WebRtcConfig::default() };
        let attempt = WebRtcAttempt::offer(&config).await.unwrap();
        Self { keys, certificate, victim: relay.certificate(victim), attempt }
    }

    fn offer(&self, connection_id: ConnectionId) -> String {
        let body = Body::Offer { instance: 1, to: None, sdp: self.attempt.sdp.clone() };
        let content = Content {
            connection_id,
            attempt: 1,
            fingerprint: Some(self.attempt.negotiation.local_fingerprint()),
            body: body.encode().unwrap(),
        };
        let victim = KnownKeys::of(&self.victim);
        let sealed = envelope::seal(&content, &self.keys, &self.certificate, &victim, random::array());
        base64::encode(&sealed.unwrap())
    }
}
