//! From two descriptions and some candidates to a transport.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use peers_proto::limits;
use rtc::peer_connection::transport::RTCIceCandidatePair;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use webrtc::data_channel::{DataChannel, RTCDataChannelInit};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, RTCIceCandidateInit, RTCSessionDescription,
};

use super::addresses::SocketPlaces;
use super::candidate::{Candidate, CandidateError, CandidateFilter};
use super::config::WebRtcConfig;
use super::connection::{Connection, Guard, Said, StackEvents};
use super::counters::CounterSnapshot;
use super::inbox::FrameInbox;
use super::lane::{DatagramLane, LaneError};
use super::opener::JudgingCrypto;
use super::pair;
use super::pipe::{ChannelSink, ChannelSource};
use super::runtime::{ConnectionShared, TunedRuntime};
use super::sdp::{Description, DescriptionError, Fingerprint};
use super::settings::{self, CHANNEL_ID};
use super::stun::Credentials;
use super::turn::{Accounts, TurnRefusal};
use super::window::Window;
use crate::transport::closed::Closed;
use crate::transport::{CloseReason, MAX_TRANSPORT_FRAME, Route, Transport, TransportKind};

/// The reason for which an attempt could not go on.
#[derive(Debug, thiserror::Error)]
pub enum WebRtcError {
    /// The remote description was refused.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// The remote candidate was refused; the attempt goes on without it.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// A second answer, or one to an answer.
    #[error("no answer is expected")]
    UnexpectedAnswer,
    /// The WebRTC stack failed: no socket could be bound, or it did not like a description.
    #[error("webrtc: {0}")]
    Stack(#[from] webrtc::error::Error),
}

/// One attempt to connect, in the parts its users need. Dropping `connecting` ends it.
#[non_exhaustive]
pub struct WebRtcAttempt {
    /// The local description, with the host candidates inside.
    pub sdp: String,
    /// Takes what the peer sends.
    pub negotiation: WebRtcNegotiation,
    /// Local candidates that took longer to find (S058), to be sent to the peer. Ends with the attempt.
    pub candidates: mpsc::Receiver<String>,
    /// Becomes the transport.
    pub connecting: Connecting,
}

impl WebRtcAttempt {
    /// Starts as initiator: send `sdp` as the offer.
    ///
    /// # Errors
    /// [`WebRtcError::Stack`].
    pub async fn offer(config: &WebRtcConfig) -> Result<Self, WebRtcError> {
        let parts = Parts::new(config, DescriptionRole::Offerer, &[]).await?;
        let offer = parts.negotiation.0.pc.create_offer(None).await?;
        parts.finish(config, offer).await
    }

    /// Starts as responder to `offer`: send `sdp` as the answer.
    ///
    /// # Errors
    /// [`WebRtcError::Description`] for an offer that is refused, else [`WebRtcError::Stack`].
    pub async fn answer(config: &WebRtcConfig, offer: &str) -> Result<Self, WebRtcError> {
        let peers = Description::parse(offer)?.hosts();
        let parts = Parts::new(config, DescriptionRole::Answerer, &peers).await?;
        parts.negotiation.describe(offer, RTCSessionDescription::offer).await?;
        let answer = parts.negotiation.0.pc.create_answer(None).await?;
        parts.finish(config, answer).await
    }
}

/// The signaling side of an attempt. Cheap to clone; keeps nothing alive that [`Connecting`] or the transport ended.
#[derive(Clone)]
pub struct WebRtcNegotiation(Arc<ConnectionParts>);

impl WebRtcNegotiation {
    /// SHA-256 of this side's DTLS certificate, fresh for this attempt: belongs into the signed envelope.
    #[must_use]
    pub fn local_fingerprint(&self) -> Fingerprint {
        self.0.local_fingerprint
    }

