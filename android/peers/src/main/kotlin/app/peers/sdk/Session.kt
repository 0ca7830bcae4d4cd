package app.peers.sdk

import app.peers.sdk.generated.CallRequest
import app.peers.sdk.generated.Message as GeneratedMessage
import app.peers.sdk.generated.Session as GeneratedSession
import kotlin.time.Duration
import kotlin.time.Duration.Companion.microseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.FlowCollector
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.yield

/**
 * What this device shares with another one, over whichever path works. Messages arrive once and in order across changes of
 * path. Two objects for the same session are equal; a device whose app was started anew has another session.
 */
public class Session internal constructor(private val inner: GeneratedSession) {
    private val lane: Long by lazy(LazyThreadSafetyMode.PUBLICATION) { inner.lane().toLong() }

    /** The peer, proven. */
    public val device: DeviceId = DeviceId(inner.device())

    /** Whose device it is, proven. */
    public val user: UserId get() = UserId(inner.user())

    /** What the peer calls itself. */
    public val peerName: String get() = inner.peerName()

    /** What carries it now; null while a new path is looked for. */
    public val path: PathKind? get() = inner.path()?.toPath()

    /** Whether it can be used. */
    public val status: SessionStatus get() = inner.status().toStatus()

    /** Whether it has ended. What had arrived can still be collected. */
    public val hasEnded: Boolean get() = inner.hasEnded()

    /** What is known about the path that carries it; null while there is none. */
    public val pathInfo: PathInfo? get() = inner.pathInfo()?.toInfo()

    /** Round trip of the path, once measured. */
    public val rtt: Duration? get() = inner.rttUs()?.toLong()?.microseconds

    /**
     * Messages from the peer, also those that came before anyone collected: then the peer is told to wait. For one collector.
     * Completes when the session is closed; throws [PeersException.SessionLost] when it is lost.
     */
    public val messages: Flow<Message> = flow {
        while (true) {
            var batch = takeMessages()
            if (batch.isEmpty()) {
                Lane.awaitMessages(lane)
                batch = takeMessages()
            }
            // The other way waits as well, and reports the end.
            if (batch.isEmpty() && !translating { inner.messagesReady(null) }) break
            emitEach(batch)
            // Otherwise a fast sender would keep the collector's thread to itself.
            yield()
        }
    }

    /** Streams the peer opens. For one collector, as [messages]. */
    public val streams: Flow<PeerStream> = flow {
        while (translating { inner.streamReady(null) }) {
            inner.takeStream()?.let { emit(PeerStream(it)) }
        }
    }

    /** Sends an object; waits only while too much is queued. At most 4 MiB encoded. */
    public suspend fun send(value: Value, group: GroupId? = null): Unit = send(value.encode(), group)

    /** Sends a text, which is an object too. */
    public suspend fun send(text: String, group: GroupId? = null): Unit = send(Value.Text(text), group)

    /** Sends bytes as they are. One that is cancelled while it waits may just have been sent. */
    public suspend fun send(bytes: ByteArray, group: GroupId? = null): Unit = translating {
        currentCoroutineContext().ensureActive()
        if (!Lane.send(lane, bytes, group?.text)) inner.send(bytes, group?.text, null)
    }

    /** Asks the peer's [service] for [method], and returns its answer. A cancelled call is cancelled at the peer. */
    public suspend fun call(
        service: String,
        method: String,
        body: ByteArray = ByteArray(0),
        group: GroupId? = null,
        timeout: Duration = 60.seconds,
    ): ByteArray = translating {
        val millis = timeout.inWholeMilliseconds.coerceAtLeast(0).toULong()
        inner.call(CallRequest(service, method, body, group?.text, millis), null)
    }

    /** Opens a stream to the peer, within [group] if there is one. */
    public suspend fun openStream(name: String, group: GroupId? = null): PeerStream =
        PeerStream(translating { inner.openStream(name, group?.text, null) })

    /** Waits until the peer has everything sent so far. */
    public suspend fun drain(): Unit = translating { inner.drain(null) }

    /** Ends the session, at the peer as well. */
    public suspend fun close(): Unit = inner.end()

    override fun equals(other: Any?): Boolean = other is Session && inner.isSame(other.inner)

    override fun hashCode(): Int = device.hashCode()

    override fun toString(): String = "Session(device=$device)"

    /** The messages that are there, without waiting. */
    private fun takeMessages(): List<Message> = Lane.take(lane) ?: inner.takeMessages(1u).map { it.toMessage() }

    /** Gives back what the collector leaves. */
    private suspend fun FlowCollector<Message>.emitEach(batch: List<Message>) {
        var emitted = 0
        try {
            while (emitted < batch.size) emit(batch[emitted++])
        } finally {
            if (emitted < batch.size) {
                inner.returnMessages(batch.subList(emitted, batch.size).map { GeneratedMessage(it.group?.text, it.bytes) })
            }
        }
    }
}

/** What a peer sent. */
public class Message internal constructor(public val group: GroupId?, public val bytes: ByteArray) {
    /** The object sent; [PeersException.Codec] when the bytes are none. */
    @get:Throws(PeersException::class)
    public val value: Value get() = Value.decode(bytes)

    /** The text sent; [PeersException.Codec] when it was something else. */
    @get:Throws(PeersException::class)
    public val text: String
        get() = (value as? Value.Text)?.value ?: throw PeersException.Codec("not a text")
}

private fun GeneratedMessage.toMessage() = Message(group?.let(::GroupId), body)
