//! All relays of a client, as one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::select_ok;
use futures_util::stream::{FuturesUnordered, StreamExt};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::{ErrorCode, ExchangeKind, IceServer, MessageId};
use peers_proto::time::Instant;
use peers_proto::timing::OFFLINE_GRACE;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::error::Error;
use crate::event::ClientState;
use crate::random;
use crate::relay_client::{Disconnect, RelayClient, RelayState, RelayStatus};

/// The relays of a client.
#[derive(Default)]
pub(crate) struct Relays {
    clients: Vec<RelayClient>,
    /// The device was suspended or its network changed, and no relay has answered or failed since.
    doubtful: AtomicBool,
    statuses: watch::Sender<Vec<RelayStatus>>,
    contact: Mutex<Contact>,
}

/// The contact with relays that the app is shown: it is spared moments without one.
#[derive(Clone, Copy, Default)]
enum Contact {
    #[default]
    None,
    Registered,
    /// There was one until then.
    Lost(Instant),
}

impl Relays {
    pub(crate) fn new(clients: Vec<RelayClient>) -> Self {
        let statuses = clients.iter().map(|client| RelayStatus::new(client.url().to_owned())).collect();
        Self { clients, statuses: watch::Sender::new(statuses), ..Self::default() }
    }

    /// The state of each of them.
    pub(crate) fn statuses(&self) -> watch::Receiver<Vec<RelayStatus>> {
        self.statuses.subscribe()
    }

    /// Looks at all of them again.
    pub(crate) fn refresh_statuses(&self) {
        self.statuses.send_if_modified(|statuses| {
            let before = statuses.clone();
            for (status, client) in statuses.iter_mut().zip(&self.clients) {
                status.handle(client.state().borrow().clone());
            }
            *statuses != before
        });
    }

