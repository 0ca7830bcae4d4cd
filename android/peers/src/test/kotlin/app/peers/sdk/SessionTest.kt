package app.peers.sdk

import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.yield

class SessionTest {
    // proves S117
    @Test
    fun `collectors that stop early leave the rest to the next one`() = network {
        val (session, other) = pair()
        repeat(10) { session.send("$it") }
        session.drain()
        assertEquals("0", other.messages.first().text)
        assertEquals(listOf("1", "2", "3"), other.messages.take(3).map { it.text }.toList())
        coroutineScope {
            val idle = launch(start = CoroutineStart.UNDISPATCHED) { other.streams.first() }
            idle.cancelAndJoin()
        }
        assertEquals((4..9).map { "$it" }, other.messages.take(6).map { it.text }.toList())
    }

    @Test
    fun `messages of every size arrive once and in order`() = network {
        val (session, other) = pair()
        // Beyond what the fast lane takes, beyond its buffer, and all that is smaller.
        fun body(n: Int) = ByteArray(if (n % 1000 == 1) 100_000 else if (n % 100 == 1) 5000 else n % 300) { n.toByte() }
        coroutineScope {
            launch { repeat(5000) { session.send(body(it)) } }
            var taken = 0
            other.messages.take(5000).collect { assertContentEquals(body(taken++), it.bytes) }
        }
    }

    @Test
    fun `senders at the same time keep an order each`() = network {
        val (session, other) = pair()
        val senders = 4
        val each = 5000
        coroutineScope {
            repeat(senders) { sender ->
                launch(Dispatchers.Default) { repeat(each) { session.send(byteArrayOf(sender.toByte()) + "$it".toByteArray()) } }
            }
            val next = IntArray(senders)
            other.messages.take(senders * each).collect { message ->
                val sender = message.bytes[0].toInt()
                assertEquals("${next[sender]++}", message.bytes.decodeToString(1))
            }
        }
    }

    @Test
    fun `a message to a group says so`() = network {
        val group = GroupId("a".repeat(32))
        val (session, other) = grouped(group, bothName = true)
        session.send(byteArrayOf(1), group)
        session.send(byteArrayOf(2))
        assertEquals(listOf(group, null), other.messages.take(2).map { it.group }.toList())
        assertFailsWith<PeersException.NotInGroup> { session.send(byteArrayOf(3), GroupId("b".repeat(32))) }
        assertFailsWith<PeersException.Config> { session.send(byteArrayOf(4), GroupId("none")) }
    }

    @Test
    fun `the same session is equal wherever it comes from`() = network {
        val (session, other, first, second) = pair()
        assertEquals(other, second.session(first.deviceId))
        assertEquals(listOf(other), second.sessions)
        assertNotEquals(session, other)
    }

    @Test
    fun `a send that was cancelled before sends nothing`() = network {
        val (session, other) = pair()
        coroutineScope {
            launch {
                cancel()
                session.send("cancelled")
            }
        }
        session.send("sent")
        assertEquals(Value.Text("sent"), other.messages.first().value)
    }

    @Test
    fun `streams carry bytes both ways`() = network {
        val (session, other) = pair()
        coroutineScope {
            val answer = async {
                val stream = other.streams.first()
                assertEquals("photo", stream.name)
                stream.write(stream.readAll().reversedArray())
                stream.finish()
            }
            val stream = session.openStream("photo")
            stream.write(byteArrayOf(1, 2))
            stream.write(byteArrayOf(3))
            stream.finish()
            assertContentEquals(byteArrayOf(3, 2, 1), stream.readAll())
            assertNull(stream.read())
            answer.await()
        }
    }

    @Test
    fun `a stream carries more than its reader has taken`() = network {
        val (session, other) = pair()
        val data = ByteArray(8 shl 20) { (it / 251).toByte() }
        coroutineScope {
            val stream = session.openStream("film")
            launch {
                stream.write(data)
                stream.finish()
            }
            assertContentEquals(data, other.streams.first().readAll())
        }
    }

    @Test
    fun `a write of nothing sends nothing and is no error`() = network {
        val (session, other) = pair()
        val stream = session.openStream("photo")
        stream.write(ByteArray(0))
        stream.write(byteArrayOf(1))
        val inbound = other.streams.first()
        assertContentEquals(byteArrayOf(1), inbound.read())
        stream.write(ByteArray(0))
        stream.finish()
        assertNull(inbound.read())
    }

