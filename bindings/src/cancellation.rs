//! Ending an operation from another thread.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// Ends the operations it was passed to. Kotlin needs none: there a cancelled coroutine drops the operation itself.
#[derive(Debug, Default, uniffi::Object)]
pub struct Cancellation {
    token: CancellationToken,
}

#[uniffi::export]
impl Cancellation {
    /// A new one, for one operation.
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes the operation fail with [`crate::PeersError::Cancelled`], unless it has a result already. Any number of times,
    /// also before the operation starts.
    pub fn cancel(&self) {
        self.token.cancel();
    }
}

impl Cancellation {
    /// Waits for [`Cancellation::cancel`], for ever without a handle.
    pub(crate) async fn of(handle: Option<Arc<Self>>) {
        match handle {
            Some(handle) => handle.token.cancelled().await,
            None => std::future::pending().await,
        }
    }
}
