package app.peers.sdk

import java.lang.reflect.Method
import java.lang.reflect.Modifier
import java.util.concurrent.CountDownLatch
import kotlin.coroutines.Continuation
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.yield

/** Whatever the façade waits for can be cancelled, and leaves the session as it was. */
class CancellationTest {
    @Test
    fun `every function and flow that waits can be cancelled and nothing is lost`() = network {
        val couple = pair({ logLevel = LogLevel.ERROR }) {
            handle("echo") { it.body }
            handle("patient") { awaitCancellation() }
        }
        val scene = Scene(this, couple)
        for ((name, cancel) in points) {
            val end = runCatching {
                withTimeout(20.seconds) {
                    scene.cancel()
                    scene.works(name)
                }
            }
            assertNull(end.exceptionOrNull()?.stackTraceToString(), name)
        }
        assertEquals(emptyMap<Any, Any>(), waits())
    }

    @Test
    fun `the table of what waits is complete`() {
        val found = listOf(Peers::class.java, Session::class.java, PeerStream::class.java).flatMap { type ->
            type.declaredMethods.filter { Modifier.isPublic(it.modifiers) && !it.isSynthetic && it.waits() }
                .map { it.name.removePrefix("get").replaceFirstChar(Char::lowercase).substringBefore('-') }
                .map { "${type.simpleName}.$it" }
        }
        assertEquals(found.toSortedSet(), points.keys.toSortedSet())
    }

    private fun Method.waits() =
        Flow::class.java.isAssignableFrom(returnType) || parameterTypes.lastOrNull() == Continuation::class.java

    private val points: Map<String, suspend Scene.() -> Unit> = buildMap {
        at("Peers.start") {
            val store = SlowIdentity()
            val device = network.stopped { identity(store) }
            cancelled { device.start() }
            store.ready.countDown()
            device.start()
            device.state.first { it == PeersState.ONLINE }
            device.shutdown()
        }
        at("Peers.session") {
            // It accepts nothing, so that the device that calls waits.
            val host = network.device { open = true }
            first.trust(host.deviceId)
            cancelled { first.session(host.deviceId) }
            host.trust(first.deviceId)
            assertEquals(host.deviceId, first.session(host.deviceId).device)
            host.shutdown()
        }
        at("Peers.setAppState") {
            cancelledSoon { second.setAppState(AppState.SUSPENDED) }
            second.setAppState(AppState.FOREGROUND)
            second.state.first { it == PeersState.ONLINE }
        }
        at("Peers.shutdown") {
            val device = network.device()
            cancelledSoon { device.shutdown() }
            assertEquals(PeersState.CLOSED, device.state.value)
        }
        at("Peers.state") { cancelled { first.state.collect {} } }
        at("Peers.relays") { cancelled { first.relays.collect {} } }
        at("Peers.logs") { cancelled { first.logs.collect {} } }
        at("Peers.events") {
            cancelled { first.events.collect {} }
            first.networkChanged(NetworkSnapshot(online = true, metered = true))
            first.events.first { it == PeerEvent.Metered(true) }
            cancelled { first.events.collect {} }
            first.networkChanged(NetworkSnapshot(online = true))
            first.events.first { it == PeerEvent.Metered(false) }
        }
        at("Session.send") {
            var sent = 0
            cancelled { while (true) session.send(message(sent)).also { sent += 1 } }
            arrives(sent)
        }
        at("Session.drain") {
            coroutineScope {
                var sent = 0
                val sending = launch(start = CoroutineStart.UNDISPATCHED) {
                    while (true) session.send(message(sent)).also { sent += 1 }
                }
                cancelled { session.drain() }
                sending.cancelAndJoin()
                arrives(sent)
            }
            session.drain()
        }
        at("Session.call") {
            // More than may wait at a time: a call that stayed behind would be seen.
            repeat(300) { cancelled { session.call("patient", "call") } }
        }
        at("Session.messages") {
            cancelled { other.messages.collect {} }
            repeat(5) { session.send("$it") }
            session.drain()
            val seen = mutableListOf<String>()
            // The collector of several that came together leaves in the middle.
            cancelled {
                other.messages.collect {
                    seen += it.text
                    if (seen.size == 2) awaitCancellation()
                }
            }
            assertEquals((0..4).map { "$it" }, seen + other.messages.take(3).toList().map { it.text })
        }
        at("Session.openStream") {
            // One that was just opened counts until its peer has taken it.
            repeat(20) { cancelledSoon { session.openStream("cancelled") } }
            val stream = session.openStream("kept")
            assertEquals("kept", other.streams.first { it.name == "kept" }.name)
            stream.reset()
        }
        at("Session.streams") {
            cancelled { other.streams.collect { it.stop() } }
            session.openStream("later")
            assertEquals("later", other.streams.first().name)
        }
        at("Session.close") {
            val third = network.device { trust(first.deviceId) }
            first.trust(third.deviceId)
            val session = first.session(third.deviceId)
            cancelledSoon { session.close() }
            session.close()
            assertTrue(session.hasEnded)
            third.shutdown()
        }
        at("PeerStream.write") {
            val (stream, inbound) = stream()
            var written = 0
            cancelled { while (true) stream.write(ByteArray(64 * 1024)).also { written += 1 } }
            var read = 0
            while (read < written * 64 * 1024) read += inbound.read()!!.size
            stream.reset(7u)
            val reset = assertFailsWith<PeersException.StreamReset> { while (true) inbound.read() }
            assertEquals(7u, reset.reason)
        }
        at("PeerStream.read") {
            val (stream, inbound) = stream()
            cancelled { inbound.read() }
            stream.write(byteArrayOf(2))
            assertContentEquals(byteArrayOf(2), inbound.read())
            stream.finish()
        }
        at("PeerStream.bytes") {
            val (stream, inbound) = stream()
            cancelled { inbound.bytes.collect {} }
            stream.write(byteArrayOf(3))
            assertContentEquals(byteArrayOf(3), inbound.bytes.first())
            stream.finish()
        }
        at("PeerStream.finish") {
            val (stream, inbound) = stream()
            cancelledSoon { stream.finish() }
            stream.finish()
            assertEquals(null, inbound.read())
        }
    }

