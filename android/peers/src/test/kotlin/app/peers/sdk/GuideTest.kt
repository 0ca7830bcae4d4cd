package app.peers.sdk

import com.example.chat.Chat
import java.io.File
import kotlin.io.path.createTempDirectory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.catch
import kotlinx.coroutines.flow.filterNotNull
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.launch

/** The programs of core/docs/guide, run as a reader runs them. */
class GuideTest {
    // proves S120
    @Test
    fun `the quick start lets a device in and shows what it says`() = network {
        val (alice, bob) = List(2) { Chat(stopped()) }
        listOf(alice, bob).forEach { it.start() }
        listOf(alice, bob).forEach { chat -> chat.lines.first { it == "ONLINE" } }
        val bobId = bob.lines.first { it.startsWith("this device: ") }.removePrefix("this device: ")

        val said = alice.say("$bobId ", "hello")
        assertNull(bob.asking.filterNotNull().first().sas)
        bob.accept()
        val sas = bob.asking.first { it?.sas != null }?.sas
        alice.lines.first { it == "compare: $sas" }
        bob.accept()
        said.join()
        bob.lines.first { it == "heard: hello" }

        bob.say("no device", "hello").join()
        assertTrue(bob.lines.replayCache.last().startsWith("not sent: "), "${bob.lines.replayCache}")
    }

    @Test
    fun `what replaces simple-peer is answered`() = network {
        val (identity, id) = keys()
        val other = device { trust(id) }
        val shown = Channel<String>(Channel.UNLIMITED)
        coroutineScope {
            launch { simplePeer(Relay.url, (identity as FileIdentity).file, other.deviceId) { shown.trySend(it) } }
            val connected = other.events.first { it is PeerEvent.Connected } as PeerEvent.Connected
            connected.session.send("heard: ${connected.session.messages.first().text}")
            assertEquals("heard: hello", shown.receive())
            connected.session.close()
        }
    }

    @Test
    fun `what replaces PeerJS shows what another device says`() = network {
        val folder = createTempDirectory().toFile()
        val shown = Channel<String>(Channel.UNLIMITED)
        val alice = Talk(Relay.url, folder.resolve("alice")) {}
        val bob = Talk(Relay.url, folder.resolve("bob")) { shown.trySend(it) }
        coroutineScope {
            val runs = listOf(alice, bob).map { launch { it.run() } }
            listOf(alice, bob).forEach { talk -> talk.peers.state.first { it == PeersState.ONLINE } }
            alice.say(bob.peers.deviceId, "hello")
            assertEquals(listOf("this is ${bob.peers.deviceId}", "hello"), List(2) { shown.receive() })
            listOf(alice, bob).forEach { it.peers.shutdown() }
            runs.forEach { it.join() }
        }
    }
}

private suspend fun simplePeer(relay: String, keys: File, other: DeviceId, show: (String) -> Unit) {
    // guide:begin simple-peer
    val peers = Peers {
        relay(relay)
        identity(FileIdentity(keys))                        // on Android: Peers(context) { … }, without this line
        trust(other)
    }
    peers.start()
    val session = peers.session(other)                      // suspends until the device is reached
    session.send("hello")
    session.messages.collect { show(it.text) }              // over every change of path, until one of the two closes
    peers.shutdown()
    // guide:end
}

// guide:begin peerjs
class Talk(relay: String, keys: File, private val show: (String) -> Unit) {
    val peers = Peers { relay(relay); identity(FileIdentity(keys)) }

    suspend fun run() = coroutineScope {
        peers.start()
        show("this is ${peers.deviceId}")
        peers.events.collect { event ->
            when (event) {
                is PeerEvent.Incoming -> event.accept()             // an app asks the person first
                is PeerEvent.Connected -> launch { hear(event.session) }
                else -> {}
            }
        }
    }

    suspend fun say(to: DeviceId, text: String) =
        peers.session(to).send(Value.of("text" to text, "at" to System.currentTimeMillis()))

    private suspend fun hear(session: Session) = session.messages.map { (it.value as Value.Object)["text"] as Value.Text }
        .catch { show("no more: ${it.message}") }.collect { show(it.value) }
}
// guide:end
