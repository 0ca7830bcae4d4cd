//! The session side: a relay and pairs of devices.

use std::sync::Arc;

use bytes::Bytes;
use peers::{Client, ClientState, Event, Events, PathKind, Session, Transports};
use peers_relay::{Limits, Relay, RelayConfig};

use super::Outcome;
use crate::device::{Echo, Everybody};

pub(super) const WEBRTC: Transports = Transports { webrtc: true, relay: false };
pub(super) const BOTH: Transports = Transports { webrtc: true, relay: true };

pub(super) struct World {
    relay: Relay,
}

impl World {
    pub(super) async fn start() -> Outcome<Self> {
        // These devices dial more in a second than real ones in an hour.
        let limits = Limits { messages_per_second: 10_000, messages_burst: 10_000, ..Limits::default() };
        let config = RelayConfig { bind: "127.0.0.1:0".parse()?, limits, ..RelayConfig::default() };
        Ok(Self { relay: Relay::start(config).await? })
    }

    /// Two fresh devices, registered and not connected.
    pub(super) async fn devices(&self, transports: Transports) -> Outcome<Devices> {
        let (a, _) = self.device(transports).await?;
        let (b, b_events) = self.device(transports).await?;
        Ok(Devices { a, b, b_events, only_webrtc: !transports.relay })
    }

    /// A fresh device, registered, that lets everybody in.
    pub(super) async fn device(&self, transports: Transports) -> Outcome<(Client, Events)> {
        let builder = Client::builder().relay(self.url()).loopback(true);
        let builder = builder.trust_policy(Arc::new(Everybody)).handler("echo", Arc::new(Echo));
        let (client, events) = builder.transports(transports).start().await?;
        client.watch_state().wait_for(|state| *state == ClientState::Online).await?;
        Ok((client, events))
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}", self.relay.local_addr())
    }

    pub(super) async fn stop(self) {
        self.relay.shutdown().await;
    }
}

pub(super) struct Devices {
    a: Client,
    b: Client,
    b_events: Events,
    only_webrtc: bool,
}

impl Devices {
    /// Connects, until a first call was answered, by WebRTC if only that is allowed.
    pub(super) async fn connect(&self) -> Outcome<Session> {
        let session = self.a.session(self.b.device_id()).await?;
        session.call("echo", "echo", Bytes::new()).await?;
        match session.path() {
            Some(PathKind::WebRtc) => Ok(session),
            Some(_) if !self.only_webrtc => Ok(session),
            other => Err(format!("connected by {other:?} instead of WebRTC").into()),
        }
    }

    /// The other end of the session.
    pub(super) async fn accepted(&mut self) -> Outcome<Session> {
        while let Some(event) = self.b_events.next().await {
            if let Event::Connected { session, .. } = event {
                return Ok(session);
            }
        }
        Err("the client ended before it was connected".into())
    }

    pub(super) async fn stop(self) {
        tokio::join!(self.a.shutdown(), self.b.shutdown());
    }
}
