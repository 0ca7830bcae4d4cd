//! Every duration of the protocol, each with its reason.

use std::time::Duration;

/// A handshake that takes longer is over: four frames, even at 2 s round trip through a relay.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A person decides about an unknown device within this time, or the answer is no.
pub const APPROVAL_TIMEOUT: Duration = Duration::from_secs(30);
/// An unanswered call is collected (S039) unless the caller said otherwise.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// An object whose next piece does not arrive during this much contact with the peer ends the session.
pub const REASSEMBLY_IDLE: Duration = Duration::from_secs(15);
/// Silence between two frames counts as contact up to this: an outage, or a sleep, is not the sender's fault.
pub const CONTACT_GAP: Duration = Duration::from_secs(1);
/// Received frames are acknowledged at the latest after this: long enough to ride on a reply.
pub const ACK_DELAY: Duration = Duration::from_millis(20);
/// Time that a session waits for a new connection before it is lost.
pub const RESUME_WINDOW: Duration = Duration::from_secs(60);
/// One key seals for at most this long.
pub const REKEY_AFTER: Duration = Duration::from_secs(3600);

/// A path in use is asked when nothing was received for this long (D14).
pub const PING_ACTIVE: Duration = Duration::from_secs(15);
/// The same while data waits for acknowledgement: the peer acknowledges within [`ACK_DELAY`] and a round trip, so this is
/// trouble, or a very slow link.
pub const PING_OUTSTANDING: Duration = Duration::from_secs(1);
/// The same on an idle path and on the connection to a relay, at the next [`BEAT`]. NATs keep a UDP mapping for 30 s at least
/// (RFC 4787 asks for 120). Every wake-up of a phone's radio costs its battery for seconds.
pub const PING_IDLE: Duration = Duration::from_secs(20);
/// The same on a path of a device whose data costs money, which so asks half as often. RFC 4787 asks NATs to keep a UDP
/// mapping for 120 s; where one forgets earlier the reserve takes over.
pub const PING_FRUGAL: Duration = Duration::from_secs(50);
/// A path is also asked when nothing new was acknowledged for this long although the peer is heard. This side's frames may be
/// lost there, as large datagrams are where a tunnel's MTU is small.
pub const PING_UNACKNOWLEDGED: Duration = Duration::from_secs(5);
/// The same while the peer sends much: its acknowledgements wait behind that in the buffers of a slow link.
pub const PING_BEHIND_BULK: Duration = Duration::from_secs(20);
/// A session counts as used until this long after its last data.
pub const IDLE_AFTER: Duration = Duration::from_secs(60);
/// Idle paths and relays are kept alive at multiples of this of the device's clock. Clocks agree about the multiples, so
/// a phone with thirty of them wakes up 120 times an hour, not thirty times as often.
pub const BEAT: Duration = Duration::from_secs(30);
/// A relay is pinged at multiples of the first; of a shorter one on networks where something closes idle connections earlier:
/// proxies and firewalls after 30 s or 60 s. Fractions of [`BEAT`], so that a phone wakes for several things at once, and
/// none below ten seconds, which would keep its radio on for good.
pub const PING_BEATS: [Duration; 3] = [BEAT, Duration::from_secs(15), Duration::from_secs(10)];
/// A ping without an answer for this long is a miss.
pub const PING_PATIENCE: Duration = Duration::from_secs(5);
/// Misses in a row that end a path.
pub const PING_MISSES: u32 = 2;
/// An unanswered question makes a path suspect after three round trips, but never before this: retransmissions need it.
pub const PATIENCE_MIN: Duration = Duration::from_secs(1);
/// The same before a round trip was measured.
pub const PATIENCE_UNMEASURED: Duration = Duration::from_secs(2);
/// A path that was suspect must answer for this long before it carries a session again.
pub const RETURN_AFTER: Duration = Duration::from_secs(3);
/// Time for which a suspended device asks its peers to keep their sessions: a person puts the phone away, and comes
/// back to the same conversation.
pub const AWAY: Duration = Duration::from_secs(3600);
/// Longest time for which a device may ask its peer to keep a session.
pub const MAX_AWAY: Duration = Duration::from_secs(24 * 3600);
/// Facts about the network come in bursts; they are acted on when nothing more came for this long ...
pub const NETWORK_SETTLE: Duration = Duration::from_millis(250);
/// ... or this long after the first, whatever still comes.
pub const NETWORK_SETTLE_MAX: Duration = Duration::from_millis(500);

