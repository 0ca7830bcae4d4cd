package app.peers.sdk

import java.io.File
import kotlin.io.path.createTempDirectory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.withTimeoutOrNull

class PeersTest {
    // proves S019 S055
    @Test
    fun `the state follows the life of the client`() = network {
        val device = stopped()
        assertEquals(PeersState.STOPPED, device.state.value)
        assertFailsWith<PeersException.NotStarted> { device.deviceId }
        device.start()
        device.state.first { it == PeersState.ONLINE }
        device.start()
        device.shutdown()
        assertEquals(PeersState.CLOSED, device.state.value)
    }

    // proves S145
    @Test
    fun `everything says closed after shutdown`() = network {
        val (session, _, first, second) = pair()
        val id = second.deviceId
        first.shutdown()
        first.shutdown()
        assertFailsWith<PeersException.Closed> { first.start() }
        assertFailsWith<PeersException.Closed> { first.session(id) }
        assertFailsWith<PeersException.Closed> { first.deviceId }
        assertFailsWith<PeersException.Closed> { session.call("any", "thing") }
        assertFailsWith<PeersException.Closed> { session.send("anything") }
        assertFailsWith<PeersException.Closed> { session.openStream("any") }
        assertEquals(emptyList(), session.messages.toList())
        assertEquals(emptyList(), first.sessions)
        session.close()
    }

    @Test
    fun `events end at shutdown and none is lost`() = network {
        val (_, _, first) = pair()
        first.shutdown()
        val events = first.events.toList()
        assertTrue(events.any { it is PeerEvent.Connected }, "$events")
        assertTrue(PeerEvent.State(PeersState.CLOSED) in events, "$events")
        assertEquals(emptyList(), first.events.toList())
    }

    @Test
    fun `a client that was never started can be shut down`() = network { stopped().shutdown() }

    @Test
    fun `settings that cannot work are named`() = network {
        val missing = assertFailsWith<PeersException.Config> { Peers { relay(Relay.url) } }
        assertTrue("identity" in missing.message!!)
        val noRelay = assertFailsWith<PeersException.Config> { Peers { identity(TemporaryIdentity) }.start() }
        assertTrue("relay" in noRelay.message!!)
        val bad = assertFailsWith<PeersException.Config> { device().session(DeviceId("nobody")) }
        assertTrue("device" in bad.message!!)
        val badFriend = assertFailsWith<PeersException.Config> { stopped { trust(DeviceId("nobody")) } }
        assertTrue("device id" in badFriend.message!!)
    }

    @Test
    fun `a file keeps the identity`() = network {
        val file = createTempDirectory().resolve("keys").toFile()
        val first = device { identity(FileIdentity(file)) }
        val id = first.deviceId
        first.shutdown()
        assertEquals(id, device { identity(FileIdentity(file)) }.deviceId)
        assertNotEquals(id, device().deviceId)
    }

    @Test
    fun `a store keeps the identity`() = network {
        val store = MemoryIdentity()
        val first = device { identity(store) }
        val id = first.deviceId
        first.shutdown()
        assertEquals(64, store.secret?.size)
        assertEquals(id, device { identity(store) }.deviceId)
    }

    @Test
    fun `a store that fails is an error and can be tried again`() = network {
        val store = MemoryIdentity(broken = true)
        val device = stopped { identity(store) }
        val error = assertFailsWith<PeersException.Identity> { device.start() }
        assertTrue("locked" in error.message!!)
        store.broken = false
        device.start()
        assertEquals(64, store.secret?.size)
    }

    // proves S010 S127 D25
    @Test
    fun `a stranger is let in by the app when both have the digits`() = network {
        val host = device()
        val guest = device { trust(host.deviceId); name = "guest" }
        coroutineScope {
            val dialing = async { guest.session(host.deviceId) }
            val knock = host.events.first { it is PeerEvent.Incoming } as PeerEvent.Incoming
            assertEquals("guest" to null, knock.name to knock.sas)
            knock.accept()
            val asked = host.events.first { it is PeerEvent.Incoming } as PeerEvent.Incoming
            assertEquals(guest.deviceId, asked.device)
            val shown = guest.events.first { it is PeerEvent.Comparing }
            assertEquals(PeerEvent.Comparing(host.deviceId, asked.sas!!), shown)
            asked.accept()
            assertEquals(PeerEvent.Compared(host.deviceId), guest.events.first { it is PeerEvent.Compared })
            assertEquals(host.deviceId, dialing.await().device)
        }
    }

