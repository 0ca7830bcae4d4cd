//! First contact: keys of devices before they are pinned, and knocks.
//!
//! A relay brings nothing from a device that this one does not let in, but knocks. Whoever dials without consent knocks:
//! it shows its certificate, signed for this device, and that becomes a question to the app. The answer to an accepted
//! knock is a sealed envelope with this device's own certificate; a refused one has no answer, like an absent device's.
//!
//! An accepted knock is not trusted yet: it may reach this device for [`COMPARING`]. Its handshake has the digits that two
//! people compare, and becomes the second question. Until that is answered only the relay carries anything (S135).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::bucket::Bucket;
use peers_proto::certificate::DeviceCertificate;
use peers_proto::engine::Admission;
use peers_proto::id::{ConnectionId, DeviceId, UserId};
use peers_proto::limits::{KNOCK_BURST, KNOCKS_PER_SECOND, MAX_WATCHED};
use peers_proto::signaling::knock::{self, SeenKnocks};
use peers_proto::signaling::{Body, Contents};
use peers_proto::time::Instant;
use peers_proto::timing::{APPROVAL_TIMEOUT, COMPARING, KNOCK_PATIENCE, REGISTRATION_TIMEOUT};
use peers_proto::trust::{KnownKeys, TrustLevel};
use tokio::sync::Notify;

use super::Engine;
use crate::error::Error;
use crate::random;

/// Devices met through signaling, and those that are asked for.
pub(crate) struct Contacts {
    inner: Mutex<Inner>,
    /// Tells, without memory, that there are keys of another device.
    changed: Notify,
}

struct Inner {
    /// Certified by the device itself, the latest last: at most [`MAX_WATCHED`].
    found: VecDeque<(DeviceId, KnownKeys)>,
    /// Devices that the app waits for, and how often. Others are not knocked at.
    wanted: HashMap<DeviceId, usize>,
    knocks: Bucket,
    seen: SeenKnocks,
}

impl Default for Contacts {
    fn default() -> Self {
        let knocks = Bucket::new(KNOCKS_PER_SECOND, KNOCK_BURST);
        let seen = SeenKnocks::default();
        let inner = Inner { found: VecDeque::new(), wanted: HashMap::new(), knocks, seen };
        Self { inner: Mutex::new(inner), changed: Notify::new() }
    }
}

impl Contacts {
    /// A device has shown its certificate, which proves itself against the id.
    pub(crate) fn handle_certificate(&self, certificate: &DeviceCertificate) {
        let (device, keys) = (certificate.device_id(), KnownKeys::of(certificate));
        let mut inner = self.lock();
        // The first ones stay: a device never changes its keys.
        if inner.found.iter().any(|(known, _)| *known == device) {
            return;
        }
        if inner.found.len() >= MAX_WATCHED {
            inner.found.pop_front();
        }
        inner.found.push_back((device, keys));
        drop(inner);
        self.changed.notify_waiters();
    }

    /// The app waits for this device until the guard is dropped.
    pub(crate) fn want(self: &Arc<Self>, device: DeviceId) -> Wanted {
        *self.lock().wanted.entry(device).or_default() += 1;
        Wanted { device, contacts: self.clone() }
    }

    fn is_wanted(&self, device: DeviceId) -> bool {
        self.lock().wanted.contains_key(&device)
    }

    fn keys_of(&self, device: DeviceId) -> Option<KnownKeys> {
        self.lock().found.iter().find(|(known, _)| *known == device).map(|(_, keys)| *keys)
    }

    /// True if one more knock may be opened now.
    fn admits_knock(&self, now: Instant) -> bool {
        self.lock().knocks.try_take(1, now)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Contacts::want`].
pub(crate) struct Wanted {
    device: DeviceId,
    contacts: Arc<Contacts>,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let mut inner = self.contacts.lock();
        if let Some(count) = inner.wanted.get_mut(&self.device) {
            *count -= 1;
            if *count == 0 {
                inner.wanted.remove(&self.device);
            }
        }
    }
}

impl Engine {
    /// The keys of a device: pinned, or shown by itself.
    pub(crate) fn keys_of(&self, device: DeviceId) -> Option<KnownKeys> {
        self.trust.book().known_keys(device).or_else(|| self.contacts.keys_of(device))
    }

    /// The level of a device now, by its user too if its keys are known.
    pub(crate) fn level_of(&self, device: DeviceId) -> TrustLevel {
        let user = self.keys_of(device).map(|keys| UserId::derive(&keys.user_pk));
        self.trust.level(device, user)
    }

    /// Waits until the keys to dial a device with are known. They are asked of the relays, which give them only with the
    /// device's consent. If the app waits, the device is asked as well, by a knock, about which a person may have to decide.
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::Unreachable`].
    pub(super) async fn learn_keys(self: &Arc<Self>, device: DeviceId) -> Result<(), Error> {
        self.relays.online(&self.clock, REGISTRATION_TIMEOUT).await?;
        if self.keys_of(device).is_some() {
            self.await_consent(device).await;
            return Ok(());
        }
        if let Some(certificate) = self.relays.certificate(device).await {
            self.contacts.handle_certificate(&certificate);
            return Ok(());
        }
        let unknown = Error::Unreachable("it is away, or does not let this device in".into());
        if !self.contacts.is_wanted(device) {
            return Err(unknown);
        }
        self.knock(device);
        let shown = async {
            loop {
                let changed = self.contacts.changed.notified();
                if self.keys_of(device).is_some() {
                    return;
                }
                changed.await;
            }
        };
        self.clock.timeout(APPROVAL_TIMEOUT, shown).await.ok_or(unknown)
    }