/// A WebRTC attempt that is not connected by then is closed: ICE with TURN over a slow link takes about ten.
pub const WEBRTC_ESTABLISHMENT: Duration = Duration::from_secs(20);
/// Candidates found within this of each other share an envelope: host candidates come in one burst, and a STUN answer
/// takes longer anyway.
pub const CANDIDATE_BATCH: Duration = Duration::from_millis(20);
/// Shortest wait before a relay is dialed again; doubles up to [`RECONNECT_MAX`], full jitter.
pub const RECONNECT_MIN: Duration = Duration::from_millis(250);
/// Longest wait before a relay is dialed again.
pub const RECONNECT_MAX: Duration = Duration::from_secs(30);
/// A relay that does not answer registration within this is treated as down.
pub const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(10);
/// A device whose knock was accepted may reach this one for so long without trust: for a handshake, two people who compare its
/// digits, and a second try.
pub const COMPARING: Duration = Duration::from_secs(90);
/// A negotiation in which nothing happened for this long is forgotten.
pub const NEGOTIATION_IDLE: Duration = Duration::from_secs(60);
/// A dial to a device whose keys are known, and which no relay sees, waits this long for it to answer a knock. Its process may
/// have been started anew and know nothing of this one.
pub const KNOCK_PATIENCE: Duration = Duration::from_secs(2);
/// An offer older than this is not worth answering.
pub const OFFER_TTL: Duration = Duration::from_secs(30);
/// Longest deadline a call may ask for; longer ones are cut to it.
pub const MAX_CALL_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// A device of a known user counts as known after this: long enough for the owner to notice one that was smuggled in.
pub const NEW_DEVICE_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// ICE checks: every 20 ms, so that a lost one costs no second, for as many as fit into the establishment's first half.
pub const ICE_CHECKS: (Duration, u16) = (Duration::from_millis(20), 600);
/// Time between two checks of a connection, however many pairs it has (RFC 8445 section 14.2 has 5 ms at least). Four pairs are
/// checked in every round, and sixty-four each 320 ms.
pub const ICE_PACE: Duration = Duration::from_millis(5);
/// Time before the first check of a pair whose address the system would not send from, and between two of them. Such a pair
/// works where a network is chosen by the sender's address, and costs the others time elsewhere.
pub const ICE_UNROUTED: Duration = Duration::from_millis(500);
/// ICE's own consent checks (RFC 7675) on an established pair: none. The stack's default, one in 2 s from each end, would keep
/// a phone's radio awake. It would prove nothing beyond [`PING_IDLE`] and the beat, which keep NATs open as well.
pub const ICE_KEEP_ALIVE: Duration = Duration::ZERO;
/// Silence after which ICE calls a pair disconnected, and the time from there until it fails: never. Own liveness decides,
/// and an attempt ends after [`WEBRTC_ESTABLISHMENT`].
pub const ICE_GIVE_UP: Duration = Duration::ZERO;
/// Time that a direct pair is awaited before one through a NAT is taken.
pub const ICE_SRFLX_WAIT: Duration = Duration::from_millis(150);
/// Time that any better pair is awaited before one through TURN is taken.
pub const ICE_RELAY_WAIT: Duration = Duration::from_millis(300);
/// Time that an attempt which the peer gave up waits for this side's own TURN server, which both asked at once: its refusal says
/// what is wrong.
pub const TURN_VERDICT: Duration = Duration::from_millis(300);
/// The names of STUN and TURN servers have this long, all together, from the first look-up in a network: attempts then go on
/// without those that were not found. Long enough for a cellular network, short enough for both ends to wait in turn.
pub const ICE_RESOLVE: Duration = Duration::from_millis(400);
/// A name that an attempt needs is looked up anew after this, beside it: resolvers remember, and servers move.
pub const ICE_RESOLVE_AGAIN: Duration = Duration::from_secs(10);
/// A closing data channel waits this long for its last acknowledgement.
pub const WEBRTC_CLOSE: Duration = Duration::from_secs(1);
/// A path that ends has this long to tell the peer.
pub const GOODBYE: Duration = Duration::from_secs(1);