    // proves S010 S080 S127 S191
    @Test
    fun `devices that have met find each other again at an address, without a relay and without a question`() = network {
        val folder = createTempDirectory("peers-store").toFile()
        fun kept(name: String): PeersConfig.() -> Unit = {
            identity(FileIdentity(File(folder, "$name.key")))
            store = File(folder, "$name.store")
        }
        val (host, guest) = device(kept("host")) to device(kept("guest"))
        val (hostId, guestId) = host.deviceId to guest.deviceId
        host.trust(guestId)
        guest.trust(hostId)
        guest.session(hostId).send("met")
        host.events.first { it is PeerEvent.Connected }
        host.shutdown()
        guest.shutdown()

        val listening = stopped({ listen = "127.0.0.1:0" }, kept("host")).also { it.start() }
        val url = "ws://${listening.listening}"
        val dialing = stopped({ address(hostId, url) }, kept("guest")).also { it.start() }
        assertEquals(PathKind.LAN, dialing.session(hostId).path)
        listening.events.first { it is PeerEvent.Connected }
        listening.trust(guestId, TrustLevel.UNTRUSTED)
        dialing.events.first { it is PeerEvent.Disconnected }
        assertFailsWith<PeersException.Store> { stopped({ listen = "127.0.0.1:0" }, kept("host")).start() }
        assertTrue(folder.deleteRecursively())
    }

    // proves S010 S127
    @Test
    fun `a stranger that the app turns away gets no answer`() = network {
        val host = device()
        val guest = device { trust(host.deviceId) }
        coroutineScope {
            val dialing = async { guest.session(host.deviceId) }
            val asked = host.events.first { it is PeerEvent.Incoming } as PeerEvent.Incoming
            assertEquals(guest.deviceId to null, asked.device to asked.sas)
            asked.reject()
            assertNull(withTimeoutOrNull(700.milliseconds) { dialing.await() })
            dialing.cancelAndJoin()
        }
        assertEquals(emptyList(), host.sessions)
    }

    // proves S010 S127
    @Test
    fun `an open device tells a stranger that it is turned away`() = network {
        val host = device { open = true }
        val guest = device { trust(host.deviceId) }
        coroutineScope {
            val dialing = async { assertFailsWith<PeersException.Denied> { guest.session(host.deviceId) } }
            val asked = host.events.first { it is PeerEvent.Incoming } as PeerEvent.Incoming
            assertEquals(guest.deviceId to 6, asked.device to asked.sas?.length)
            assertEquals(PeerEvent.Comparing(host.deviceId, asked.sas!!), guest.events.first { it is PeerEvent.Comparing })
            asked.reject()
            dialing.await()
        }
        assertEquals(emptyList(), host.sessions)
    }

    // proves S010
    @Test
    fun `a policy judges strangers`() = network {
        val guest = device()
        val host = device { trustPolicy { device, _ -> if (device == guest.deviceId) TrustLevel.KNOWN else null } }
        guest.trust(host.deviceId)
        assertEquals(host.deviceId, guest.session(host.deviceId).device)
    }

    // proves S127
    @Test
    fun `a policy that throws lets nobody in`() = network {
        val host = device {
            open = true
            trustPolicy { _, _ -> error("no idea") }
        }
        val guest = device { trust(host.deviceId) }
        assertFailsWith<PeersException.Denied> { guest.session(host.deviceId) }
    }

    @Test
    fun `a relay with tokens admits devices that bring one`() = network {
        val url = relay("access.rule=token", "access.tokens=first,second")
        val admitted = stopped(url, token = "second")
        admitted.start()
        admitted.state.first { it == PeersState.ONLINE }
        for (token in listOf(null, "third")) {
            val refused = stopped(url, token)
            refused.start()
            refused.state.first { it == PeersState.NOT_ADMITTED }
        }
    }

    @Test
    fun `a relay that is not reached says why`() = network {
        val device = stopped("ws://no-such-host.invalid")
        assertEquals(emptyList(), device.relays.value)
        device.start()
        val relay = device.relays.first { relays -> relays.any { it.problem != null } }.single()
        assertEquals("ws://no-such-host.invalid" to "not-found", relay.url to relay.problem?.code)
        assertTrue("host was not found" in relay.problem!!.reason, "$relay")
        val error = assertFailsWith<PeersException.Offline> { device.session(device { }.deviceId) }
        assertTrue(relay.problem.reason in error.message!!, "$error")
        device.shutdown()
        assertEquals(RelayState.STOPPED, device.relays.value.single().state)
    }

