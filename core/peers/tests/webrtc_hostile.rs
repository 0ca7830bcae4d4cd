//! The `webrtc` transport against a peer that breaks the rules: the bare stack on the other side.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use peers::transport::webrtc::{Attempt, WebRtcConfig};
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
    let ours = Attempt::offer(&WebRtcConfig { include_loopback: true, ..Default::default() }).await.unwrap();
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
    let _second = pc.create_data_channel("second", None).await.unwrap();
    let reason = within(transport.source.recv()).await;
    assert_eq!(reason, Err(CloseReason::Protocol("a second data channel")));
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
