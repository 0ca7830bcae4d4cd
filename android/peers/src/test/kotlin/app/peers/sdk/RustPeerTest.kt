package app.peers.sdk

import java.nio.ByteBuffer
import java.security.MessageDigest
import kotlin.io.path.createTempDirectory
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.flow.transformWhile
import kotlinx.coroutines.launch
import kotlinx.coroutines.yield

/** Kotlin here, Rust in another process, a relay in a third. */
class RustPeerTest {
    // proves S081 S104 S119 S121 S122 S123 S140 S141 S150 S153 S156
    @Test
    fun `objects cross both ways over WebRTC`() = network {
        val (session, _) = rustPeer()
        val sent = Value.of("text" to "grüezi", "count" to 3, "list" to listOf(true, null, 1.5), "raw" to byteArrayOf(1, 2))
        session.send(sent)
        assertEquals(sent, session.messages.first().value)
        session.send("and a text")
        assertEquals("and a text", session.messages.first().text)
    }

    // proves S012 S117
    @Test
    fun `a thousand messages come back once and in order`() = network {
        val (session, _) = rustPeer()
        coroutineScope {
            launch { repeat(1000) { session.send(Value.Integer(it.toLong())) } }
            val echoed = session.messages.map { (it.value as Value.Integer).value }.take(1000).toList()
            assertEquals((0L until 1000).toList(), echoed)
        }
    }

    // proves S013 S116
    @Test
    fun `a large object crosses`() = network {
        val (session, _) = rustPeer()
        val sent = Value.of("text" to "all work and no play ".repeat(100_000))
        session.send(sent)
        assertEquals(sent, session.messages.first().value)
    }

    @Test
    fun `fifty calls at once get their own answers`() = network {
        val (session, _) = rustPeer()
        coroutineScope {
            val answers = (0 until 50).map { n -> async { session.call("echo", "echo", "call $n".encodeToByteArray()) } }
            assertEquals((0 until 50).map { "call $it" }, answers.awaitAll().map { it.decodeToString() })
        }
    }

    // proves S014 S117
    @Test
    fun `64 MiB arrive whole and the writer sees progress`() = network {
        val (session, _) = rustPeer()
        val stream = session.openStream("file")
        val chunk = Random(1).nextBytes(64 * 1024)
        val hash = MessageDigest.getInstance("SHA-256")
        var progress = 0L
        repeat(1024) {
            stream.write(chunk)
            hash.update(chunk)
            progress += chunk.size
        }
        stream.finish()
        assertEquals(64L shl 20, progress)
        val answer = ByteBuffer.wrap(stream.readAll())
        assertEquals(progress, answer.getLong())
        assertContentEquals(hash.digest(), ByteArray(32).also(answer::get))
    }

    // proves S039
    @Test
    fun `a call without an answer in time fails and the session goes on`() = network {
        val (session, _) = rustPeer()
        val started = TimeSource.Monotonic.markNow()
        assertFailsWith<PeersException.TimedOut> { session.call("echo", "sleep", sleep(30_000), timeout = 200.milliseconds) }
        assertTrue(started.elapsedNow() < 10.seconds)
        assertContentEquals(byteArrayOf(7), session.call("echo", "echo", byteArrayOf(7)))
    }

    @Test
    fun `a call to an unknown service fails with the reason`() = network {
        val (session, _) = rustPeer()
        val error = assertFailsWith<PeersException.CallFailed> { session.call("nobody", "knows") }
        assertEquals(CallFailure.NOT_FOUND, error.failure)
        assertEquals("call-failed", error.code)
    }

    @Test
    fun `a cancelled call returns at once`() = network {
        val (session, _) = rustPeer()
        coroutineScope {
            val call = launch { session.call("echo", "sleep", sleep(30_000)) }
            yield()
            val started = TimeSource.Monotonic.markNow()
            call.cancelAndJoin()
            assertTrue(started.elapsedNow() < 5.seconds)
        }
        assertContentEquals(byteArrayOf(7), session.call("echo", "echo", byteArrayOf(7)))
    }

    // proves S019 S076
    @Test
    fun `a peer that was killed and started again has another session`() = network {
        val keys = createTempDirectory().resolve("identity")
        val (process, id) = rustProcess(keys)
        val device = device { trust(id) }
        val first = device.session(id)
        process.destroyForcibly().waitFor()
        rustProcess(keys, trust = device.deviceId.text)
        val told = device.events.filterIsInstance<PeerEvent.OfSession>()
            .transformWhile { emit(it); it !is PeerEvent.Connected || it.session == first }.toList()
        val second = told.last().session
        assertTrue(told.dropLast(1).all { it.session == first }, "$told")
        assertEquals(PeerEvent.Disconnected(first, EndReason.PEER_RESTARTED), told[told.size - 2])
        assertTrue(second != first && second.device == id && first.hasEnded && !second.hasEnded)
        assertContentEquals(byteArrayOf(7), second.call("echo", "echo", byteArrayOf(7)))
        device.shutdown()
        val rest = device.events.toList().filterIsInstance<PeerEvent.OfSession>()
        assertTrue(rest.all { it.session == second }, "$rest")
    }

    // proves S145 S147
    @Test
    fun `shutdown ends a pending call`() = network {
        val (session, device) = rustPeer()
        coroutineScope {
            val call = async { runCatching { session.call("echo", "sleep", sleep(30_000)) } }
            yield()
            device.shutdown()
            assertTrue(call.await().exceptionOrNull() is PeersException, "the call ended with a typed error")
        }
        assertFailsWith<PeersException.Closed> { session.call("echo", "echo") }
    }

    private fun sleep(millis: Int) = ByteBuffer.allocate(4).putInt(millis).array()
}

internal suspend fun PeerStream.readAll(): ByteArray = bytes.toList().fold(ByteArray(0)) { all, next -> all + next }
