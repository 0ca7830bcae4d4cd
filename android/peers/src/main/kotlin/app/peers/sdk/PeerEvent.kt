package app.peers.sdk

import app.peers.sdk.generated.Event
import app.peers.sdk.generated.Incoming as GeneratedIncoming

/**
 * Something happened. What is said about a session comes in this order: [Connected], what changes, [Disconnected], and nothing
 * after that. A device whose app was started anew has another session, which begins later: so the last word about a device that
 * has a session is never that it left.
 */
public sealed interface PeerEvent {
    /** What happened to one session. */
    public sealed interface OfSession : PeerEvent {
        /** The session: equal to the one that [Connected] brought. */
        public val session: Session

        /** Its peer. */
        public val device: DeviceId get() = session.device
    }

    /** The state changed; [Peers.state] has it as well. */
    public data class State(val state: PeersState) : PeerEvent

    /**
     * A device of unknown trust asks for a session. [accept] or [reject] it; left alone it is rejected after a while. A device that
     * has knocked asks twice: first whether it may come and be compared, then, in another of these, with the digits.
     */
    public class Incoming internal constructor(private val inner: GeneratedIncoming) : PeerEvent {
        /** Who asks, proven. */
        public val device: DeviceId = DeviceId(inner.device())

        /** Whose device it is, proven. */
        public val user: UserId = UserId(inner.user())

        /** What the device calls itself: show it, but do not rely on it. */
        public val name: String = inner.name()

        /**
         * Six digits that the asking device shows at the same time ([Comparing]) when nobody is in between. Null for a knock: they
         * come with the handshake, if it is accepted.
         */
        public val sas: String? = inner.sas()

        /** Lets it in; if it has knocked, lets it come and be compared. [PeersException.Closed] when decided already. */
        public fun accept(): Unit = translating { inner.accept() }

        /** Turns it away; a device that has knocked gets no answer. Does nothing when decided already. */
        public fun reject(): Unit = inner.reject()

        override fun toString(): String = "Incoming(device=$device)"
    }

    /**
     * The device that this one connects to asks its person, who sees the same six digits: show them. If the two are not the same,
     * [Peers.trust] with [TrustLevel.UNTRUSTED] ends it from this side.
     */
    public data class Comparing(val device: DeviceId, val sas: String) : PeerEvent

    /** A session can be used, whoever asked for it. */
    public data class Connected(override val session: Session, val path: PathKind) : OfSession

    /** A session moved to another path; null while one is looked for. */
    public data class PathChanged(override val session: Session, val path: PathKind?) : OfSession

    /** Whether a session can be used has changed. */
    public data class StatusChanged(override val session: Session, val status: SessionStatus) : OfSession

    /** The path a session uses feels different now. */
    public data class QualityChanged(override val session: Session, val quality: Quality) : OfSession

    /**
     * A session ended. [reason] is a stable name: `closed`, `closed-by-peer`, `evicted`, `peer-restarted`, `no-path`, `protocol`,
     * `overloaded`.
     */
    public data class Disconnected(override val session: Session, val reason: String) : OfSession

    /** A device registered at the relay. */
    public data class Online(val device: DeviceId) : PeerEvent

    /** A device left the relay. A session on a direct path goes on. */
    public data class Offline(val device: DeviceId) : PeerEvent

    /**
     * Data costs money on the network there is now, or does not any more. While it does, nothing better than there is is looked
     * for, idle paths are asked half as often, and streams marked as bulk ([PeerStream.bulk]) wait.
     */
    public data class Metered(val metered: Boolean) : PeerEvent

    /** Events older than those that follow were dropped because nobody collected them. */
    public data class Missed(val count: ULong) : PeerEvent
}

internal fun Event.toEvent(): PeerEvent = when (this) {
    is Event.State -> PeerEvent.State(state.toState())
    is Event.Incoming -> PeerEvent.Incoming(incoming)
    is Event.Comparing -> PeerEvent.Comparing(DeviceId(device), sas)
    is Event.Connected -> PeerEvent.Connected(Session(session), path.toPath())
    is Event.PathChanged -> PeerEvent.PathChanged(Session(session), path?.toPath())
    is Event.StatusChanged -> PeerEvent.StatusChanged(Session(session), status.toStatus())
    is Event.QualityChanged -> PeerEvent.QualityChanged(Session(session), quality.toQuality())
    is Event.Disconnected -> PeerEvent.Disconnected(Session(session), reason)
    is Event.Online -> PeerEvent.Online(DeviceId(device))
    is Event.Offline -> PeerEvent.Offline(DeviceId(device))
    is Event.Metered -> PeerEvent.Metered(metered)
    is Event.Missed -> PeerEvent.Missed(count)
}
