package app.peers.sdk

import app.peers.sdk.generated.Event
import app.peers.sdk.generated.Incoming as GeneratedIncoming
import java.util.Objects

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
    public class State internal constructor(public val state: PeersState) : PeerEvent {
        override fun equals(other: Any?): Boolean = other is State && state == other.state

        override fun hashCode(): Int = state.hashCode()

        override fun toString(): String = "State(state=$state)"
    }

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
        @Throws(PeersException::class)
        public fun accept(): Unit = translating { inner.accept() }

        /** Turns it away; a device that has knocked gets no answer. Does nothing when decided already. */
        public fun reject(): Unit = inner.reject()

        override fun toString(): String = "Incoming(device=$device)"
    }

    /**
     * The device that this one connects to asks its person, who sees the same six digits: show them. If the two are not the same,
     * [Peers.trust] with [TrustLevel.UNTRUSTED] ends it from this side.
     */
    public class Comparing internal constructor(public val device: DeviceId, public val sas: String) : PeerEvent {
        override fun equals(other: Any?): Boolean = other is Comparing && device == other.device && sas == other.sas

        override fun hashCode(): Int = Objects.hash(device, sas)

        override fun toString(): String = "Comparing(device=$device, sas=$sas)"
    }

    /**
     * The digits of [Comparing] are of no use any more: the other side has answered, or the connection has ended. It comes after
     * each of those, and before [Connected] if the answer was yes.
     */
    public class Compared internal constructor(public val device: DeviceId) : PeerEvent {
        override fun equals(other: Any?): Boolean = other is Compared && device == other.device

        override fun hashCode(): Int = device.hashCode()

        override fun toString(): String = "Compared(device=$device)"
    }

    /** A session can be used, whoever asked for it. */
    public class Connected internal constructor(override val session: Session, public val path: PathKind) : OfSession {
        override fun equals(other: Any?): Boolean = other is Connected && session == other.session && path == other.path

        override fun hashCode(): Int = Objects.hash(session, path)

        override fun toString(): String = "Connected(session=$session, path=$path)"
    }

    /** A session moved to a path of another kind, or from or to a TURN server; null while one is looked for. */
    public class PathChanged internal constructor(override val session: Session, public val path: PathKind?) : OfSession {
        override fun equals(other: Any?): Boolean = other is PathChanged && session == other.session && path == other.path

        override fun hashCode(): Int = Objects.hash(session, path)

        override fun toString(): String = "PathChanged(session=$session, path=$path)"
    }

    /** Whether a session can be used has changed. */
    public class StatusChanged internal constructor(
        override val session: Session,
        public val status: SessionStatus,
    ) : OfSession {
        override fun equals(other: Any?): Boolean = other is StatusChanged && session == other.session && status == other.status

        override fun hashCode(): Int = Objects.hash(session, status)

        override fun toString(): String = "StatusChanged(session=$session, status=$status)"
    }

    /** The path a session uses feels different now. */
    public class QualityChanged internal constructor(override val session: Session, public val quality: Quality) : OfSession {
        override fun equals(other: Any?): Boolean =
            other is QualityChanged && session == other.session && quality == other.quality

        override fun hashCode(): Int = Objects.hash(session, quality)

        override fun toString(): String = "QualityChanged(session=$session, quality=$quality)"
    }

    /** A session ended. */
    public class Disconnected internal constructor(override val session: Session, public val reason: EndReason) : OfSession {
        override fun equals(other: Any?): Boolean = other is Disconnected && session == other.session && reason == other.reason

        override fun hashCode(): Int = Objects.hash(session, reason)

        override fun toString(): String = "Disconnected(session=$session, reason=$reason)"
    }

    /** A device registered at the relay. */
    public class Online internal constructor(public val device: DeviceId) : PeerEvent {
        override fun equals(other: Any?): Boolean = other is Online && device == other.device

        override fun hashCode(): Int = device.hashCode()

        override fun toString(): String = "Online(device=$device)"
    }

    /** A device left the relay. A session on a direct path goes on. */
    public class Offline internal constructor(public val device: DeviceId) : PeerEvent {
        override fun equals(other: Any?): Boolean = other is Offline && device == other.device

        override fun hashCode(): Int = device.hashCode()

        override fun toString(): String = "Offline(device=$device)"
    }

    /**
     * Data costs money on the network there is now, or does not any more. While it does, nothing better than there is is looked
     * for, idle paths are asked half as often, and streams marked as bulk ([PeerStream.bulk]) wait.
     */
    public class Metered internal constructor(public val metered: Boolean) : PeerEvent {
        override fun equals(other: Any?): Boolean = other is Metered && metered == other.metered

        override fun hashCode(): Int = metered.hashCode()

        override fun toString(): String = "Metered(metered=$metered)"
    }

    /** Events older than those that follow were dropped because nobody collected them. */
    public class Missed internal constructor(@get:JvmName("getCount") public val count: ULong) : PeerEvent {
        override fun equals(other: Any?): Boolean = other is Missed && count == other.count

        override fun hashCode(): Int = count.hashCode()

        override fun toString(): String = "Missed(count=$count)"
    }
}

internal fun Event.toEvent(): PeerEvent = when (this) {
    is Event.State -> PeerEvent.State(state.toState())
    is Event.Incoming -> PeerEvent.Incoming(incoming)
    is Event.Comparing -> PeerEvent.Comparing(DeviceId(device), sas)
    is Event.Compared -> PeerEvent.Compared(DeviceId(device))
    is Event.Connected -> PeerEvent.Connected(Session(session), path.toPath())
    is Event.PathChanged -> PeerEvent.PathChanged(Session(session), path?.toPath())
    is Event.StatusChanged -> PeerEvent.StatusChanged(Session(session), status.toStatus())
    is Event.QualityChanged -> PeerEvent.QualityChanged(Session(session), quality.toQuality())
    is Event.Disconnected -> PeerEvent.Disconnected(Session(session), reason.toReason())
    is Event.Online -> PeerEvent.Online(DeviceId(device))
    is Event.Offline -> PeerEvent.Offline(DeviceId(device))
    is Event.Metered -> PeerEvent.Metered(metered)
    is Event.Missed -> PeerEvent.Missed(count)
}
