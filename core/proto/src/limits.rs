//! Every limit of the protocol, each with its reason. A peer that goes beyond one of them loses its connection.

/// Largest unit handed to a transport. SCTP fragments above its path MTU anyway; at 16 KiB a call never waits longer
/// behind a chunk than one frame takes, and every WebRTC stack accepts it.
pub const MAX_FRAME: usize = 16 * 1024;

/// Largest whole object. Bigger data is a stream.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// Multi-frame objects that may be in reassembly at once on one session.
pub const MAX_OPEN_MESSAGES: usize = 4;
/// Bytes of buffers in reassembly on one connection, filled or not.
pub const MAX_REASSEMBLY_PER_CONNECTION: usize = 8 * 1024 * 1024;
/// Bytes that a session may hold for its peer whatever others hold: what arrived and is not taken, and answers that are not
/// on their way. A conversation that is read as it comes never needs more.
pub const RECEIVED_SHARE: usize = 256 * 1024;
/// Bytes that all sessions of a process may hold for their peers beyond their shares. With the shares of [`MAX_CONNECTIONS`]
/// and both `SENT` limits that is 55 MiB, if every peer of a device is an enemy. A phone kills an app that grows by more than
/// 64 MB in the background.
pub const RECEIVED_POOL: usize = 32 * 1024 * 1024;
/// Bytes that a session may have unacknowledged whatever others have: eight frames, so that it always gets on.
pub const SENT_SHARE: usize = 128 * 1024;
/// Bytes that all sessions may have unacknowledged beyond their shares: one has its whole [`SEND_WINDOW`], and who finds
/// nothing left sends no more until something is acknowledged.
pub const SENT_POOL: usize = 12 * 1024 * 1024;

/// MessagePack nesting. Real objects stay below ten; recursion beyond is an attack on the decoder's stack.
pub const MAX_DEPTH: usize = 32;
/// MessagePack values in one object, containers and keys included.
pub const MAX_ELEMENTS: usize = 65_536;

/// Objects smaller than this are sent as they are: Brotli's tables cost more than they save.
pub const COMPRESS_ABOVE: usize = 1024;
/// Largest Brotli window, in bits: 4 MiB, all of the largest object, and what other encoders use by default.
pub const COMPRESS_WINDOW_BITS: u32 = 22;
/// A compressed object may declare at most `compressed * MAX_EXPANSION + MAX_EXPANSION_FLOOR` bytes.
pub const MAX_EXPANSION: usize = 100;
/// See [`MAX_EXPANSION`].
pub const MAX_EXPANSION_FLOOR: usize = 64 * 1024;

