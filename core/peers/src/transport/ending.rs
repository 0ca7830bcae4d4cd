//! The one reason for which a transport ended.

use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

use super::CloseReason;

/// Shared by the halves of a transport: the first reason wins, and both repeat it for ever.
#[derive(Debug, Default)]
pub(super) struct Ending {
    reason: OnceLock<CloseReason>,
    ended: CancellationToken,
}

impl Ending {
    /// Ends it, unless it has ended. Returns the reason that counts.
    pub(super) fn end(&self, reason: CloseReason) -> CloseReason {
        let reason = self.reason.get_or_init(|| reason).clone();
        self.ended.cancel();
        reason
    }

    pub(super) fn check(&self) -> Result<(), CloseReason> {
        self.reason.get().map_or(Ok(()), |reason| Err(reason.clone()))
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) -> CloseReason {
        self.ended.cancelled().await;
        // Never the fallback: the reason is set before the token.
        self.reason.get().cloned().unwrap_or(CloseReason::Local)
    }
}
