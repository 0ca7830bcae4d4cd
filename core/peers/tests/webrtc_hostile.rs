//! The `webrtc` transport against a peer that breaks the rules: the bare stack on the other side.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use peers::transport::CloseReason;
use peers::transport::webrtc::{Attempt, WebRtcConfig};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_data_channel_ends_the_connection() {
    let (pc, channel, gathered) = bare().await;
    let ours = Attempt::offer(&WebRtcConfig { include_loopback: true, ..Default::default() }).await.unwrap();
    pc.set_remote_description(RTCSessionDescription::offer(ours.sdp).unwrap()).await.unwrap();
    let answer = pc.create_answer(None).await.unwrap();
    pc.set_local_description(answer).await.unwrap();
    gathered.0.notified().await;
    let answer = pc.local_description().await.unwrap().sdp;
    ours.negotiation.set_remote_answer(&answer).await.unwrap();
    // Created before the bare side is connected, the second channel was seen not to be announced at all.
    while !matches!(channel.poll().await, Some(DataChannelEvent::OnOpen)) {}
    // What a device of ours says when its channel has opened, and again for a peer that opened later.
    channel.send(BytesMut::from(&[0][..])).await.unwrap();
    while !matches!(channel.poll().await, Some(DataChannelEvent::OnMessage(_))) {}
    channel.send(BytesMut::from(&[1][..])).await.unwrap();
    let mut transport = ours.connecting.connected().await.unwrap();
    let _second = pc.create_data_channel("second", None).await.unwrap();
    let reason = tokio::time::timeout(Duration::from_secs(10), transport.source.recv()).await.unwrap();
    assert_eq!(reason, Err(CloseReason::Protocol("a second data channel")));
    pc.close().await.unwrap();
}
