//! Errors of a caller's requests.

use peers_proto::certificate::CertificateError;

/// The reason for which a request to the relay client failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// Not a `ws://` or `wss://` URL with a host.
    #[error("not a ws:// or wss:// URL with a host")]
    Url,
    /// The client was stopped.
    #[error("the relay client was stopped")]
    Stopped,
    /// Another process registered the same device.
    #[error("a newer registration of this device took over")]
    Superseded,
    /// There is no registration now; wait for [`super::RelayState::Registered`].
    #[error("not registered at the relay")]
    NotRegistered,
    /// A bounded queue is full: too much is waiting for the relay.
    #[error("too much is waiting for the relay")]
    Full,
    /// Not one envelope in an offer or answer, none or too many candidates, or too many bytes.
    #[error("the envelopes do not make a message")]
    Envelopes,
    /// The relay does not know the device.
    #[error("the relay does not know this device")]
    UnknownDevice,
    /// The relay's answer holds no valid certificate.
    #[error("the relay sent a bad certificate: {0}")]
    BadCertificate(#[from] CertificateError),
    /// The relay sent another device's certificate.
    #[error("the relay sent another device's certificate")]
    WrongCertificate,
    /// No answer in time.
    #[error("the relay did not answer in time")]
    TimedOut,
    /// Too many relayed transports.
    #[error("too many relayed transports")]
    TooMany,
    /// This connection id is or was in use.
    #[error("the connection id is or was in use")]
    Duplicate,
}