    @Test
    fun `a slow collector makes the sender wait and still gets everything`() = network {
        val (session, other) = pair()
        val count = 512
        // They do not get smaller on the way.
        fun body(number: Int) = Random(number).nextBytes(SIZE)
        var sent = 0
        coroutineScope {
            val sending = launch(Dispatchers.Default) {
                repeat(count) { number ->
                    session.send(body(number))
                    sent += 1
                }
            }
            // It takes one, and then looks away until the sender stands still.
            assertContentEquals(body(0), other.messages.first().bytes)
            val held = standsStill { sent }
            assertTrue(sending.isActive && held * SIZE < QUEUES, "$held messages were sent")
            var next = 1
            other.messages.take(count - 1).collect { message ->
                assertContentEquals(body(next++), message.bytes)
            }
            sending.join()
        }
    }

    /** [count] once it has been the same for a second. */
    private suspend fun standsStill(count: () -> Int): Int {
        var last = -1
        while (last != count()) {
            last = count()
            delay(1.seconds)
        }
        return last
    }

    @Test
    fun `a read that is cancelled while it waits loses nothing`() = network {
        val (session, other) = pair()
        val stream = session.openStream("photo")
        stream.write(byteArrayOf(1))
        val inbound = other.streams.first()
        assertContentEquals(byteArrayOf(1), inbound.read())
        coroutineScope {
            val idle = launch { inbound.read() }
            // It begins, and goes on to its wait.
            repeat(3) { yield() }
            idle.cancelAndJoin()
        }
        stream.write(byteArrayOf(2))
        assertContentEquals(byteArrayOf(2), inbound.read())
    }

    @Test
    fun `a reset stream fails at its reader with the code`() = network {
        val (session, other) = pair()
        val stream = session.openStream("photo")
        stream.write(byteArrayOf(1))
        val inbound = other.streams.first()
        assertContentEquals(byteArrayOf(1), inbound.read())
        stream.reset(42u)
        val error = assertFailsWith<PeersException.StreamReset> { inbound.read() }
        assertEquals(42u, error.reason)
    }

    @Test
    fun `more than a message may hold is refused`() = network {
        val (session) = pair()
        assertFailsWith<PeersException.TooLarge> { session.send(ByteArray(5 shl 20)) }
        session.send("still there")
    }

    @Test
    fun `a closed session ends its messages on both sides`() = network {
        val (session, other) = pair()
        session.send("last words")
        session.drain()
        session.close()
        assertEquals(emptyList(), session.messages.toList())
        assertFailsWith<PeersException.Closed> { session.send("too late") }
        assertEquals("last words", other.messages.first().text)
    }

    // proves S011
    @Test
    fun `streams belong to a group that both devices are in`() = network {
        val group = GroupId("a".repeat(32))
        val (session, other) = grouped(group, bothName = true)
        val stream = session.openStream("photo", group)
        stream.write(byteArrayOf(1))
        val inbound = other.streams.first()
        assertEquals(group, inbound.group)
        assertContentEquals(byteArrayOf(1), inbound.read())
        assertFailsWith<PeersException.NotInGroup> { session.openStream("photo", GroupId("b".repeat(32))) }
    }

    // proves S129
    @Test
    fun `a group's data stays away from a device that is not named as its member`() = network {
        val group = GroupId("a".repeat(32))
        val (session, other) = grouped(group, bothName = false)
        assertFailsWith<PeersException.NotInGroup> { other.openStream("photo", group) }
        val refused = session.openStream("for the group", group)
        assertFailsWith<PeersException.StreamReset> { refused.read() }
        session.openStream("for the device").write(byteArrayOf(1))
        assertEquals("for the device", other.streams.first().name)
    }

    /** The sessions of two devices that carry [group]: the first names the second as a member, the second only if [bothName]. */
    private suspend fun Network.grouped(group: GroupId, bothName: Boolean): Pair<Session, Session> {
        val (firstKeys, firstId) = keys()
        val (secondKeys, secondId) = keys()
        val first = device {
            identity(firstKeys)
            group(group)
            member(group, secondId)
            trust(secondId)
        }
        val second = device {
            identity(secondKeys)
            group(group)
            if (bothName) member(group, firstId)
            trust(firstId)
        }
        return first.session(secondId) to second.session(firstId)
    }

    private companion object {
        /** What both ends may hold of one session's messages: the queues of the sender, and the credit of the receiver. */
        const val QUEUES = 16 shl 20
        const val SIZE = 64 * 1024
    }
}