    private fun MutableMap<String, suspend Scene.() -> Unit>.at(name: String, cancel: suspend Scene.() -> Unit) {
        put(name, cancel)
    }

    private class Scene(val network: Network, private val couple: Couple) {
        val session get() = couple.session
        val other get() = couple.other
        val first get() = couple.first
        val second get() = couple.second

        /** Cancels [wait] while it waits. */
        suspend fun cancelled(wait: suspend () -> Unit): Unit = coroutineScope {
            val waiting = launch(start = CoroutineStart.UNDISPATCHED) { wait() }
            // It goes on to its wait.
            repeat(5) { yield() }
            assertTrue(waiting.isActive, "it did not wait")
            waiting.cancelAndJoin()
        }

        /** Cancels [work], which may be done by then. */
        suspend fun cancelledSoon(work: suspend () -> Unit): Unit = coroutineScope {
            launch(start = CoroutineStart.UNDISPATCHED) { work() }.cancelAndJoin()
        }

        suspend fun stream(): Pair<PeerStream, PeerStream> {
            val stream = session.openStream("file")
            stream.write(byteArrayOf(1))
            val inbound = other.streams.first { it.name == "file" }
            assertContentEquals(byteArrayOf(1), inbound.read())
            return stream to inbound
        }

        /** The messages that were [sent] arrive, perhaps that of the cancelled send as well, and then nothing. */
        suspend fun arrives(sent: Int): Unit = coroutineScope {
            launch { session.send(byteArrayOf(0)) }
            val messages = other.messages.takeWhile { it.bytes.size > 1 }.toList()
            assertTrue(messages.size in sent..sent + 1, "${messages.size} of $sent messages")
            messages.forEachIndexed { number, message -> assertContentEquals(message(number), message.bytes) }
        }

        suspend fun works(after: String) {
            session.send(after)
            assertEquals(after, other.messages.first().text)
            assertContentEquals(byteArrayOf(1), session.call("echo", "echo", byteArrayOf(1)))
        }
    }

    private fun waits(): Map<*, *> =
        Waits::class.java.getDeclaredField("waiting").apply { isAccessible = true }.get(Waits) as Map<*, *>

    /** A store that answers when it is [ready]. */
    private class SlowIdentity : StoredIdentity() {
        val ready = CountDownLatch(1)
        private var secret: ByteArray? = null

        override fun load(): ByteArray? {
            ready.await()
            return secret
        }

        override fun store(secret: ByteArray) {
            this.secret = secret
        }
    }
}

/** Small enough for the fast lane, which queues it at once. */
private fun message(number: Int) = Random(number).nextBytes(1000)