    /// The reasons for which none of them is reached, in their order and without their addresses, since errors are logged.
    fn problems(&self) -> String {
        self.refresh_statuses();
        let problem = |status: &RelayStatus| match (&status.state, &status.problem) {
            (RelayState::Superseded, _) => "another process has registered with this identity".into(),
            (_, Some(problem)) => problem.to_string(),
            (_, None) => "no answer yet".into(),
        };
        let problems: Vec<_> = self.statuses.borrow().iter().map(problem).collect();
        if problems.is_empty() { "there is none".into() } else { problems.join("; ") }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RelayClient> {
        self.clients.iter()
    }

    /// The state of the best of them; a relay that is back within [`OFFLINE_GRACE`] was never away.
    pub(crate) fn state(&self, now: Instant) -> ClientState {
        self.refresh_statuses();
        let state = self.present_state();
        let mut contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        *contact = match (state, *contact) {
            (ClientState::Online, _) => Contact::Registered,
            (ClientState::Connecting | ClientState::Offline, Contact::Registered) => Contact::Lost(now),
            (ClientState::Connecting | ClientState::Offline, Contact::Lost(since))
                if now < since + OFFLINE_GRACE =>
            {
                Contact::Lost(since)
            }
            _ => Contact::None,
        };
        if matches!(*contact, Contact::Lost(_)) { ClientState::Online } else { state }
    }

    /// The time to look at [`Relays::state`] again, whatever the relays do.
    pub(crate) fn state_timeout(&self) -> Option<Instant> {
        match *self.contact.lock().unwrap_or_else(PoisonError::into_inner) {
            Contact::Lost(since) => Some(since + OFFLINE_GRACE),
            Contact::None | Contact::Registered => None,
        }
    }

    fn present_state(&self) -> ClientState {
        let states: Vec<_> = self.statuses.borrow().iter().map(|status| status.state.clone()).collect();
        let any = |f: fn(&RelayState) -> bool| states.iter().any(f);
        let decided = any(|s| matches!(s, RelayState::Registered | RelayState::Waiting { .. }));
        let doubtful = self.doubtful.load(Ordering::Relaxed) && !decided;
        self.doubtful.store(doubtful, Ordering::Relaxed);
        if any(|s| matches!(s, RelayState::Registered)) || states.is_empty() {
            ClientState::Online
        } else if any(|s| matches!(s, RelayState::Superseded)) {
            ClientState::Superseded
        } else if doubtful {
            ClientState::Verifying
        } else if states.iter().all(is_closed_to) {
            ClientState::NotAdmitted
        } else if any(|s| matches!(s, RelayState::Connecting)) {
            ClientState::Connecting
        } else {
            ClientState::Offline
        }
    }

    /// The state of every relay is in doubt until one of them answers.
    pub(crate) fn doubt(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
        *self.contact.lock().unwrap_or_else(PoisonError::into_inner) = Contact::None;
    }

    /// Waits until one of them knows this device.
    ///
    /// # Errors
    /// [`Error::Offline`] after `patience`, or as soon as all of them refuse this device for longer than that.
    pub(crate) async fn online(&self, clock: &Clock, patience: Duration) -> Result<(), Error> {
        let registered = self.clients.iter().map(|client| {
            let mut state = client.state();
            Box::pin(async move {
                let registered = |s: &RelayState| matches!(s, RelayState::Registered);
                let found = state.wait_for(|s| registered(s) || is_hopeless(s)).await;
                let found = found.map_err(|_| Error::Closed)?;
                if registered(&found) { Ok(()) } else { Err(Error::Offline(String::new())) }
            })
        });
        let registered: Vec<_> = registered.collect();
        if registered.is_empty() {
            return Err(Error::Offline("none is used".into()));
        }
        match clock.timeout(patience, select_ok(registered)).await {
            Some(Ok(_)) => Ok(()),
            Some(Err(Error::Closed)) => Err(Error::Closed),
            Some(Err(_)) | None => Err(Error::Offline(self.problems())),
        }
    }

    /// The certificate of a device, from whichever relay knows it. It proves itself against the id.
    pub(crate) async fn certificate(&self, device: DeviceId) -> Option<DeviceCertificate> {
        let mut answers: FuturesUnordered<_> = self.clients.iter().map(|c| c.certificate(device)).collect();
        while let Some(answer) = answers.next().await {
            if let Ok(certificate) = answer {
                return Some(certificate);
            }
        }
        None
    }

    /// STUN and TURN servers that the relays name.
    pub(crate) fn ice_servers(&self) -> Vec<IceServer> {
        self.clients.iter().flat_map(RelayClient::ice_servers).collect()
    }

    /// Sends envelopes through every relay; the recipient drops the copies.
    pub(crate) fn send(
        &self,
        kind: ExchangeKind,
        to: DeviceId,
        connection: ConnectionId,
        envelopes: Vec<String>,
    ) -> Result<(), Error> {
        let (message, mut sent) = (MessageId::from_bytes(random::array()), false);
        for client in &self.clients {
            sent |= client.send_exchange(kind, to, connection, message, envelopes.clone()).is_ok();
        }
        if sent { Ok(()) } else { Err(Error::Offline(self.problems())) }
    }

    /// Changes whenever a registration ends or begins.
    pub(crate) fn edition(&self) -> (usize, u64) {
        let registered = |client: &&RelayClient| *client.state().borrow() == RelayState::Registered;
        let accepted = self.clients.iter().map(RelayClient::registrations).sum();
        (self.clients.iter().filter(registered).count(), accepted)
    }

    /// Knocks at a device through every relay; the recipient drops the copies.
    pub(crate) fn knock(&self, device: DeviceId, connection: ConnectionId, knock: &[u8]) {
        let message = MessageId::from_bytes(random::array());
        for client in &self.clients {
            if let Err(error) = client.knock(device, connection, message, knock.to_vec()) {
                tracing::debug!(%device, %error, "knock lost");
            }
        }
    }

    /// All of them, first those that see a device.
    pub(crate) fn towards(&self, seeing: &BTreeSet<usize>) -> Vec<RelayClient> {
        let (there, elsewhere): (Vec<_>, Vec<_>) =
            self.clients.iter().enumerate().partition(|(relay, _)| seeing.contains(relay));
        there.into_iter().chain(elsewhere).map(|(_, client)| client.clone()).collect()
    }
}

/// True if trying again soon changes nothing.
fn is_hopeless(state: &RelayState) -> bool {
    match state {
        RelayState::Waiting { reason, .. } => reason.is_for_the_operator(),
        RelayState::Superseded => true,
        _ => false,
    }
}

/// True if the relay's access rule does not admit this device.
fn is_closed_to(state: &RelayState) -> bool {
    matches!(state, RelayState::Waiting { reason: Disconnect::Refused(ErrorCode::NotAdmitted), .. })
}
