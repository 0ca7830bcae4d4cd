//! WebRTC attempts: one task per peer around the sans-IO negotiation.
//!
//! ```text
//!  dial ─────────┐                      ┌─> Attempt::offer / answer, apply, add candidate
//!  envelopes ────┼─> Negotiation ─ Action ┼─> seal, send through the relays
//!  attempts ─────┘                      └─> close
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::certificate::DeviceCertificate;
use peers_proto::envelope::{self, Content};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::{Action, Body, Contents, ExchangeKind, Negotiation, base64};
use peers_proto::time::UnixTime;
use peers_proto::timing::OFFER_TTL;
use peers_proto::trust::{KnownKeys, TrustLevel};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use super::Engine;
use crate::error::Error;
use crate::random;
use crate::transport::webrtc::{self, Attempt, WebRtcConfig};
use crate::transport::{CloseReason, Transport};

/// Inputs that may wait for one peer's task. More than an attempt's envelopes and candidates is a flood, and dropped:
/// the attempt then ends by its deadline.
const INPUTS: usize = 128;
/// Devices nobody has decided about whose envelopes are kept until somebody does.
const PENDING_DEVICES: usize = 16;
/// Envelopes kept for each.
const PENDING_ENVELOPES: usize = 16;

/// The negotiations of a client, by peer.
#[derive(Default)]
pub(crate) struct Negotiations {
    tasks: Mutex<HashMap<DeviceId, mpsc::Sender<Input>>>,
    pending: Mutex<HashMap<DeviceId, Vec<(DeviceCertificate, Contents)>>>,
}

enum Input {
    Dial(oneshot::Sender<Result<(), Error>>),
    Remote(Contents),
    /// The session is being closed, if `true` by this device.
    SessionCloses(bool),
}

impl Engine {
    /// Connects to a device by WebRTC: an attempt of this side, or of the other if both begin at once.
    pub(crate) async fn negotiate(self: &Arc<Self>, peer: &DeviceCertificate) -> Result<(), Error> {
        let (tell, outcome) = oneshot::channel();
        let task = self.negotiation_with(peer);
        task.send(Input::Dial(tell)).await.map_err(|_| Error::Closed)?;
        outcome.await.map_err(|_| Error::Closed)?
    }

    /// Takes sealed envelopes that a relay brought. Nothing in them counts before they open and verify.
    pub(crate) fn handle_envelopes(
        self: &Arc<Self>,
        from: DeviceId,
        connection: ConnectionId,
        sealed: Vec<String>,
    ) {
        if !self.settings.transports.webrtc {
            return;
        }
        for text in sealed {
            match self.open_envelope(from, connection, &text) {
                Ok((sender, contents)) => self.deliver(sender, contents),
                Err(why) => tracing::info!(device = %from, %why, "an envelope was refused"),
            }
        }
    }

    fn open_envelope(
        &self,
        from: DeviceId,
        connection: ConnectionId,
        text: &str,
    ) -> Result<(DeviceCertificate, Contents), String> {
        let sealed = base64::decode(text).ok_or("not base64")?;
        let opened = envelope::open(&sealed, &self.keys, self.clock.unix_now()).map_err(|e| e.to_string())?;
        let Content { connection_id, attempt, fingerprint, body, .. } = opened.content;
        if opened.sender.device_id() != from || connection_id != connection {
            return Err("the relay put another label on it".into());
        }
        let body = Body::decode(&body).map_err(|e| e.to_string())?;
        let contents = Contents { connection_id, attempt, fingerprint, body };
        Ok((opened.sender, contents))
    }

    /// Addresses are for devices that are trusted (S135): the others' envelopes wait for a decision.
    fn deliver(self: &Arc<Self>, sender: DeviceCertificate, contents: Contents) {
        let device = sender.device_id();
        let level = self.trust.level(device, Some(sender.user_id()));
        if level <= TrustLevel::Untrusted {
            return;
        }
        if level < TrustLevel::NewDevice {
            let mut pending = lock(&self.negotiations.pending);
            if pending.contains_key(&device) || pending.len() < PENDING_DEVICES {
                let waiting = pending.entry(device).or_default();
                if waiting.len() < PENDING_ENVELOPES {
                    waiting.push((sender, contents));
                }
            }
            return;
        }
        if let Err(e) = self.trust.check(&sender) {
            tracing::warn!(%device, error = %e, "an envelope was refused");
            return;
        }
        // A full queue is a flood; the attempt ends by its deadline.
        let _ = self.negotiation_with(&sender).try_send(Input::Remote(contents));
    }

