package app.peers.sdk

import app.peers.sdk.generated.Stream
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.yield

/** Bytes both ways, in order; whoever writes waits for whoever reads. */
public class PeerStream internal constructor(private val inner: Stream) {
    private val lane: Long by lazy(LazyThreadSafetyMode.PUBLICATION) { inner.lane().toLong() }

    /** What its opener called it. */
    public val name: String get() = inner.name()

    /** The group it belongs to. */
    public val group: GroupId? get() = inner.group()?.let(::GroupId)

    /**
     * Marks it as bulk, which can wait: while data costs money here nothing more of it is sent or taken, unless
     * [PeersConfig.bulkOnMetered] says so. The peer has a mark of its own.
     */
    public var bulk: Boolean
        get() = inner.isBulk()
        set(value) = inner.setBulk(value)

    /** What the peer writes, to its end. For one collector; the same bytes as [read]. */
    public val bytes: Flow<ByteArray> = flow {
        while (true) emit(read() ?: break)
    }

    /**
     * Writes all of [data]; waits while the peer reads slower. Chunks of some 64 KiB are fast and leave room for progress and
     * cancellation. After a cancelled write it is unknown how much was written: [reset].
     */
    public suspend fun write(data: ByteArray) {
        // Nothing needs no room, and may still be an error.
        if (data.isEmpty()) return translating { inner.write(data, null) }
        var written = 0
        while (written < data.size) {
            currentCoroutineContext().ensureActive()
            var more = Lane.write(lane, data, written)
            if (more == 0) {
                Lane.awaitRoom(lane)
                more = Lane.write(lane, data, written)
            }
            // The other way waits as well, and reports errors.
            if (more == 0) return translating { inner.write(data.copyOfRange(written, data.size), null) }
            written += more
        }
    }

    /** Says that nothing follows. */
    public suspend fun finish(): Unit = translating { inner.finish(null) }

    /** Gives up writing: the peer's reads fail with [code]. */
    @JvmOverloads
    @JvmName("reset")
    public fun reset(code: ULong = 0u): Unit = inner.reset(code)

    /** The next bytes, at most [max]; null at the end. A cancelled read loses nothing. */
    public suspend fun read(max: Int = 256 * 1024): ByteArray? {
        require(max > 0) { "max must be positive" }
        while (true) {
            // Otherwise a fast writer would keep the reader's thread to itself.
            yield()
            var taken = Lane.read(lane, max)
            if (taken.isEmpty()) {
                Lane.awaitBytes(lane)
                taken = Lane.read(lane, max)
            }
            if (taken.isNotEmpty()) return taken
            if (!translating { inner.bytesReady(null) }) return null
        }
    }

    /** Gives up reading: the peer's writes fail with [code]. */
    @JvmOverloads
    @JvmName("stop")
    public fun stop(code: ULong = 0u): Unit = inner.stop(code)
}
