package app.peers.sdk

import java.io.File
import kotlin.io.path.createTempDirectory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotEquals
import kotlin.test.assertTrue
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.flow.transformWhile
import kotlinx.coroutines.runBlocking

/** The system kills an app without a word, and starts it again. */
class ProcessDeathTest {
    @Test
    fun `an app that was killed is the same device in another session, and its peer is told so`() = network {
        val keys = createTempDirectory().resolve("keys").toFile()
        val friend = device()
        AppProcess(keys, friend.deviceId).use { app ->
            val id = DeviceId(app.line("device "))
            friend.trust(id)
            app.say("go")
            val connected = friend.events.filterIsInstance<PeerEvent.Connected>().first()
            val session = connected.session
            assertEquals(id to "before", session.device to session.messages.first().text)
            coroutineScope {
                val call = async(start = CoroutineStart.UNDISPATCHED) { runCatching { session.call("patient", "call") } }
                app.line("called ")
                app.kill()
                session.send("to the dead")

                val back = device {
                    identity(FileIdentity(keys))
                    trust(friend.deviceId)
                }
                assertEquals(id, back.deviceId)
                val again = back.session(friend.deviceId)
                val told = friend.events.filterIsInstance<PeerEvent.OfSession>()
                    .transformWhile { emit(it); it !is PeerEvent.Connected }.toList()
                val next = told.last().session
                assertEquals(PeerEvent.Disconnected(session, EndReason.PEER_RESTARTED), told[told.size - 2])
                assertTrue(told.dropLast(1).all { it.session == session }, "$told")
                assertNotEquals(session, next)

                // Nothing of the first session is taken for part of the next one.
                assertTrue(call.await().exceptionOrNull() is PeersException.SessionLost, "$call")
                assertFailsWith<PeersException.SessionLost> { session.send("too late") }
                again.send("after")
                assertEquals("after", next.messages.first().text)
                next.send("to the living")
                assertEquals("to the living", again.messages.first().text)
            }
        }
    }
}

/** A JVM of its own with a device whose keys are in [keys]. */
private class AppProcess(keys: File, friend: DeviceId) : AutoCloseable {
    private val process = ProcessBuilder(
        ProcessHandle.current().info().command().orElseThrow(),
        "-Djna.library.path=${System.getProperty("jna.library.path")}",
        "-cp",
        System.getProperty("java.class.path"),
        App::class.java.name,
        Relay.url,
        keys.path,
        friend.text,
    ).redirectErrorStream(true).start()
    private val lines = process.inputReader().lineSequence().iterator()

    /** What follows [prefix] in the next line that begins so. */
    fun line(prefix: String): String {
        val seen = mutableListOf<String>()
        while (lines.hasNext()) lines.next().let { if (it.startsWith(prefix)) return it.removePrefix(prefix) else seen += it }
        error("the app ended: $seen")
    }

    fun say(text: String): Unit = process.outputWriter().run {
        write("$text\n")
        flush()
    }

    /** As the system does: SIGKILL. */
    fun kill() {
        process.destroyForcibly().waitFor()
    }

    override fun close(): Unit = kill()
}

internal object App {
    @JvmStatic
    fun main(args: Array<String>): Unit = runBlocking {
        val (relay, keys, friend) = args
        val called = CompletableDeferred<Unit>()
        val peers = Peers {
            relay(relay)
            identity(FileIdentity(File(keys)))
            trust(DeviceId(friend))
            loopback = true
            handle("patient") {
                called.complete(Unit)
                awaitCancellation()
            }
        }
        peers.start()
        println("device ${peers.deviceId}")
        // Its friend trusts it by now.
        check(readln() == "go")
        peers.session(DeviceId(friend)).send("before")
        called.await()
        println("called by $friend")
        awaitCancellation()
    }
}
