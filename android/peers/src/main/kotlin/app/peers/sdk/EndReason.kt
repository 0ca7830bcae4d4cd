package app.peers.sdk

import app.peers.sdk.generated.EndReason as GeneratedEndReason

/** The reason for which a session ended. [toString] is its stable name, for logs. */
public enum class EndReason(private val text: String) {
    /** The app closed it, or shut the client down. */
    CLOSED("closed"),

    /** This device closed it to make room for another one: there were more than 30. */
    EVICTED("evicted"),

    /** The peer closed it, or had no room for it. */
    CLOSED_BY_PEER("closed-by-peer"),

    /** The peer's app was started anew, or waited too long for a path; the device has another session then. */
    PEER_RESTARTED("peer-restarted"),

    /** No path came back within [PeersConfig.resumeWindow]. */
    NO_PATH("no-path"),

    /** The peer broke the protocol. */
    PROTOCOL("protocol"),

    /** Too much waited here to be collected. */
    OVERLOADED("overloaded"),
    ;

    override fun toString(): String = text
}

internal fun GeneratedEndReason.toReason(): EndReason = when (this) {
    // The library's threads end with the client.
    GeneratedEndReason.CLOSED, GeneratedEndReason.NO_RUNTIME -> EndReason.CLOSED
    GeneratedEndReason.EVICTED -> EndReason.EVICTED
    GeneratedEndReason.CLOSED_BY_PEER -> EndReason.CLOSED_BY_PEER
    GeneratedEndReason.PEER_RESTARTED -> EndReason.PEER_RESTARTED
    GeneratedEndReason.NO_PATH -> EndReason.NO_PATH
    GeneratedEndReason.PROTOCOL -> EndReason.PROTOCOL
    GeneratedEndReason.OVERLOADED -> EndReason.OVERLOADED
}
