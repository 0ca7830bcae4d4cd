//! The pair in memory keeps the rules of every transport.

use bytes::BytesMut;
use peers::transport::memory::{cable, pair};
use peers::transport::{CloseReason, MAX_TRANSPORT_FRAME, TransportKind};

fn frame(bytes: &[u8]) -> BytesMut {
    BytesMut::from(bytes)
}

// proves S102
#[tokio::test]
async fn frames_arrive_in_order_and_a_close_comes_after_them() {
    let (mut a, mut b) = pair(TransportKind::Custom);
    for n in 0..10_u8 {
        a.sink.send(frame(&[n])).await.unwrap();
    }
    a.sink.close().await;
    assert_eq!(a.source.recv().await, Err(CloseReason::Local));
    assert_eq!(a.sink.send(frame(b"late")).await, Err(CloseReason::Local));
    assert_eq!(b.source.recv().await.unwrap()[..], [0]);
    for n in 1..10_u8 {
        assert_eq!(b.source.try_recv().unwrap()[..], [n]);
    }
    assert_eq!(b.source.try_recv(), None);
    for _ in 0..2 {
        assert_eq!(b.source.recv().await, Err(CloseReason::Remote));
    }
    assert_eq!(b.sink.send(frame(b"late")).await, Err(CloseReason::Remote));
}

#[tokio::test]
async fn a_dropped_end_and_a_cut_look_like_a_broken_network() {
    let (a, mut b) = pair(TransportKind::Lan);
    drop(a);
    assert!(matches!(b.source.recv().await, Err(CloseReason::Network(_))));
    assert!(matches!(b.sink.send(frame(b"x")).await, Err(CloseReason::Network(_))));

    let (mut a, mut b, cable) = cable(TransportKind::Lan);
    a.sink.send(frame(b"lost")).await.unwrap();
    cable.cut();
    assert!(matches!(a.source.recv().await, Err(CloseReason::Network(_))));
    assert!(matches!(b.source.recv().await, Err(CloseReason::Network(_))));
}

#[tokio::test]
async fn a_full_pipe_holds_the_sender_and_oversized_frames_end_it() {
    let (mut a, mut b) = pair(TransportKind::Custom);
    let writer = tokio::spawn(async move {
        for n in 0..1000_u32 {
            a.sink.send(frame(&n.to_be_bytes())).await.unwrap();
        }
        a
    });
    tokio::task::yield_now().await;
    assert!(!writer.is_finished(), "a thousand frames are more than the pipe holds");
    for n in 0..1000_u32 {
        assert_eq!(b.source.recv().await.unwrap()[..], n.to_be_bytes());
    }
    let mut a = writer.await.unwrap();
    let huge = BytesMut::zeroed(MAX_TRANSPORT_FRAME + 1);
    assert!(matches!(a.sink.send(huge).await, Err(CloseReason::Protocol(_))));
    assert!(matches!(a.source.recv().await, Err(CloseReason::Protocol(_))));
}
