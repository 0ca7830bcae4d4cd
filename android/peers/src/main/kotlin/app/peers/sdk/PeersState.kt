package app.peers.sdk

import app.peers.sdk.generated.ClientState

/** Whether this device reaches a relay. */
public enum class PeersState {
    /** Not started yet. */
    STOPPED,

    /** Dialing a relay for the first time. */
    CONNECTING,

    /** Registered: peers can be reached. */
    ONLINE,

    /** No relay answers; it is tried again. Sessions on direct paths go on. [Peers.relays] says why. */
    OFFLINE,

    /** No relay admits this device: a token is missing or wrong, or the device is not on the relay's list. It is tried again. */
    NOT_ADMITTED,

    /** The app was suspended or its network changed; no relay has answered since. */
    VERIFYING,

    /** The app is suspended: peers and relays were told goodbye. */
    SUSPENDED,

    /** Another process registered with this identity. This one registers anew when its app comes to the foreground. */
    SUPERSEDED,

    /** Closed. */
    CLOSED,
}

internal fun ClientState.toState(): PeersState = when (this) {
    ClientState.STOPPED -> PeersState.STOPPED
    ClientState.CONNECTING -> PeersState.CONNECTING
    ClientState.ONLINE -> PeersState.ONLINE
    ClientState.OFFLINE -> PeersState.OFFLINE
    ClientState.NOT_ADMITTED -> PeersState.NOT_ADMITTED
    ClientState.VERIFYING -> PeersState.VERIFYING
    ClientState.SUSPENDED -> PeersState.SUSPENDED
    ClientState.SUPERSEDED -> PeersState.SUPERSEDED
    ClientState.CLOSED -> PeersState.CLOSED
}

internal fun PeersState.toGenerated(): ClientState = when (this) {
    PeersState.STOPPED -> ClientState.STOPPED
    PeersState.CONNECTING -> ClientState.CONNECTING
    PeersState.ONLINE -> ClientState.ONLINE
    PeersState.OFFLINE -> ClientState.OFFLINE
    PeersState.NOT_ADMITTED -> ClientState.NOT_ADMITTED
    PeersState.VERIFYING -> ClientState.VERIFYING
    PeersState.SUSPENDED -> ClientState.SUSPENDED
    PeersState.SUPERSEDED -> ClientState.SUPERSEDED
    PeersState.CLOSED -> ClientState.CLOSED
}
