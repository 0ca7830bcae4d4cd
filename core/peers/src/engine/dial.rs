//! Connections that this device begins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt};
use peers_proto::dial::Purpose;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::network::AppState;
use peers_proto::path::Tier;
use peers_proto::timing::{HANDSHAKE_TIMEOUT, REGISTRATION_TIMEOUT};
use peers_proto::trust::TrustLevel;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::handshake::Failure;
use super::ways::Way;
use crate::error::Error;
use crate::random;
use crate::session::Session;
use crate::transport::websocket::{self, DialOptions};

/// Tries of one dial through relays that go while it is under way.
const RELAY_TRIES: usize = 3;

/// The outcome of a dial, as soon as there is one. It is closed without one if the dial was given up.
type Outcome = watch::Receiver<Option<Result<(), Error>>>;

/// Dials in progress: whoever wants the same device waits for the same one.
#[derive(Default)]
pub(crate) struct Dials(Mutex<InProgress>);

#[derive(Default)]
struct InProgress {
    /// The latest ones: without an outcome yet, or with one and still looking for something better.
    latest: HashMap<(DeviceId, Purpose), Dial>,
    /// Ends all that began on the network there is.
    given_up: CancellationToken,
}

struct Dial {
    /// What this side was called when it began.
    name: u64,
    outcome: Outcome,
}

impl Dials {
    /// Gives up what is under way: it began on a network that is gone. Whoever waits begins again.
    pub(crate) fn forget(&self) {
        let InProgress { given_up, .. } = std::mem::take(&mut *self.lock());
        given_up.cancel();
    }

    /// The dial with this outcome has ended.
    fn remove(&self, device: DeviceId, purpose: Purpose, outcome: &Outcome) {
        let mut dials = self.lock();
        if dials.latest.get(&(device, purpose)).is_some_and(|latest| latest.outcome.same_channel(outcome)) {
            dials.latest.remove(&(device, purpose));
        }
    }

    fn lock(&self) -> MutexGuard<'_, InProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// The session with a device, dialing it if there is no path.
    pub(crate) async fn session(self: &Arc<Self>, device: DeviceId) -> Result<Session, Error> {
        if device == self.device_id() {
            return Err(Error::Config("a device cannot dial itself".into()));
        }
        // The app's own rules outweigh its wish.
        if self.level_of(device) <= TrustLevel::Untrusted {
            return Err(Error::Denied);
        }
        if self.trust.handle_dialed(device) {
            self.deliver_held(device);
            self.publish_visible();
        }
        let _wanted = self.contacts.want(device);
        self.decide(|dialer, _| dialer.handle_asked(device));
        loop {
            if self.over.is_cancelled() {
                return Err(self.closed());
            }
            if self.surroundings.app() == AppState::Suspended {
                return Err(Error::Offline("the app is suspended".into()));
            }
            if let Some(session) = self.registry.get(device) {
                if session.shared.over.is_cancelled() {
                    session.shared.gone().await;
                    continue;
                }
                if session.path().is_some() {
                    return Ok(session);
                }
            }
            let mut outcome = self.dial(device, Purpose::Path);
            let outcome = tokio::select! {
                () = self.over.cancelled() => return Err(self.closed()),
                outcome = outcome.wait_for(Option::is_some) => match outcome {
                    Ok(outcome) => outcome.clone(),
                    Err(_) => None,
                },
            };
            if let Some(session) = self.registry.get(device)
                && outcome.as_ref().is_none_or(Result::is_ok)
            {
                // The driver announces the path a moment after the handshake.
                let mut path = session.watch_path();
                tokio::select! {
                    _ = path.wait_for(Option::is_some) => return Ok(session),
                    () = session.shared.over.cancelled() => continue,
                }
            }
            if self.level_of(device) <= TrustLevel::Untrusted {
                return Err(Error::Denied);
            }
            if let Some(outcome) = outcome {
                outcome?;
            }
        }
    }

    /// Dials, unless this device is being dialed already. A dial that has led to a path is no reason to wait: that path may
    /// be gone while the dial still looks for a better one.
    pub(crate) fn dial(self: &Arc<Self>, device: DeviceId, purpose: Purpose) -> Outcome {
        let mut dials = self.dials.lock();
        let undecided = |dial: &&Dial| {
            let told = dial.outcome.borrow().is_some() || dial.outcome.has_changed().is_err();
            !told && !self.registry.has_closed(device, dial.name)
        };
        if let Some(dial) = dials.latest.get(&(device, purpose)).filter(undecided) {
            return dial.outcome.clone();
        }
        let (tell, outcome) = watch::channel(None);
        let (name, given_up) = (self.registry.name(device), dials.given_up.clone());
        dials.latest.insert((device, purpose), Dial { name, outcome: outcome.clone() });
        drop(dials);
        let (engine, this) = (self.clone(), outcome.clone());
        self.spawn(async move {
            let attempt = Attempt { engine: &engine, device, name, purpose, tell: &tell };
            let result = tokio::select! {
                // It is for that session only: whoever wants another one dials anew.
                () = engine.registry.closed(device, name) => None,
                () = given_up.cancelled() => None,
                result = attempt.run() => Some(result),
            };
            engine.dials.remove(device, purpose, &this);
            if let Some(result) = result {
                tell.send_if_modified(|told| told.is_none().then(|| *told = Some(result)).is_some());
            }
        });
        outcome
    }
}

