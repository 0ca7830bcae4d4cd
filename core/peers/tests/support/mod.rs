//! A relay and devices around it.

#![expect(clippy::unwrap_used, unreachable_pub, reason = "support of tests")]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use peers::{
    Client, ClientBuilder, DeviceId, EndReason, Event, Events, InboundRequest, Incoming, RequestError,
    RequestHandler, Session, Transports, TrustLevel, TrustPolicy, UserId,
};
use peers_relay::{Relay, RelayConfig};
use tokio::sync::mpsc;

/// A relay on a loopback port.
pub struct World {
    relay: Option<Relay>,
    addr: SocketAddr,
}

/// A client and its events.
pub struct Device {
    pub client: Client,
    pub events: Events,
}

impl World {
    pub async fn start() -> Self {
        // `RUST_LOG=peers=debug` shows what happened; a second call finds the first one's.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let relay = Relay::start(config("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let addr = relay.local_addr();
        Self { relay: Some(relay), addr }
    }

    /// Stops the relay and starts another at the same address.
    pub async fn restart(&mut self) {
        self.relay.take().unwrap().shutdown().await;
        self.relay = Some(Relay::start(config(self.addr)).await.unwrap());
    }

    /// A client of this relay that has not started.
    pub fn builder(&self, name: &str, transports: Transports) -> ClientBuilder {
        let builder = Client::builder().relay(format!("ws://{}", self.addr)).name(name);
        builder.loopback(true).transports(transports)
    }

    pub async fn client(
        &self,
        name: &str,
        transports: Transports,
        more: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Device {
        let (client, events) = more(self.builder(name, transports)).start().await.unwrap();
        client.watch_state().wait_for(|s| *s == peers::ClientState::Online).await.unwrap();
        Device { client, events }
    }

    /// Two devices that let everybody in and answer `echo`.
    pub async fn pair(&self, transports: Transports) -> (Device, Device) {
        (self.client("a", transports, answering).await, self.client("b", transports, answering).await)
    }
}

/// Lets everybody in and answers `echo`.
pub fn answering(builder: ClientBuilder) -> ClientBuilder {
    builder.trust_policy(everybody()).handler("echo", Arc::new(Echo { stopped: None }))
}

fn config(listen: SocketAddr) -> RelayConfig {
    RelayConfig { bind: listen, ..RelayConfig::default() }
}

impl Device {
    /// The session with whoever connects, or has connected.
    pub async fn connected(&self) -> Session {
        // The dialer may be ahead of this side's registry by a moment.
        loop {
            if let Some(session) = self.client.sessions().pop() {
                return session;
            }
            tokio::task::yield_now().await;
        }
    }

    pub async fn incoming(&mut self) -> Incoming {
        loop {
            if let Event::Incoming(incoming) = self.events.next().await.unwrap() {
                return incoming;
            }
        }
    }

    /// The device that asks its person about this one, and the digits.
    pub async fn comparing(&mut self) -> (DeviceId, String) {
        loop {
            if let Event::Comparing { device, sas } = self.events.next().await.unwrap() {
                return (device, sas);
            }
        }
    }

    pub async fn compared(&mut self) -> DeviceId {
        loop {
            if let Event::Compared(device) = self.events.next().await.unwrap() {
                return device;
            }
        }
    }

    pub async fn disconnected(&mut self) -> EndReason {
        loop {
            if let Event::Disconnected { reason, .. } = self.events.next().await.unwrap() {
                return reason;
            }
        }
    }
}

/// Sends a word from one end to the other.
pub async fn talk(here: &Session, there: &Session) {
    here.send("in").await.unwrap();
    assert_eq!(there.recv().await.unwrap().decode::<String>().unwrap(), "in");
}

struct Everybody;

impl TrustPolicy for Everybody {
    fn trust(&self, _: DeviceId, _: UserId) -> Option<TrustLevel> {
        Some(TrustLevel::Trusted)
    }
}

pub fn everybody() -> Arc<dyn TrustPolicy> {
    Arc::new(Everybody)
}

/// Answers `echo`, refuses `fail`, never ends `never`.
pub struct Echo {
    stopped: Option<mpsc::UnboundedSender<()>>,
}

impl Echo {
    /// Also tells when a handler was stopped before its end.
    pub fn watched() -> (Arc<Self>, mpsc::UnboundedReceiver<()>) {
        let (tx, rx) = mpsc::unbounded_channel();
        (Arc::new(Self { stopped: Some(tx) }), rx)
    }
}

struct Stopped(Option<mpsc::UnboundedSender<()>>);

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(tx) = &self.0 {
            let _ = tx.send(());
        }
    }
}

#[async_trait]
impl RequestHandler for Echo {
    async fn handle(&self, request: InboundRequest) -> Result<Bytes, RequestError> {
        match request.method.as_str() {
            "echo" => Ok(request.body),
            "never" => {
                let _stopped = Stopped(self.stopped.clone());
                std::future::pending().await
            }
            _ => Err(RequestError::application("as asked")),
        }
    }
}
