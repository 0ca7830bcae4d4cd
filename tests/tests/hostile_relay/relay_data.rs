//! A relay that tampers with the frames it carries.

use bytes::Bytes;
use futures_util::future::join_all;
use peers::{Error, PathKind, Session, random};
use peers_proto::signaling::RelayFrame;

use crate::world::{Device, Hits, RELAY, within};
use peers_tests::hostile_relay::{HostileRelay, Parcel, Said, Told};

/// The relay's treatment of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    FlipFirst,
    FlipLast,
    Truncate,
    Lengthen,
    Replay,
    Reorder,
    Drop,
}

const LIES: [Lie; 7] =
    [Lie::FlipFirst, Lie::FlipLast, Lie::Truncate, Lie::Lengthen, Lie::Replay, Lie::Reorder, Lie::Drop];
/// Messages of a session under attack.
const MESSAGES: u32 = 300;

// proves S079, S130, S132: a handshake whose frames are altered on the way, either way, comes to nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_handshake_makes_no_session() {
    for lie in [Lie::FlipFirst, Lie::FlipLast, Lie::Truncate, Lie::Lengthen, Lie::Replay] {
        for to_the_dialer in [false, true] {
            // The dialer has answered once before it hears a frame twice. The other end may rightly have its session by then,
            // with the dialer and no other device. It ends like any other whose connection broke.
            if lie == Lie::Replay && to_the_dialer {
                continue;
            }
            let relay = HostileRelay::start().await;
            let (a, b) = (Device::start(&relay, "a", RELAY).await, Device::start(&relay, "b", RELAY).await);
            let (hits, victim) = (Hits::default(), if to_the_dialer { a.id() } else { b.id() });
            relay.attack({
                let hits = hits.clone();
                move |parcel| {
                    if parcel.to != victim || frame_of(&parcel).is_none() {
                        return vec![parcel];
                    }
                    hits.add();
                    tamper(lie, parcel, &mut None)
                }
            });
            let error = within(a.client.session(b.id())).await.unwrap_err();
            assert!(matches!(error, Error::Unreachable(_)), "{lie:?}: {error:?}");
            assert!(hits.count() > 0);
            a.end_unbothered().await;
            b.end_unbothered().await;
        }
    }
}

// proves S130, S132, D05: a handshake belongs to its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_swapped_between_connections_make_no_session() {
    let relay = HostileRelay::start().await;
    let [a, b, c] = ["a", "b", "c"].map(|name| Device::start(&relay, name, RELAY));
    let (a, b, c) = (a.await, b.await, c.await);
    let hits = Hits::default();
    relay.attack(swap_first_to(b.id(), hits.clone()));
    let (of_a, of_c) =
        within(async { tokio::join!(a.client.session(b.id()), c.client.session(b.id())) }).await;
    for error in [of_a.unwrap_err(), of_c.unwrap_err()] {
        assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    }
    assert_eq!(hits.count(), 1);
    for device in [a, b, c] {
        device.end_unbothered().await;
    }
}

// proves S130, S137, S138: one frame tampered with costs the connection, and the session goes on over the next one:
// the app sees every message once, in order, as it was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_under_attack_never_shows_altered_content() {
    join_all(LIES.map(session_under)).await;
}

async fn session_under(lie: Lie) {
    let relay = HostileRelay::start().await;
    let (a, mut b) = (Device::start(&relay, "a", RELAY).await, Device::start(&relay, "b", RELAY).await);
    let here = within(a.client.session(b.id())).await.unwrap();
    let there = b.connected().await;
    exchange(&here, &there, 0).await;
    let hits = Hits::default();
    relay.attack({
        let (hits, victim, mut held) = (hits.clone(), b.id(), None);
        move |parcel| {
            let over = hits.count() > 0 && held.is_none();
            if over || parcel.to != victim || frame_of(&parcel).is_none() {
                return vec![parcel];
            }
            hits.add();
            tamper(lie, parcel, &mut held)
        }
    });
    exchange(&here, &there, 1).await;
    assert!(hits.count() > 0, "{lie:?}");
    relay.attack(|parcel| vec![parcel]);
    exchange(&there, &here, 2).await;
}