/// One dial: the ways of [`Engine::ways_to_dial`]. The first that works decides, the others may still improve on it.
struct Attempt<'a> {
    engine: &'a Arc<Engine>,
    device: DeviceId,
    /// What this side was called when it began.
    name: u64,
    purpose: Purpose,
    tell: &'a watch::Sender<Option<Result<(), Error>>>,
}

impl Attempt<'_> {
    async fn run(&self) -> Result<(), Error> {
        self.engine.learn_keys(self.device).await?;
        let than = match self.purpose {
            Purpose::Path => None,
            Purpose::Better => {
                self.engine.registry.get(self.device).and_then(|session| session.shared.route())
            }
        };
        let mut failures = Vec::new();
        for ways in self.engine.ways_to_dial(self.device, than.map(|route| route.tier()))? {
            if let Some(outcome) = self.take_all(&ways, &mut failures).await {
                return outcome;
            }
        }
        Err(Error::Unreachable(failures.join("; ")))
    }

    /// Takes ways side by side. `None` if all have failed, for these reasons.
    async fn take_all(&self, ways: &[(Way, Tier)], failures: &mut Vec<String>) -> Option<Result<(), Error>> {
        let mut attempts: FuturesUnordered<_> = ways.iter().map(|(way, _)| self.take(way)).collect();
        let mut outcome = None;
        while let Some((name, result)) = attempts.next().await {
            match result {
                Ok(()) => {
                    self.tell.send_replace(Some(Ok(())));
                    outcome = Some(Ok(()));
                }
                // The peer itself has spoken: other ways lead to the same answer.
                Err(Error::Denied) => return Some(outcome.unwrap_or(Err(Error::Denied))),
                Err(e) => {
                    tracing::info!(device = %self.device, way = name, error = %e, "no path");
                    // One sentence of the cause, not of its kind too.
                    let why = if let Error::Unreachable(why) = e { why } else { e.to_string() };
                    failures.push(format!("{name}: {why}"));
                }
            }
        }
        outcome
    }

    async fn take(&self, way: &Way) -> (&'static str, Result<(), Error>) {
        match way {
            Way::Relay => ("relay", self.by_relays().await),
            Way::WebRtc => ("webrtc", self.engine.negotiate(self.device, self.name).await),
            Way::Address(url) => ("address", self.by_address(url).await),
        }
    }

    /// Through the relays there are; again if it was a relay that went or a network that loses what is sent, and not the
    /// peer.
    async fn by_relays(&self) -> Result<(), Error> {
        let mut tries = 1;
        loop {
            let (edition, began) = (self.engine.relays.edition(), self.engine.clock.now());
            let outcome = self.by_relay().await;
            let gone = self.engine.relays.edition() != edition;
            let silent = tries == 1 && self.engine.clock.now() - began >= HANDSHAKE_TIMEOUT;
            let lost = matches!(outcome, Err(Error::Unreachable(_) | Error::Offline(_))) && (gone || silent);
            if !lost || tries == RELAY_TRIES {
                return outcome;
            }
            tries += 1;
            self.engine.relays.online(&self.engine.clock, REGISTRATION_TIMEOUT).await?;
        }
    }

    /// Through the first relay that both share: where the peer is known to be, then wherever it may be.
    async fn by_relay(&self) -> Result<(), Error> {
        let mut why = Error::Unreachable("no relay is used".into());
        for relay in self.engine.relays.towards(self.device) {
            let connection = ConnectionId::from_bytes(random::array());
            let transport = match relay.open(self.device, connection) {
                Ok(transport) => transport,
                Err(e) => {
                    why = Error::Unreachable(format!("{}: {e}", relay.url()));
                    continue;
                }
            };
            match settled(self.engine.initiate(transport, connection, self.device, self.name).await) {
                Err(e @ Error::Unreachable(_)) => why = e,
                outcome => return outcome,
            }
        }
        Err(why)
    }

    async fn by_address(&self, url: &str) -> Result<(), Error> {
        let dialed = websocket::dial(url, &DialOptions::default()).await;
        let (connection, transport) = dialed.map_err(|e| Error::Unreachable(e.to_string()))?;
        settled(self.engine.initiate(transport, connection, self.device, self.name).await)
    }
}

/// What a connection's handshake came to.
pub(super) fn settled(outcome: Result<Option<Session>, Failure>) -> Result<(), Error> {
    match outcome {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Error::Unreachable("the session changed while connecting".into())),
        Err(e) if e.is_refusal() => Err(Error::Denied),
        Err(e) => Err(Error::Unreachable(e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_that_has_ended_leaves_nothing_and_the_next_one_its_place() {
        let (dials, device) = (Dials::default(), DeviceId::derive(b"a"));
        let begin = || {
            let (_, outcome) = watch::channel(None);
            let dial = Dial { name: 1, outcome: outcome.clone() };
            dials.lock().latest.insert((device, Purpose::Path), dial);
            outcome
        };
        let (first, second) = (begin(), begin());
        dials.remove(device, Purpose::Path, &first);
        assert_eq!(dials.lock().latest.len(), 1);
        dials.remove(device, Purpose::Path, &second);
        assert_eq!(dials.lock().latest.len(), 0);
    }
}
