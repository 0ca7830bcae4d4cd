package app.peers.sdk

import com.sun.jna.Native
import com.sun.jna.Pointer
import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val SIZE = 64 * 1024
private const val HEADER = 5
private const val MAX_LABEL = 255
private const val OWN_METHOD = -1L
private const val UNKNOWN = -3L

/**
 * The library's plain C functions for messages and streams, which JNA calls a hundred times as fast as generated methods. They
 * return at once: what one of them does not do, the generated method does, or it says why not. bindings/src/lane.rs describes them,
 * their results and how messages lie in a buffer.
 */
internal object Lane {
    private val NO_GROUP = ByteArray(0)
    private val spaces = object : ThreadLocal<Space>() {
        override fun initialValue() = Space()
    }

    init {
        Native.register(Lane::class.java, "peers_ffi")
    }

    /** Queues a message if there is room now. */
    fun send(session: Long, bytes: ByteArray, group: String?): Boolean {
        val label = group?.encodeToByteArray() ?: NO_GROUP
        if (label.size > MAX_LABEL || HEADER + label.size + bytes.size > SIZE) return false
        val space = space()
        space.bytes.putInt(bytes.size)
        space.bytes.put(label.size.toByte())
        space.bytes.put(label)
        space.bytes.put(bytes)
        return done(peers_lane_send(session, space.address, space.cursor.position())) == 1L
    }

    /** Messages that are there, oldest first. Null when the first one needs the generated method. */
    fun take(session: Long): List<Message>? {
        val space = space()
        val filled = done(peers_lane_take(session, space.address, SIZE)) ?: return null
        space.cursor.limit(filled.toInt())
        val messages = ArrayList<Message>()
        while (space.cursor.hasRemaining()) messages += space.message()
        return messages
    }

    /** Writes of [data] from [from] on what there is room for now. Returns how many bytes. */
    fun write(stream: Long, data: ByteArray, from: Int): Int {
        val space = space()
        space.bytes.put(data, from, minOf(SIZE, data.size - from))
        return done(peers_lane_write(stream, space.address, space.cursor.position()))?.toInt() ?: 0
    }

    /** Bytes that are there, at most [max]. */
    fun read(stream: Long, max: Int): ByteArray {
        val space = space()
        val filled = done(peers_lane_read(stream, space.address, minOf(SIZE, max))) ?: 0
        return space.take(filled.toInt())
    }

    /** Answers a call, unless the generated method has to. */
    fun reply(responder: Long, body: ByteArray): Boolean {
        if (body.size > SIZE) return false
        val space = space()
        space.bytes.put(body)
        return done(peers_lane_reply(responder, space.address, body.size)) != null
    }

    /** Suspends until [session] has messages, their end or an error to report. */
    suspend fun awaitMessages(session: Long): Unit =
        Waits.wait { wake, token -> peers_lane_wait_messages(session, wake, token) >= 0 }

    /** Suspends until [stream] has room, or an error to report. */
    suspend fun awaitRoom(stream: Long): Unit =
        Waits.wait { wake, token -> peers_lane_wait_room(stream, wake, token) >= 0 }

    /** Suspends until [stream] has bytes, its end or an error to report. */
    suspend fun awaitBytes(stream: Long): Unit =
        Waits.wait { wake, token -> peers_lane_wait_bytes(stream, wake, token) >= 0 }

    private fun space() = spaces.get().apply { cursor.clear() }

    /** Null when the generated method has to do it. */
    private fun done(result: Long): Long? = when {
        result >= 0 -> result
        result == OWN_METHOD || result == UNKNOWN -> null
        else -> throw PeersException.Internal("the fast lane failed with $result", null)
    }

    @JvmStatic
    private external fun peers_lane_send(session: Long, messages: Pointer, length: Int): Long

    @JvmStatic
    private external fun peers_lane_take(session: Long, room: Pointer, length: Int): Long

    @JvmStatic
    private external fun peers_lane_write(stream: Long, data: Pointer, length: Int): Long

    @JvmStatic
    private external fun peers_lane_read(stream: Long, room: Pointer, length: Int): Long

    @JvmStatic
    private external fun peers_lane_reply(responder: Long, body: Pointer, length: Int): Long

    @JvmStatic
    private external fun peers_lane_wait_messages(session: Long, wake: Pointer?, token: Long): Long

    @JvmStatic
    private external fun peers_lane_wait_bytes(stream: Long, wake: Pointer?, token: Long): Long

    @JvmStatic
    private external fun peers_lane_wait_room(stream: Long, wake: Pointer?, token: Long): Long
}

/** A buffer that this thread and the library share for the time of one call. */
private class Space {
    val bytes: ByteBuffer = ByteBuffer.allocateDirect(SIZE).order(ByteOrder.LITTLE_ENDIAN)
    val address: Pointer = Native.getDirectBufferPointer(bytes)

    /** The same buffer: Android before 14 has its methods only with the types that they have here. */
    val cursor: Buffer = bytes

    fun message(): Message {
        val length = bytes.getInt()
        val label = bytes.get().toInt()
        val group = if (label == 0) null else GroupId(take(label).decodeToString())
        return Message(group, take(length))
    }

    fun take(count: Int): ByteArray = ByteArray(count).also { bytes.get(it) }
}