    /// A device became trusted: what it sent meanwhile counts.
    pub(crate) fn deliver_pending(self: &Arc<Self>, device: DeviceId) {
        let waiting = lock(&self.negotiations.pending).remove(&device);
        for (sender, contents) in waiting.into_iter().flatten() {
            self.deliver(sender, contents);
        }
    }

    /// The session with a device is being closed, if `own` by this one. Called before the peer hears of it: what it sends
    /// afterwards is for another session.
    pub(crate) fn session_closes(&self, device: DeviceId, own: bool) {
        if let Some(task) = lock(&self.negotiations.tasks).get(&device) {
            let _ = task.try_send(Input::SessionCloses(own));
        }
    }

    fn negotiation_with(self: &Arc<Self>, peer: &DeviceCertificate) -> mpsc::Sender<Input> {
        let mut tasks = lock(&self.negotiations.tasks);
        let entry = tasks.entry(peer.device_id());
        let task = entry.or_insert_with(|| {
            let (tx, inputs) = mpsc::channel(INPUTS);
            let instance = u64::from_be_bytes(random::array());
            let machine = Negotiation::new(self.device_id(), peer.device_id(), instance, true);
            let negotiator = Negotiator {
                engine: self.clone(),
                peer: peer.clone(),
                machine,
                inputs,
                waiting: Vec::new(),
                attempts: HashMap::new(),
                work: JoinSet::new(),
            };
            self.spawn(negotiator.run());
            tx
        });
        task.clone()
    }

    fn webrtc_config(&self) -> WebRtcConfig {
        let named = self.settings.ice_servers.iter().cloned().chain(self.relays.ice_servers());
        WebRtcConfig {
            ice_servers: named
                .map(|s| webrtc::IceServer {
                    urls: s.urls,
                    username: s.username.unwrap_or_default(),
                    credential: s.credential.unwrap_or_default(),
                })
                .collect(),
            relay_only: self.settings.relay_only,
            include_loopback: self.settings.loopback,
            ..WebRtcConfig::default()
        }
    }
}

/// The negotiation with one peer.
struct Negotiator {
    engine: Arc<Engine>,
    peer: DeviceCertificate,
    machine: Negotiation,
    inputs: mpsc::Receiver<Input>,
    waiting: Vec<oneshot::Sender<Result<(), Error>>>,
    attempts: HashMap<ConnectionId, Live>,
    work: JoinSet<Done>,
}

