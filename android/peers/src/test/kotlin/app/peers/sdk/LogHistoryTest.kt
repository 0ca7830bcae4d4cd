package app.peers.sdk

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flow

class LogHistoryTest {
    @Test
    fun `the library's records are kept, and a source of facts that fails is one of them`() = network {
        val device = device {
            logLevel = LogLevel.INFO
            network(flow { error("at 192.0.2.1") })
            logTo(LogSink { error("a sink that fails") })
        }
        assertTrue(device.logs.first { it.module == "peers_kotlin" }.text.endsWith("error=IllegalStateException"))
        device.networkChanged(NetworkSnapshot(online = false))
        device.logs.first { it.text.startsWith("network changed") }
        device.shutdown()
        val exported = device.exportLog()
        assertTrue(" WARN peers_kotlin source failed source=network error=IllegalStateException\n" in exported, exported)
        assertTrue(" INFO peers::engine::control network changed" in exported, exported)
        assertTrue(exported.lines().dropLast(1).all { TIME.matchesAt(it, 0) }, exported)
    }

    @Test
    fun `devices are replaced by numbers, the same by the same`() = network {
        val (session, device) = rustPeer { logLevel = LogLevel.DEBUG }
        val other = session.device
        session.close()
        device.shutdown()
        val exported = device.exportLog()
        assertFalse(other.text in exported || "127.0.0.1" in exported, exported)
        val numbers = exported.lines().filter { "device=" in it }.map { it.substringAfter("device=").substringBefore(' ') }
        assertTrue(numbers.size > 1, exported)
        assertEquals(setOf("<id-1>"), numbers.toSet(), exported)
        assertTrue("session ended device=<id-1> reason=" in exported, exported)
    }

    @Test
    fun `nothing is kept without a log level`() = network {
        val device = device { logLevel = null }
        device.networkChanged(NetworkSnapshot(online = false))
        device.shutdown()
        assertEquals("", device.exportLog())
    }

    private companion object {
        val TIME = Regex("""\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z """)
    }
}
