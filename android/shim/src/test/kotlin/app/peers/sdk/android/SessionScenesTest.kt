package app.peers.sdk.android

import app.peers.sdk.LogLevel
import app.peers.sdk.LogSink
import app.peers.sdk.NetworkSnapshot
import app.peers.sdk.SessionStatus
import app.peers.sdk.network
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.annotation.Config

/** Scenes with the real library and a real relay under them, and a peer in another process that sends everything back. */
@RunWith(PeersTestRunner::class)
@Config(sdk = [24, 37])
class SessionScenesTest {
    @Test
    fun lift() = survives("a lift: mobile data goes and comes back with the same address")

    @Test
    fun vpn() = survives("a VPN comes up and goes down over Wi-Fi")

    @Test
    fun `captive portal`() = survives("a captive portal: nothing but the sign-in page, then all")

    @Test
    fun `airplane mode`() = survives("airplane mode on and off")

    @Test
    fun doze() = survives("Doze: blocked but for maintenance windows")

    @Test
    fun `roam with the same network`() = survives("a roam between access points of one Wi-Fi changes nothing")

    @Test
    fun `roam with the same address`() = survives("a roam to another Wi-Fi that gives the same address")

    @Test
    fun `IPv6 only`() = survives("IPv6 only: 464XLAT brings an IPv4 address a moment later")

    @Test
    fun `two networks`() = survives("two networks: out of the house")

    @Test
    fun `metered hotspot`() = survives("a hotspot is declared metered")

    /** A session goes on, nothing is lost or repeated, and each change is one for the library. */
    private fun survives(name: String) = network {
        val scene = SCENES.single { it.name == name }
        val phone = Phone()
        val changes = Channel<String>(Channel.UNLIMITED)
        val (session) = rustPeer {
            network(phone.observer.snapshots)
            logLevel = LogLevel.INFO
            logTo(LogSink { record -> if (record.text.startsWith(CHANGED)) changes.trySend(record.text) })
        }
        phone.observer.observation.first { it == AndroidNetwork.Observation.RUNNING }
        var before: NetworkSnapshot? = null
        var sent = 0
        for (step in listOf(Scene.Step {}) + scene.steps) {
            session.send("${sent++}")
            step.act(phone)
            session.send("${sent++}")
            val after = checkNotNull(phone.observer.facts.value).toSnapshot()
            change(before, after)?.let { assertEquals("$CHANGED change=$it", changes.receive()) }
            session.send("${sent++}")
            before = after
        }
        assertEquals(List(sent) { "$it" }, session.messages.take(sent).map { it.text }.toList())
        assertTrue(changes.tryReceive().isFailure)
        assertTrue(session.status == SessionStatus.USABLE || session.status == SessionStatus.VERIFYING, "${session.status}")
    }

    /** The change that the library makes of a snapshot that has settled; null for none. */
    private fun change(before: NetworkSnapshot?, after: NetworkSnapshot): String? = when {
        !after.online -> "Lost".takeIf { before?.online != false }
        before == null -> null
        !before.online -> "Another"
        before.network != after.network || before.medium != after.medium || before.addresses != after.addresses -> "Another"
        before.validated != after.validated -> "Same"
        else -> null
    }

    private companion object {
        const val CHANGED = "network changed"
    }
}