/// A dialed WebSocket that is not open by then is given up: name, TCP, TLS and upgrade at 2 s round trip.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The next address of a host is tried this long after the one before it (RFC 8305 section 5).
pub const HAPPY_EYEBALLS: Duration = Duration::from_millis(250);
/// The next address is tried too when one accepted TCP and has said nothing of use for this long: TLS, the upgrade and the first
/// message take three round trips.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// A relay that is back within this was not away, as far as an app is concerned.
pub const OFFLINE_GRACE: Duration = Duration::from_secs(2);
/// Known devices without a session are looked for this often while a person looks (S072).
pub const SCAN: Duration = Duration::from_secs(60);
/// An end that does not lead gives the other this long to restore a session both know to be cut.
pub const FOLLOWER_PATIENCE: Duration = Duration::from_millis(750);
/// One more dial may begin after each of these.
pub const DIAL_REFILL: Duration = Duration::from_millis(500);
/// Longest wait before a session without a path is dialed again by an app in the background.
pub const REDIAL_UNSEEN: Duration = Duration::from_secs(300);
/// Shortest wait before something better than a detour is tried again: a WebRTC attempt costs a second of radio.
pub const UPGRADE_MIN: Duration = Duration::from_secs(10);
/// Longest: a NAT that let nothing through for so long will not soon, and a change of network is reported.
pub const UPGRADE_MAX: Duration = Duration::from_secs(600);
/// After the first failures every device tries at multiples of this of its clock. An attempt that fails keeps the radio awake for
/// [`WEBRTC_ESTABLISHMENT`], so those of thirty sessions begin together. Both ends dial at once and share one attempt.
pub const UPGRADE_TOGETHER: Duration = Duration::from_secs(300);
/// A better path that is lost again sooner counts as one that was not found: the next attempts are further apart.
pub const UPGRADE_STABLE: Duration = Duration::from_secs(60);
/// A device that closed its session, or whose session was closed for want of room, is not dialed for this long at least (D17)
/// ...
pub const REST_MIN: Duration = Duration::from_secs(60);
/// ... and, the more often that happened in a row, up to this.
pub const REST_MAX: Duration = Duration::from_secs(600);
/// A registration that lasted this long was a success; a shorter one does not reset the backoff.
pub const RECONNECT_STABLE: Duration = Duration::from_secs(10);
/// A relay that does not admit this device is tried again after this: its operator has to change something first.
pub const NOT_ADMITTED_RETRY: Duration = Duration::from_secs(600);
/// A pinged relay that stays silent for this long is gone.
pub const RELAY_PONG: Duration = Duration::from_secs(10);
/// The same right after the network changed, when a dead socket is likely and a live one answers at once.
pub const RELAY_PROBE: Duration = Duration::from_secs(3);
/// ICE servers whose credentials end within this are asked for again: longer than it takes to gather with them.
pub const ICE_REFRESH_BEFORE: Duration = Duration::from_secs(60);
/// ... but never again before this: a relay that hands out dead ones must not keep a phone busy.
pub const ICE_REFRESH_MIN: Duration = Duration::from_secs(10);
/// A certificate the relay does not deliver within this is not there.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the last messages of a close; later ones are not sent: iOS gives an app seconds.
pub const CLOSE_GRACE: Duration = Duration::from_secs(1);
