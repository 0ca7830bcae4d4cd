package app.peers.demo

import app.peers.sdk.DeviceId
import app.peers.sdk.PathKind
import app.peers.sdk.PeerEvent
import app.peers.sdk.PeerStream
import app.peers.sdk.Peers
import app.peers.sdk.PeersState
import app.peers.sdk.Session
import app.peers.sdk.TemporaryIdentity
import app.peers.sdk.Value
import java.security.MessageDigest
import kotlin.random.Random
import kotlin.time.Duration.Companion.seconds
import kotlin.time.DurationUnit
import kotlin.time.TimeSource
import kotlin.time.measureTime
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull

/** A device of scripts/demo: commands on standard input, answers on standard output, one JSON object a line. */
public object DemoDevice {
    @JvmStatic
    public fun main(args: Array<String>): Unit = runBlocking {
        val device = Device(this)
        while (true) {
            val line = withContext(Dispatchers.IO) { readlnOrNull() } ?: break
            val answer = try {
                device.perform(Json.read(line)) ?: break
            } catch (error: Exception) {
                Json.write("error" to "${error.javaClass.simpleName}: ${error.message}")
            }
            println(answer)
        }
        device.stop()
        coroutineContext.cancelChildren()
    }
}

private class Device(private val scope: CoroutineScope) {
    private lateinit var peers: Peers
    private val echoes = Channel<Value>(Channel.UNLIMITED)
    private val paths = MutableStateFlow(emptyMap<DeviceId, PathKind?>())

    /** Null after the last command. */
    suspend fun perform(command: Map<String, String>): String? = when (command["do"]) {
        "start" -> start(command.getValue("relay"), command.getValue("name"))
        "trust" -> {
            peers.trust(DeviceId(command.getValue("device")))
            Json.write("trusted" to command.getValue("device"))
        }
        "connect" -> connect(DeviceId(command.getValue("device")))
        "run" -> run(DeviceId(command.getValue("device")), command.getValue("mb").toInt())
        "close" -> close(DeviceId(command.getValue("device")))
        "stop" -> null
        else -> Json.write("error" to "unknown command")
    }

    suspend fun stop() {
        if (::peers.isInitialized) peers.shutdown()
    }

    private suspend fun start(relay: String, name: String): String {
        peers = Peers {
            relay(relay)
            identity(TemporaryIdentity)
            this.name = name
            loopback = true
            handle("demo") { it.body }
        }
        peers.start()
        scope.launch {
            peers.events.collect { event ->
                when (event) {
                    is PeerEvent.Connected -> {
                        paths.value += event.device to event.path
                        answer(event.session)
                    }
                    is PeerEvent.PathChanged -> paths.value += event.device to event.path
                    is PeerEvent.Disconnected -> paths.value -= event.device
                    else -> {}
                }
            }
        }
        withTimeout(10.seconds) { peers.state.first { it == PeersState.ONLINE } }
        return Json.write("device" to peers.deviceId)
    }

    /** Answers whatever the peer begins. */
    private fun answer(session: Session) {
        scope.launch {
            session.messages.collect { message ->
                val value = message.value as Value.Object
                val echo = value["echo"]
                if (echo == null) session.send(Value.of("echo" to value)) else echoes.send(echo)
            }
        }
        scope.launch { session.streams.collect { scope.launch { digest(it) } } }
    }

    private suspend fun digest(stream: PeerStream) {
        val hash = MessageDigest.getInstance("SHA-256")
        stream.bytes.collect { hash.update(it) }
        stream.write(hash.digest())
        stream.finish()
    }

    private suspend fun connect(device: DeviceId): String {
        val started = TimeSource.Monotonic.markNow()
        val session = peers.session(device)
        val setup = started.elapsedNow().toDouble(DurationUnit.MILLISECONDS)
        // The relay may carry a session until WebRTC is there.
        withTimeoutOrNull(20.seconds) { paths.first { it[device] == PathKind.WEBRTC } }
        return Json.write(
            "connected" to session.device,
            "peer" to session.peerName,
            "path" to (session.path ?: "none"),
            "setup_ms" to setup,
        )
    }

    private suspend fun close(device: DeviceId): String {
        peers.sessions.filter { it.device == device }.forEach { it.close() }
        withTimeout(10.seconds) { paths.first { device !in it } }
        return Json.write("closed" to device)
    }

    private suspend fun run(device: DeviceId, megabytes: Int): String = withTimeout(120.seconds) {
        val session = peers.session(device)
        exchange(session)
        val question = Random.nextBytes(64)
        val rtt = (1..20).map { measureTime { check(session.call("demo", "echo", question).contentEquals(question)) } }.sorted()[10]
        val chunks = List(16) { Random.nextBytes(64 * 1024) }
        val hash = MessageDigest.getInstance("SHA-256")
        val stream = session.openStream("file")
        var answer = ByteArray(0)
        val elapsed = measureTime {
            repeat(megabytes * 16) {
                stream.write(chunks[it % 16])
                hash.update(chunks[it % 16])
            }
            stream.finish()
            stream.bytes.collect { answer += it }
        }
        Json.write(
            "ran" to device,
            "rtt_us" to rtt.inWholeMicroseconds,
            "mbps" to megabytes * 1.048576 / elapsed.toDouble(DurationUnit.SECONDS),
            "sha256_ok" to answer.contentEquals(hash.digest()),
        )
    }

    private suspend fun exchange(session: Session) {
        val sent = Value.of("hello" to session.device.text, "from" to peers.deviceId.text, "list" to listOf(1, 2.5, true))
        session.send(sent)
        check(echoes.receive() == sent) { "the object came back changed" }
    }
}
