//! The device of a socket, from its proof until it leaves.

use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::DeviceId;
use peers_proto::signaling::{
    Challenge, ErrorCode, Registration, RegistrationError, ServerMessage, close_code,
};
use peers_proto::time::{Instant, UnixTime};

use super::consent::Consent;
use super::{Broker, Outbound, Refused, SocketId};
use crate::ice;

/// A registration whose signatures are good. The broker takes nothing less, so it never verifies any under its lock.
#[derive(Debug)]
pub struct Proof {
    certificate: DeviceCertificate,
    token: Option<String>,
}

impl Proof {
    /// Verifies three signatures: a fifth of a millisecond, so never under a lock. `names` are the relay's.
    ///
    /// # Errors
    /// Every [`RegistrationError`].
    pub fn verify(
        challenge: &Challenge,
        names: &[String],
        registration: Registration,
    ) -> Result<Self, RegistrationError> {
        let certificate = challenge.verify(names, &registration)?;
        Ok(Self { certificate, token: registration.token })
    }

    /// The device that has proven itself.
    pub fn device_id(&self) -> DeviceId {
        self.certificate.device_id()
    }
}

impl Broker {
    /// The socket at which a device is registered now.
    pub fn socket_of(&self, device: DeviceId) -> Option<SocketId> {
        self.devices.get(&device).copied()
    }

    /// A device wants to register: the challenge it has to answer, and when its answer may be verified.
    ///
    /// # Errors [`Refused::Closing`], [`Refused::Registrations`]: the device has got the reason.
    pub fn handle_registering(
        &mut self,
        id: SocketId,
        now: Instant,
    ) -> Result<(Challenge, Instant), Refused> {
        let socket = self.sockets.get_mut(&id).filter(|s| !s.closing).ok_or(Refused::Closing)?;
        socket.heard = now;
        let Some(challenge) = socket.challenge.as_deref().cloned() else {
            self.fault(id, ErrorCode::Malformed, "registered already", None);
            return Err(Refused::Closing);
        };
        match self.places.register(socket.address, &self.limits, now) {
            Some(at) => Ok((challenge, at)),
            None => {
                self.fault(id, ErrorCode::Full, &Refused::Registrations.to_string(), None);
                Err(Refused::Registrations)
            }
        }
    }

    /// Judges the registration that [`Self::handle_registering`] let in. Returns the reason if it is refused.
    pub fn handle_registration(
        &mut self,
        id: SocketId,
        proof: Result<Proof, RegistrationError>,
        unix: UnixTime,
    ) -> Option<ErrorCode> {
        let open = self.sockets.get(&id).is_some_and(|s| !s.closing && s.device.is_none());
        let refused = match proof {
            _ if !open => None,
            Ok(proof) if self.access.admits(&proof.certificate, proof.token.as_deref()) => {
                let registered = self.devices.get(&proof.certificate.device_id());
                if registered.is_some_and(|registered| *registered > id) {
                    // Proofs are verified side by side: one of a socket that the device has left may be the last.
                    self.end_superseded(id);
                } else {
                    self.register(id, &proof.certificate, unix);
                }
                None
            }
            Ok(_) => {
                self.counters.not_admitted += 1;
                self.fault(id, ErrorCode::NotAdmitted, "this relay is not for this device", None);
                Some(ErrorCode::NotAdmitted)
            }
            Err(error) => {
                self.counters.registrations_denied += 1;
                let code = match error {
                    RegistrationError::WrongName { .. } => {
                        self.counters.wrong_name += 1;
                        ErrorCode::WrongName
                    }
                    _ => ErrorCode::Denied,
                };
                self.fault(id, code, &error.to_string(), None);
                Some(code)
            }
        };
        self.settle();
        refused
    }

    fn register(&mut self, id: SocketId, certificate: &DeviceCertificate, unix: UnixTime) {
        let device = certificate.device_id();
        self.counters.registrations += 1;
        let consent = self.supersede(device);
        self.devices.insert(device, id);
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.challenge = None;
            socket.device = Some(device);
            socket.certificate = certificate.as_bytes().into();
            socket.consent = consent;
        }
        let registered = ServerMessage::Registered(ice::servers(&self.ice, device, unix));
        self.send(id, Outbound::Text(registered));
    }

    /// Ends the registration a newer one replaces. Its consent carries over until the device says otherwise, so
    /// no other device sees it leave and come back.
    fn supersede(&mut self, device: DeviceId) -> Consent {
        let Some(old) = self.devices.remove(&device) else { return Consent::default() };
        self.end_relayed(old, device);
        let Some(socket) = self.sockets.get_mut(&old) else { return Consent::default() };
        socket.device = None;
        let consent = std::mem::take(&mut socket.consent);
        self.end_superseded(old);
        consent
    }

    fn end_superseded(&mut self, id: SocketId) {
        self.counters.superseded += 1;
        self.close(id, Some(ServerMessage::Superseded), close_code::SUPERSEDED, "superseded");
    }

    /// Ends the registration of a socket that closes.
    pub(super) fn leave(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let Some(device) = socket.device.take() else { return };
        let consent = std::mem::take(&mut socket.consent);
        self.devices.remove(&device);
        self.end_relayed(id, device);
        for other in consent.named() {
            if let Some(other) = self.watcher(*other, device) {
                self.send_presence(other, device, false);
            }
        }
    }
}
