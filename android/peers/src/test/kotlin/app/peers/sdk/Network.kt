package app.peers.sdk

import java.nio.file.Path
import java.util.concurrent.TimeUnit
import kotlin.io.path.createTempDirectory
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout

/** Real devices of one test at a real relay; all gone after it. */
internal class Network {
    private val devices = mutableListOf<Peers>()
    private val processes = mutableListOf<Process>()
    private val fronts = mutableListOf<TlsFront>()

    /** A started device on this machine that the relay knows. */
    suspend fun device(configure: PeersConfig.() -> Unit = {}): Peers = stopped(configure = configure).also { device ->
        device.start()
        device.state.first { it == PeersState.ONLINE }
    }

    /** A device that was not started. */
    fun stopped(relay: String = Relay.url, token: String? = null, configure: PeersConfig.() -> Unit = {}): Peers =
        stopped({ relay(relay, token) }, configure)

    /** A device that was not started, of the relays that [relays] names. */
    fun stopped(relays: PeersConfig.() -> Unit, configure: PeersConfig.() -> Unit = {}): Peers = Peers {
        relays()
        identity(TemporaryIdentity)
        loopback = true
        configure()
    }.also { devices += it }

    /** Two devices that trust each other, and the session between them, as each of them sees it. */
    suspend fun pair(
        configureFirst: PeersConfig.() -> Unit = {},
        configureSecond: PeersConfig.() -> Unit = {},
    ): Couple {
        val first = device(configureFirst)
        val second = device {
            trust(first.deviceId)
            configureSecond()
        }
        first.trust(second.deviceId)
        val session = first.session(second.deviceId)
        val connected = second.events.first { it is PeerEvent.Connected && it.device == first.deviceId }
        return Couple(session, (connected as PeerEvent.Connected).session, first, second)
    }

    /** A device written in Rust, in a process of its own, that lets anyone in; and a session with it. */
    suspend fun rustPeer(configure: PeersConfig.() -> Unit = {}): Pair<Session, Peers> {
        val (_, id) = rustProcess(createTempDirectory().resolve("identity"))
        val device = device {
            trust(id)
            configure()
        }
        return device.session(id) to device
    }

    /** The process of such a device, whose keys are in the file [identity], and its id. One that it trusts by name it dials. */
    fun rustProcess(identity: Path, trust: String = "any"): Pair<Process, DeviceId> {
        val process =
            peersCommand("listen", "--relay", Relay.url, "--identity", "$identity", "--trust", trust, "--loopback")
        processes += process
        val lines = process.inputReader().lineSequence().iterator()
        val id = DeviceId(lines.next { it.startsWith("device ") }.removePrefix("device "))
        lines.next { it == "Online" }
        return process to id
    }

    /** Keys that a device can be started with, and its id then. */
    fun keys(): Pair<Identity, DeviceId> {
        val file = createTempDirectory().resolve("identity")
        val id = peersCommand("id", "--identity", file.toString()).inputReader().readLine()
        return FileIdentity(file.toFile()) to DeviceId(id)
    }

    /** The URL of another relay, with these settings. */
    fun relay(vararg settings: String): String {
        val (process, url) = startRelay(*settings)
        processes += process
        return url
    }

    /** A relay with these settings behind TLS, with a certificate that it has issued to itself. */
    fun tlsRelay(): TlsFront = TlsFront { address -> relay("names=$address") }.also { fronts += it }

    /** Ends the processes of this test without a word. */
    fun endProcesses() {
        processes.forEach { it.destroyForcibly().waitFor() }
        processes.clear()
    }

    suspend fun end() {
        fronts.forEach { it.close() }
        fronts.clear()
        devices.forEach { it.shutdown() }
        devices.clear()
        endProcesses()
    }
}

/** [session] is the first's with the second, [other] the second's with the first. */
internal data class Couple(val session: Session, val other: Session, val first: Peers, val second: Peers)

/** One relay for all tests. */
internal object Relay {
    val url: String by lazy {
        val (process, url) = startRelay()
        Runtime.getRuntime().addShutdownHook(Thread { process.destroyForcibly().waitFor(5, TimeUnit.SECONDS) })
        url
    }
}

private fun startRelay(vararg settings: String): Pair<Process, String> {
    val process = peersCommand("relay", "--listen", "127.0.0.1:0", *settings.flatMap { listOf("--set", it) }.toTypedArray())
    val line = process.inputReader().lineSequence().iterator().next { it.startsWith("listening on ") }
    return process to "ws://" + line.removePrefix("listening on ")
}

/** Starts the `peers` command that scripts/kotlin built. */
internal fun peersCommand(vararg arguments: String): Process {
    val binary = Path.of(System.getenv("PEERS_BIN_DIR"), "peers").toString()
    return ProcessBuilder(binary, *arguments).redirectErrorStream(true).start()
}

private fun Iterator<String>.next(wanted: (String) -> Boolean): String {
    val seen = mutableListOf<String>()
    while (hasNext()) next().let { if (wanted(it)) return it else seen += it }
    error("the command ended: $seen")
}

/** Runs [test] with a deadline: what hangs, fails. */
internal fun network(limit: Duration = 60.seconds, test: suspend Network.() -> Unit): Unit = runBlocking {
    val network = Network()
    try {
        withTimeout(limit) { network.test() }
    } finally {
        network.end()
    }
}
