//! Devices that ask to connect: the app's rule about them, and those that wait for a decision.

use peers_proto::id::{DeviceId, UserId};
use peers_proto::trust::TrustLevel;
use tokio::sync::oneshot;

/// The app's rule for devices that it has given no level.
///
/// It is asked in a task of the client, several times for one connection: it must answer at once.
pub trait TrustPolicy: Send + Sync + 'static {
    /// The level of a device that has proven who it is; `None` leaves it to [`crate::Event::Incoming`].
    fn trust(&self, device: DeviceId, user: UserId) -> Option<TrustLevel>;
}

/// A device asks to connect. It has proven who it is; whether it may is for the app, or a person, to say.
///
/// A device that this one lets reach it through a relay ([`ClientBuilder::open`]) asks once, with the digits of its handshake.
/// Any other has knocked, and asks twice. The first time there is no connection, and nothing tells it that this device is there.
/// If that is accepted, its handshake follows, and asks again with the digits.
///
/// [`ClientBuilder::open`]: crate::ClientBuilder::open
#[derive(Debug)]
pub struct Incoming {
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
    pub(crate) name: String,
    pub(crate) sas: Option<String>,
    pub(crate) decision: oneshot::Sender<bool>,
}

impl Incoming {
    /// The device that asks.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The user that owns it.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// The device's own name. Chosen by the asker: show it, never trust it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Six digits that the asking device shows at the same time ([`Event::Comparing`]), unless a third one sits between the two
    /// or it is another device than its name says (D25). `None` for a knock: they come with the handshake, if it is accepted.
    ///
    /// [`Event::Comparing`]: crate::Event::Comparing
    pub fn sas(&self) -> Option<&str> {
        self.sas.as_deref()
    }

    /// Lets it connect, now and from now on; if it has knocked, lets it come and be compared. An app that goes by the id alone
    /// calls [`Client::trust`] before. So it must where this device or the asking one may not use the relay for data: before two
    /// devices are compared only the relay carries anything.
    ///
    /// [`Client::trust`]: crate::Client::trust
    pub fn accept(self) {
        // An asker that gave up is gone.
        let _ = self.decision.send(true);
    }

    /// Refuses it. It learns no reason.
    pub fn reject(self) {
        let _ = self.decision.send(false);
    }
}
