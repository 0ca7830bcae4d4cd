package app.peers.sdk

import app.peers.sdk.generated.RelayState as GeneratedState
import app.peers.sdk.generated.RelayStatus as GeneratedStatus

/** One relay, and where this device stands with it. */
public data class RelayStatus(
    /** As [PeersConfig.relay] was given it. */
    val url: String,
    /** Now. */
    val state: RelayState,
    /** Why the last try failed or the last registration ended; kept while the next try runs, null once it succeeds. */
    val problem: RelayProblem?,
)

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
public data class RelayProblem(
    /**
     * A stable name: `not-found`, `unreachable`, `tls`, `not-a-relay`, `wrong-name`, `not-admitted`, `refused`, `silent`,
     * `broken`, `closed`, `network-changed`, `protocol`.
     */
    val code: String,
    /** For a person. */
    val reason: String,
)

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
