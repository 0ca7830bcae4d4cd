//! Control of a device: dials, admission, the session that a connection joins, and the consequences of its end.
//!
//! ```text
//!  app: request, set_trust, handle_answer ─┐                        ┌─> FindRelay .. Stop: dials
//!  app and system: set_app_state, network  │                        ├─> Handshake: connections
//!  relays: handle_presence, handle_knock   │                        ├─> End, Evict, Scope: sessions
//!  dials: handle_relay, handle_way ────────┼─> Engine ─ poll_output ┼─> Closing, Release: for the peer's negotiation
//!  connections: handle_incoming, establish │                        ├─> Visible, Welcome, Relays: for relays
//!  sessions: handle_session, time          │                        ├─> Sessions, RenewNames: network, suspension
//!  WebRTC: handle_envelopes, _opened ──────┘                        └─> Answer, Ask, Presence, Event: for the app
//! ```
//!
//! A session's frames go through its [`Multipath`](crate::multipath::Multipath), which its driver owns. The engine knows a
//! session by its [`SessionId`] and by what its driver reports. One lock around the engine is enough: no input waits.
//!
//! | state | where | ends |
//! |---|---|---|
//! | epochs, live sessions, sessions closed last | `peers` | bounded: 512 devices, 64 closed sessions |
//! | trust, pinned keys | `trust_book` | with the client; devices met without a level are bounded |
//! | keys before they are pinned, knocks | `contacts` | bounded: the latest |
//! | connections before they are paths | `handshakes` | established, refused, failed |
//! | questions to the app | `admission` | answered, or after half a minute |
//! | devices at relays, copies of messages | `relays` | reported away; bounded |
//! | negotiations, held envelopes | [`negotiations`] | after a minute without an attempt; bounded |
//! | dials | `dials` | connected, failed, its session closed, another network |
//! | requests of the app | `requests` | answered, or dropped by the app |
//! | decisions to dial and to evict | [`Dialer`] | with the client |

mod admission;
mod contacts;
mod dials;
mod handshakes;
mod held;
pub mod negotiations;
mod network;
mod peers;
mod relays;
mod requests;
mod trust_book;
mod ways;
mod webrtc;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::dial::{DialOutput, Dialer, EvictionReason, Standing};
use crate::end_reason::EndReason;
use crate::id::{ConnectionId, DeviceId, GroupId, UserId};
use crate::network::{AppState, Monitor, NetworkChange};
use crate::path::{Quality, Route, Status};
use crate::time::{Instant, earliest};
use crate::trust::{KnownKeys, Pins, TrustLevel};
use admission::AppQuestion;
use contacts::Contacts;
use dials::Dial;
use handshakes::{Arrivals, PendingHandshake};
use negotiations::{Ids, NegotiationConfig, NegotiationOutput, Negotiations};
use network::Suspension;
use peers::Peers;
use relays::RelayReports;
use requests::SessionRequest;
use trust_book::TrustBook;

pub use crate::dial::Presence;
pub use admission::{Admission, Applicant, QuestionId, Scope};
pub use dials::{DialFailure, DialId};
pub use handshakes::{HandshakeId, HandshakeStep};
pub use network::{RelayInput, SessionInput};
pub use peers::Join;
pub use requests::RequestId;
pub use trust_book::Judgement;
pub use ways::{Way, Ways};

/// Identifies a session among all sessions of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

/// A change that a session's driver reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionChange {
    /// The session moved to another path.
    Path(Route),
    /// No path is left.
    Down,
    /// The status has changed.
    Status(Status),
    /// The quality of its path has changed.
    Quality(Quality),
    /// The session ends for this reason, and the peer does not know it yet.
    Ending(EndReason),
    /// The session has ended.
    Ended(EndReason),
}

/// A session's state at the moment of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionState {
    /// The status.
    pub status: Status,
    /// The route of its path.
    pub route: Option<Route>,
}

/// An event for the app. About one session the order is: connected, changes, disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppEvent {
    /// A session begins on this route.
    Connected(Route),
    /// Another kind of path carries it, or none.
    Path(Option<Route>),
    /// The status has changed.
    Status(Status),
    /// The quality of its path has changed.
    Quality(Quality),
    /// It has ended.
    Disconnected(EndReason),
}

