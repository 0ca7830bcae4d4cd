package app.peers.sdk

import app.peers.sdk.generated.FailureCode
import app.peers.sdk.generated.PeersException as GeneratedException

/** Why an operation failed. Each kind says what to do about it; [code] is for logs and statistics. */
public sealed class PeersException(
    public val code: String,
    message: String,
    cause: Throwable?,
) : Exception(message, cause) {
    /** Closed here: [Peers], the session or the stream. Make a new one. */
    public class Closed internal constructor(cause: Throwable?) : PeersException("closed", "closed", cause)

    /** [Peers.start] was not called, or did not succeed. */
    public class NotStarted internal constructor(cause: Throwable?) :
        PeersException("not-started", "call start() first", cause)

    /** The configuration cannot work; the message names the setting. */
    public class Config internal constructor(reason: String, cause: Throwable?) :
        PeersException("config", reason, cause)

    /** The device's keys could not be read or kept. Check the file or the store; the cause is what a [StoredIdentity] threw. */
    public class Identity internal constructor(reason: String, cause: Throwable?) :
        PeersException("identity", reason, cause)

    /** The store of levels and keys ([PeersConfig.store]) could not be read or written. Make room, or see to the file. */
    public class Store internal constructor(reason: String, cause: Throwable?) :
        PeersException("store", reason, cause)

    /** No relay answers; the message says of each why. Wait for [PeersState.ONLINE]; it is tried again by itself. */
    public class Offline internal constructor(reason: String, cause: Throwable?) :
        PeersException("offline", reason, cause)

    /** The peer cannot be reached now; the message says of each way why. Try again when it comes online. */
    public class Unreachable internal constructor(reason: String, cause: Throwable?) :
        PeersException("unreachable", reason, cause)

    /** No answer in time; whether the peer acted on the request is unknown. */
    public class TimedOut internal constructor(cause: Throwable?) : PeersException("timed-out", "timed out", cause)

    /** One of the two devices refuses the other. Ask people, do not try again. */
    public class Denied internal constructor(cause: Throwable?) : PeersException("denied", "denied", cause)

    /** The session could not be resumed: what was not acknowledged may be lost. Get a new session. */
    public class SessionLost internal constructor(reason: String, cause: Throwable?) :
        PeersException("session-lost", reason, cause)

    /** Too much is waiting already. Wait for some of it. */
    public class Full internal constructor(cause: Throwable?) : PeersException("full", "too much is waiting", cause)

    /** More than one message may hold. Send it as a stream. */
    public class TooLarge internal constructor(cause: Throwable?) :
        PeersException("too-large", "more than a message may hold", cause)

    /** The name of a service or a method has more than 64 bytes, or that of a stream more than 255. */
    public class NameTooLong internal constructor(cause: Throwable?) :
        PeersException("name-too-long", "a name has more than 64 bytes, or a stream's more than 255", cause)

    /** The two devices do not share this group. */
    public class NotInGroup internal constructor(cause: Throwable?) :
        PeersException("not-in-group", "the devices do not share this group", cause)

    /** Data that is not what it should be: the sender's mistake. */
    public class Codec internal constructor(reason: String, cause: Throwable? = null) :
        PeersException("codec", reason, cause)

    /** The peer answered a call with an error. */
    public class CallFailed internal constructor(public val failure: CallFailure, text: String, cause: Throwable?) :
        PeersException("call-failed", text, cause)

    /** The peer gave up this stream, for the application's [reason]. */
    public class StreamReset internal constructor(@get:JvmName("getReason") public val reason: ULong, cause: Throwable?) :
        PeersException("stream-reset", "the peer gave up the stream with code $reason", cause)

    /** A defect of this library. Please report it. */
    public class Internal internal constructor(reason: String, cause: Throwable?) :
        PeersException("internal", reason, cause)
}

/** What kind of no a call got. */
public enum class CallFailure {
    /** The handler failed; the text is the application's. */
    APPLICATION,

    /** Nothing handles this service and method. */
    NOT_FOUND,

    /** The trust or the group of the caller does not allow it. */
    DENIED,

    /** Too many calls wait already. */
    OVERLOADED,

    /** The handler could not read the request. */
    BAD_REQUEST,
}

/** Runs [block] and translates its errors. */
internal inline fun <T> translating(block: () -> T): T =
    try {
        block()
    } catch (error: GeneratedException) {
        throw error.translated()
    }

/** The same, where a failure of the keys has the store's own exception as its cause. */
internal inline fun <T> translating(identity: Identity?, block: () -> T): T =
    try {
        translating(block)
    } catch (error: PeersException.Identity) {
        val failure = (identity as? StoredIdentity)?.failure ?: throw error
        throw PeersException.Identity(error.message.orEmpty(), failure)
    }

internal fun GeneratedException.translated(): Exception = when (this) {
    is GeneratedException.Closed -> PeersException.Closed(this)
    is GeneratedException.NotStarted -> PeersException.NotStarted(this)
    is GeneratedException.Config -> PeersException.Config(reason, this)
    is GeneratedException.Identity -> PeersException.Identity(reason, this)
    is GeneratedException.Store -> PeersException.Store(reason, this)
    is GeneratedException.Offline -> PeersException.Offline(reason, this)
    is GeneratedException.Unreachable -> PeersException.Unreachable(reason, this)
    is GeneratedException.TimedOut -> PeersException.TimedOut(this)
    is GeneratedException.Denied -> PeersException.Denied(this)
    is GeneratedException.SessionLost -> PeersException.SessionLost(reason, this)
    is GeneratedException.Full -> PeersException.Full(this)
    is GeneratedException.TooLarge -> PeersException.TooLarge(this)
    is GeneratedException.NameTooLong -> PeersException.NameTooLong(this)
    is GeneratedException.NotInGroup -> PeersException.NotInGroup(this)
    is GeneratedException.Codec -> PeersException.Codec(reason, this)
    is GeneratedException.CallFailed -> PeersException.CallFailed(code.toFailure(), text, this)
    is GeneratedException.StreamReset -> PeersException.StreamReset(code, this)
    // Kotlin cancels by coroutines, which never come here.
    is GeneratedException.Cancelled -> PeersException.Internal("cancelled by nobody", this)
    is GeneratedException.Internal -> PeersException.Internal(reason, this)
}

internal fun FailureCode.toFailure(): CallFailure = when (this) {
    FailureCode.APPLICATION -> CallFailure.APPLICATION
    FailureCode.NOT_FOUND -> CallFailure.NOT_FOUND
    FailureCode.DENIED -> CallFailure.DENIED
    FailureCode.OVERLOADED -> CallFailure.OVERLOADED
    FailureCode.BAD_REQUEST -> CallFailure.BAD_REQUEST
}

internal fun CallFailure.toGenerated(): FailureCode = when (this) {
    CallFailure.APPLICATION -> FailureCode.APPLICATION
    CallFailure.NOT_FOUND -> FailureCode.NOT_FOUND
    CallFailure.DENIED -> FailureCode.DENIED
    CallFailure.OVERLOADED -> FailureCode.OVERLOADED
    CallFailure.BAD_REQUEST -> FailureCode.BAD_REQUEST
}
