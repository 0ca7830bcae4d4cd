//! The negotiation with one peer: a task around the sans-IO machine.

use std::collections::HashMap;
use std::sync::Arc;

use peers_proto::bucket::Bucket;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::limits::{ENVELOPE_BURST, ENVELOPES_PER_SECOND};
use peers_proto::signaling::{Action, Body, ByeReason, Contents, Negotiation};
use peers_proto::time::{Instant, earliest};
use peers_proto::timing::NEGOTIATION_IDLE;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use super::super::Engine;
use super::super::dial::settled;
use super::Input;
use crate::error::Error;
use crate::random;
use crate::relay_client::RelayClient;
use crate::transport::webrtc::{self, Attempt, TurnRefusal};
use crate::transport::{CloseReason, Transport};

/// The negotiation with one peer.
pub(super) struct Negotiator {
    engine: Arc<Engine>,
    peer: DeviceId,
    machine: Negotiation,
    inputs: mpsc::Receiver<Input>,
    waiting: Vec<oneshot::Sender<Result<(), Error>>>,
    /// The last failure since a dial had an outcome: why attempts end without one.
    trouble: Option<String>,
    attempts: HashMap<ConnectionId, Live>,
    work: JoinSet<Done>,
    /// The processor time that envelopes from this peer may take: opening one costs three signatures and a key agreement.
    envelopes: Bucket,
    /// The end of this task, unless something happens before.
    idle_at: Instant,
}

/// An attempt's peer connection.
struct Live {
    initiator: bool,
    /// What this side was called when it began.
    name: u64,
    /// It began for a session that was closed meanwhile.
    outlived: bool,
    negotiation: Option<webrtc::Negotiation>,
    /// Why its peer connection failed.
    failure: Option<String>,
    /// Candidates that came before the peer connection was made; the machine bounds them.
    early: Vec<String>,
    tasks: Vec<AbortHandle>,
}

