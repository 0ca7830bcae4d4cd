//! A device without a client: its keys, and the handshake they prove.

use bytes::BytesMut;
use peers::clock::Clock;
use peers::random;
use peers::transport::{CloseReason, Transport};
use peers_proto::certificate::{CertificateError, DeviceCertificate};
use peers_proto::handshake::{Config, Established, Expected, Handshake, HandshakeError, HandshakeEvent};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::time::UnixTime;
use peers_proto::trust::KnownKeys;

/// One device of a user of its own.
#[derive(Debug)]
pub struct Party {
    /// Its keys.
    pub keys: DeviceKeys,
    /// Their certificate.
    pub certificate: DeviceCertificate,
}

impl Party {
    /// New keys.
    ///
    /// # Errors
    /// The name is too long.
    pub fn new(name: &str) -> Result<Self, CertificateError> {
        Self::from_seed(&random::array(), name)
    }

    /// The keys of an identity at rest: the device's seed, then its user's.
    ///
    /// # Errors
    /// The name is too long.
    pub fn from_seed(seed: &[u8; peers::SEED_LEN], name: &str) -> Result<Self, CertificateError> {
        let (mut device, mut user) = ([0; 32], [0; 32]);
        device.copy_from_slice(&seed[..32]);
        user.copy_from_slice(&seed[32..]);
        let (keys, user) = (DeviceKeys::from_seed(device), UserKeys::from_seed(user));
        let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), name)?;
        Ok(Self { keys, certificate })
    }

    /// Its name in the protocol.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.certificate.device_id()
    }

    /// The handshake of one that dials `peer`.
    ///
    /// # Errors
    /// The binding is too long.
    pub fn dials(
        &self,
        peer: &DeviceCertificate,
        transport: &Transport,
        connection: ConnectionId,
        sealing: bool,
    ) -> Result<Handshake, HandshakeError> {
        let expected = Expected { device: peer.device_id(), keys: Some(KnownKeys::of(peer)) };
        let config = self.config(transport, connection, sealing, false);
        Handshake::initiator(config, expected, Clock::system().now())
    }

    /// The handshake of one that answers; with `strangers`, also callers that mean another device.
    ///
    /// # Errors
    /// The binding is too long.
    pub fn answers(
        &self,
        transport: &Transport,
        connection: ConnectionId,
        sealing: bool,
        strangers: bool,
    ) -> Result<Handshake, HandshakeError> {
        Handshake::responder(self.config(transport, connection, sealing, strangers), Clock::system().now())
    }

    fn config(
        &self,
        transport: &Transport,
        connection_id: ConnectionId,
        require_sealing: bool,
        pairing: bool,
    ) -> Config {
        Config {
            keys: DeviceKeys::from_seed(*self.keys.seed()),
            certificate: self.certificate.clone(),
            kind: transport.route.kind,
            connection_id,
            binding: transport.binding.clone(),
            require_sealing,
            pairing,
            entropy: random::array(),
        }
    }
}

/// The reason for which a handshake failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The other side's answer, or its absence.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The transport ended.
    #[error(transparent)]
    Transport(#[from] CloseReason),
}

/// Runs a handshake as the engine does. Every proven device is admitted, with `ready`.
///
/// # Errors
/// [`Failure`]; the transport is then closed.
pub async fn shake_hands(
    transport: &mut Transport,
    mut handshake: Handshake,
    ready: &[u8],
) -> Result<Established, Failure> {
    let outcome = drive(transport, &mut handshake, ready).await;
    // Farewell included.
    let sent = send_output(transport, &mut handshake).await;
    if outcome.is_err() {
        transport.sink.close().await;
    }
    outcome?;
    sent?;
    Ok(handshake.finish()?)
}

async fn drive(transport: &mut Transport, handshake: &mut Handshake, ready: &[u8]) -> Result<(), Failure> {
    loop {
        send_output(transport, handshake).await?;
        let frame = transport.source.recv().await?;
        let event = match handshake.handle_frame(&frame, Clock::system().now())? {
            Some(HandshakeEvent::Authenticated(_)) => handshake.accept(ready)?,
            event => event,
        };
        if event == Some(HandshakeEvent::Established) {
            return Ok(());
        }
    }
}

async fn send_output(transport: &mut Transport, handshake: &mut Handshake) -> Result<(), CloseReason> {
    while let Some(frame) = handshake.poll_output() {
        transport.sink.send(BytesMut::from(&frame[..])).await?;
    }
    transport.sink.flush().await
}
