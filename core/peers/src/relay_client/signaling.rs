//! This device's text messages to the relay, without the socket.

use std::collections::{HashMap, VecDeque};

use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::{
    ClientMessage, Exchange, ExchangeKind, IceServer, IceServers, Knock, MessageId,
};
use peers_proto::time::Instant;
use peers_proto::{limits, timing};
use tokio::sync::oneshot;

use super::error::RelayError;

pub(super) type Answer = Result<DeviceCertificate, RelayError>;

/// Everything that survives a reconnect, and what is about to be written.
#[derive(Default)]
pub(super) struct Signaling {
    registered: bool,
    /// At most [`limits::MAX_HELD_EXCHANGES`].
    exchanges: VecDeque<(Instant, String)>,
    /// Small requests: knocks, and at most one per lookup and kind. Only while registered.
    requests: VecDeque<ClientMessage>,
    /// At most [`limits::MAX_WATCHED`].
    watched: Vec<DeviceId>,
    /// Every device may reach this one.
    open: bool,
    /// At most [`limits::MAX_LOOKUPS`] devices.
    lookups: HashMap<DeviceId, Vec<oneshot::Sender<Answer>>>,
    ice: IceServers,
    ice_end: Option<Instant>,
    ice_refresh: Option<Instant>,
    /// The time of the last request because of a refusal.
    ice_renewed: Option<Instant>,
}

impl Signaling {
    /// `open`: every device may reach this one.
    pub(super) fn new(open: bool) -> Self {
        Self { open, ..Self::default() }
    }

    pub(super) fn registered(&self) -> bool {
        self.registered
    }

    pub(super) fn handle_registered(&mut self, ice: IceServers, now: Instant) {
        self.registered = true;
        self.requests.clear();
        // Also when it is empty: what waited for this device is delivered after it.
        self.requests.push_back(self.watch_request());
        let lookups = self.lookups.keys().map(|device| ClientMessage::GetCertificate { device_id: *device });
        self.requests.extend(lookups);
        self.exchanges.retain(|(since, _)| now - *since < timing::OFFER_TTL);
        self.handle_ice(ice, now);
    }

    /// The socket is gone. Returns the devices whose presence is not known any more.
    pub(super) fn handle_lost(&mut self) -> Vec<DeviceId> {
        self.ice_refresh = None;
        if std::mem::take(&mut self.registered) { self.watched.clone() } else { Vec::new() }
    }

    pub(super) fn send(
        &mut self,
        kind: ExchangeKind,
        exchange: Exchange,
        now: Instant,
    ) -> Result<(), RelayError> {
        let text = ClientMessage::exchange(kind, exchange).to_json().map_err(|_| RelayError::Envelopes)?;
        if self.exchanges.len() >= limits::MAX_HELD_EXCHANGES {
            self.exchanges.retain(|(since, _)| now - *since < timing::OFFER_TTL);
            if self.exchanges.len() >= limits::MAX_HELD_EXCHANGES {
                return Err(RelayError::Full);
            }
        }
        self.exchanges.push_back((now, text));
        Ok(())
    }

    pub(super) fn watch(&mut self, mut devices: Vec<DeviceId>) {
        devices.truncate(limits::MAX_WATCHED);
        if std::mem::replace(&mut self.watched, devices) != self.watched && self.registered {
            self.requests.retain(|r| !matches!(r, ClientMessage::Watch { .. }));
            self.requests.push_back(self.watch_request());
        }
    }

    fn watch_request(&self) -> ClientMessage {
        ClientMessage::Watch { device_ids: self.watched.clone(), open: self.open }
    }

    /// Knocks are not held: a relay that comes back later is asked anew.
    pub(super) fn knock(&mut self, knock: Knock) -> Result<(), RelayError> {
        if !self.registered {
            return Err(RelayError::NotRegistered);
        }
        if self.requests.len() >= limits::MAX_LOOKUPS + limits::MAX_HELD_EXCHANGES {
            return Err(RelayError::Full);
        }
        self.requests.push_back(ClientMessage::Knock(knock));
        Ok(())
    }

    pub(super) fn watches(&self, device: DeviceId) -> bool {
        self.watched.contains(&device)
    }

