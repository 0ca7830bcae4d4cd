package app.peers.sdk

import java.lang.management.ManagementFactory
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch

/** Request handlers written in Kotlin, called by another device. */
class HandlerTest {
    @Test
    fun `a handler answers and knows who asks`() = network {
        val asked = CompletableDeferred<Request>()
        val (session, _, first) = pair {
            handle("math") { request ->
                asked.complete(request)
                request.body.reversedArray()
            }
        }
        assertContentEquals(byteArrayOf(3, 2, 1), session.call("math", "reverse", byteArrayOf(1, 2, 3)))
        val request = asked.await()
        assertEquals("math" to "reverse", request.service to request.method)
        assertEquals(first.deviceId, request.device)
    }

    @Test
    fun `thousands of calls come on a few threads`() = network {
        val (session) = pair { handle("echo") { it.body } }
        val threads = ManagementFactory.getThreadMXBean()
        session.call("echo", "echo")
        val before = threads.totalStartedThreadCount
        repeat(5000) { session.call("echo", "echo", byteArrayOf(it.toByte())) }
        val started = threads.totalStartedThreadCount - before
        assertTrue(started < 50, "$started threads")
    }

    @Test
    fun `a handler says no in its own words`() = network {
        val (session) = pair { handle("shop") { throw RequestFailed("sold out", CallFailure.BAD_REQUEST) } }
        val error = assertFailsWith<PeersException.CallFailed> { session.call("shop", "buy") }
        assertEquals(CallFailure.BAD_REQUEST to "sold out", error.failure to error.message)
    }

    @Test
    fun `what a broken handler throws stays with it`() = network {
        val (session) = pair {
            handle("broken") { error("the password is 1234") }
            handle("fine") { it.body }
        }
        val error = assertFailsWith<PeersException.CallFailed> { session.call("broken", "call") }
        assertEquals(CallFailure.APPLICATION to "the handler failed", error.failure to error.message)
        assertContentEquals(byteArrayOf(1), session.call("fine", "call", byteArrayOf(1)))
    }

    @Test
    fun `handlers that wait do not hold up others`() = network {
        val gate = CompletableDeferred<Unit>()
        val (session) = pair {
            handle("slow") {
                gate.await()
                it.body
            }
            handle("fast") { it.body }
        }
        coroutineScope {
            val slow = List(40) { launch(start = CoroutineStart.UNDISPATCHED) { session.call("slow", "call") } }
            assertContentEquals(byteArrayOf(9), session.call("fast", "call", byteArrayOf(9)))
            gate.complete(Unit)
            slow.forEach { it.join() }
        }
    }

    @Test
    fun `a caller that gives up cancels the handler`() = network {
        val started = CompletableDeferred<Unit>()
        val cancelled = CompletableDeferred<Unit>()
        val (session) = pair {
            handle("patient") {
                started.complete(Unit)
                try {
                    awaitCancellation()
                } finally {
                    cancelled.complete(Unit)
                }
            }
        }
        coroutineScope {
            val call = launch { session.call("patient", "call") }
            started.await()
            call.cancelAndJoin()
            cancelled.await()
        }
    }

    // proves S145 S147
    @Test
    fun `shutdown ends a call that is being handled, at both ends`() = network {
        for (callerLeaves in listOf(true, false)) {
            val started = CompletableDeferred<Unit>()
            val cancelled = CompletableDeferred<Unit>()
            val (session, _, first, second) = pair {
                handle("patient") {
                    started.complete(Unit)
                    try {
                        awaitCancellation()
                    } finally {
                        cancelled.complete(Unit)
                    }
                }
            }
            coroutineScope {
                val call = async { runCatching { session.call("patient", "call") } }
                started.await()
                if (callerLeaves) first.shutdown() else second.shutdown()
                // Whether the answer was on its way, nobody knows.
                val error = call.await().exceptionOrNull()
                assertTrue(error is PeersException.SessionLost || error is PeersException.Closed, "$error")
                cancelled.await()
            }
        }
    }
}
