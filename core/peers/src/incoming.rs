//! A device that waits for a decision.

use peers_proto::id::{DeviceId, UserId};
use tokio::sync::oneshot;

/// A device asks to connect. It has proven who it is; whether it may is for the app, or a person, to say.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
    pub(crate) name: String,
    pub(crate) sas: Option<String>,
    pub(crate) decision: oneshot::Sender<bool>,
}

impl Incoming {
    /// Who asks.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Who owns it.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// What it calls itself. Chosen by the asker: show it, never trust it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Six digits that the asking device has too, unless a third one sits between the two (D25). `None` for a device that
    /// has knocked: there is no connection yet, and its id is the proof.
    pub fn sas(&self) -> Option<&str> {
        self.sas.as_deref()
    }

    /// Lets it connect, now and from now on.
    pub fn accept(self) {
        // An asker that gave up is gone.
        let _ = self.decision.send(true);
    }

    /// Refuses it. It learns no reason.
    pub fn reject(self) {
        let _ = self.decision.send(false);
    }
}