// proves S130, S137, S138
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_swapped_between_sessions_reach_neither_app() {
    let relay = HostileRelay::start().await;
    let [a, b, c] = ["a", "b", "c"].map(|name| Device::start(&relay, name, RELAY));
    let (a, mut b, c) = (a.await, b.await, c.await);
    let of_a = within(a.client.session(b.id())).await.unwrap();
    let with_a = b.connected().await;
    let of_c = within(c.client.session(b.id())).await.unwrap();
    let with_c = b.connected().await;
    assert_eq!((with_a.device(), with_c.device()), (a.id(), c.id()));
    let hits = Hits::default();
    relay.attack(swap_first_to(b.id(), hits.clone()));
    tokio::join!(exchange(&of_a, &with_a, 1), exchange(&of_c, &with_c, 2));
    assert_eq!(hits.count(), 1);
}

// proves S137, S138: the carrier of the frames reads nothing in them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_relay_reads_nothing() {
    let relay = HostileRelay::start().await;
    let (a, mut b) = (Device::start(&relay, "a", RELAY).await, Device::start(&relay, "b", RELAY).await);
    let here = within(a.client.session(b.id())).await.unwrap();
    let there = b.connected().await;
    assert_eq!(here.path(), Some(PathKind::Relay));
    // Random, so that no compression hides it.
    let secret: [u8; 64] = random::array();
    here.send_bytes(secret.to_vec()).await.unwrap();
    assert_eq!(within(there.recv()).await.unwrap().body, &secret[..]);
    let frames: Vec<_> = relay.heard(a.id()).iter().filter_map(said_frame).collect();
    assert!(frames.iter().map(Bytes::len).sum::<usize>() > secret.len());
    let piece = &secret[..8];
    assert!(!frames.iter().any(|frame| frame.windows(piece.len()).any(|window| window == piece)));
}

/// Messages one way; nothing but exactly them, in order, may arrive.
async fn exchange(from: &Session, to: &Session, round: u32) {
    let sender = async {
        for n in 0..MESSAGES {
            from.send(&(round, n)).await.unwrap();
        }
    };
    let receiver = async {
        for n in 0..MESSAGES {
            let message = within(to.recv()).await.unwrap();
            assert_eq!(message.decode::<(u32, u32)>().unwrap(), (round, n));
        }
    };
    tokio::join!(sender, receiver);
}

fn tamper(lie: Lie, mut parcel: Parcel, held: &mut Option<Parcel>) -> Vec<Parcel> {
    let Told::Frame(RelayFrame::Data { frame, .. }) = &mut parcel.told else { return vec![parcel] };
    let mut bytes = frame.to_vec();
    match lie {
        Lie::FlipFirst => bytes[0] ^= 1,
        Lie::FlipLast => *bytes.last_mut().unwrap() ^= 0x80,
        Lie::Truncate => bytes.truncate(bytes.len() - 1),
        Lie::Lengthen => bytes.push(0),
        Lie::Replay => return vec![parcel.clone(), parcel],
        Lie::Reorder => {
            return match held.take() {
                Some(first) => vec![parcel, first],
                None => {
                    *held = Some(parcel);
                    Vec::new()
                }
            };
        }
        Lie::Drop => return Vec::new(),
    }
    *frame = bytes.into();
    vec![parcel]
}

/// Swaps the contents of the first frames that two connections bring to `victim`.
fn swap_first_to(victim: peers::DeviceId, hits: Hits) -> impl FnMut(Parcel) -> Vec<Parcel> + Send + 'static {
    let mut waiting: Vec<Parcel> = Vec::new();
    move |mut parcel| {
        let Some((connection, content)) = frame_of(&parcel) else { return vec![parcel] };
        if parcel.to != victim || hits.count() > 0 {
            return vec![parcel];
        }
        let Some((other, swapped)) = waiting.first().and_then(frame_of) else {
            waiting.push(parcel);
            return Vec::new();
        };
        // More of the same connection waits behind its first.
        if other == connection {
            waiting.push(parcel);
            return Vec::new();
        }
        set_frame(&mut waiting[0], content);
        set_frame(&mut parcel, swapped);
        hits.add();
        let mut all = std::mem::take(&mut waiting);
        all.push(parcel);
        all
    }
}

fn frame_of(parcel: &Parcel) -> Option<(peers::ConnectionId, Bytes)> {
    match &parcel.told {
        Told::Frame(RelayFrame::Data { connection, frame, .. }) => Some((*connection, frame.clone())),
        _ => None,
    }
}

fn set_frame(parcel: &mut Parcel, content: Bytes) {
    if let Told::Frame(RelayFrame::Data { frame, .. }) = &mut parcel.told {
        *frame = content;
    }
}

fn said_frame(said: &Said) -> Option<Bytes> {
    match said {
        Said::Frame(RelayFrame::Data { frame, .. }) => Some(frame.clone()),
        _ => None,
    }
}