    /// Applies the peer's answer (S064) and then the candidates that came before it.
    ///
    /// # Errors
    /// [`WebRtcError::UnexpectedAnswer`] when there is one already or this side answered itself.
    pub async fn set_remote_answer(&self, answer: &str) -> Result<(), WebRtcError> {
        if self.0.role == DescriptionRole::Answerer {
            return Err(WebRtcError::UnexpectedAnswer);
        }
        self.describe(answer, RTCSessionDescription::answer).await
    }

    /// Applies a candidate of the peer (S065), or keeps it until there is a description.
    ///
    /// # Errors
    /// [`WebRtcError::Candidate`]; the attempt goes on.
    pub async fn add_candidate(&self, candidate: &str) -> Result<(), WebRtcError> {
        let mut remote = self.0.remote.lock().await;
        let candidate = remote.filter.admit(candidate).inspect_err(|_| {
            self.0.shared.counters.candidates_refused.add(1);
        })?;
        match &remote.promised {
            Some(promised) => self.apply(&candidate, &promised.mid).await,
            None => {
                remote.early.push(candidate);
                Ok(())
            }
        }
    }

    /// The connection's [`DatagramLane`]: datagrams of another protocol on its nominated pair.
    ///
    /// # Errors
    /// [`LaneError`].
    pub async fn lane(&self) -> Result<DatagramLane, LaneError> {
        let (pair, relayed) = self.0.nominated().await.map_err(|_| LaneError::NotConnected)?;
        if relayed {
            return Err(LaneError::Relayed);
        }
        let (local, peer) = (pair::base(pair.local()), pair::address(pair.remote()));
        let socket = local.and_then(|local| self.0.shared.socket(local)).ok_or(LaneError::NotConnected)?;
        DatagramLane::open(&socket, peer.ok_or(LaneError::NotConnected)?)
    }

    /// The refusal of a TURN server to forward for this side, if one refused. 401 stands for credentials that are wrong or have
    /// expired, 486 for a full quota (RFC 8656 section 19).
    #[must_use]
    pub fn turn_refusal(&self) -> Option<TurnRefusal> {
        self.0.shared.turn_refusal()
    }

    /// The reason for which the connection has ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<CloseReason> {
        self.0.shared.closed.reason()
    }

    /// Counts of what was refused, dropped and nudged so far.
    #[must_use]
    pub fn counters(&self) -> CounterSnapshot {
        self.0.shared.counters.snapshot()
    }

    async fn describe(
        &self,
        text: &str,
        kind: fn(String) -> Result<RTCSessionDescription, webrtc::error::Error>,
    ) -> Result<(), WebRtcError> {
        let mut remote = self.0.remote.lock().await;
        if remote.promised.is_some() {
            return Err(WebRtcError::UnexpectedAnswer);
        }
        let mut described = Description::parse(text)?;
        self.0.shared.counters.candidates_refused.add(described.admit(&mut remote.filter));
        self.0.pc.set_remote_description(kind(described.to_string())?).await?;
        self.0.shared.kick.fire();
        let early = std::mem::take(&mut remote.early);
        let Description { fingerprint, mid, .. } = described;
        remote.promised = Some(Promised { fingerprint, mid: mid.clone() });
        for candidate in early {
            self.apply(&candidate, &mid).await?;
        }
        Ok(())
    }

    async fn apply(&self, candidate: &Candidate, mid: &str) -> Result<(), WebRtcError> {
        let init = RTCIceCandidateInit {
            candidate: candidate.to_string(),
            sdp_mid: Some(mid.to_owned()),
            sdp_mline_index: Some(0),
            ..Default::default()
        };
        self.0.pc.add_ice_candidate(init).await?;
        self.0.shared.kick.fire();
        Ok(())
    }
}

/// An attempt under way. Dropping it gives up and frees everything.
pub struct Connecting {
    negotiation: WebRtcNegotiation,
    channel: Arc<dyn DataChannel>,
    inbox: Arc<FrameInbox>,
    opened: oneshot::Receiver<()>,
    guard: Arc<Guard>,
}

