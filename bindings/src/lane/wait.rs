//! Waits that end with a call of a plain function.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio_util::task::AbortOnDropHandle;

use crate::runtime::Tasks;

/// Called with the token of a wait when that ends, once, on any thread. Must return at once.
pub type Wake = extern "C" fn(token: u64);

/// The wait that an app has for one thing. A new one takes the place of the one before, which then ends.
#[derive(Debug, Default)]
pub(crate) struct Wait(Mutex<Option<AbortOnDropHandle<()>>>);

impl Wait {
    /// Waits for `event` on the client's threads. Without a runtime the wait ends at once, without a token there is none.
    pub(super) fn begin(
        &self,
        tasks: &Tasks,
        token: Option<Token>,
        event: impl Future<Output = ()> + Send + 'static,
    ) {
        let wait = token.and_then(|token| {
            tasks.spawn(async move {
                let _token = token;
                event.await;
            })
        });
        let before = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), wait);
        drop(before);
    }
}

/// Ends its wait when dropped: at the event, and when nothing can come of it any more.
pub(super) struct Token {
    pub(super) wake: Wake,
    pub(super) token: u64,
}

impl Drop for Token {
    fn drop(&mut self) {
        (self.wake)(self.token);
    }
}
