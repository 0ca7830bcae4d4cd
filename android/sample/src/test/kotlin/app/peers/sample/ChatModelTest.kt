package app.peers.sample

import app.peers.sample.model.ChatState
import app.peers.sdk.AppState
import app.peers.sdk.DeviceId
import app.peers.sdk.Network
import app.peers.sdk.NetworkSnapshot
import app.peers.sdk.PathKind
import app.peers.sdk.PeerEvent
import app.peers.sdk.PeersException
import app.peers.sdk.PeersState
import app.peers.sdk.Quality
import app.peers.sdk.RelayState
import app.peers.sdk.SessionStatus
import app.peers.sdk.Value
import kotlin.io.path.createTempDirectory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.first

/** The model with a real client and relay; the peer is a process in Rust that echoes, or another client. */
class ChatModelTest {
    @Test
    fun `a device is added by its code, and texts cross both ways`() = phones { scope ->
        val (phone, rust) = connected(scope)
        phone.model.send(rust, "grüezi")
        phone.model.send(rust, "and a second text")
        val wanted = setOf("> grüezi", "> and a second text", "< grüezi", "< and a second text")
        val all = phone.until("both texts and their echoes") { it.texts(rust).toSet() == wanted }
        assertEquals(4, all.texts(rust).size)
    }

    @Test
    fun `the path, its quality and the relays are shown`() = phones { scope ->
        val (phone, rust) = connected(scope)
        val state = phone.until("the direct path and its quality") { state ->
            phone.model.refresh()
            state.connections[rust]?.run { path == PathKind.WEBRTC && rtt != null && quality == Quality.Level.GOOD } == true
        }
        assertEquals(0, state.connections[rust]?.loss)
        assertFalse(state.connections.getValue(rust).relayed)
        assertEquals(PeersState.ONLINE, state.client)
        assertEquals(listOf(RelayState.REGISTERED), state.relays.map { it.state })
    }

    @Test
    fun `a text that was written without a network is delivered once it is back`() = phones { scope ->
        val (phone, rust, process) = connected(scope)
        // The peer falls silent, as behind a network that is gone.
        process.signal("STOP")
        phone.networks.emit(NetworkSnapshot(online = false))
        phone.model.send(rust, "from the tunnel")
        val state = phone.until("the doubt about the path") { !it.isUsable(rust) }
        assertEquals(listOf("… from the tunnel"), state.texts(rust))
        process.signal("CONT")
        phone.networks.emit(wifi(8))
        phone.until("the delivery") { it.texts(rust) == listOf("> from the tunnel", "< from the tunnel") }
        phone.until("the relay") { it.client == PeersState.ONLINE && it.isUsable(rust) }
    }

    @Test
    fun `a text that was written while the app was suspended is delivered on its return`() = phones { scope ->
        val (phone, rust) = connected(scope)
        phone.appStates.emit(AppState.SUSPENDED)
        phone.until("the suspension") { it.client == PeersState.SUSPENDED && it.connections[rust]?.status == SessionStatus.AWAY }
        phone.model.send(rust, "from the pocket")
        assertEquals(listOf("… from the pocket"), phone.model.state.value.texts(rust))
        phone.appStates.emit(AppState.FOREGROUND)
        phone.until("the delivery") { it.texts(rust) == listOf("> from the pocket", "< from the pocket") }
        phone.until("the relay") { it.client == PeersState.ONLINE }
    }

    @Test
    fun `a device is let in when the digits are the same, and is a contact then`() = phones { scope ->
        val (first, second) = Phone(this, scope) to Phone(this, scope)
        val codes = first.code() to second.code()
        first.model.add(codes.second.text)
        second.model.accept(second.until("the knock") { it.requests.isNotEmpty() }.requests.single())
        val request = second.until("the digits") { it.requests.singleOrNull()?.digits != null }.requests.single()
        val shown = first.until("the same digits") { it.comparisons.isNotEmpty() }
        assertEquals(mapOf(codes.second to request.digits), shown.comparisons)
        second.model.accept(request)
        second.until("the contact") { it.isUsable(codes.first) && it.chats.isContact(codes.first) && it.requests.isEmpty() }
        first.until("the end of comparing") { it.isUsable(codes.second) && it.comparisons.isEmpty() }
        first.model.send(codes.second, "to the second")
        second.model.send(codes.first, "to the first")
        first.until("the texts") { it.texts(codes.second).toSet() == setOf("> to the second", "< to the first") }
        second.until("the texts") { it.texts(codes.first).toSet() == setOf("> to the first", "< to the second") }
    }

