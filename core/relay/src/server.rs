//! The broker on real sockets: one task per WebSocket, one that sweeps, one that accepts. TLS ends at a reverse proxy.

mod connection;
mod metrics;
mod routes;
mod shared;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use peers_proto::signaling;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{Broker, Stats};
use crate::config::RelayConfig;
use metrics::Metrics;
use shared::Shared;

/// How long [`Relay::shutdown`] lets devices take what waits for them. Init systems kill after ten seconds or more.
const DRAIN: Duration = Duration::from_secs(5);

/// After an error of `accept`: most mean that there is no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A running relay. Dropping it cuts every connection; [`Relay::shutdown`] says goodbye first.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    accepting: CancellationToken,
    running: CancellationToken,
}

/// A relay that did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on: `bind`.
    #[error("cannot listen on {addr} (`bind`): {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl Relay {
    /// Listens, and serves until [`Self::shutdown`].
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: RelayConfig) -> Result<Self, StartError> {
        let bind_error = |source| StartError::Bind { addr: config.bind, source };
        let listener = TcpListener::bind(config.bind).await.map_err(bind_error)?;
        let addr = listener.local_addr().map_err(bind_error)?;

        let shared = Arc::new(Shared::new(Broker::new(&config, names(&config, addr))));
        let tasks = TaskTracker::new();
        let (accepting, running) = (CancellationToken::new(), CancellationToken::new());
        let app = routes::App {
            shared: shared.clone(),
            metrics: Arc::new(Metrics::new()),
            tasks: tasks.clone(),
            running: running.clone(),
            trust_forwarded_for: config.trust_forwarded_for,
        };
        tasks.spawn(running.clone().run_until_cancelled_owned(shared::sweep(shared.clone())));
        let router = routes::router(app);
        let accept = accept(listener, shared.clone(), router, tasks.clone(), running.clone());
        tasks.spawn(accepting.clone().run_until_cancelled_owned(accept));
        tracing::info!(%addr, "relay listens");
        Ok(Self { addr, shared, tasks, accepting, running })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where devices on this machine dial it.
    pub fn url(&self) -> String {
        format!("ws://{}{}", self.addr, signaling::PATH)
    }

    /// What an operator watches.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Tells every device, writes what waits for them for at most five seconds, then closes everything.
    pub async fn shutdown(self) {
        self.accepting.cancel();
        self.shared.shut_down();
        self.tasks.close();
        let drain = async {
            while self.shared.stats().sockets > 0 {
                self.shared.socket_closed().await;
            }
        };
        if tokio::time::timeout(DRAIN, drain).await.is_err() {
            tracing::warn!(sockets = self.shared.stats().sockets, "devices did not drain in time");
        }
        self.running.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.cancel();
        self.running.cancel();
    }
}

/// Accepts for ever.
async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    router: Router,
    tasks: TaskTracker,
    running: CancellationToken,
) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let served = connection::serve(shared.clone(), router.clone(), tcp, peer);
                tasks.spawn(running.clone().run_until_cancelled_owned(served));
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                // No event says when there are descriptors again.
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// The names devices may register under: the configured ones, and the address itself.
fn names(config: &RelayConfig, addr: SocketAddr) -> Vec<String> {
    let mut names = config.names.clone();
    if names.is_empty() && !addr.ip().is_loopback() {
        tracing::warn!("no `names` are configured: devices can register only by the address {addr}");
    }
    let authority = |host: &str| match addr.port() {
        80 => host.to_owned(), // as `server_name` shortens it
        port => format!("{host}:{port}"),
    };
    let host = match addr.ip() {
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    names.push(authority(&host));
    if addr.ip().is_loopback() || addr.ip().is_unspecified() {
        // Whoever reaches a device by these names is on the device.
        names.extend(["localhost", "127.0.0.1", "[::1]"].map(authority));
    }
    names
}