/// A step for the driver of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Wait until a relay has registered this device; [`Engine::handle_relay`] takes the result.
    FindRelay(DialId, DeviceId),
    /// Ask the relays for the certificate of a device that is dialed; [`Engine::handle_fetched`] takes the result.
    FetchCertificate(DialId, DeviceId),
    /// Knock at this device.
    Knock(DeviceId),
    /// Take a way to a device that is dialed; [`Engine::handle_way`] takes the result. WebRTC is negotiated and does not come
    /// here.
    Take(DialId, DeviceId, Way),
    /// The dial has ended: abandon what is under way for it.
    Stop(DialId),
    /// The next step of a handshake.
    Handshake(HandshakeId, HandshakeStep),
    /// End this session.
    End(SessionId, EndReason),
    /// The data that this session may carry from now on.
    Scope(SessionId, Scope),
    /// End this session, to make room: there are too many, and this one is worth least.
    Evict(SessionId, DeviceId, EvictionReason),
    /// A step of a negotiation. These are performed in their order; they may wait for each other.
    Negotiation(NegotiationOutput),
    /// The level of this device may have changed: its envelopes that are held are delivered or dropped.
    Release(DeviceId),
    /// The devices that may reach this one have changed: [`Engine::visible`].
    Visible,
    /// The knock of this device, with this connection, is answered by an envelope.
    Welcome(DeviceId, ConnectionId),
    /// To be stored: the app, or its answer about a device, has set this level.
    Level(DeviceId, TrustLevel),
    /// To be stored: this device was admitted with these keys, or its keys have lost their place.
    Keys(DeviceId, Option<Box<KnownKeys>>),
    /// For the app: a device asks to connect. [`Engine::handle_answer`] takes the answer.
    Ask(QuestionId, Box<Applicant>),
    /// For the app: a relay sees this device, or none does any more.
    Presence(DeviceId, bool),
    /// The answer to a request.
    Answer(RequestId, Result<SessionId, DialFailure>),
    /// For every session.
    Sessions(SessionInput),
    /// For every relay connection.
    Relays(RelayInput),
    /// The addresses of STUN and TURN servers are to be looked up again.
    RenewNames,
    /// A suspension has closed what it could, or is over.
    Suspended,
    /// For logs: this became of the network.
    Network(NetworkChange),
    /// For the app: data costs money now, or does not any more.
    Metered(bool),
    /// For the app, about this session with this device.
    Event(SessionId, DeviceId, AppEvent),
}

/// The settings of a device.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// This device.
    pub local: DeviceId,
    /// Its user, whose other devices are this device's own.
    pub own_user: UserId,
    /// The ways to other devices.
    pub ways: Ways,
    /// The levels that the app gives to devices.
    pub levels: BTreeMap<DeviceId, TrustLevel>,
    /// The keys of devices that were met in an earlier run.
    pub pins: Pins,
    /// The groups that this device carries.
    pub groups: HashSet<GroupId>,
    /// The groups of other devices, as far as the app knows.
    pub members: HashMap<DeviceId, HashSet<GroupId>>,
    /// Relays let any device reach this one.
    pub open: bool,
}

/// Control of one device.
#[derive(Debug)]
pub struct Engine {
    ways: Ways,
    groups: HashSet<GroupId>,
    members: HashMap<DeviceId, HashSet<GroupId>>,
    open: bool,
    book: TrustBook,
    contacts: Contacts,
    arrivals: Arrivals,
    handshakes: BTreeMap<HandshakeId, PendingHandshake>,
    questions: BTreeMap<QuestionId, AppQuestion>,
    reports: RelayReports,
    negotiations: Negotiations,
    dialer: Dialer,
    peers: Peers,
    dials: BTreeMap<DialId, Dial>,
    requests: BTreeMap<RequestId, SessionRequest>,
    app: AppState,
    monitor: Monitor,
    metered: bool,
    suspension: Option<Suspension>,
    /// The last number given to a session, a dial, a handshake or a question.
    last_id: u64,
    outputs: VecDeque<Output>,
}

impl Engine {
    /// A device without a session. `entropy`: 32 bytes from the operating system's generator.
    pub fn new(config: EngineConfig, entropy: [u8; 32], now: Instant) -> Self {
        let mut ids = Ids::new(entropy);
        let random = u64::from_be_bytes(ids.fresh());
        let negotiation = NegotiationConfig {
            local: config.local,
            webrtc: config.ways.webrtc,
            relay_only: config.ways.relay_only,
        };
        let EngineConfig { local, own_user, ways, levels, pins, groups, members, open } = config;
        let mut engine = Self {
            dialer: Dialer::new(local, ways.preference, random, now),
            ways,
            groups,
            members,
            open,
            book: TrustBook::new(levels.clone(), pins, own_user),
            contacts: Contacts::default(),
            arrivals: Arrivals::default(),
            handshakes: BTreeMap::new(),
            questions: BTreeMap::new(),
            reports: RelayReports::default(),
            negotiations: Negotiations::new(negotiation, ids.fresh()),
            peers: Peers::new(!random),
            dials: BTreeMap::new(),
            requests: BTreeMap::new(),
            app: AppState::default(),
            monitor: Monitor::default(),
            metered: false,
            suspension: None,
            last_id: 0,
            outputs: VecDeque::new(),
        };
        for (device, level) in levels {
            engine.dialer.set_trust(device, level, now);
        }
        engine.publish_visible();
        engine.follow_dialer();
        engine
    }

