//! The end of a session, as its handles report it.

use peers_proto::end_reason::EndReason;
use peers_proto::session::SessionError;

use crate::error::Error;
use crate::transport::CloseReason;

/// The reason for which a session ended, and what happened, if that says more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) reason: EndReason,
    detail: String,
}

impl From<EndReason> for Ended {
    fn from(reason: EndReason) -> Self {
        Self { reason, detail: String::new() }
    }
}

impl From<SessionError> for Ended {
    fn from(e: SessionError) -> Self {
        match e {
            SessionError::Overloaded => EndReason::Overloaded.into(),
            broken => Self { reason: EndReason::Protocol, detail: broken.to_string() },
        }
    }
}

impl Ended {
    /// No path came back in time, and the last one ended for this reason.
    pub(crate) fn no_path(last: &CloseReason) -> Self {
        Self { reason: EndReason::NoPath, detail: last.to_string() }
    }

    /// The error of every further call.
    pub(crate) fn error(&self) -> Error {
        match self.reason {
            EndReason::Closed | EndReason::Evicted | EndReason::ClosedByPeer => Error::Closed,
            EndReason::PeerRestarted => Error::SessionLost("the peer was restarted".into()),
            EndReason::NoPath => {
                Error::SessionLost(format!("no path came back in time, the last one: {}", self.detail))
            }
            EndReason::Protocol => Error::SessionLost(self.detail.clone()),
            EndReason::Overloaded => Error::SessionLost("too much waited here to be taken".into()),
            EndReason::NoRuntime => Error::NoRuntime,
        }
    }
}