    /// Asks for a certificate; once, however many wait for it.
    pub(super) fn look_up(&mut self, device: DeviceId) -> Result<oneshot::Receiver<Answer>, RelayError> {
        self.lookups.retain(|_, waiting| {
            waiting.retain(|w| !w.is_closed());
            !waiting.is_empty()
        });
        if !self.lookups.contains_key(&device) {
            if self.lookups.len() >= limits::MAX_LOOKUPS {
                return Err(RelayError::Full);
            }
            if self.registered {
                let request = ClientMessage::GetCertificate { device_id: device };
                self.requests.retain(|r| *r != request);
                self.requests.push_back(request);
            }
        }
        let (answer, receiver) = oneshot::channel();
        self.lookups.entry(device).or_default().push(answer);
        Ok(receiver)
    }

    /// Checks what the relay sent against the id that was asked for.
    pub(super) fn handle_certificate(&mut self, device: DeviceId, certificate: Option<Vec<u8>>) {
        let Some(waiting) = self.lookups.remove(&device) else { return };
        let answer = match certificate {
            None => Err(RelayError::UnknownDevice),
            Some(bytes) => match DeviceCertificate::decode(&bytes) {
                Ok(certificate) if certificate.device_id() == device => Ok(certificate),
                Ok(_) => Err(RelayError::WrongCertificate),
                Err(error) => Err(error.into()),
            },
        };
        for waiting in waiting {
            // A receiver that has stopped waiting needs no answer.
            let _ = waiting.send(answer.clone());
        }
    }

    pub(super) fn handle_ice(&mut self, ice: IceServers, now: Instant) {
        let lifetime = ice.expires_in.map(std::time::Duration::from_secs);
        self.ice_end = lifetime.map(|t| now + t);
        self.ice_refresh = lifetime.map(|t| {
            let early = t.saturating_sub(timing::ICE_REFRESH_BEFORE).max(t / 2);
            now + early.max(timing::ICE_REFRESH_MIN)
        });
        self.ice = ice;
    }

    /// The next time at which [`Self::refresh_ice`] is due.
    pub(super) fn ice_refresh(&self) -> Option<Instant> {
        self.ice_refresh.filter(|_| self.registered)
    }

    pub(super) fn refresh_ice(&mut self) {
        // Set again by the answer.
        self.ice_refresh = None;
        self.requests.push_back(ClientMessage::GetIceServers);
    }

    /// The credentials were refused. Returns whether there is a request for others.
    pub(super) fn renew_ice(&mut self, now: Instant) -> bool {
        let lately = self.ice_renewed.is_some_and(|at| now - at < timing::ICE_REFRESH_MIN);
        let asks = self.registered && !lately && self.ice.ice_servers.iter().any(|s| s.credential.is_some());
        if asks {
            self.ice_renewed = Some(now);
            self.refresh_ice();
        }
        asks
    }

    pub(super) fn ice_servers(&self, now: Instant) -> Vec<IceServer> {
        let ended = self.ice_end.is_some_and(|end| end <= now);
        self.ice.ice_servers.iter().filter(|s| !ended || s.credential.is_none()).cloned().collect()
    }

    /// The next text to write.
    pub(super) fn poll_output(&mut self) -> Option<String> {
        if !self.registered {
            return None;
        }
        while let Some(request) = self.requests.pop_front() {
            match request.to_json() {
                Ok(text) => return Some(text),
                // Every request fits: `MAX_WATCHED` ids are far below the limit.
                Err(error) => tracing::error!(%error, "request not sent"),
            }
        }
        self.exchanges.pop_front().map(|(_, text)| text)
    }

    /// No answer will come: the waiting receivers end with the sender.
    pub(super) fn stop(&mut self) {
        self.registered = false;
        self.lookups.clear();
        self.exchanges.clear();
        self.requests.clear();
    }
}

/// The message for `envelopes`, if they make one.
pub(super) fn exchange(
    kind: ExchangeKind,
    from: DeviceId,
    to: DeviceId,
    connection: ConnectionId,
    message_id: MessageId,
    mut envelopes: Vec<String>,
) -> Result<Exchange, RelayError> {
    let (sdi, ice_candidates) = match kind {
        ExchangeKind::Offer | ExchangeKind::Answer if envelopes.len() == 1 => (envelopes.pop(), Vec::new()),
        ExchangeKind::IceCandidate if (1..=limits::MAX_CANDIDATES).contains(&envelopes.len()) => {
            (None, envelopes)
        }
        _ => return Err(RelayError::Envelopes),
    };
    Ok(Exchange {
        connection_id: connection,
        from_device_id: from,
        to_device_id: to,
        message_id,
        sdi,
        ice_candidates,
        queued: false,
    })
}
