//! The task of one peer connection: it performs commands of the negotiations and reports results.

use std::sync::{Arc, OnceLock};

use peers_proto::engine::negotiations::{NegotiationError, Negotiations, SignedDescription};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::time::Instant;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::engine::EngineDriver;
use crate::engine::dial::settled;
use crate::error::Error;
use crate::transport::webrtc::{self, Connecting, TurnRefusal, WebRtcAttempt};

/// A step of an attempt after its peer connection was made.
pub(crate) enum RtcCommand {
    Apply(SignedDescription),
    AddCandidates(Vec<String>),
    Handshake { epoch: Option<u64> },
}

/// The handle of a peer connection's task. Dropping it ends the task, and the peer connection unless a session has taken its
/// transport.
pub(crate) struct RtcTask {
    /// Commands wait while the peer connection is made. The machine bounds them.
    commands: mpsc::UnboundedSender<RtcCommand>,
    negotiation: Arc<OnceLock<webrtc::WebRtcNegotiation>>,
    _end: DropGuard,
}

impl RtcTask {
    pub(crate) fn spawn(
        engine: &Arc<EngineDriver>,
        peer: DeviceId,
        connection: ConnectionId,
        offer: Option<SignedDescription>,
    ) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        let (negotiation, end) = (Arc::<OnceLock<_>>::default(), CancellationToken::new());
        let (task, made) = (Task { engine: engine.clone(), peer, connection }, negotiation.clone());
        let ended = end.clone();
        engine.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = task.run(offer, received, &made) => {}
            }
        });
        Self { commands, negotiation, _end: end.drop_guard() }
    }

    pub(crate) fn send(&self, command: RtcCommand) {
        // An error: the task has reported its end.
        let _ = self.commands.send(command);
    }

    /// The reason why the connection has ended, if it has.
    pub(crate) fn ended(&self) -> Option<String> {
        Some(self.negotiation.get()?.end()?.to_string())
    }

    /// The refusal of a TURN server, if one refused.
    pub(crate) fn turn_refusal(&self) -> Option<TurnRefusal> {
        self.negotiation.get()?.turn_refusal()
    }
}

struct Task {
    engine: Arc<EngineDriver>,
    peer: DeviceId,
    connection: ConnectionId,
}

impl Task {
    async fn run(
        self,
        offer: Option<SignedDescription>,
        commands: mpsc::UnboundedReceiver<RtcCommand>,
        made: &OnceLock<webrtc::WebRtcNegotiation>,
    ) {
        let WebRtcAttempt { sdp, negotiation, candidates, connecting, .. } = match self.make(offer).await {
            Ok(attempt) => attempt,
            Err(reason) => return self.fail(reason),
        };
        let negotiation = made.get_or_init(|| negotiation);
        let local = SignedDescription { sdp, fingerprint: negotiation.local_fingerprint() };
        self.report(|machine, now| machine.handle_made(self.peer, self.connection, local, now));
        let (begin, begins) = oneshot::channel();
        tokio::select! {
            () = self.connect(negotiation, connecting, begins) => {}
            () = self.exchange(negotiation, candidates, commands, begin) => {}
        }
    }

    async fn make(&self, offer: Option<SignedDescription>) -> Result<WebRtcAttempt, String> {
        let config = self.engine.webrtc_config();
        let made = match offer {
            None => WebRtcAttempt::offer(&config).await,
            Some(offer) => {
                check_fingerprint(&offer)?;
                WebRtcAttempt::answer(&config, &offer.sdp).await
            }
        };
        made.map_err(|e| e.to_string())
    }

    /// Waits for the transport and for the handshake on it.
    async fn connect(
        &self,
        negotiation: &webrtc::WebRtcNegotiation,
        connecting: Connecting,
        begins: oneshot::Receiver<Option<u64>>,
    ) {
        let (engine, peer, connection) = (&self.engine, self.peer, self.connection);
        let connected = connecting.connected().await;
        if let Some(refusal) = negotiation.turn_refusal() {
            let reason = refusal.to_string();
            self.report(|machine, _| machine.handle_turn_refusal(peer, connection, refusal.0, reason));
        }
        let transport = match connected {
            Ok(transport) => transport,
            Err(reason) => return self.fail(reason.to_string()),
        };
        self.report(|machine, _| machine.handle_connected(peer, connection));
        let outcome = match begins.await {
            Ok(Some(epoch)) => engine.initiate(transport, connection, peer, epoch).await,
            Ok(None) => engine.accept(transport, connection, Some(peer), None).await,
            Err(_) => return,
        };
        let outcome = settled(outcome).map_err(|error| match error {
            Error::Denied => NegotiationError::Denied,
            Error::Unreachable(why) => NegotiationError::Failed(why),
            error => NegotiationError::Failed(error.to_string()),
        });
        self.report(|machine, now| machine.handle_settled(peer, connection, outcome, now));
    }

    /// Performs commands and reports local candidates until the task ends.
    async fn exchange(
        &self,
        negotiation: &webrtc::WebRtcNegotiation,
        mut candidates: mpsc::Receiver<String>,
        mut commands: mpsc::UnboundedReceiver<RtcCommand>,
        begin: oneshot::Sender<Option<u64>>,
    ) {
        let mut begin = Some(begin);
        loop {
            tokio::select! {
                Some(command) = commands.recv() => match command {
                    RtcCommand::Apply(answer) => self.apply(negotiation, &answer).await,
                    RtcCommand::AddCandidates(candidates) => add_candidates(negotiation, &candidates).await,
                    RtcCommand::Handshake { epoch } => {
                        let _ = begin.take().map(|begin| begin.send(epoch));
                    }
                },
                Some(candidate) = candidates.recv() => self.report(|machine, now| {
                    machine.handle_local_candidate(self.peer, self.connection, candidate, now);
                }),
                else => return std::future::pending().await,
            }
        }
    }

    async fn apply(&self, negotiation: &webrtc::WebRtcNegotiation, answer: &SignedDescription) {
        let applied = match check_fingerprint(answer) {
            Ok(()) => negotiation.set_remote_answer(&answer.sdp).await.map_err(|e| e.to_string()),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = applied {
            self.fail(reason);
        }
    }

    fn fail(&self, reason: String) {
        tracing::info!(device = %self.peer, connection = %self.connection, %reason, "peer connection failed");
        self.report(|machine, now| machine.handle_failed(self.peer, self.connection, reason, now));
    }

    fn report(&self, input: impl FnOnce(&mut Negotiations, Instant)) {
        self.engine.report_connection(input);
    }
}

async fn add_candidates(negotiation: &webrtc::WebRtcNegotiation, candidates: &[String]) {
    for candidate in candidates {
        if let Err(error) = negotiation.add_candidate(candidate).await {
            tracing::debug!(%error, "candidate refused");
        }
    }
}

/// Compares the fingerprint in a description, which DTLS accepts, with the signed one.
fn check_fingerprint(description: &SignedDescription) -> Result<(), String> {
    match webrtc::fingerprint_of_sdp(&description.sdp) {
        Ok(described) if described == description.fingerprint => Ok(()),
        Ok(_) => Err("the description's fingerprint is not the signed one".into()),
        Err(e) => Err(e.to_string()),
    }
}
