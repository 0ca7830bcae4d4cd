package app.peers.sdk

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlin.time.Clock
import kotlin.time.Instant
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.flow

class LogHistoryTest {
    private val clock = object : Clock {
        override fun now() = Instant.parse("2026-11-29T14:00:00.5Z")
    }

    @Test
    fun `a line tells time, level, module and text`() {
        assertEquals("2026-11-29T14:00:00.500Z WARN peers::engine no path attempt=2\n", exported("no path attempt=2"))
    }

    @Test
    fun `only the last records are kept`() {
        val history = LogHistory(capacity = 3)
        repeat(5) { history.add(LogRecord(LogLevel.INFO, "m", "record $it")) }
        assertEquals(listOf("record 2", "record 3", "record 4"), history.export().lines().dropLast(1).map { it.takeLast(8) })
    }

    @Test
    fun `addresses, hosts, devices and names are replaced, the same by the same`() {
        val device = "abcdefghijklmnopqrstuvwxyz234567"
        val other = "bbcdefghijklmnopqrstuvwxyz234567"
        val cases = mapOf(
            "from 192.0.2.1:4711 to 192.0.2.9, 192.0.2.1 again" to "from <address-1>:4711 to <address-2>, <address-1> again",
            "at [2001:db8::7]:443 and fe80::1%wlan0 and ::1." to "at [<address-1>]:443 and <address-2> and <address-3>.",
            "device=$device way=$other device=$device" to "device=<id-1> way=<id-2> device=<id-1>",
            "relay=wss://relay.example.com:8443/path" to "relay=wss://<host-1>/path",
            "server=turn:turn.example.com:3478?transport=udp" to "server=turn:<host-1>",
            """device_name="Anna's phone" name=Anna kind=relay""" to "device_name=<name-1> name=<name-2> kind=relay",
            // These name nothing.
            "peers::engine::face version 1.2.3 took 12 ms" to "peers::engine::face version 1.2.3 took 12 ms",
        )
        for ((text, expected) in cases) assertEquals(expected, exported(text).substringAfter("engine ").trimEnd())
    }

    @Test
    fun `the library's records are kept, and a source of facts that fails is one of them`() = network {
        val device = device {
            logLevel = LogLevel.INFO
            network(flow { error("at 192.0.2.1") })
            logTo(LogSink { error("a sink that fails") })
        }
        assertTrue(device.logs.first { it.module == "peers_kotlin" }.text.endsWith("error=IllegalStateException"))
        device.networkChanged(NetworkSnapshot(online = false))
        device.logs.first { "the network changed" in it.text }
        device.shutdown()
        val exported = device.exportLog()
        assertTrue("WARN peers_kotlin source failed source=network" in exported, exported)
        assertTrue("the network changed" in exported, exported)
        assertFalse("192.0.2.1" in exported, exported)
    }

    private fun exported(text: String): String =
        LogHistory(clock = clock).apply { add(LogRecord(LogLevel.WARN, "peers::engine", text)) }.export()
}
