package app.peers.sdk

import java.io.File
import kotlin.io.path.createTempDirectory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.catch
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.launch

// readme:begin
class Chat(relay: String, keys: File) : AutoCloseable {
    val peers = Peers { relay(relay); identity(FileIdentity(keys)) }    // the keys are made on first run

    suspend fun run(friends: Set<DeviceId>, show: (DeviceId, String) -> Unit) = coroutineScope {
        peers.start()                                                   // connects in the background
        peers.events.collect { event ->                                 // ends with close()
            when (event) {
                is PeerEvent.Incoming -> if (event.device in friends) event.accept() else event.reject()
                is PeerEvent.Connected -> launch {
                    event.session.messages.map { it.text }.catch { emit("($it)") }.collect { show(event.device, it) }
                }
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
            val shown = Channel<Pair<DeviceId, String>>(Channel.UNLIMITED)
            val folder = createTempDirectory().toFile()
            Chat(Relay.url, folder.resolve("a")).use { alice ->
                Chat(Relay.url, folder.resolve("b")).use { bob ->
                    launch { alice.run(emptySet()) { _, _ -> } }
                    alice.peers.state.first { it == PeersState.ONLINE }
                    val aliceId = alice.peers.deviceId
                    val bobRuns = launch { bob.run(setOf(aliceId)) { device, text -> shown.trySend(device to text) } }
                    bob.peers.state.first { it == PeersState.ONLINE }
                    val bobId = bob.peers.deviceId
                    alice.peers.trust(bobId)
                    alice.say(bobId, "hello")
                    assertEquals(aliceId to "hello", shown.receive())
                    // What is no text ends one conversation and not the program.
                    alice.peers.session(bobId).send(byteArrayOf(0))
                    assertEquals(aliceId, shown.receive().first)
                    assertTrue(bobRuns.isActive)
                }
            }
        }
    }
}
