//! The parts of a client, shared by its tasks.
//!
//! | state | where | owner | ends |
//! |---|---|---|---|
//! | all that the machine decides, and what stands behind its ids | `control` | the engine | with the session, the dial, the answer |
//! | handshakes | `connections` | a task each | when it is a path, or failed |
//! | the socket that listens, and connections that prove nothing yet | `listening` | one task, and one each | with the client |
//! | relay connections | `relays` | one task each | with the client |
//! | levels and keys, and the store of them | `memory` | the engine | with the client |
//! | negotiations, held envelopes | `negotiations` | one task, and one per peer connection | after a minute without an attempt |

pub(crate) mod connections;
pub(crate) mod control;
pub(crate) mod dial;
pub(crate) mod negotiations;
pub(crate) mod network;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{BoxFuture, FutureExt as _};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::DeviceId;
use peers_proto::keys::DeviceKeys;
use peers_proto::network::AppState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::builder::Settings;
use crate::clock::Clock;
use crate::error::Error;
use crate::event::{ClientState, EventSender};
use crate::incoming::TrustPolicy;
use crate::listen::Listening;
use crate::memory::Memory;
use crate::relays::Relays;
use crate::runtime::Runtime;
use control::Controlled;
use negotiations::NegotiationDriver;

/// Everything the tasks of one client share.
pub(crate) struct EngineDriver {
    pub(crate) settings: Settings,
    pub(crate) keys: Arc<DeviceKeys>,
    pub(crate) certificate: DeviceCertificate,
    pub(crate) clock: Clock,
    pub(crate) runtime: Runtime,
    pub(crate) state: watch::Sender<ClientState>,
    pub(crate) events: EventSender,
    pub(crate) policy: Option<Arc<dyn TrustPolicy>>,
    pub(crate) controlled: Controlled,
    pub(crate) relays: Relays,
    pub(crate) memory: Memory,
    pub(crate) listening: Listening,
    pub(crate) negotiations: NegotiationDriver,
    /// The app's state, as it was set last. It is changed under the lock of `controlled`.
    pub(crate) app: watch::Sender<AppState>,
    pub(crate) tasks: TaskTracker,
    pub(crate) over: CancellationToken,
    /// The runtime was dropped under the client.
    pub(crate) orphaned: AtomicBool,
}

impl EngineDriver {
    pub(crate) fn device_id(&self) -> DeviceId {
        self.certificate.device_id()
    }

    /// Runs a task until it is done or the client is over, whichever thread asks.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        self.start(until_over(self.over.clone(), task.boxed()));
    }

    /// Runs a task that ends by itself soon after the client is over.
    pub(crate) fn spawn_to_its_end(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.start(task.boxed());
    }

    /// Starts a task whose work is boxed already: see [`crate::runtime`].
    fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime.handle() {
            self.tasks.spawn_on(task, &runtime);
        }
    }

    /// The error of a client that has ended.
    pub(crate) fn closed(&self) -> Error {
        if self.orphaned.load(Ordering::Relaxed) { Error::NoRuntime } else { Error::Closed }
    }
}

async fn until_over(over: CancellationToken, task: BoxFuture<'static, ()>) {
    tokio::select! {
        () = over.cancelled() => {}
        () = task => {}
    }
}

/// A task's guard: it is dropped when the client is over, or else with the runtime. Then it ends the client, since no task
/// is left to do it.
pub(crate) struct Lifeline(Arc<EngineDriver>);

impl Lifeline {
    pub(crate) fn new(engine: Arc<EngineDriver>) -> Self {
        Self(engine)
    }

    /// Holds it until the client is over.
    pub(crate) async fn hold(self) {
        self.0.over.cancelled().await;
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        let engine = &self.0;
        if !engine.over.is_cancelled() {
            tracing::warn!("runtime dropped");
            engine.orphaned.store(true, Ordering::Relaxed);
            engine.over.cancel();
            engine.abandon_sessions();
            engine.state.send_replace(ClientState::Closed);
        }
        engine.runtime.leave();
    }
}