/// Frames and their bytes sent but not yet acknowledged, per session: what a resume must be able to send again.
/// 8 MiB carry 150 MB/s at 50 ms round trip.
pub const SEND_WINDOW: usize = 8 * 1024 * 1024;
/// Bytes that a frame costs beside its own while it is not acknowledged: its buffer's header and its place in the queue.
pub const FRAME_COST: usize = 64;
/// Bytes of credit an object costs beside its own: what its entry takes in a queue that doubles.
pub const OBJECT_COST: usize = 128;
/// Bytes a call of the peer takes beside its argument: its entry, its deadline, its handler's task.
pub const CALL_COST: usize = 1024;
/// Bytes a stream takes beside what was written to it.
pub const STREAM_COST: usize = 512;
/// Bytes a piece of a stream takes beside its own: its entry in a queue that doubles, and its buffer's header.
pub const CHUNK_COST: usize = 128;
/// Bytes of answers that wait because the caller takes what it asked for too slowly: two of the largest. Further ones
/// become failures, which cost next to nothing.
pub const ANSWER_QUEUE: usize = 2 * MAX_MESSAGE;
/// Bytes of failures, resets and credit that wait because the peer acknowledges nothing. [`MAX_CALLS`] and [`MAX_STREAMS`]
/// of an honest peer stay below half of it.
pub const MAX_OWED: usize = 256 * 1024;
/// Segments a second that a peer may send in vain: calls that are refused, cancelled calls, streams opened. Each costs little,
/// but a frame has thousands; beyond it the peer's frames wait.
pub const VAIN_PER_SECOND: u64 = 10_000;
/// Of those, as many as may come at once: all calls and streams of a session several times.
pub const VAIN_BURST: u64 = 5_000;
/// Segments that a frame without anything new counts as: an acknowledgement, a ping or its answer, a repetition. An honest
/// peer sends a few hundred a second, and after a switch of paths its whole window once more.
pub const VAIN_FRAME: u64 = 2;
/// Bytes a second that one session's objects may become by decompression: a fifth of what a phone's core does.
pub const UNPACK_PER_SECOND: u64 = 32 * 1024 * 1024;
/// Of those, as many as may come at once.
pub const UNPACK_BURST: u64 = 2 * MAX_MESSAGE as u64;
/// Bytes of messages an app may have queued on one session before `send` suspends, and of requests before a call does.
pub const SEND_QUEUE: usize = 1024 * 1024;
/// Bytes of whole messages received and not yet taken by the app, per session; the peer may send no more (credit). Requests
/// that are not answered have as much of their own: a call does not wait for an app to take messages.
pub const RECEIVE_BUDGET: usize = MAX_MESSAGE + 256 * 1024;
/// Bytes one stream may have in flight beyond what its reader has taken: 110 MB/s at 50 ms round trip. One that is not
/// read leaves a quarter of [`STREAMS_WINDOW`] to the others.
pub const STREAM_WINDOW: usize = 6 * 1024 * 1024;
/// Bytes all streams of a session may have in flight beyond what their readers have taken.
pub const STREAMS_WINDOW: usize = 8 * 1024 * 1024;
/// Bytes an app may have queued on one stream before `write` suspends.
pub const STREAM_QUEUE: usize = 256 * 1024;
/// Bytes that one source puts into a frame before the next one has its turn.
pub const QUANTUM: usize = 4 * 1024;
/// Bytes that transports leave for the sealing of a frame: [`SEAL_OVERHEAD`](crate::seal::SEAL_OVERHEAD), and room to spare.
pub const SEAL_ROOM: usize = 32;
/// Bytes of a frame in one SCTP packet of the WebRTC stack's default size: 1191 without the common and the chunk header,
/// padded.
const SCTP_PAYLOAD: usize = 1160;
/// Largest frame before sealing: as many whole SCTP packets as a frame may have. A shorter packet at its end would cost as
/// much as a full one and interrupt segmentation offload.
pub const MAX_FRAME_CONTENT: usize = (MAX_FRAME - SEAL_ROOM) / SCTP_PAYLOAD * SCTP_PAYLOAD;
/// Bytes of a ping that asks whether full packets pass: two SCTP packets full, of which at least one is, and more than a TCP
/// segment on an Ethernet has. Few enough for the first flight of a new connection.
pub const FULL_PING: usize = 2 * SCTP_PAYLOAD;
/// Bytes of the peer beyond which its next acknowledgement may wait behind more of them. Far below what a transport keeps for a
/// slow link, and more than a conversation has in some seconds.
pub const BULK: usize = 64 * 1024;
/// Received bytes after which an acknowledgement does not wait for its timer.
pub const ACK_EVERY: usize = 1024 * 1024;
/// Streams open at once on one session, counted per opener.
pub const MAX_STREAMS: usize = 128;
/// Calls waiting for an answer at once on one session, counted per caller.
pub const MAX_CALLS: usize = 256;
/// Groups one session may carry.
pub const MAX_GROUPS: usize = 256;
/// Bytes of the name of a service or a method.
pub const MAX_NAME: usize = 64;
/// Bytes of a stream's name: as many as file systems allow in a file's.
pub const MAX_STREAM_NAME: usize = 255;
/// Characters of the text in an error that crosses the wire.
pub const MAX_ERROR_TEXT: usize = 256;

/// Bytes of a device's name in its certificate: one line on a phone's screen.
pub const MAX_DEVICE_NAME: usize = 64;
/// Devices in one user's revocation list: many times what a person owns in a lifetime, 10 KiB on the wire.
pub const MAX_REVOKED: usize = 512;