    @Test
    fun `a relay whose certificate nobody has issued is known by its pin or its authority`() = network {
        val relay = tlsRelay()
        val refused = stopped(relay.url)
        refused.start()
        assertEquals("tls", refused.relays.first { it.firstOrNull()?.problem != null }.single().problem?.code)
        for (device in listOf(
            stopped({ relay(relay.url, pins = listOf(relay.pin)) }),
            stopped({ relay(relay.url, authorities = listOf(relay.certificate)) }),
        )) {
            device.start()
            device.state.first { it == PeersState.ONLINE }
            val registered = device.relays.first { it.single().state == RelayState.REGISTERED }
            assertEquals(null, registered.single().problem)
        }
        val wrong = stopped({ relay(relay.url, pins = listOf("beef")) })
        assertTrue("pin" in assertFailsWith<PeersException.Config> { wrong.start() }.message!!)
    }

    @Test
    fun `a session uses only what was chosen`() = network {
        for (only in listOf(PathKind.RELAY, PathKind.WEBRTC)) {
            val first = device { transports = setOf(only) }
            val second = device {
                transports = setOf(only)
                trust(first.deviceId)
            }
            val session = first.session(second.deviceId)
            session.send("hello")
            session.drain()
            assertEquals(only, session.path)
            first.shutdown()
            val paths = first.events.toList().mapNotNull { (it as? PeerEvent.Connected)?.path ?: (it as? PeerEvent.PathChanged)?.path }
            assertEquals(setOf(only), paths.toSet())
        }
        val bad = assertFailsWith<PeersException.Config> { stopped { transports = setOf(PathKind.CUSTOM) }.start() }
        assertTrue("transports" in bad.message!!)
    }

    // proves S093
    @Test
    fun `a session stays on the kind of path that is preferred`() = network {
        val (session, _, first) = pair(configureFirst = { prefer = listOf(PathTier.RELAY) }) { prefer = listOf(PathTier.RELAY) }
        session.send("hello")
        session.drain()
        assertEquals(PathKind.RELAY, session.path)
        first.shutdown()
        val paths = first.events.toList().mapNotNull { (it as? PeerEvent.Connected)?.path ?: (it as? PeerEvent.PathChanged)?.path }
        assertEquals(setOf(PathKind.RELAY), paths.toSet())
    }

    @Test
    fun `a session waits for a path as long as is set`() = network {
        val (session, device) = rustPeer { resumeWindow = 1.seconds }
        endProcesses()
        val lost = device.events.first { it is PeerEvent.Disconnected } as PeerEvent.Disconnected
        assertEquals(session.device to EndReason.NO_PATH, lost.device to lost.reason)
    }

    @Test
    fun `an address that leads nowhere is named`() = network {
        val friend = device()
        val bad = assertFailsWith<PeersException.Config> { stopped { address(friend.deviceId, "http://192.168.0.7") }.start() }
        assertTrue("address" in bad.message!!)
        device { address(friend.deviceId, "ws://192.168.0.7:7000") }
    }

    @Test
    fun `a user has several devices`() = network {
        val (first, second) = MemoryIdentity() to MemoryIdentity()
        val here = device { identity(first) }
        second.secret = Identity.anotherDevice(first.secret!!)
        val there = device { identity(second) }
        assertEquals(here.userId, there.userId)
        assertNotEquals(here.deviceId, there.deviceId)
        assertFailsWith<PeersException.Identity> { Identity.anotherDevice(ByteArray(63)) }
    }

    @Test
    fun `the library's log reaches the app, once asked for`() = network {
        val talkative = device { logLevel = LogLevel.DEBUG }
        val silent = device { trust(talkative.deviceId) }
        val session = talkative.session(silent.deviceId)
        session.send("the password is swordfish")
        session.close()
        talkative.shutdown()
        silent.shutdown()
        val records = talkative.logs.toList()
        assertTrue(records.any { it.level == LogLevel.INFO && it.text.startsWith("session ended") }, "$records")
        assertTrue(records.none { "swordfish" in it.text || "127.0.0.1" in it.text }, "$records")
        assertEquals(emptyList(), silent.logs.toList())
    }

    private class MemoryIdentity(var broken: Boolean = false) : StoredIdentity() {
        var secret: ByteArray? = null

        override fun load(): ByteArray? = if (broken) throw IllegalStateException("locked") else secret

        override fun store(secret: ByteArray) {
            this.secret = secret
        }
    }
}
