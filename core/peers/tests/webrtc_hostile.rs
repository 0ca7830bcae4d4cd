//! The `webrtc` transport against strangers, and against a peer that breaks the rules: the bare stack on the other side.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use peers::transport::webrtc::{WebRtcAttempt, WebRtcConfig, WebRtcError, WebRtcNegotiation};
use peers::transport::{CloseReason, Transport};
use tokio::sync::Notify;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCSessionDescription, SettingEngineBuilder,
};

#[derive(Default)]
struct Gathered(Notify);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Gathered {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.notify_one();
        }
    }
}

async fn bare() -> (Arc<dyn PeerConnection>, Arc<dyn DataChannel>, Arc<Gathered>) {
    let gathered = Arc::<Gathered>::default();
    let pc = PeerConnectionBuilder::new()
        .with_setting_engine(SettingEngineBuilder::new().with_include_loopback_candidate(true).build())
        .with_handler(gathered.clone())
        .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
        .build()
        .await
        .unwrap();
    let init = RTCDataChannelInit { negotiated: Some(0), ..Default::default() };
    let channel = pc.create_data_channel("peers", Some(init)).await.unwrap();
    (Arc::new(pc), channel, gathered)
}

/// A device of ours and a bare peer that has connected to it and said what ours expects.
async fn connected() -> (Transport, Arc<dyn PeerConnection>, Arc<dyn DataChannel>) {
    let (pc, channel, gathered) = bare().await;
    let ours = WebRtcAttempt::offer(&loopback()).await.unwrap();
    pc.set_remote_description(RTCSessionDescription::offer(ours.sdp).unwrap()).await.unwrap();
    let answer = pc.create_answer(None).await.unwrap();
    pc.set_local_description(answer).await.unwrap();
    gathered.0.notified().await;
    let answer = pc.local_description().await.unwrap().sdp;
    ours.negotiation.set_remote_answer(&answer).await.unwrap();
    while !matches!(channel.poll().await, Some(DataChannelEvent::OnOpen)) {}
    // What a device of ours says when its channel has opened, and again for a peer that opened later.
    channel.send_text("open").await.unwrap();
    while !matches!(channel.poll().await, Some(DataChannelEvent::OnMessage(_))) {}
    channel.send_text("heard").await.unwrap();
    (ours.connecting.connected().await.unwrap(), pc, channel)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_data_channel_ends_the_connection() {
    let (mut transport, pc, _channel) = within(connected()).await;
    // Created before the bare side is connected, it was seen not to be announced at all.
    let second = pc.create_data_channel("second", None).await.unwrap();
    let reason = within(transport.source.recv()).await;
    assert_eq!(reason, Err(CloseReason::Protocol("a second data channel")));
    // It was seen before the stack had it: the stack would have kept and answered each of many.
    let opened = async {
        while let Some(event) = second.poll().await {
            if matches!(event, DataChannelEvent::OnOpen) {
                return;
            }
        }
        std::future::pending().await
    };
    assert!(tokio::time::timeout(Duration::from_millis(500), opened).await.is_err(), "it was answered");
    pc.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_said_again_is_not_answered_but_ends_the_connection() {
    let (mut transport, pc, channel) = within(connected()).await;
    within(async {
        for _ in 0..1000 {
            // The bare side may have learnt of the end.
            let _ = channel.send_text("open").await;
        }
    })
    .await;
    let reason = within(transport.source.recv()).await;
    assert_eq!(reason, Err(CloseReason::Protocol("a word said twice")));
    pc.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_is_never_taken_for_a_word_of_the_channel_nor_a_text_for_a_frame() {
    let (mut transport, pc, channel) = within(connected()).await;
    for frame in [&[0][..], &[1], b"open", b"heard"] {
        channel.send(BytesMut::from(frame)).await.unwrap();
        assert_eq!(within(transport.source.recv()).await.unwrap(), frame);
    }
    channel.send_text("hello").await.unwrap();
    let reason = within(transport.source.recv()).await;
    assert_eq!(reason, Err(CloseReason::Protocol("a text beside the frames")));
    pc.close().await.unwrap();
}

fn loopback() -> WebRtcConfig {
    WebRtcConfig { include_loopback: true, ..WebRtcConfig::default() }
}

/// The loopback address in a description.
fn address(sdp: &str) -> SocketAddr {
    let line =
        sdp.lines().find(|line| line.starts_with("a=candidate:") && line.contains(" 127.0.0.1 ")).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    format!("{}:{}", words[4], words[5]).parse().unwrap()
}

/// A DTLS record in the clear.
fn record(kind: u8, number: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, 254, 253, 0, 0, 0, 0, 0, 0, 0, number], &length[..], body].concat()
}

/// An ICE check that claims the role `attribute` and proves nothing.
fn claim(attribute: u16) -> Vec<u8> {
    let attribute = attribute.to_be_bytes();
    [&[0, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42], &[7; 12][..], &attribute, &[0, 8], &[0xFF; 8]].concat()
}

/// Whatever is said to end an attempt, in one datagram each.
fn endings(number: u8) -> Vec<Vec<u8>> {
    let (fatal, close) = ([2, 40], [1, 0]);
    vec![
        record(21, number, &fatal),
        record(21, number, &close),
        record(23, number, b"data before keys"),
        record(24, number, b"no such record"),
        record(20, number, &[9]),
        claim(0x802A),
        claim(0x8029),
    ]
}

// One datagram from any address used to end an attempt: the stack's alert, or its role, was anybody's word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_strangers_datagram_ends_an_attempt_or_a_connection() {
    let offering = WebRtcAttempt::offer(&loopback()).await.unwrap();
    let answering = WebRtcAttempt::answer(&loopback(), &offering.sdp).await.unwrap();
    let ends = [address(&offering.sdp), address(&answering.sdp)];
    let over = Arc::new(AtomicBool::new(false));
    let spray = {
        let over = over.clone();
        std::thread::spawn(move || {
            let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
            for number in (0..=255).cycle().take_while(|_| !over.load(Ordering::Relaxed)) {
                for (datagram, to) in endings(number).iter().flat_map(|d| ends.map(|to| (d, to))) {
                    let _ = stranger.send_to(datagram, to);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    offering.negotiation.set_remote_answer(&answering.sdp).await.unwrap();
    let connected =
        within(async { tokio::join!(offering.connecting.connected(), answering.connecting.connected()) });
    let (mut here, mut there) = match connected.await {
        (Ok(here), Ok(there)) => (here, there),
        (here, there) => panic!("{:?} {:?}", here.err(), there.err()),
    };
    for i in 0..100u8 {
        here.sink.send(BytesMut::from(&[i][..])).await.unwrap();
        assert_eq!(within(there.source.recv()).await.unwrap(), &[i][..]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    over.store(true, Ordering::Relaxed);
    spray.join().unwrap();
    let refused = [&offering.negotiation, &answering.negotiation].map(WebRtcNegotiation::counters);
    assert!(refused.iter().all(|c| c.dtls_refused > 0 && c.stun_refused > 0), "{refused:?}");
}

#[tokio::test]
async fn a_description_that_two_readers_may_read_differently_is_refused() {
    let offering = WebRtcAttempt::offer(&loopback()).await.unwrap();
    for hidden in [
        "a=x\ra=candidate:1 1 udp 1 192.0.2.1 5000 typ host",
        " a=candidate:1 1 udp 1 192.0.2.1 5000 typ host",
        "a=ice-ufrag:another",
        "a=setup:passive",
    ] {
        let offer = format!("{}{hidden}\r\n", offering.sdp);
        let answered = WebRtcAttempt::answer(&loopback(), &offer).await;
        assert!(matches!(answered.err(), Some(WebRtcError::Description(_))), "{hidden:?}");
    }
}