/// Devices whose keys are pinned: far more than a person meets, and 1 MB. A listener for anybody meets more, and forgets
/// strangers.
pub const MAX_PINNED: usize = 4096;
/// Devices that dials are decided about. Those beyond 30 connections are looked for in vain anyway.
pub const MAX_DIALED: usize = 4096;

/// Bytes of one handshake message.
pub const MAX_HANDSHAKE: usize = 4096;
/// Bytes of a transport's channel binding: two SHA-256 hashes.
pub const MAX_BINDING: usize = 64;
/// Bytes either side may send with its consent at the end of a handshake: enough to say where a session goes on.
pub const MAX_READY: usize = 256;
/// Handshakes that devices with trust may have in progress at once towards this one. One more waits for its turn.
pub const MAX_HANDSHAKES: usize = 16;
/// The same for all other devices together: a device id costs nothing to make, so they share.
pub const MAX_STRANGER_HANDSHAKES: usize = 8;
/// Connections to a device that listens whose peers have not proven who they are: as many as handshakes with known devices.
pub const MAX_HALF_OPEN: usize = MAX_HANDSHAKES;
/// Of those, from one address: a device has one connection, a household behind one address has several devices.
pub const MAX_HALF_OPEN_PER_SOURCE: usize = 8;
/// Devices that may wait at once for the app to decide about them. Beyond it a device is refused.
pub const MAX_DECISIONS: usize = 16;
/// Handshakes a second that one device may pass as initiator, one after the other. A handshake takes about a
/// millisecond of a processor.
pub const ARRIVALS_PER_SECOND: u64 = 20;
/// The same at once: every path of a session anew, several times.
pub const ARRIVAL_BURST: u64 = 64;
/// Bytes sealed under one key before it is replaced.
pub const REKEY_BYTES: u64 = 1 << 36;
/// Frames sealed under one key before it is replaced.
pub const REKEY_FRAMES: u64 = 1 << 24;

