package app.peers.sdk

import java.nio.file.Path
import kotlin.io.path.createTempDirectory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch

// readme:begin
class Chat(relay: String, keys: Path, private val show: (DeviceId, String) -> Unit) : AutoCloseable {
    private val peers = Peers {                       // nothing connects yet
        relay(relay)                                  // such as "wss://relay.example.com"
        identity(FileIdentity(keys))                  // keys are made on first run
    }
    val state = peers.state                           // StateFlow: STOPPED, CONNECTING, ONLINE, …

    suspend fun start(friends: Set<DeviceId>, scope: CoroutineScope): DeviceId {
        peers.start()
        scope.launch { peers.events.collect { on(it, friends, scope) } }
        return peers.deviceId
    }

    private fun on(event: PeerEvent, friends: Set<DeviceId>, scope: CoroutineScope) = when (event) {
        is PeerEvent.Incoming -> if (event.device in friends) event.accept() else event.reject()
        is PeerEvent.Connected -> { scope.launch { event.session.messages.collect { show(event.device, it.text) } } }
        else -> {}                                    // PathChanged, Disconnected, Online, …
    }

    suspend fun say(to: DeviceId, text: String) = peers.session(to).send(text)
    fun befriend(device: DeviceId) = peers.trust(device)
    override fun close() = peers.close()
}
// readme:end

class ReadmeTest {
    // proves S120
    @Test
    fun `the program in the README works`() = network {
        coroutineScope {
            val shown = CompletableDeferred<Pair<DeviceId, String>>()
            val folder = createTempDirectory()
            Chat(Relay.url, folder.resolve("a")) { _, _ -> }.use { alice ->
                Chat(Relay.url, folder.resolve("b")) { device, text -> shown.complete(device to text) }.use { bob ->
                    val aliceId = alice.start(emptySet(), this)
                    val bobId = bob.start(setOf(aliceId), this)
                    bob.state.first { it == PeersState.ONLINE }
                    alice.befriend(bobId)
                    alice.say(bobId, "hello")
                    assertEquals(aliceId to "hello", shown.await())
                }
            }
        }
    }
}
