package app.peers.sdk

import java.nio.file.Path
import kotlin.io.path.createTempDirectory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch

// readme:begin
class Chat(relay: String, keys: Path) : AutoCloseable {
    val peers = Peers { relay(relay); identity(FileIdentity(keys)) }    // the keys are made on first run

    suspend fun run(friends: Set<DeviceId>, show: (DeviceId, String) -> Unit) = coroutineScope {
        peers.start()                                                   // connects in the background
        peers.events.collect { event ->                                 // ends with close()
            when (event) {
                is PeerEvent.Incoming -> if (event.device in friends) event.accept() else event.reject()
                is PeerEvent.Connected -> launch { event.session.messages.collect { show(event.device, it.text) } }
                else -> {}
            }
        }
    }

    suspend fun say(to: DeviceId, text: String) = peers.session(to).send(text)

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
            Chat(Relay.url, folder.resolve("a")).use { alice ->
                Chat(Relay.url, folder.resolve("b")).use { bob ->
                    launch { alice.run(emptySet()) { _, _ -> } }
                    alice.peers.state.first { it == PeersState.ONLINE }
                    val aliceId = alice.peers.deviceId
                    launch { bob.run(setOf(aliceId)) { device, text -> shown.complete(device to text) } }
                    bob.peers.state.first { it == PeersState.ONLINE }
                    val bobId = bob.peers.deviceId
                    alice.peers.trust(bobId)
                    alice.say(bobId, "hello")
                    assertEquals(aliceId to "hello", shown.await())
                }
            }
        }
    }
}