/// Bytes of one signaling message. An offer with 32 candidates, sealed and in base64, stays below 16 KiB.
pub const MAX_SIGNALING: usize = 64 * 1024;
/// A frame on the relay's data path: a whole frame and what sealing adds to it.
pub const MAX_RELAY_FRAME: usize = MAX_FRAME + 256;
/// Bytes of a knock: a certificate, a signature for the recipient and a name fit.
pub const MAX_KNOCK: usize = 1024;
/// Bytes of a relay's access token: 32 random bytes in any spelling, or a signed token of a few claims.
pub const MAX_ACCESS_TOKEN: usize = 256;
/// Devices one device may watch. Thirty connections are kept; this covers everyone they could be chosen from.
pub const MAX_WATCHED: usize = 512;
/// Relayed messages remembered to recognise copies from other relays: a few minutes of heavy signaling.
pub const MAX_SEEN_MESSAGES: usize = 4096;
/// Bytes inside one sealed envelope, certificate and signature apart: with them, in base64 and in its JSON message it
/// stays below [`MAX_SIGNALING`].
pub const MAX_ENVELOPE_BODY: usize = 40 * 1024;
/// Envelopes of one device that are opened in a second: opening one takes a third of a millisecond.
pub const ENVELOPES_PER_SECOND: u64 = 16;
/// The same at once: two attempts with all their candidates in envelopes of their own.
pub const ENVELOPE_BURST: u64 = 2 * (MAX_CANDIDATES as u64 + 2);
/// Envelopes of one device that wait to be opened, one after the other: those of [`ENVELOPE_BURST`], and of some seconds in
/// which the processor is busy.
pub const MAX_UNOPENED_ENVELOPES: usize = 128;
/// Envelopes of one device that are kept, sealed, until the app has decided about it.
pub const MAX_HELD_ENVELOPES: usize = 16;
/// Bytes of the kept envelopes of all devices.
pub const MAX_HELD_ENVELOPE_BYTES: usize = 512 * 1024;
/// Knocks opened in a second: opening one takes a third of a millisecond, and each may become a question to a person.
pub const KNOCKS_PER_SECOND: u64 = 4;
/// The same at once: a class of thirty whose devices all start to look for one.
pub const KNOCK_BURST: u64 = 32;
/// Knocks remembered to recognise copies and replays: four minutes of as many as are opened.
pub const MAX_SEEN_KNOCKS: usize = 1024;
/// Look-ups of names that may be under way at once, each on a thread: those of all relays and ICE servers a device has.
pub const MAX_NAME_LOOKUPS: usize = 16;
/// Names of STUN and TURN servers that are looked up. Of the places above they leave half to the relays.
pub const MAX_ICE_NAMES: usize = 8;
/// Remote candidates accepted in one attempt.
pub const MAX_CANDIDATES: usize = 32;
/// Of those, a device's own addresses, and of this device's own those it binds. The others leave room for what STUN and TURN
/// servers see, without which two networks do not meet.
pub const MAX_HOST_CANDIDATES: usize = 8;
/// Addresses a connection may bind however many sockets others have: one of each IP version.
pub const MIN_HOST_CANDIDATES: usize = 2;
/// UDP sockets beyond which connections have [`MIN_HOST_CANDIDATES`]. They are closed once a pair is in use, but for one. An
/// iPhone's process has 256 descriptors: with thirty attempts at once these take 124 at most, relays, local sockets and the
/// runtime some 50, and the app keeps 64.
pub const MAX_ICE_SOCKETS: usize = 64;
/// Pairs of candidates that are checked (RFC 8445 section 6.1.2.5).
pub const MAX_CANDIDATE_PAIRS: usize = 100;
/// Pairs whose first check may leave at once.
pub const ICE_CHECK_BURST: u64 = 16;
/// Bytes of one candidate line. Real ones stay below 200.
pub const MAX_CANDIDATE: usize = 512;
/// Bytes of a session description. One data channel takes about 500, and up to 32 candidates may be inside.
pub const MAX_SDP: usize = 16 * 1024;
/// Attempts whose candidates are kept although their offer has not come: glare makes two.
pub const MAX_EARLY_ATTEMPTS: usize = 4;
/// Attempts remembered so that replays and late envelopes are recognised.
pub const MAX_REMEMBERED_ATTEMPTS: usize = 1024;
/// Offers of one peer that may be asked for again at once because they were made for another instance; one more each
/// second. A device makes one per attempt, so more than that are replays.
pub const RETRY_BURST: u64 = 16;
/// Offers remembered as asked for again. A replay of an older one costs a token.
pub const MAX_RETRIED_OFFERS: usize = 64;
/// Envelopes of one negotiation held while signaling is away: one description, which may have [`MAX_SDP`] bytes, and byes.
pub const MAX_HELD_CONTENTS: usize = 32;
/// Paths of one session at once: one in use, one in reserve, and those that are being replaced.
pub const MAX_PATHS: usize = 6;
/// Dials that may begin at once: all connections after a change of network, and some more.
pub const DIAL_BURST: u32 = 40;
/// Connections kept at once.
pub const MAX_CONNECTIONS: usize = 30;

