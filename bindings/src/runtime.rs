//! The threads of one client.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use tracing::Dispatch;
use tracing::dispatcher::set_default;

use crate::{Cancellation, PeersError};

/// One for sockets, one that stays free for everything else while the first is busy encrypting.
const WORKERS: usize = 2;
/// Calls into the app that may be in progress at once. They return at once when the façades make them; more only
/// queue behind each other.
const BLOCKING: usize = 8;
/// Time that a call into the app may still take while its client shuts down.
const PATIENCE: Duration = Duration::from_secs(1);

/// Owns the threads of one client.
#[derive(Debug)]
pub(crate) struct Runtime {
    inner: Mutex<Option<tokio::runtime::Runtime>>,
    tasks: Tasks,
}

impl Runtime {
    /// Its threads log to `log`.
    pub(crate) fn new(log: Option<Dispatch>) -> Result<Self, PeersError> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(WORKERS).max_blocking_threads(BLOCKING).thread_name("peers").enable_all();
        if let Some(log) = log {
            // Forgotten, the guard holds nothing; the log stays until the thread ends.
            builder.on_thread_start(move || std::mem::forget(set_default(&log)));
        }
        let runtime = builder
            .build()
            .map_err(|error| PeersError::Internal { reason: format!("cannot start threads: {error}") })?;
        let tasks = Tasks(Arc::new(RwLock::new(Some(runtime.handle().clone()))));
        Ok(Self { inner: Mutex::new(Some(runtime)), tasks })
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Ends all tasks; returns when the threads are gone, without blocking the caller's.
    pub(crate) async fn stop(&self) {
        let Some(runtime) = self.take() else { return };
        let (done, stopped) = oneshot::channel();
        let stopper = std::thread::Builder::new().name("peers stop".into()).spawn(move || {
            runtime.shutdown_timeout(PATIENCE);
            // The receiver is gone when the caller was cancelled.
            let _ = done.send(());
        });
        // Without a thread to wait on, the runtime was dropped with the closure, which ends it as well.
        if stopper.is_ok() {
            let _ = stopped.await;
        }
    }

    fn take(&self) -> Option<tokio::runtime::Runtime> {
        self.tasks.end();
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts tasks on a client's threads, without keeping those alive.
///
/// A tokio handle keeps its runtime's file descriptors open; this one is emptied when the runtime ends, however many
/// sessions and streams an app still holds.
#[derive(Debug, Clone)]
pub(crate) struct Tasks(Arc<RwLock<Option<Handle>>>);

impl Tasks {
    /// Runs `work` on the client's threads and waits for it, until `cancel` ends it or the caller goes away.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        cancel: Option<Arc<Cancellation>>,
        work: impl Future<Output = Result<T, PeersError>> + Send + 'static,
    ) -> impl Future<Output = Result<T, PeersError>> {
        self.run_boxed(cancel, work.boxed())
    }

    /// Compiled once for each type of result: a task has 6 kB of code for each type of future.
    async fn run_boxed<T: Send + 'static>(
        &self,
        cancel: Option<Arc<Cancellation>>,
        work: BoxFuture<'static, Result<T, PeersError>>,
    ) -> Result<T, PeersError> {
        let cancellable = async move {
            tokio::select! {
                biased;
                result = work => result,
                () = Cancellation::of(cancel) => Err(PeersError::Cancelled),
            }
        };
        let task = self.handle().ok_or(PeersError::Closed)?.spawn(cancellable);
        flatten(AbortOnDropHandle::new(task).await)
    }

    /// Runs a call into the app, or into the file system, where it may block. For tasks that [`Tasks::run`] runs.
    pub(crate) async fn run_blocking<T: Send + 'static>(
        work: impl FnOnce() -> Result<T, PeersError> + Send + 'static,
    ) -> Result<T, PeersError> {
        flatten(tokio::task::spawn_blocking(work).await)
    }

    /// Starts what ends by itself, at the latest with the runtime.
    pub(crate) fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(handle) = self.handle() {
            drop(handle.spawn(work.boxed()));
        }
    }

    /// Starts what ends with the handle that is returned; none without a runtime.
    pub(crate) fn spawn(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Option<AbortOnDropHandle<()>> {
        Some(AbortOnDropHandle::new(self.handle()?.spawn(work.boxed())))
    }

    fn handle(&self) -> Option<Handle> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn flatten<T>(result: Result<Result<T, PeersError>, tokio::task::JoinError>) -> Result<T, PeersError> {
    match result {
        Ok(result) => result,
        Err(error) if error.is_panic() => Err(PeersError::Internal { reason: "a task panicked".into() }),
        // Only the end of the runtime cancels a task whose caller still waits.
        Err(_) => Err(PeersError::Closed),
    }
}
