//! Connections that other devices begin at an address of this one.
//!
//! ```text
//!  bind ──> accept ──> HalfOpen ──> handshake ──> the peer has proven who it is: no place is needed any more
//!    ^         └── the app is suspended: the socket is closed
//!    └──────────── the app is back
//! ```

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peers_proto::limits::{MAX_HALF_OPEN, MAX_HALF_OPEN_PER_SOURCE};
use peers_proto::network::AppState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::EngineDriver;
use crate::error::Error;
use crate::transport::TransportKind;
use crate::transport::websocket::{AcceptedSocket, Listener};

/// The time before a socket is tried again that the system has refused.
const AGAIN: Duration = Duration::from_secs(5);
/// The time before the next connection is accepted after one could not be.
const PAUSE: Duration = Duration::from_millis(100);

/// The address at which this device listens, if it does.
#[derive(Default)]
pub(crate) struct Listening {
    /// The address now; none while the app is suspended.
    pub(crate) at: watch::Sender<Option<SocketAddr>>,
    half_open: Mutex<Vec<HalfOpen>>,
    accepted: AtomicU64,
}

/// A connection whose peer has not proven who it is.
struct HalfOpen {
    id: u64,
    /// None behind a proxy, which speaks for many.
    source: Option<IpAddr>,
    given_up: CancellationToken,
}

/// The place of such a connection, until it is dropped.
pub(crate) struct HalfOpenPlace {
    engine: Arc<EngineDriver>,
    id: u64,
}

impl Drop for HalfOpenPlace {
    fn drop(&mut self) {
        self.engine.listening.half_open().retain(|other| other.id != self.id);
    }
}

impl Listening {
    /// Takes a place for a connection, from this address if it is the peer's. At most [`MAX_HALF_OPEN`] have one, of one address
    /// [`MAX_HALF_OPEN_PER_SOURCE`]; beyond that the oldest gives way, since honest ones take milliseconds.
    fn admit(&self, source: Option<IpAddr>) -> (u64, CancellationToken) {
        let mut all = self.half_open();
        let of_source = |other: &HalfOpen| source.is_some() && other.source == source;
        let oldest = if all.iter().filter(|other| of_source(other)).count() >= MAX_HALF_OPEN_PER_SOURCE {
            all.iter().position(of_source)
        } else {
            (all.len() >= MAX_HALF_OPEN).then_some(0)
        };
        if let Some(oldest) = oldest {
            all.remove(oldest).given_up.cancel();
        }
        let (id, given_up) = (self.accepted.fetch_add(1, Ordering::Relaxed), CancellationToken::new());
        all.push(HalfOpen { id, source, given_up: given_up.clone() });
        (id, given_up)
    }

    fn half_open(&self) -> MutexGuard<'_, Vec<HalfOpen>> {
        self.half_open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds the address that a client listens at.
///
/// # Errors
/// [`Error::Config`] with the error of the operating system.
pub(crate) async fn bind(address: SocketAddr) -> Result<Listener, Error> {
    Listener::bind(address).await.map_err(|e| Error::Config(format!("listen {address}: {e}")))
}

impl EngineDriver {
    /// Accepts connections while the app is not suspended. Never returns.
    pub(crate) async fn listen(self: Arc<Self>, listener: Listener) {
        let Ok(address) = listener.local_addr() else { return };
        let (mut app, mut next) = (self.app.subscribe(), Some(listener));
        loop {
            // The sender is in `self`.
            let _ = app.wait_for(|state| *state != AppState::Suspended).await;
            let bound = match next.take() {
                Some(listener) => Ok(listener),
                None => Listener::bind(address).await,
            };
            let failed = match bound {
                Ok(listener) => {
                    self.listening.at.send_replace(Some(address));
                    tracing::info!("listening began");
                    tokio::select! {
                        _ = app.wait_for(|state| *state == AppState::Suspended) => None,
                        never = self.accept_all(listener) => match never {},
                    }
                }
                Err(error) => Some(error),
            };
            self.listening.at.send_replace(None);
            match failed {
                None => tracing::info!("listening ended"),
                Some(error) => {
                    tracing::warn!(%error, "listening failed");
                    self.clock.sleep(AGAIN).await;
                }
            }
        }
    }

    async fn accept_all(self: &Arc<Self>, mut listener: Listener) -> Infallible {
        loop {
            match listener.accept().await {
                Ok(accepted) => self.handle_accepted(accepted),
                // Too many files are open, or the network is down for a moment.
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    self.clock.sleep(PAUSE).await;
                }
            }
        }
    }

    fn handle_accepted(self: &Arc<Self>, accepted: AcceptedSocket) {
        let AcceptedSocket { connection, remote, transport } = accepted;
        let of_peer = transport.route.kind == TransportKind::Lan;
        let (id, given_up) = self.listening.admit(of_peer.then(|| remote.ip().to_canonical()));
        let place = HalfOpenPlace { engine: self.clone(), id };
        let engine = self.clone();
        self.spawn(async move {
            let outcome = tokio::select! {
                () = given_up.cancelled() => return tracing::info!("incoming connection dropped"),
                outcome = engine.accept(transport, connection, None, Some(place)) => outcome,
            };
            if let Err(error) = outcome {
                tracing::info!(%error, "incoming connection failed");
            }
        });
    }
}
