//! The broker on real sockets: one task per WebSocket, one that sweeps, one that accepts. TLS ends at a reverse proxy.

mod comings;
mod connection;
mod metrics;
mod names;
mod refusals;
mod routes;
mod shared;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use peers_proto::signaling;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{Broker, Stats};
use crate::config::RelayConfig;
use metrics::ServerMetrics;
use names::ServerNames;
use shared::ServerShared;

/// Time in which [`Relay::shutdown`] lets devices take their messages. Init systems kill after ten seconds or more.
const DRAIN: Duration = Duration::from_secs(5);

/// After an error of `accept`: most mean that there is no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A running relay. Dropping it cuts every connection; [`Relay::shutdown`] closes them in good order.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    app: Arc<App>,
    tasks: TaskTracker,
    accepting: CancellationToken,
    running: CancellationToken,
}

/// State that every connection shares.
#[derive(Debug)]
struct App {
    shared: ServerShared,
    metrics: ServerMetrics,
    names: ServerNames,
    trust_forwarded_for: bool,
}

/// A relay that did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on: `bind`.
    #[error("cannot listen on {addr} (`bind`): {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// The reason.
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

        let app = Arc::new(App {
            shared: ServerShared::new(Broker::new(&config)),
            metrics: ServerMetrics::new(),
            names: ServerNames::new(&config),
            trust_forwarded_for: config.trust_forwarded_for,
        });
        let tasks = TaskTracker::new();
        let (accepting, running) = (CancellationToken::new(), CancellationToken::new());
        tasks.spawn(running.clone().run_until_cancelled_owned(shared::sweep(app.clone())));
        let accept = accept(listener, app.clone(), tasks.clone(), running.clone());
        tasks.spawn(accepting.clone().run_until_cancelled_owned(accept));
        tracing::info!(%addr, "relay listens");
        app.names.log(addr);
        Ok(Self { addr, app, tasks, accepting, running })
    }

    /// The address at which it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL at which devices on this machine dial it.
    pub fn url(&self) -> String {
        format!("ws://{}{}", self.addr, signaling::PATH)
    }

    /// Counts for operators.
    pub fn stats(&self) -> Stats {
        self.app.shared.stats()
    }

    /// Tells every device, writes what waits for them for at most five seconds, then closes everything.
    pub async fn shutdown(self) {
        self.accepting.cancel();
        tracing::info!(sockets = self.app.shared.stats().sockets, "relay stops");
        self.app.shared.shut_down();
        self.tasks.close();
        let drain = async {
            while self.app.shared.stats().sockets > 0 {
                self.app.shared.socket_closed().await;
            }
        };
        if tokio::time::timeout(DRAIN, drain).await.is_err() {
            tracing::warn!(
                sockets = self.app.shared.stats().sockets,
                "shutdown cut: devices did not drain in time"
            );
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
async fn accept(listener: TcpListener, app: Arc<App>, tasks: TaskTracker, running: CancellationToken) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let (app, running) = (app.clone(), running.clone());
                // `run_until_cancelled` makes a task three times as large: it moves the future that it is given.
                tasks.spawn(async move {
                    tokio::select! {
                        () = connection::serve(app, tcp, peer) => {}
                        () = running.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                // No event says when there are descriptors again.
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
