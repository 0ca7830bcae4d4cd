use tokio::sync::watch;

use crate::transport::CloseReason;

/// The one close reason of a peer connection: the first one given stays.
#[derive(Debug, Clone)]
pub(super) struct Life(watch::Sender<Option<CloseReason>>);

impl Life {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(super) fn end(&self, reason: CloseReason) {
        self.0.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                tracing::debug!(%reason, "peer connection ends");
                *slot = Some(reason);
            }
            first
        });
    }

    pub(super) fn reason(&self) -> Option<CloseReason> {
        self.0.borrow().clone()
    }

    pub(super) async fn ended(&self) -> CloseReason {
        let mut watch = self.0.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let ended = watch.wait_for(Option::is_some).await.ok().and_then(|r| r.clone());
        ended.unwrap_or(CloseReason::Local)
    }
}