    // ---- the device ----

    /// Sets whether a TURN server is known, without which a device that hides its addresses has no WebRTC.
    pub fn set_turn(&mut self, known: bool, now: Instant) {
        if std::mem::replace(&mut self.ways.turn, known) == known {
            return;
        }
        let live: Vec<_> = self.peers.live().map(|(device, live)| (device, live.state)).collect();
        for (device, state) in live {
            self.report_standing(device, state, now);
        }
        self.follow_dialer();
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_network_timeout(now);
        self.handle_admission_timeout(now);
        self.handle_handshakes_timeout(now);
        self.handle_dials_timeout(now);
        self.negotiations.handle_timeout(now);
        self.follow_negotiations(now);
        self.dialer.handle_timeout(now);
        self.follow_dialer();
    }

    /// The time of the next [`Engine::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.network_timeout(),
            self.admission_timeout(),
            self.handshakes_timeout(),
            self.dials_timeout(),
            self.negotiations.poll_timeout(),
            self.dialer.poll_timeout(),
        ]
        .into_iter()
        .fold(None, earliest)
    }

    /// The next step.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    // ---- sessions ----

    /// The session with a device. It may be ending.
    pub fn session(&self, device: DeviceId) -> Option<SessionId> {
        Some(self.peers.live_of(device)?.id)
    }

    /// True if an offer of this device is worth an answer. It is not while its session works through a relay and WebRTC leads to
    /// nothing better. On any other path an offer is answered, because the peer may know first that the path is gone.
    pub fn takes_offers(&self, device: DeviceId) -> bool {
        let relayed = self.peers.live_of(device).and_then(|live| {
            let tier = live.state.route.map(Route::tier)?;
            (live.state.status == Status::Usable && tier == crate::path::Tier::Relay).then_some(tier)
        });
        self.ways.better(device, relayed).any(|(way, _)| way == Way::WebRtc)
    }

    /// A session's driver reports a change. `state`: what holds at this moment.
    pub fn handle_session(
        &mut self,
        session: SessionId,
        device: DeviceId,
        change: SessionChange,
        state: SessionState,
        now: Instant,
    ) {
        match change {
            // A session that was lost is wanted back: what is under way may be what replaces it.
            SessionChange::Ending(reason) if reason.is_close() => {
                self.negotiations.session_closes(device, reason.is_local(), now);
                self.follow_negotiations(now);
            }
            SessionChange::Status(status) => self.follow_suspension(session, status),
            SessionChange::Ended(_) => self.follow_suspension(session, Status::Down),
            _ => {}
        }
        // A handshake has replaced the session already, and reported its end.
        let Some(live) = self.peers.live_mut(device).filter(|live| live.id == session) else { return };
        live.state = state;
        let event = match change {
            SessionChange::Path(route) => {
                (live.usable, live.joining) = (true, false);
                // Another connection on the same route is nothing that an app shows.
                (live.reported.replace(route) != Some(route)).then_some(AppEvent::Path(Some(route)))
            }
            SessionChange::Down => {
                (live.usable, live.joining) = (false, false);
                live.reported = None;
                Some(AppEvent::Path(None))
            }
            SessionChange::Status(status) => Some(AppEvent::Status(status)),
            SessionChange::Quality(quality) => Some(AppEvent::Quality(quality)),
            SessionChange::Ending(_) => {
                live.ending = true;
                None
            }
            SessionChange::Ended(reason) => {
                self.peers.end(device, reason);
                self.dialer.handle_ended(device, reason, now);
                self.stop_closed_dials(device);
                Some(AppEvent::Disconnected(reason))
            }
        };
        if let Some(event) = event {
            self.outputs.push_back(Output::Event(session, device, event));
        }
        if matches!(change, SessionChange::Path(_) | SessionChange::Status(_)) {
            self.report_standing(device, state, now);
        }
        self.serve(device);
        self.follow_dialer();
    }

    fn report_standing(&mut self, device: DeviceId, state: SessionState, now: Instant) {
        let tier = state.route.map(Route::tier);
        let improvable = tier.is_some_and(|tier| self.ways.better(device, Some(tier)).next().is_some());
        self.dialer.handle_standing(device, Standing { status: state.status, tier, improvable }, now);
    }

    /// Dials and evicts as the dialer has decided.
    fn follow_dialer(&mut self) {
        while let Some(output) = self.dialer.poll_output() {
            match output {
                DialOutput::Dial(device, purpose) => {
                    let dial = self.dial(device, purpose);
                    if let Some(dial) = self.dials.get_mut(&dial) {
                        dial.for_dialer = true;
                    }
                }
                DialOutput::Evict(device, why) => {
                    if let Some(live) = self.peers.live_mut(device) {
                        live.ending = true;
                        self.outputs.push_back(Output::Evict(live.id, device, why));
                    }
                }
            }
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

#[cfg(test)]
mod tests;