    /// A device that is known but seen by no relay is away, or was started anew and knows nothing of this one. It is knocked
    /// at, and has a moment to answer.
    async fn await_consent(self: &Arc<Self>, device: DeviceId) {
        if !self.contacts.is_wanted(device) || self.relays.sees(device) {
            return;
        }
        self.knock(device);
        let _ = self.clock.timeout(KNOCK_PATIENCE, self.relays.seen(device)).await;
    }

    fn knock(&self, device: DeviceId) {
        let connection = ConnectionId::from_bytes(random::array());
        let knock = knock::make(&self.keys, &self.certificate, device, connection);
        self.relays.knock(device, connection, &knock);
    }

    /// A device without consent asks to be let in. A refusal has no answer.
    pub(crate) fn handle_knock(self: &Arc<Self>, from: DeviceId, connection: ConnectionId, knock: Vec<u8>) {
        if !self.contacts.admits_knock(self.clock.now()) {
            tracing::info!(device = %from, "knock dropped");
            return;
        }
        let engine = self.clone();
        self.spawn(async move {
            match engine.open_knock(from, connection, &knock) {
                Ok(certificate) => engine.answer_knock(&certificate, connection).await,
                Err(error) => tracing::info!(device = %from, %error, "knock refused"),
            }
        });
    }

    fn open_knock(
        &self,
        from: DeviceId,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> Result<DeviceCertificate, String> {
        let certificate = knock::open(bytes, self.device_id(), connection).map_err(|e| e.to_string())?;
        if certificate.device_id() != from {
            return Err("the relay put another label on it".into());
        }
        self.trust.book().check(&certificate).map_err(|e| e.to_string())?;
        // A person is asked once.
        if !self.contacts.lock().seen.insert(from, connection) {
            return Err("it was opened before".into());
        }
        Ok(certificate)
    }

    async fn answer_knock(self: &Arc<Self>, peer: &DeviceCertificate, connection_id: ConnectionId) {
        let device = peer.device_id();
        if !self.answers(peer).await {
            return;
        }
        self.contacts.handle_certificate(peer);
        self.deliver_held(device);
        let welcome = Contents { connection_id, attempt: 0, fingerprint: None, body: Body::Welcome };
        if let Err(error) = self.send_envelope(device, &welcome) {
            tracing::info!(%device, %error, "welcome lost");
        }
    }

    /// Decides about the knock of this certificate's owner: true if it is answered.
    async fn answers(self: &Arc<Self>, peer: &DeviceCertificate) -> bool {
        let device = peer.device_id();
        match self.trust.level(device, Some(peer.user_id())).into() {
            Admission::Refuse => false,
            Admission::Admit => {
                self.let_in(device);
                true
            }
            Admission::Ask => {
                // An open device asks once, with the digits. A device that was let come a moment ago may have lost the answer.
                let comes = self.settings.open || self.trust.book().compares(device);
                let accepted = comes || self.ask(peer, None).await;
                if accepted && !comes {
                    self.let_compare(device);
                }
                accepted
            }
        }
    }

    /// A knock was accepted: for a while the device may reach this one without trust.
    fn let_compare(self: &Arc<Self>, device: DeviceId) {
        if !self.settings.transports.relay {
            // WebRTC would show addresses before anything can be compared: its id has to do.
            return self.set_trust(device, TrustLevel::Trusted);
        }
        let until = self.clock.now() + COMPARING;
        self.trust.book().handle_knock(device, until);
        self.publish_visible();
        let engine = self.clone();
        self.spawn(async move {
            engine.clock.sleep_until(until).await;
            if engine.trust.book().handle_timeout(engine.clock.now()) {
                engine.publish_visible();
            }
        });
    }
}
