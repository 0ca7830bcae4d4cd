//! The tokio runtime that runs a client.
//!
//! Work is boxed before it is spawned. tokio compiles some twenty functions for each type of future, for both of its schedulers:
//! 6 kB of the library that ships.

use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::FutureExt as _;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::error::Error;

/// Starts work for calls that apps make from any thread. Clones are the same runtime.
///
/// A tokio handle keeps its runtime's file descriptors open, and an app keeps its sessions for as long as it likes. So the
/// handle is dropped when the client is over.
#[derive(Debug, Clone)]
pub(crate) struct Runtime(Arc<RwLock<Option<Handle>>>);

impl Runtime {
    /// The runtime of the calling task.
    ///
    /// # Errors
    /// [`Error::NoRuntime`].
    pub(crate) fn current() -> Result<Self, Error> {
        let handle = Handle::try_current().map_err(|_| Error::NoRuntime)?;
        Ok(Self(Arc::new(RwLock::new(Some(handle)))))
    }

    /// To start tasks with; `None` once the client is over.
    pub(crate) fn handle(&self) -> Option<Handle> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs what needs the runtime's timers. It is aborted with its caller; `None` if the runtime has ended.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let task = self.handle()?.spawn(work.boxed());
        AbortOnDropHandle::new(task).await.ok()
    }

    /// Runs long work where no task waits for the thread; on the caller's if the client is over. The work goes on if its
    /// caller is dropped. `None` if the runtime ends first.
    pub(crate) async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        match self.handle() {
            Some(handle) => handle.spawn_blocking(work).await.ok(),
            None => Some(work()),
        }
    }

    /// The client is over.
    pub(crate) fn leave(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}
