//! The relay client against the real relay, and against relays that lie, babble or fall silent.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod exchanges;
mod fake;
mod registration;
mod transports;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use peers::clock::Clock;
use peers::relay_client::{RelayClient, RelayClientConfig, RelayEvent, RelayEvents, RelayState, RelayTask};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::dial::Presence;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::time::UnixTime;
use peers_relay::Relay;
use tokio::net::TcpListener;

/// What should happen at once happens within this, or the test fails instead of hanging.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("happens within a minute")
}

struct Device {
    keys: Arc<DeviceKeys>,
    certificate: DeviceCertificate,
}

impl Device {
    fn new(seed: u8) -> Self {
        let keys = Arc::new(DeviceKeys::from_seed([seed; 32]));
        let user = UserKeys::from_seed([seed; 32]);
        let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), "phone").unwrap();
        Self { keys, certificate }
    }

    fn id(&self) -> DeviceId {
        self.keys.device_id()
    }

    fn start(&self, url: &str, clock: &Clock) -> Online {
        let config = RelayClientConfig {
            url: url.to_owned(),
            keys: self.keys.clone(),
            certificate: self.certificate.clone(),
            clock: clock.clone(),
            tls: None,
            token: None,
            open: false,
        };
        let (client, events, task) = RelayClient::start(config).unwrap();
        Online { id: self.id(), client, events, task }
    }

    async fn register(&self, url: &str) -> Online {
        self.register_with(url, vec![]).await
    }

    /// Registers and lets one other device in.
    async fn register_for(&self, url: &str, friend: DeviceId) -> Online {
        self.register_with(url, vec![friend]).await
    }

    async fn register_with(&self, url: &str, friends: Vec<DeviceId>) -> Online {
        let online = self.start(url, &Clock::system());
        online.client.watch_devices(friends);
        online.until(|state| *state == RelayState::Registered).await;
        online
    }
}

/// Two devices that let each other in, and are seen to do so.
async fn acquainted(url: &str) -> (Online, Online) {
    let (mut a, mut b) = (Device::new(1).register(url).await, Device::new(2).register(url).await);
    a.client.watch_devices(vec![b.id]);
    b.client.watch_devices(vec![a.id]);
    for side in [&mut a, &mut b] {
        assert!(matches!(side.event().await, RelayEvent::Presence(_, Presence::Online)));
    }
    (a, b)
}

struct Online {
    id: DeviceId,
    client: RelayClient,
    events: RelayEvents,
    task: RelayTask,
}

impl Online {
    async fn until(&self, reached: impl FnMut(&RelayState) -> bool) -> RelayState {
        soon(self.client.state().wait_for(reached)).await.unwrap().clone()
    }

    async fn event(&mut self) -> RelayEvent {
        soon(self.events.recv()).await.expect("an event")
    }
}

fn relay_config() -> peers_relay::RelayConfig {
    peers_relay::RelayConfig { bind: any(), ..peers_relay::RelayConfig::default() }
}

async fn relay() -> Relay {
    Relay::start(relay_config()).await.unwrap()
}

fn any() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A port nobody listens on.
async fn free_address() -> SocketAddr {
    TcpListener::bind(any()).await.unwrap().local_addr().unwrap()
}

fn connection(n: u8) -> ConnectionId {
    ConnectionId::from_bytes([n; 16])
}
