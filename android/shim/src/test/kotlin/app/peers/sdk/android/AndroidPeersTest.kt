package app.peers.sdk.android

import android.app.Activity
import android.content.Context
import android.os.Looper
import app.peers.sdk.LogSink
import app.peers.sdk.NetworkSnapshot
import app.peers.sdk.PeerEvent
import app.peers.sdk.Peers
import app.peers.sdk.PeersState
import app.peers.sdk.Relay
import app.peers.sdk.SessionStatus
import app.peers.sdk.TemporaryIdentity
import app.peers.sdk.network
import java.util.concurrent.TimeUnit
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlinx.coroutines.flow.emptyFlow
import kotlinx.coroutines.flow.first
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowLog

/** The whole of it: real library, real relay. */
@RunWith(PeersTestRunner::class)
@Config(sdk = [24, 37])
class AndroidPeersTest {
    private val context: Context = RuntimeEnvironment.getApplication()

    @get:Rule
    internal val process = PhoneProcess()

    @Test
    fun `a phone needs a relay's address and nothing else`() = network {
        val phone = Phone()
        val peers = Peers(context) { relay(Relay.url) }
        assertEquals(0, phone.callbacks)
        peers.start()
        peers.state.first { it == PeersState.ONLINE }
        val id = peers.deviceId
        // A phone without a network, as the observer says.
        peers.logs.first { "network changed" in it.text }
        assertEquals(1, phone.callbacks)
        peers.shutdown()
        assertEquals(0, phone.callbacks)
        assertTrue(ShadowLog.getLogsForTag("Peers").any { "network changed" in it.msg })
        assertTrue("network changed" in peers.exportLog())
        val again = Peers(context) { relay(Relay.url) }
        again.start()
        assertEquals(id, again.deviceId)
        again.shutdown()
    }

    @Test
    fun `the app replaces each part by its own`() = network {
        val phone = Phone()
        val lines = mutableListOf<String>()
        val peers = Peers(context) {
            relay(Relay.url)
            network(emptyFlow())
            appState(emptyFlow())
            identity(TemporaryIdentity)
            logTo(LogSink { synchronized(lines) { lines += it.text } })
        }
        peers.start()
        peers.state.first { it == PeersState.ONLINE }
        assertEquals(0, phone.callbacks)
        peers.networkChanged(NetworkSnapshot(online = false))
        peers.logs.first { "network changed" in it.text }
        peers.shutdown()
        assertTrue(FakeKeystore.keys.isEmpty())
        assertTrue(ShadowLog.getLogsForTag("Peers").orEmpty().isEmpty())
        assertTrue(lines.any { "network changed" in it }, "$lines")
    }

    @Test
    fun `a session waits while the app is away and goes on when it is back`() = network {
        val activity = Robolectric.buildActivity(Activity::class.java).setup()
        val (session, device) = rustPeer { appState(ProcessLifecycle(Duration.ZERO).states) }
        activity.pause().stop()
        idle(700)
        device.events.first { it is PeerEvent.StatusChanged && it.status == SessionStatus.AWAY }
        device.state.first { it == PeersState.SUSPENDED }
        session.send("said while away")
        activity.restart().resume()
        idle(0)
        device.state.first { it == PeersState.ONLINE }
        assertEquals("said while away", session.messages.first().text)
        activity.pause().stop().destroy()
        idle(700)
    }

    private fun idle(milliseconds: Long) = shadowOf(Looper.getMainLooper()).idleFor(milliseconds, TimeUnit.MILLISECONDS)
}
