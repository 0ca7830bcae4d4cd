//! Devices around a hostile relay.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use peers::{
    Client, ClientState, DeviceId, Event, Events, Session, Transports, TrustLevel, TrustPolicy, UserId,
};
use tokio::sync::watch;

use peers_tests::hostile_relay::HostileRelay;

pub(crate) const WEBRTC: Transports = Transports { webrtc: true, relay: false };
pub(crate) const RELAY: Transports = Transports { webrtc: false, relay: true };

/// Only a guard: what a test waits for comes by itself, at the latest by the deadlines of the protocol.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    const GUARD: Duration = Duration::from_secs(90);
    tokio::time::timeout(GUARD, future).await.unwrap_or_else(|_| panic!("not within {GUARD:?}"))
}

/// Counts what an attack did, so that no test passes for want of one.
#[derive(Clone, Default)]
pub(crate) struct Hits(Arc<watch::Sender<usize>>);

impl Hits {
    pub(crate) fn add(&self) {
        self.0.send_modify(|hits| *hits += 1);
    }

    pub(crate) fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits for the first one.
    pub(crate) async fn first(&self) {
        self.0.subscribe().wait_for(|hits| *hits > 0).await.unwrap();
    }
}

pub(crate) struct Device {
    pub(crate) client: Client,
    pub(crate) events: Events,
}

impl Device {
    /// A device that would let everybody in: what keeps the attacker out is not a person.
    pub(crate) async fn start(relay: &HostileRelay, name: &str, transports: Transports) -> Self {
        let builder = Client::builder().relay(relay.url()).name(name).loopback(true);
        let builder = builder.trust_policy(Arc::new(Everybody)).transports(transports);
        let (client, events) = builder.start().await.unwrap();
        within(client.watch_state().wait_for(|s| *s == ClientState::Online)).await.unwrap();
        Self { client, events }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.client.device_id()
    }

    /// The session that somebody else began.
    pub(crate) async fn connected(&mut self) -> Session {
        loop {
            if let Event::Connected { session, .. } = within(self.events.next()).await.unwrap() {
                return session;
            }
        }
    }

    pub(crate) async fn disconnected(&mut self) {
        while !matches!(within(self.events.next()).await.unwrap(), Event::Disconnected { .. }) {}
    }

    /// Shuts the device down; its app must never have heard of anybody.
    pub(crate) async fn end_unbothered(mut self) {
        assert!(self.client.sessions().is_empty());
        within(self.client.shutdown()).await;
        // All events are in the queue by now.
        while let Some(Some(event)) = self.events.next().now_or_never() {
            assert!(!matches!(event, Event::Connected { .. } | Event::Incoming(_)), "{event:?}");
        }
    }
}

struct Everybody;

impl TrustPolicy for Everybody {
    fn trust(&self, _: DeviceId, _: UserId) -> Option<TrustLevel> {
        Some(TrustLevel::Trusted)
    }
}