    @Test
    fun `a device that is refused after comparing is denied`() = phones { scope ->
        val (phone, stranger) = Phone(this, scope) to Phone(this, scope)
        val code = phone.code()
        stranger.model.add(code.text)
        phone.model.accept(phone.until("the knock") { it.requests.isNotEmpty() }.requests.single())
        phone.model.refuse(phone.until("the digits") { it.requests.singleOrNull()?.digits != null }.requests.single())
        stranger.until("the refusal") { it.problems == mapOf(code to "denied") && it.comparisons.isEmpty() }
        phone.hasNothingOf(stranger.code())
    }

    @Test
    fun `an unknown device that is refused gets no answer`() = phones { scope ->
        val phone = Phone(this, scope)
        val code = phone.code()
        val stranger = device { trust(code) }
        val asking = scope.async { runCatching { stranger.session(code) } }
        phone.model.refuse(phone.until("the knock") { it.requests.isNotEmpty() }.requests.single())
        assertFailsWith<PeersException.Unreachable> { asking.await().getOrThrow() }
        phone.hasNothingOf(stranger.deviceId)
    }

    @Test
    fun `a text that is sent again after a restart is shown once, and one without an id each time`() = phones { scope ->
        val phone = Phone(this, scope)
        val code = phone.code()
        val sender = device { trust(code) }
        phone.model.add(sender.deviceId.text)
        val session = sender.session(code)
        repeat(2) { session.send(Value.of("id" to "1", "text" to "hello")) }
        repeat(2) { session.send("no chat app") }
        phone.until("the texts") { it.texts(sender.deviceId) == listOf("< hello", "< no chat app", "< no chat app") }
    }

    @Test
    fun `a contact that is removed is gone, and its session ends`() = phones { scope ->
        val (phone, rust) = connected(scope)
        phone.model.send(rust, "hello")
        phone.until("the delivery") { it.texts(rust).size == 2 }
        phone.model.remove(rust)
        phone.until("the end of the session") { rust !in it.connections }
        phone.hasNothingOf(rust)
    }

    @Test
    fun `what is no code of another device is refused with the reason`() = phones { scope ->
        val phone = Phone(this, scope)
        for (code in listOf("", "abc", phone.code().text, "0".repeat(32), phone.code().text + "a")) {
            phone.model.add(code)
            assertTrue(phone.model.state.value.problem.orEmpty().contains("code"), code)
            phone.model.dismissProblem()
        }
        assertEquals(emptyList(), phone.model.state.value.chats.contacts)
    }

    @Test
    fun `the exported log tells what happened without ids and addresses`() = phones { scope ->
        val (phone, rust) = connected(scope)
        phone.model.send(rust, "a secret text")
        phone.until("the delivery") { it.texts(rust).size == 2 }
        val log = phone.model.exportLog()
        assertTrue("way connected device" in log, log)
        for (private in listOf(rust.text, phone.code().text, "127.0.0.1", "a secret text")) assertFalse(private in log, log)
    }

    /** A phone, and the device in Rust that it has added and reached. */
    private suspend fun Network.connected(scope: CoroutineScope): Triple<Phone, DeviceId, Process> {
        val (process, rust) = rustProcess(createTempDirectory().resolve("identity"))
        val phone = Phone(this, scope)
        phone.networks.emit(wifi(7))
        phone.code()
        phone.model.add(" ${rust.text.uppercase()}\n")
        phone.until("the session") { it.isUsable(rust) }
        return Triple(phone, rust, process)
    }

    private fun Process.signal(name: String) = check(ProcessBuilder("kill", "-$name", "${pid()}").start().waitFor() == 0)

    private fun ChatState.isUsable(device: DeviceId) = connections[device]?.status == SessionStatus.USABLE

    private fun Phone.hasNothingOf(device: DeviceId) {
        val state = model.state.value
        assertTrue(device !in state.connections && !state.chats.isContact(device) && state.requests.isEmpty(), "$state")
        assertEquals(emptyList(), state.texts(device))
        assertEquals(null, state.problem)
    }
}
