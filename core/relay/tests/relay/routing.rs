//! Offers, answers and candidates: relayed, or kept for who is not here.

use peers_proto::id::DeviceId;
use peers_proto::signaling::{ClientMessage, ErrorCode, Exchange, ExchangeKind, ServerMessage, close_code};

use crate::device::{Device, relay};

// proves S023 S029 S049 S050 S099 S101 S149 S152
#[tokio::test]
async fn offers_answers_and_candidates_go_both_ways() {
    let relay = relay().await;
    let (mut a, mut b) = (Device::arrive(&relay, 1).await, Device::arrive(&relay, 2).await);

    let offer = a.say(ExchangeKind::Offer, b.id, 1, "b2ZmZXI=").await;
    assert_eq!(b.socket.event().await, ServerMessage::Offer(offer));
    let answer = b.say(ExchangeKind::Answer, a.id, 1, "YW5zd2Vy").await;
    assert_eq!(a.socket.event().await, ServerMessage::Answer(answer));
    for envelope in ["MQ==", "Mg=="] {
        let candidate = a.say(ExchangeKind::IceCandidate, b.id, 1, envelope).await;
        assert_eq!(b.socket.event().await, ServerMessage::IceCandidate(candidate));
        let candidate = b.say(ExchangeKind::IceCandidate, a.id, 1, envelope).await;
        assert_eq!(a.socket.event().await, ServerMessage::IceCandidate(candidate));
    }
    assert_eq!(relay.stats().relayed_messages, 6);
    assert_eq!(relay.stats().enqueued, 0);
}

#[tokio::test]
async fn the_sender_is_who_proved_it_whatever_the_message_says() {
    let relay = relay().await;
    let (mut a, mut b) = (Device::arrive(&relay, 1).await, Device::arrive(&relay, 2).await);
    let mut forged = a.exchange(ExchangeKind::Offer, b.id, 1, "eA==");
    forged.from_device_id = DeviceId::derive(b"somebody else");
    forged.queued = true;
    a.socket.send(ClientMessage::Offer(forged.clone())).await;
    let stamped = Exchange { from_device_id: a.id, queued: false, ..forged };
    assert_eq!(b.socket.event().await, ServerMessage::Offer(stamped));
}

// proves S031 S046 S047 S048 S151
#[tokio::test]
async fn messages_for_an_offline_device_arrive_in_order_when_it_comes_and_only_once() {
    let relay = relay().await;
    let mut a = Device::arrive(&relay, 1).await;
    let b = crate::device::keys(2).device_id();
    let offer = a.say(ExchangeKind::Offer, b, 1, "MA==").await;
    let mut candidates = Vec::new();
    for envelope in ["MQ==", "Mg==", "Mw=="] {
        candidates.push(a.say(ExchangeKind::IceCandidate, b, 1, envelope).await);
    }
    a.socket.settle().await;
    assert_eq!(relay.stats().queued_messages, 4);

    let mut b = Device::register(&relay, 2).await;
    b.socket.settle().await; // nothing before it says from whom
    b.watch(&[a.id]).await;
    assert_eq!(b.socket.event().await, ServerMessage::Offer(Exchange { queued: true, ..offer }));
    for candidate in candidates {
        let queued = Exchange { queued: true, ..candidate };
        assert_eq!(b.socket.event().await, ServerMessage::IceCandidate(queued));
    }
    b.socket.settle().await;
    assert_eq!(relay.stats().queued_messages, 0);

    let mut again = Device::arrive(&relay, 2).await;
    again.socket.settle().await;
}

#[tokio::test]
async fn a_message_to_oneself_is_an_error_that_names_it() {
    let relay = relay().await;
    let mut a = Device::arrive(&relay, 1).await;
    let sent = a.say(ExchangeKind::Offer, a.id, 1, "eA==").await;
    let ServerMessage::Error { code, about, .. } = a.socket.event().await else {
        panic!("expected an error")
    };
    assert_eq!((code, about), (ErrorCode::Malformed, Some(sent.message_id)));
    assert_eq!(a.socket.closed().await, Some(close_code::POLICY));
}