impl Live {
    async fn add_candidates(&mut self, candidates: Vec<String>) {
        let Some(negotiation) = &self.negotiation else { return self.early.extend(candidates) };
        for candidate in candidates {
            if let Err(error) = negotiation.add_candidate(&candidate).await {
                tracing::debug!(%error, "candidate refused");
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Something an attempt's tasks finished.
enum Done {
    Made(ConnectionId, Result<Attempt, String>),
    Candidate(ConnectionId, String, mpsc::Receiver<String>),
    Connected(ConnectionId, Result<Transport, CloseReason>),
    Settled(ConnectionId, Result<(), Error>),
    Nothing,
}

impl Negotiator {
    pub(super) fn new(engine: Arc<Engine>, peer: DeviceId, inputs: mpsc::Receiver<Input>) -> Self {
        // Its own instance: what an earlier negotiation with this peer has answered is forgotten.
        let instance = u64::from_be_bytes(random::array());
        let machine = Negotiation::new(engine.device_id(), peer, instance, true);
        let idle_at = engine.clock.now() + NEGOTIATION_IDLE;
        Self {
            engine,
            peer,
            machine,
            inputs,
            waiting: Vec::new(),
            trouble: None,
            attempts: HashMap::new(),
            work: JoinSet::new(),
            envelopes: Bucket::new(ENVELOPES_PER_SECOND, ENVELOPE_BURST),
            idle_at,
        }
    }

    /// Runs until nothing has happened for [`NEGOTIATION_IDLE`].
    pub(super) async fn run(mut self) {
        loop {
            self.act().await;
            let clock = self.engine.clock.clone();
            let idle =
                self.attempts.is_empty() && self.work.is_empty() && self.machine.poll_timeout().is_none();
            if idle && self.idle_at <= clock.now() && self.engine.end_negotiation(self.peer, &self.inputs) {
                return;
            }
            let deadline = earliest(self.machine.poll_timeout(), idle.then_some(self.idle_at));
            tokio::select! {
                input = self.inputs.recv() => {
                    self.idle_at = clock.now() + NEGOTIATION_IDLE;
                    match input {
                        Some(Input::Dial(tell)) => {
                            self.waiting.push(tell);
                            self.dial();
                        }
                        Some(Input::Envelope(connection, text)) => self.handle_envelope(connection, &text),
                        Some(Input::SessionCloses(own)) => self.session_closes(own),
                        None => return,
                    }
                }
                Some(done) = self.work.join_next() => {
                    // An aborted task has nothing to say.
                    if let Ok(done) = done {
                        self.handle(done).await;
                    }
                }
                () = clock.sleep_until_any(deadline) => self.machine.handle_timeout(clock.now()),
            }
        }
    }

    /// Opens a sealed envelope of the peer. Nothing in it counts before it opens and verifies.
    fn handle_envelope(&mut self, connection: ConnectionId, text: &str) {
        let now = self.engine.clock.now();
        // Beyond its rate an envelope is dropped, as a network would: the attempt goes on without it or ends.
        let opened = match self.envelopes.try_take(1, now) {
            true => self.open(connection, text),
            false => Err("too many of them".to_owned()),
        };
        match opened {
            Ok(contents) if contents.body == Body::Welcome => {}
            Ok(_) if !self.engine.settings.transports.webrtc => {}
            // Made all the same, it would be left at once, and the peer would offer again.
            Ok(contents)
                if matches!(contents.body, Body::Offer { .. }) && !self.engine.takes_offers(self.peer) =>
            {
                self.send(&Contents { body: Body::Bye(ByeReason::Cancelled), fingerprint: None, ..contents });
            }
            Ok(contents) => self.machine.handle_remote(contents, now),
            Err(error) => {
                tracing::info!(device = %self.peer, %error, "envelope refused");
                self.trouble = Some(format!("an envelope of the peer was refused: {error}"));
            }
        }
    }

    fn open(&self, connection: ConnectionId, text: &str) -> Result<Contents, String> {
        let engine = &self.engine;
        let opened = Contents::open(text, &engine.keys, self.peer, connection);
        let (sender, contents) = opened.map_err(|e| e.to_string())?;
        engine.trust.check(&sender).map_err(|e| e.to_string())?;
        engine.contacts.handle_certificate(&sender);
        Ok(contents)
    }

    async fn act(&mut self) {
        while let Some(action) = self.machine.poll_output() {
            if let Some((why, outlived)) = self.perform(action).await
                && self.machine.current().is_none()
            {
                let why = match &self.trouble {
                    Some(trouble) => format!("{why}: {trouble}"),
                    None => why,
                };
                self.conclude(&Err(Error::Unreachable(why)), outlived);
            }
        }
    }

    /// Says why an attempt was given up if it was, and whether it had outlived its session.
    async fn perform(&mut self, action: Action) -> Option<(String, bool)> {
        match action {
            // The attempt that the peer has begun meanwhile serves as well.
            Action::Dial if self.waiting.is_empty() => {}
            Action::Dial => self.dial(),
            Action::CreateOffer { connection_id } => self.make(connection_id, None),
            Action::CreateAnswer { connection_id, sdp, fingerprint } => {
                self.make(connection_id, Some((sdp, fingerprint)));
            }
            Action::ApplyAnswer { connection_id, sdp, fingerprint } => {
                let applied = self.apply(connection_id, &sdp, fingerprint).await;
                let why = applied.err()?;
                let why = self.failure(connection_id, why);
                self.machine.handle_closed(connection_id, self.engine.clock.now());
                return Some((why, self.give_up(connection_id)));
            }
            Action::AddCandidates { connection_id, candidates } => {
                if let Some(live) = self.attempts.get_mut(&connection_id) {
                    live.add_candidates(candidates).await;
                }
            }
            Action::Send(contents) => self.send(&contents),
            Action::Abandon { connection_id, reason } => {
                tracing::debug!(%connection_id, %reason, "attempt abandoned");
                let why = self.failure(connection_id, reason.to_string());
                return Some((why, self.give_up(connection_id)));
            }
        }
        None
    }

    /// Ends an attempt's peer connection and says whether it had outlived its session.
    fn give_up(&mut self, id: ConnectionId) -> bool {
        self.attempts.remove(&id).is_some_and(|live| live.outlived)
    }

    /// Why an attempt came to nothing: what this side's connection says outweighs what the peer says of its own.
    fn failure(&mut self, id: ConnectionId, otherwise: String) -> String {
        let Some(live) = self.attempts.get_mut(&id) else { return otherwise };
        let negotiation = live.negotiation.as_ref();
        let ended = || negotiation.and_then(webrtc::Negotiation::end).map(|reason| reason.to_string());
        let relay_only = self.engine.settings.relay_only;
        let refused = || negotiation.filter(|_| relay_only).and_then(webrtc::Negotiation::turn_refusal);
        let refused = || refused().map(|refusal| refusal.to_string());
        live.failure.take().or_else(ended).or_else(refused).unwrap_or(otherwise)
    }

    /// Tells everybody who waits how it came out, unless the attempt was not for them.
    fn conclude(&mut self, outcome: &Result<(), Error>, outlived: bool) {
        if outlived && !self.waiting.is_empty() {
            return self.dial();
        }
        self.trouble = None;
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(outcome.clone());
        }
    }

    fn dial(&mut self) {
        let (connection_id, now) = (ConnectionId::from_bytes(random::array()), self.engine.clock.now());
        if self.machine.knows_remote() {
            self.machine.dial(connection_id, now);
        } else {
            self.machine.ask(connection_id, now);
        }
    }

    /// Nothing that began for a session may bring it back, or pass for what is asked for afterwards.
    fn session_closes(&mut self, own: bool) {
        self.waiting.clear();
        self.attempts.values_mut().for_each(|live| live.outlived = true);
        // If the peer has closed it, the peer hangs up what it began: an offer that overtook its goodbye is for the next one.
        let current = self.machine.current().and_then(|id| self.attempts.get(&id));
        if own || current.is_some_and(|live| live.initiator) {
            self.machine.hang_up(self.engine.clock.now());
        }
    }

    fn make(&mut self, id: ConnectionId, offer: Option<(String, [u8; 32])>) {
        let config = self.engine.webrtc_config();
        let initiator = offer.is_none();
        let name = self.engine.registry.name(self.peer);
        let task = self.work.spawn(async move {
            let made = match offer {
                None => Attempt::offer(&config).await.map_err(|e| e.to_string()),
                Some((sdp, signed)) => match check_fingerprint(&sdp, signed) {
                    Ok(()) => Attempt::answer(&config, &sdp).await.map_err(|e| e.to_string()),
                    Err(e) => Err(e),
                },
            };
            Done::Made(id, made)
        });
        let tasks = vec![task];
        self.attempts.insert(
            id,
            Live {
                initiator,
                name,
                outlived: false,
                negotiation: None,
                failure: None,
                early: Vec::new(),
                tasks,
            },
        );
    }

    async fn apply(&mut self, id: ConnectionId, sdp: &str, signed: [u8; 32]) -> Result<(), String> {
        check_fingerprint(sdp, signed)?;
        let negotiation =
            self.attempts.get(&id).and_then(|a| a.negotiation.as_ref()).ok_or("no such attempt")?;
        negotiation.set_remote_answer(sdp).await.map_err(|e| e.to_string())
    }

    async fn handle(&mut self, done: Done) {
        let now = self.engine.clock.now();
        if let Done::Connected(id, _) = &done {
            self.renew_credentials(*id);
        }
        match done {
            Done::Made(id, Ok(attempt)) => {
                let Some(live) = self.attempts.get_mut(&id) else { return };
                let Attempt { sdp, negotiation, candidates, connecting, .. } = attempt;
                let fingerprint = negotiation.local_fingerprint();
                live.negotiation = Some(negotiation);
                let early = std::mem::take(&mut live.early);
                live.add_candidates(early).await;
                live.tasks = vec![
                    self.work.spawn(next_candidate(id, candidates)),
                    self.work.spawn(async move { Done::Connected(id, connecting.connected().await) }),
                ];
                self.machine.handle_local_description(id, sdp, fingerprint, now);
            }
            Done::Made(id, Err(why)) => {
                tracing::info!(error = %why, "no peer connection");
                self.trouble = Some(why);
                self.machine.handle_closed(id, now);
            }
            Done::Candidate(id, candidate, more) => {
                self.machine.handle_local_candidates(id, [candidate], now);
                if let Some(live) = self.attempts.get_mut(&id) {
                    live.tasks.push(self.work.spawn(next_candidate(id, more)));
                }
            }
            Done::Connected(id, Ok(transport)) => {
                let Some(live) = self.attempts.get_mut(&id) else { return };
                let (engine, peer) = (self.engine.clone(), self.peer);
                let (initiator, name) = (live.initiator, live.name);
                live.tasks.push(self.work.spawn(async move {
                    let outcome = if initiator {
                        engine.initiate(transport, id, peer, name).await
                    } else {
                        engine.accept(transport, id, Some(peer)).await
                    };
                    Done::Settled(id, settled(outcome))
                }));
            }
            Done::Connected(id, Err(reason)) => {
                tracing::info!(%reason, "a peer connection failed");
                if let Some(live) = self.attempts.get_mut(&id) {
                    live.failure = Some(reason.to_string());
                }
                self.machine.handle_closed(id, now);
            }
            Done::Settled(id, outcome) => {
                let outlived = self.give_up(id);
                match &outcome {
                    Ok(()) => self.machine.handle_connected(id, now),
                    Err(_) => self.machine.handle_closed(id, now),
                }
                self.conclude(&outcome, outlived);
            }
            Done::Nothing => {}
        }
    }

    /// Credentials that a TURN server refused are replaced before the next attempt.
    fn renew_credentials(&self, id: ConnectionId) {
        let negotiation = self.attempts.get(&id).and_then(|live| live.negotiation.as_ref());
        if negotiation.and_then(webrtc::Negotiation::turn_refusal) == Some(TurnRefusal::UNAUTHORIZED) {
            self.engine.relays.iter().for_each(RelayClient::renew_ice);
        }
    }

    fn send(&self, contents: &Contents) {
        if let Err(error) = self.engine.send_envelope(self.peer, contents) {
            tracing::info!(device = %self.peer, %error, "envelope lost");
        }
    }
}

impl Engine {
    /// Seals contents for a device whose keys are known, and sends them through the relays.
    pub(in crate::engine) fn send_envelope(&self, to: DeviceId, contents: &Contents) -> Result<(), String> {
        let keys = self.keys_of(to).ok_or("no keys of this device are known")?;
        let sealed = contents.seal(&self.keys, &self.certificate, &keys, random::array());
        let envelopes = vec![sealed.map_err(|e| e.to_string())?];
        self.relays.send(contents.kind(), to, contents.connection_id, envelopes).map_err(|e| e.to_string())
    }
}

async fn next_candidate(id: ConnectionId, mut candidates: mpsc::Receiver<String>) -> Done {
    match candidates.recv().await {
        Some(candidate) => Done::Candidate(id, candidate, candidates),
        None => Done::Nothing,
    }
}

/// What DTLS will show must be what the peer signed.
fn check_fingerprint(sdp: &str, signed: [u8; 32]) -> Result<(), String> {
    match webrtc::fingerprint_of_sdp(sdp) {
        Ok(described) if described == signed => Ok(()),
        Ok(_) => Err("the description's fingerprint is not the signed one".into()),
        Err(e) => Err(e.to_string()),
    }
}
