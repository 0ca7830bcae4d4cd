//! The life of a relay client: connect, register, pump, wait, again.

use std::pin::pin;
use std::sync::{Arc, OnceLock};

use peers_proto::signaling::ErrorCode;
use peers_proto::time::Instant;
use peers_proto::{limits, signaling, timing};
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::CancellationToken;

use super::RelayConfig;
use super::error::RelayError;
use super::pump::{End, pump};
use super::register::register;
use super::shared::Shared;
use super::state::{Disconnect, RelayState};
use crate::backoff::Backoff;
use crate::random;
use crate::transport::CloseReason;
use crate::transport::websocket::{Endpoint, Socket, connect};

/// Owns the client's only task. Dropping it ends everything at once.
#[derive(Debug)]
pub struct RelayTask {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RelayTask {
    pub(super) fn spawn(dialer: Dialer, shared: Arc<Shared>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(dialer, Ending(shared), stop.clone()));
        Self { stop, task }
    }

    /// Closes every transport, tells the relay, and ends; takes at most [`timing::CLOSE_GRACE`] and what the
    /// operating system needs.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            tracing::error!("the relay client's task panicked");
        }
    }
}

impl Drop for RelayTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What it takes to reach the relay.
pub(super) struct Dialer {
    pub(super) config: RelayConfig,
    pub(super) endpoint: Endpoint,
    pub(super) server_name: String,
    pub(super) tls: Arc<ClientConfig>,
}

impl Dialer {
    async fn dial(&self) -> Result<Socket, Disconnect> {
        // Relay frames are smaller than signaling messages.
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits::MAX_SIGNALING))
            .max_frame_size(Some(limits::MAX_SIGNALING))
            .write_buffer_size(limits::RELAY_BATCH);
        let path = match self.endpoint.path() {
            "" => signaling::PATH,
            path => path,
        };
        let open = async {
            let addresses = self.endpoint.resolve().await?;
            connect(&self.endpoint.url(path), &addresses, config, self.tls.clone()).await
        };
        match self.config.clock.timeout(timing::DIAL_TIMEOUT, open).await {
            Some(socket) => Ok(socket?),
            None => Err(Disconnect::Silent),
        }
    }

    /// One registration from its beginning to its end; `since` tells when it was accepted.
    async fn serve(&self, shared: &Shared, since: &OnceLock<Instant>) -> End {
        let begun = async {
            let mut socket = self.dial().await?;
            let accepted = register(&mut socket, &self.config, &self.server_name);
            let accepted = self.config.clock.timeout(timing::REGISTRATION_TIMEOUT, accepted).await;
            Ok((socket, accepted.ok_or(Disconnect::Silent)??))
        };
        // A change of network leaves a half-made connection behind on the old one: begin again.
        let (socket, ice) = tokio::select! {
            begun = begun => match begun {
                Ok(begun) => begun,
                Err(lost) => return End::Lost(lost),
            },
            () = shared.any_network_change() => return End::Lost(Disconnect::NetworkChanged),
        };
        since.get_or_init(|| self.config.clock.now());
        shared.handle_registered(ice);
        tokio::select! {
            end = pump(shared, socket) => end,
            () = shared.another_network() => End::Lost(Disconnect::NetworkChanged),
        }
    }

    /// Lets `serve` say what is left to say, if the relay listens; who does not take the goodbye sees the socket end.
    async fn say_goodbye(&self, shared: &Shared, serve: impl Future<Output = End>) {
        shared.begin_stop();
        if *shared.state().borrow() == RelayState::Registered {
            let _ = self.config.clock.timeout(timing::CLOSE_GRACE, serve).await;
        }
    }
}

/// However the task ends, whoever waits for it hears it.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(RelayError::Stopped);
    }
}

async fn run(dialer: Dialer, ending: Ending, stop: CancellationToken) {
    let shared = &*ending.0;
    let clock = &dialer.config.clock;
    let mut backoff = Backoff::default();
    loop {
        shared.set_state(RelayState::Connecting);
        let since = OnceLock::new();
        let mut serve = pin!(dialer.serve(shared, &since));
        let end = tokio::select! {
            end = &mut serve => end,
            () = stop.cancelled() => return dialer.say_goodbye(shared, serve).await,
            () = shared.asleep(true) => {
                dialer.say_goodbye(shared, serve).await;
                shared.handle_lost(&CloseReason::Local);
                shared.set_state(RelayState::Suspended);
                tokio::select! {
                    () = shared.asleep(false) => {}
                    () = stop.cancelled() => return,
                }
                shared.end_stop();
                backoff.reset();
                continue;
            }
        };
        let reason = match end {
            End::Lost(reason) => reason,
            End::Superseded => {
                shared.handle_lost(&CloseReason::Network(RelayError::Superseded.to_string()));
                shared.end(RelayError::Superseded);
                tokio::select! {
                    () = shared.reclaimed() => {}
                    () = stop.cancelled() => return,
                }
                backoff.reset();
                continue;
            }
            End::Stopped => return,
        };
        shared.handle_lost(&CloseReason::Network(format!("the relay is gone: {reason}")));
        if reason == Disconnect::NetworkChanged {
            backoff.reset();
            continue;
        }
        if since.get().is_some_and(|since| clock.now() - *since >= timing::RECONNECT_STABLE) {
            backoff.reset();
        }
        let retry_in = match reason {
            // The operator has to change something first.
            Disconnect::Refused(ErrorCode::NotAdmitted | ErrorCode::WrongName) => timing::NOT_ADMITTED_RETRY,
            _ => backoff.failed(u32::from_ne_bytes(random::array())),
        };
        tracing::debug!(%reason, ?retry_in, "no relay");
        shared.set_state(RelayState::Waiting { retry_in, reason });
        tokio::select! {
            () = clock.sleep(retry_in) => {}
            () = shared.any_network_change() => backoff.reset(),
            () = shared.asleep(true) => {}
            () = stop.cancelled() => return,
        }
    }
}