/// Bytes a data channel may always have under way, however short the path: more only adds latency, measured best.
pub const WEBRTC_MIN_WINDOW: usize = 256 * 1024;
/// The same, however long: 80 MB/s at 50 ms round trip. As large as the sockets' buffers, since a burst that exceeds the
/// receiver's is lost, and the stack takes seconds to recover.
pub const WEBRTC_MAX_WINDOW: usize = 4 * 1024 * 1024;
/// Datagrams beside the stack's, received on one socket and not yet taken: a burst of 1.4 MB. Their protocol bears loss.
pub const LANE_QUEUE: usize = 1024;
/// Bytes of one DTLS handshake message. A certificate is the longest; real ones stay below 4 KiB with their chain.
pub const MAX_DTLS_MESSAGE: usize = 16 * 1024;
/// Handshake messages one side of a DTLS connection may send. A handshake has seven a side.
pub const MAX_DTLS_MESSAGES: usize = 16;
/// Pieces of one handshake message. The stack joins them by calling itself once for each, and even over the smallest path
/// MTU the longest real message has fewer.
pub const MAX_DTLS_PIECES: usize = 16;
/// Handshake messages one connection may receive, in bytes the stack keeps, repeats included.
pub const MAX_DTLS_HANDSHAKE: usize = 256 * 1024;
/// The same from one address: a flight takes 3 KiB at most, and is repeated 20 times in the time an attempt has.
pub const MAX_DTLS_HANDSHAKE_PER_SENDER: usize = 64 * 1024;
/// Pieces accepted after the handshake: the last flight, repeated as long as ours is lost.
pub const MAX_DTLS_LAST_FLIGHT: usize = 64;
/// Handshake records under the handshake's keys: one, and its repeats.
pub const MAX_DTLS_SEALED_RECORDS: usize = 32;
/// Bytes of such a record, or of an alert: `Finished` takes 48.
pub const MAX_DTLS_SEALED_RECORD: usize = 128;
/// Records that may arrive before the keys that open them, which the stack keeps: the end of a flight that was reordered.
pub const MAX_DTLS_PARKED: usize = 64;
/// Their bytes.
pub const MAX_DTLS_PARKED_BYTES: usize = 64 * 1024;
/// Small SCTP chunks received for which no frame was delivered: what waits behind a lost packet when calls are short. Each
/// takes the stack a kilobyte beside its content, since it makes room for four fragments at once.
pub const MAX_SCTP_SMALL_CHUNKS: usize = 16 * 1024;
/// SCTP chunks at once that are neither data nor acknowledgement. An association begins with four, and then has a
/// heartbeat now and then.
pub const SCTP_CONTROL_BURST: u64 = 64;
/// The same, a second in the long run.
pub const SCTP_CONTROL_RATE: u64 = 4;
/// Stream resets on one connection: the one channel's, repeated as long as the answer is lost.
pub const MAX_SCTP_RESETS: usize = 32;
/// Bytes received through the relay for one transport and not yet taken by its reader. Twice the session's send window, so only
/// a peer that ignores the window, or a reader that stopped, gets there. The transport is closed.
pub const RELAY_INBOUND: usize = 2 * SEND_WINDOW;
/// The same for all transports of one relay together. Beyond it the fullest one is closed.
pub const RELAY_INBOUND_TOTAL: usize = 2 * RELAY_INBOUND;
/// Bytes one transport may have waiting for the socket to the relay before `send` waits.
pub const RELAY_OUTBOUND: usize = 256 * 1024;
/// Bytes of a batch written to the relay between two looks at what is urgent: signaling waits for one at most.
pub const RELAY_BATCH: usize = 128 * 1024;
/// Transports on one relay, opened by either side. As many as a relay allows by default.
pub const MAX_RELAY_TRANSPORTS: usize = 128;
/// Transports peers may have open to this device on one relay: all connections, and the handshakes on their way.
pub const MAX_RELAY_INCOMING: usize = MAX_CONNECTIONS + MAX_HANDSHAKES;
/// Of those, from one peer: an old one that it lost, its successor, and room for impatience.
pub const MAX_RELAY_INCOMING_PER_PEER: usize = 4;
/// The same for all devices that this one does not watch, together: each needs a handshake's place next.
pub const MAX_RELAY_STRANGERS: usize = MAX_STRANGER_HANDSHAKES;
/// Of those, from one device.
pub const MAX_RELAY_TRANSPORTS_PER_STRANGER: usize = 2;
/// Events of one relay not yet taken by the app's side. Beyond it exchanges are dropped, as a network would.
pub const MAX_RELAY_EVENTS: usize = 256;
/// Exchanges held while the relay is away. More were not going to be answered in time.
pub const MAX_HELD_EXCHANGES: usize = 256;
/// Devices whose certificates may be asked for at once.
pub const MAX_LOOKUPS: usize = 64;
