//! A WebRTC peer without the rules of our transport: the bare stack.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use peers::random;
use peers::transport::webrtc::fingerprint_of_sdp;
use peers::transport::{CloseReason, FrameSink, FrameSource, Transport};
use peers_proto::id::ConnectionId;
use peers_proto::transport_kind::TransportKind;
use peers_tests::bench::Outcome;
use peers_tests::party::Party;
use tokio::sync::Notify;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCSessionDescription, SettingEngineBuilder,
};

use crate::link::{Link, Offer};

/// ICE and DTLS on one machine.
const CONNECT: Duration = Duration::from_secs(8);

#[derive(Default)]
struct Gathered(Notify);

#[async_trait]
impl PeerConnectionEventHandler for Gathered {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.notify_one();
        }
    }
}

/// A connected one: its channel is open at both ends, no handshake was made.
pub(crate) struct BarePeer {
    pub(crate) pc: Arc<dyn PeerConnection>,
    pub(crate) channel: Arc<dyn DataChannel>,
    pub(crate) connection: ConnectionId,
    binding: Vec<u8>,
}

impl BarePeer {
    pub(crate) async fn connect(link: &mut Link, victim: &Party) -> Outcome<Self> {
        tokio::time::timeout(CONNECT, Self::try_connect(link, victim)).await?
    }

    async fn try_connect(link: &mut Link, victim: &Party) -> Outcome<Self> {
        let gathered = Arc::<Gathered>::default();
        let pc = PeerConnectionBuilder::new()
            .with_setting_engine(SettingEngineBuilder::new().with_include_loopback_candidate(true).build())
            .with_handler(gathered.clone())
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .build()
            .await?;
        let init = RTCDataChannelInit { negotiated: Some(0), ..Default::default() };
        let channel = pc.create_data_channel("peers", Some(init)).await?;
        let offer = pc.create_offer(None).await?;
        pc.set_local_description(offer).await?;
        gathered.0.notified().await;
        let offer = pc.local_description().await.ok_or("no description")?.sdp;
        let own = fingerprint_of_sdp(&offer)?;
        let connection = ConnectionId::from_bytes(random::array());
        let offer = Offer { connection, number: link.count(), fingerprint: own, sdp: offer };
        let answer = link.offer(victim, &offer).await?;
        let binding = [own, fingerprint_of_sdp(&answer)?].concat();
        pc.set_remote_description(RTCSessionDescription::answer(answer)?).await?;
        while !matches!(channel.poll().await, Some(DataChannelEvent::OnOpen)) {}
        // The text messages of a device when its channel has opened, and when the peer's has.
        channel.send_text("open").await?;
        while !matches!(channel.poll().await, Some(DataChannelEvent::OnMessage(_))) {}
        channel.send_text("heard").await?;
        Ok(Self { pc: Arc::new(pc), channel, connection, binding })
    }

    /// The channel that a handshake runs over.
    pub(crate) fn transport(&self) -> Transport {
        Transport {
            route: TransportKind::WebRtc.into(),
            binding: self.binding.clone(),
            sink: Box::new(Half(self.channel.clone())),
            source: Box::new(Half(self.channel.clone())),
        }
    }

    /// The bare stack lives until it is closed.
    pub(crate) async fn close(self) {
        // One that the victim has closed is closed.
        let _ = self.pc.close().await;
    }
}

struct Half(Arc<dyn DataChannel>);

#[async_trait]
impl FrameSink for Half {
    async fn send(&mut self, frame: BytesMut) -> Result<(), CloseReason> {
        self.0.send(frame).await.map_err(|e| CloseReason::Network(e.to_string()))
    }

    async fn close(&mut self) {}
}

#[async_trait]
impl FrameSource for Half {
    async fn recv(&mut self) -> Result<Bytes, CloseReason> {
        loop {
            match self.0.poll().await {
                Some(DataChannelEvent::OnMessage(message)) if !message.is_string => {
                    return Ok(message.data.freeze());
                }
                Some(DataChannelEvent::OnClose) | None => return Err(CloseReason::Remote),
                Some(_) => {}
            }
        }
    }

    fn try_recv(&mut self) -> Option<Bytes> {
        None
    }
}