impl Connecting {
    /// Waits for the data channel (S034) and gives the transport, bound to both DTLS certificates.
    ///
    /// # Errors
    /// The one reason why it did not come to that.
    pub async fn connected(self) -> Result<Transport, CloseReason> {
        let inner = &*self.negotiation.0;
        if self.opened.await.is_err() {
            return Err(inner.shared.closed.wait().await);
        }
        let (binding, (pair, relayed)) = match tokio::try_join!(inner.binding(), inner.nominated()) {
            Ok(facts) => facts,
            Err(reason) => {
                inner.shared.closed.set(reason);
                return Err(inner.shared.closed.wait().await);
            }
        };
        tracing::debug!(relayed, "peer connection opened");
        if let Some(local) = pair::base(pair.local()) {
            inner.shared.settle(local, pair::on_turn(pair.local()));
        }
        let (channel, guard, shared) = (self.channel, self.guard, inner.shared.clone());
        Ok(Transport {
            route: Route { kind: TransportKind::WebRtc, relayed },
            binding,
            source: Box::new(ChannelSource {
                inbox: self.inbox,
                taken: VecDeque::new(),
                _guard: guard.clone(),
            }),
            sink: Box::new(ChannelSink { channel, shared, window: Window::new(), guard }),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DescriptionRole {
    Offerer,
    Answerer,
}

struct ConnectionParts {
    pc: Arc<dyn PeerConnection>,
    role: DescriptionRole,
    local_fingerprint: Fingerprint,
    remote: Mutex<Remote>,
    shared: Arc<ConnectionShared>,
}

struct Remote {
    filter: CandidateFilter,
    early: Vec<Candidate>,
    /// The fingerprint in the remote description, once there is one.
    promised: Option<Promised>,
}

struct Promised {
    fingerprint: Fingerprint,
    mid: String,
}

impl ConnectionParts {
    /// Both certificate hashes as DTLS saw them, initiator first.
    async fn binding(&self) -> Result<Vec<u8>, CloseReason> {
        let stack = |e: webrtc::error::Error| CloseReason::Network(e.to_string());
        let sctp = self.pc.sctp().await.ok_or_else(|| CloseReason::Network("no SCTP transport".into()))?;
        if sctp.max_message_size().await.map_err(stack)? < MAX_TRANSPORT_FRAME as u32 {
            return Err(CloseReason::Protocol("the peer takes no whole frame"));
        }
        let chain = sctp.transport().get_remote_certificates().await.map_err(stack)?;
        let certificate = chain.first().ok_or(CloseReason::Protocol("no DTLS certificate"))?;
        let seen = Fingerprint::from(Sha256::digest(certificate));
        // The stack checked this already; our promise (S131) does not rest on that alone.
        if self.remote.lock().await.promised.as_ref().map(|promised| promised.fingerprint) != Some(seen) {
            return Err(CloseReason::Protocol("another DTLS certificate than promised"));
        }
        Ok(match self.role {
            DescriptionRole::Offerer => [self.local_fingerprint, seen],
            DescriptionRole::Answerer => [seen, self.local_fingerprint],
        }
        .concat())
    }

    /// The nominated pair, and whether a TURN server of either side forwards its datagrams.
    async fn nominated(&self) -> Result<(RTCIceCandidatePair, bool), CloseReason> {
        let stack = |e: webrtc::error::Error| CloseReason::Network(e.to_string());
        let sctp = self.pc.sctp().await.ok_or_else(|| CloseReason::Network("no SCTP transport".into()))?;
        let ice = sctp.transport().ice_transport();
        let pair = ice.get_selected_candidate_pair().await.map_err(stack)?;
        let pair = pair.ok_or_else(|| CloseReason::Network("no nominated pair".into()))?;
        let signaled = ice.get_remote_candidates().await.map_err(stack)?;
        let relayed = pair::forwarded(pair.local(), pair.remote(), &signaled);
        Ok((pair, relayed))
    }
}

/// A peer connection before its local description.
struct Parts {
    negotiation: WebRtcNegotiation,
    candidates: mpsc::Receiver<String>,
    connecting: Connecting,
    gathered: Arc<Notify>,
}

impl Parts {
    /// `peers` are addresses of the peer, as far as they are known.
    async fn new(
        config: &WebRtcConfig,
        role: DescriptionRole,
        peers: &[IpAddr],
    ) -> Result<Self, WebRtcError> {
        config.names.prepare(&config.ice_servers);
        let (certificate, local_fingerprint) = settings::fresh_certificate()?;
        let places = SocketPlaces::take();
        let addresses = settings::bind_addresses(config, places.count(), peers);
        places.keep(addresses.len());
        let accounts = Accounts::new(&config.ice_servers);
        let shared = Arc::new(ConnectionShared::new(Closed::default(), places, accounts));
        if config.relay_only {
            shared.kick.relayed();
        }
        let gathered = Arc::<Notify>::default();
        let (candidate_sender, candidates) = mpsc::channel(limits::MAX_CANDIDATES);
        let events = StackEvents {
            shared: shared.clone(),
            candidates: candidate_sender,
            gathered: gathered.clone(),
            relay_only: config.relay_only,
            relayed: AtomicBool::new(false),
        };
        let crypto = JudgingCrypto::new(shared.clone()).map_err(crypto_failed)?;
        let pc = PeerConnectionBuilder::new()
            .with_configuration(settings::configuration(config, certificate))
            .with_setting_engine(settings::settings(config, Arc::new(crypto)))
            .with_handler(Arc::new(events))
            .with_runtime(Arc::new(TunedRuntime::new(shared.clone(), config.names.clone())))
            .with_udp_addrs(addresses)
            .build()
            .await?;
        let pc: Arc<dyn PeerConnection> = Arc::new(pc);
        let init = RTCDataChannelInit { negotiated: Some(CHANNEL_ID), ..Default::default() };
        let channel = match pc.create_data_channel("peers", Some(init)).await {
            Ok(channel) => channel,
            Err(error) => {
                let _ = pc.close().await;
                return Err(error.into());
            }
        };
        let inbox = Arc::<FrameInbox>::default();
        let connection = Connection {
            pc: pc.clone(),
            channel: channel.clone(),
            inbox: inbox.clone(),
            shared: shared.clone(),
            said: Said::default(),
        };
        let (opened_sender, opened) = oneshot::channel();
        let guard = Arc::new(connection.spawn(config.establishment, opened_sender));
        let remote = Remote {
            filter: CandidateFilter::new(config.include_loopback),
            early: Vec::new(),
            promised: None,
        };
        let negotiation = WebRtcNegotiation(Arc::new(ConnectionParts {
            pc,
            role,
            local_fingerprint,
            remote: Mutex::new(remote),
            shared,
        }));
        let connecting = Connecting { negotiation: negotiation.clone(), channel, inbox, opened, guard };
        Ok(Self { negotiation, candidates, connecting, gathered })
    }

    async fn finish(
        self,
        config: &WebRtcConfig,
        local: RTCSessionDescription,
    ) -> Result<WebRtcAttempt, WebRtcError> {
        let Self { negotiation, candidates, connecting, gathered } = self;
        let inner = &negotiation.0;
        inner.pc.set_local_description(local.clone()).await?;
        inner.shared.kick.fire();
        if !config.relay_only {
            tokio::select! {
                () = gathered.notified() => {}
                _ = inner.shared.closed.wait() => {}
            }
        }
        let described = inner.pc.local_description().await.unwrap_or(local);
        let described = Description::parse(&described.sdp)?;
        // The peer learns this side's password from the description, so no check of its own came before.
        let credentials = Credentials::new(&described.ufrag, &described.password).map_err(crypto_failed)?;
        inner.shared.gate().expect(credentials);
        let sdp = described.published(config.relay_only).to_string();
        Ok(WebRtcAttempt { sdp, negotiation, candidates, connecting })
    }
}

fn crypto_failed(error: rtc::crypto::CryptoError) -> webrtc::error::Error {
    webrtc::error::Error::Other(error.to_string())
}