/// An attempt's peer connection.
struct Live {
    initiator: bool,
    /// What this side was called when it began.
    name: u64,
    /// It began for a session that was closed meanwhile.
    outlived: bool,
    negotiation: Option<webrtc::Negotiation>,
    tasks: Vec<AbortHandle>,
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
    async fn run(mut self) {
        loop {
            self.act().await;
            let deadline = self.machine.poll_timeout();
            let clock = self.engine.clock.clone();
            tokio::select! {
                input = self.inputs.recv() => match input {
                    Some(Input::Dial(tell)) => {
                        self.waiting.push(tell);
                        self.dial();
                    }
                    Some(Input::Remote(contents)) => self.machine.handle_remote(contents, clock.now()),
                    Some(Input::SessionCloses(own)) => self.session_closes(own),
                    None => return,
                },
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

    async fn act(&mut self) {
        while let Some(action) = self.machine.poll_output() {
            if let Some((why, outlived)) = self.perform(action).await
                && self.machine.current().is_none()
            {
                self.conclude(&Err(Error::Unreachable(why)), outlived);
            }
        }
    }

    /// Says why an attempt was given up if it was, and whether it had outlived its session.
    async fn perform(&mut self, action: Action) -> Option<(String, bool)> {
        match action {
            Action::CreateOffer { connection_id } => self.make(connection_id, None),
            Action::CreateAnswer { connection_id, sdp, fingerprint } => {
                self.make(connection_id, Some((sdp, fingerprint)));
            }
            Action::ApplyAnswer { connection_id, sdp, fingerprint } => {
                let applied = self.apply(connection_id, &sdp, fingerprint).await;
                let why = applied.err()?;
                self.machine.handle_closed(connection_id, self.engine.clock.now());
                return Some((why, self.give_up(connection_id)));
            }
            Action::AddCandidates { connection_id, candidates } => {
                let live = self.attempts.get(&connection_id).and_then(|a| a.negotiation.clone());
                for candidate in live.iter().flat_map(|_| &candidates) {
                    if let Some(Err(e)) = add(live.as_ref(), candidate).await {
                        tracing::debug!(error = %e, "a candidate was refused");
                    }
                }
            }
            Action::Send(contents) => self.send(contents),
            Action::Abandon { connection_id, reason } => {
                tracing::debug!(%connection_id, %reason, "attempt abandoned");
                return Some((reason.to_string(), self.give_up(connection_id)));
            }
        }
        None
    }

    /// Ends an attempt's peer connection and says whether it had outlived its session.
    fn give_up(&mut self, id: ConnectionId) -> bool {
        self.attempts.remove(&id).is_some_and(|live| live.outlived)
    }

    /// Tells everybody who waits how it came out, unless the attempt was not for them.
    fn conclude(&mut self, outcome: &Result<(), Error>, outlived: bool) {
        if outlived && !self.waiting.is_empty() {
            return self.dial();
        }
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(outcome.clone());
        }
    }

    fn dial(&mut self) {
        self.machine.dial(ConnectionId::from_bytes(random::array()), self.engine.clock.now());
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
        let name = self.engine.registry.name(self.peer.device_id());
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
        self.attempts.insert(id, Live { initiator, name, outlived: false, negotiation: None, tasks });
    }

    async fn apply(&mut self, id: ConnectionId, sdp: &str, signed: [u8; 32]) -> Result<(), String> {
        check_fingerprint(sdp, signed)?;
        let negotiation =
            self.attempts.get(&id).and_then(|a| a.negotiation.as_ref()).ok_or("no such attempt")?;
        negotiation.set_remote_answer(sdp).await.map_err(|e| e.to_string())
    }

    async fn handle(&mut self, done: Done) {
        let now = self.engine.clock.now();
        match done {
            Done::Made(id, Ok(attempt)) => {
                let Some(live) = self.attempts.get_mut(&id) else { return };
                let Attempt { sdp, negotiation, candidates, connecting, .. } = attempt;
                let fingerprint = negotiation.local_fingerprint();
                live.negotiation = Some(negotiation);
                live.tasks = vec![
                    self.work.spawn(next_candidate(id, candidates)),
                    self.work.spawn(async move { Done::Connected(id, connecting.connected().await) }),
                ];
                self.machine.handle_local_description(id, sdp, fingerprint, now);
            }
            Done::Made(id, Err(why)) => {
                tracing::info!(error = %why, "no peer connection");
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
                let (engine, peer) = (self.engine.clone(), self.peer.clone());
                let (initiator, name) = (live.initiator, live.name);
                live.tasks.push(self.work.spawn(async move {
                    let outcome = if initiator {
                        engine.initiate(transport, id, &peer, name).await
                    } else {
                        engine.accept(transport, id, Some(peer.device_id())).await
                    };
                    Done::Settled(id, super::dial::settled(outcome))
                }));
            }
            Done::Connected(id, Err(reason)) => {
                tracing::info!(%reason, "a peer connection failed");
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

    fn send(&self, contents: Contents) {
        let (connection, kind) = (contents.connection_id, contents.kind());
        if let Err(why) = self.seal_and_send(contents, connection, kind) {
            tracing::info!(error = %why, "an envelope was not sent");
        }
    }

    fn seal_and_send(
        &self,
        contents: Contents,
        connection_id: ConnectionId,
        kind: ExchangeKind,
    ) -> Result<(), String> {
        let content = Content {
            connection_id,
            attempt: contents.attempt,
            expiry: UnixTime(self.engine.clock.unix_now().0 + OFFER_TTL.as_secs()),
            fingerprint: contents.fingerprint,
            body: contents.body.encode().map_err(|e| e.to_string())?,
        };
        let (engine, to) = (&self.engine, KnownKeys::of(&self.peer));
        let sealed = envelope::seal(&content, &engine.keys, &engine.certificate, &to, random::array())
            .map_err(|e| e.to_string())?;
        let envelopes = vec![base64::encode(&sealed)];
        engine.relays.send(kind, self.peer.device_id(), connection_id, envelopes).map_err(|e| e.to_string())
    }
}

async fn add(
    negotiation: Option<&webrtc::Negotiation>,
    candidate: &str,
) -> Option<Result<(), webrtc::WebRtcError>> {
    Some(negotiation?.add_candidate(candidate).await)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
