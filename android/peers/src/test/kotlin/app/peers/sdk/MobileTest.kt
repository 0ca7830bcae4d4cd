package app.peers.sdk

import java.net.InetAddress
import java.nio.ByteBuffer
import java.security.MessageDigest
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch

/** What happens to a phone: its network changes, its app is suspended and comes back. */
class MobileTest {
    // proves S086 S096 S109 S159
    @Test
    fun `a stream goes on while its session moves to another network and back`() = network {
        val (session, device) = rustPeer()
        device.networkChanged(wifi(7))
        val stream = session.openStream("file")
        val chunk = Random(1).nextBytes(64 * 1024)
        val hash = MessageDigest.getInstance("SHA-256")
        coroutineScope {
            launch {
                repeat(512) {
                    stream.write(chunk)
                    hash.update(chunk)
                }
                stream.finish()
            }
            for (last in listOf(8, 7)) {
                device.networkChanged(wifi(last))
                for (status in listOf(SessionStatus.VERIFYING, SessionStatus.USABLE)) {
                    device.events.first { it is PeerEvent.StatusChanged && it.status == status }
                }
            }
        }
        val answer = ByteBuffer.wrap(stream.readAll())
        assertEquals(512L * chunk.size, answer.getLong())
        assertContentEquals(hash.digest(), ByteArray(32).also(answer::get))
    }

    // proves S087 S160
    @Test
    fun `a session tells what carries it and how good that is`() = network {
        val (session, device) = rustPeer()
        device.events.first { it is PeerEvent.QualityChanged && it.quality.level == Quality.Level.GOOD }
        // The path may change between the two looks.
        val (path, info) = generateSequence { session.path to session.pathInfo }.first { (path, info) -> info?.kind == path }
        checkNotNull(info)
        assertTrue(info.rtt != null && info.loss == 0 && info.sent > 0u && info.received > 0u, "$info")
        assertTrue(info.quality.score > 70 && !info.relayed, "$info")
    }

    // proves S120
    @Test
    fun `a suspended app comes back to its sessions`() = network {
        val (session, device) = rustPeer()
        device.setAppState(AppState.SUSPENDED)
        assertEquals(PeersState.SUSPENDED, device.state.first { it != PeersState.ONLINE })
        assertEquals(SessionStatus.AWAY, session.status)
        assertNull(session.path)
        assertNull(session.pathInfo)
        session.send("said while away")
        device.setAppState(AppState.BACKGROUND)
        device.setAppState(AppState.FOREGROUND)
        assertEquals("said while away", session.messages.first().text)
        device.state.first { it == PeersState.ONLINE }
    }

    // proves S019
    @Test
    fun `a superseded device is told so until its app comes to the foreground`() = network {
        val (keys, _) = keys()
        val first = device { identity(keys) }
        val second = device { identity(keys) }
        first.state.first { it == PeersState.SUPERSEDED }
        for (state in listOf(AppState.BACKGROUND, AppState.SUSPENDED, AppState.BACKGROUND)) {
            first.setAppState(state)
            assertEquals(PeersState.SUPERSEDED, first.state.value)
        }
        first.setAppState(AppState.FOREGROUND)
        first.state.first { it == PeersState.ONLINE }
        second.state.first { it == PeersState.SUPERSEDED }
    }

    @Test
    fun `bulk waits while data costs money`() = network {
        val (session, device) = rustPeer()
        device.networkChanged(wifi(7, metered = true))
        device.events.first { it == PeerEvent.Metered(true) }
        val stream = session.openStream("bulk")
        stream.bulk = true
        assertTrue(stream.bulk)
        coroutineScope {
            val writing = launch { stream.write(ByteArray(64)) }
            // Everything else goes on.
            session.send("hello")
            session.drain()
            assertTrue(writing.isActive)
            device.networkChanged(wifi(7))
            device.events.first { it == PeerEvent.Metered(false) }
            writing.join()
        }
        device.networkChanged(wifi(7, metered = true))
        device.events.first { it == PeerEvent.Metered(true) }
        coroutineScope {
            val writing = launch { stream.write(ByteArray(64)) }
            session.send("hello")
            session.drain()
            assertTrue(writing.isActive)
            stream.bulk = false
            writing.join()
        }
    }

    private fun wifi(last: Int, metered: Boolean = false) = NetworkSnapshot(
        online = true,
        medium = NetworkSnapshot.Medium.WIFI,
        metered = metered,
        addresses = listOf(InetAddress.getByName("192.168.0.$last"), InetAddress.getByName("fe80::1%1")),
    )
}
