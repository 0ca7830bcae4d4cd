//! The one reason for which a transport ended.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use super::CloseReason;

/// Shared by the parts of a transport: the first reason stays, and all parts return it.
#[derive(Debug, Clone, Default)]
pub(super) struct Closed(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot {
    reason: OnceLock<CloseReason>,
    is_set: CancellationToken,
}

impl Closed {
    /// Sets the reason, unless there is one. Returns the reason that stays.
    pub(super) fn set(&self, reason: CloseReason) -> CloseReason {
        let stays = self.0.reason.get_or_init(|| {
            tracing::debug!(%reason, "transport ended");
            reason
        });
        self.0.is_set.cancel();
        stays.clone()
    }

    pub(super) fn reason(&self) -> Option<CloseReason> {
        self.0.reason.get().cloned()
    }

    /// Fails with the reason once there is one.
    pub(super) fn check(&self) -> Result<(), CloseReason> {
        self.reason().map_or(Ok(()), Err)
    }

    /// Waits for the reason.
    pub(super) async fn wait(&self) -> CloseReason {
        self.0.is_set.cancelled().await;
        // Never the fallback: the reason is set before the token.
        self.reason().unwrap_or(CloseReason::Local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays_for_all_parts() {
        let closed = Closed::default();
        let other = closed.clone();
        assert_eq!((closed.reason(), closed.check()), (None, Ok(())));
        assert_eq!(closed.set(CloseReason::Remote), CloseReason::Remote);
        assert_eq!(other.set(CloseReason::Local), CloseReason::Remote);
        assert_eq!(other.check(), Err(CloseReason::Remote));
        assert_eq!(other.wait().await, CloseReason::Remote);
    }
}
