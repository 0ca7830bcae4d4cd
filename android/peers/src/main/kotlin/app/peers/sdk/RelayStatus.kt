package app.peers.sdk

import app.peers.sdk.generated.RelayState as GeneratedState
import app.peers.sdk.generated.RelayStatus as GeneratedStatus
import java.util.Objects

/** One relay, and where this device stands with it. */
public class RelayStatus internal constructor(
    /** As [PeersConfig.relay] was given it. */
    public val url: String,
    /** Now. */
    public val state: RelayState,
    /** Why the last try failed or the last registration ended; kept while the next try runs, null once it succeeds. */
    public val problem: RelayProblem?,
) {
    override fun equals(other: Any?): Boolean =
        other is RelayStatus && url == other.url && state == other.state && problem == other.problem

    override fun hashCode(): Int = Objects.hash(url, state, problem)

    override fun toString(): String = "RelayStatus(url=$url, state=$state, problem=$problem)"
}

/** Where this device stands with one relay. */
public enum class RelayState {
    /** Dialing or registering. */
    CONNECTING,

    /** Registered. */
    REGISTERED,

    /** It did not work, or it ended; it is tried again in a moment. */
    WAITING,

    /** The app is suspended. */
    SUSPENDED,

    /** Another process registered with this identity. */
    SUPERSEDED,

    /** Closed. */
    STOPPED,
}

/** Why a relay is not reached. */
public class RelayProblem internal constructor(
    /**
     * A stable name: `not-found`, `unreachable`, `tls`, `not-a-relay`, `wrong-name`, `not-admitted`, `refused`, `silent`,
     * `broken`, `closed`, `network-changed`, `protocol`.
     */
    public val code: String,
    /** For a person. */
    public val reason: String,
) {
    override fun equals(other: Any?): Boolean = other is RelayProblem && code == other.code && reason == other.reason

    override fun hashCode(): Int = Objects.hash(code, reason)

    override fun toString(): String = "RelayProblem(code=$code, reason=$reason)"
}

internal fun GeneratedStatus.toStatus(): RelayStatus =
    RelayStatus(url, state.toState(), problem?.let { RelayProblem(it.code, it.reason) })

private fun GeneratedState.toState(): RelayState = when (this) {
    GeneratedState.CONNECTING -> RelayState.CONNECTING
    GeneratedState.REGISTERED -> RelayState.REGISTERED
    GeneratedState.WAITING -> RelayState.WAITING
    GeneratedState.SUSPENDED -> RelayState.SUSPENDED
    GeneratedState.SUPERSEDED -> RelayState.SUPERSEDED
    GeneratedState.STOPPED -> RelayState.STOPPED
}
