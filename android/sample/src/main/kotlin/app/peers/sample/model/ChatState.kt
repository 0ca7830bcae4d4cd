package app.peers.sample.model

import app.peers.sdk.DeviceId
import app.peers.sdk.PathKind
import app.peers.sdk.PeerEvent
import app.peers.sdk.PeersState
import app.peers.sdk.Quality
import app.peers.sdk.RelayStatus
import app.peers.sdk.Session
import app.peers.sdk.SessionStatus
import kotlin.time.Duration

/** All that the screens show. */
data class ChatState(
    /** This device's code; null before the keys are there. */
    val ownCode: DeviceId? = null,
    /** Whether a relay is reached. */
    val client: PeersState = PeersState.STOPPED,
    /** Each relay, and why it is not reached. */
    val relays: List<RelayStatus> = emptyList(),
    val chats: Chats = Chats(),
    /** Sessions that there are, by their peer. */
    val connections: Map<DeviceId, Connection> = emptyMap(),
    /** Why a contact is not reached. */
    val problems: Map<DeviceId, String> = emptyMap(),
    /** Devices that ask for a session. */
    val requests: List<JoinRequest> = emptyList(),
    /** Digits to compare with those on a contact's screen, by contact. */
    val comparisons: Map<DeviceId, String> = emptyMap(),
    /** Why the last action failed. */
    val problem: String? = null,
)

/** A session as it is now. */
data class Connection(
    val status: SessionStatus,
    /** What carries it; null while a path is looked for. */
    val path: PathKind?,
    /** Whether a TURN server forwards it. */
    val relayed: Boolean,
    /** Round trip, once measured. */
    val rtt: Duration?,
    /** Percent of the last pings without an answer; null without a path. */
    val loss: Int?,
    val quality: Quality.Level?,
)

internal fun Session.toConnection(): Connection {
    // One look, so that all of it is about the same path.
    val info = pathInfo
    return Connection(status, info?.kind, info?.relayed == true, info?.rtt, info?.loss, info?.quality?.level)
}

/** A device that is no contact and asks for a session. */
class JoinRequest internal constructor(internal val incoming: PeerEvent.Incoming) {
    val device: DeviceId = incoming.device

    /** What the device calls itself, which proves nothing. */
    val name: String = incoming.name

    /** Six digits that the asking device shows too; null until it may come and be compared. */
    val digits: String? = incoming.sas
}
