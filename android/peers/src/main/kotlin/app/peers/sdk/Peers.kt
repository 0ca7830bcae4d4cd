package app.peers.sdk

import app.peers.sdk.generated.PeersClient
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

/**
 * This device among its peers.
 *
 * ```kotlin
 * val peers = Peers { relay("wss://relay.example.com"); identity(FileIdentity(file)) }   // nothing connects yet
 * peers.start()
 * peers.session(device).send("hello")
 * ```
 * All functions may be called from any thread, the main thread included: none blocks. Cancelling a coroutine cancels what it
 * waits for, at the peer as well. After [shutdown] or [close] everything throws [PeersException.Closed].
 */
public class Peers @Throws(PeersException::class) constructor(configure: PeersConfig.() -> Unit) : AutoCloseable {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val config = PeersConfig().apply(configure)
    private val client = translating {
        CallbackThreads.keep()
        PeersClient(config.toGenerated(scope))
    }
    private val log = Logs(client, config.logSinks)
    private val states = MutableStateFlow(PeersState.STOPPED)
    private val statuses = MutableStateFlow(emptyList<RelayStatus>())

    // They end with the client, whose last state is CLOSED.
    private val following: List<Job> = listOf(
        scope.launch(start = CoroutineStart.UNDISPATCHED) { followState() },
        scope.launch(start = CoroutineStart.UNDISPATCHED) { followRelays() },
        scope.launch { log.follow() },
    )

    // They end before the client.
    private val reporting: List<Job> = listOf(
        scope.launch(start = CoroutineStart.LAZY) { report("network") { config.network.collect(::networkChanged) } },
        scope.launch(start = CoroutineStart.LAZY) { report("app") { config.appState.conflate().collect(::setAppState) } },
    )

    /** Whether a relay is reached. */
    public val state: StateFlow<PeersState> = states.asStateFlow()

    /** Where each relay stands, and why one is not reached, in the order of [PeersConfig.relay]; empty before [start]. */
    public val relays: StateFlow<List<RelayStatus>> = statuses.asStateFlow()

    /**
     * What happens, also what happened since [start] and was not collected: the library keeps a bounded number of events and
     * counts the rest in [PeerEvent.Missed]. For one collector; with several each event goes to one of them. Ends at [shutdown].
     */
    public val events: Flow<PeerEvent> = flow {
        awaitStart()
        while (translating { client.eventsReady(null) }) {
            // One at a time: a collector that ends takes no more than it got.
            client.takeEvents(1u).forEach { emit(it.toEvent()) }
        }
    }

    /**
     * What the library logs, as [PeersConfig.logLevel] asks, for the app's own log. The library keeps a bounded number of records
     * and counts the rest. For one collector. Ends at [shutdown].
     */
    public val logs: Flow<LogRecord> get() = log.records

    /** This device. [PeersException.NotStarted] before [start]. */
    @get:Throws(PeersException::class)
    public val deviceId: DeviceId get() = DeviceId(translating { client.deviceId() })

    /** This device's user. [PeersException.NotStarted] before [start]. */
    @get:Throws(PeersException::class)
    public val userId: UserId get() = UserId(translating { client.userId() })

    /** The address at which this device listens now; null without [PeersConfig.listen], and while the app is suspended. */
    public val listening: String? get() = client.listening()

    /** Sessions that can be used now. */
    public val sessions: List<Session> get() = client.sessions().map(::Session)

    /** Reads or makes the keys and begins to connect; does not wait for the relay. May be called again when it failed. */
    public suspend fun start() {
        translating(config.identity) { client.start(null) }
        reporting.forEach(Job::start)
    }

    /**
     * The session with [device]: the one there is, or a new one. Returns when it can be used. At a device that does not accept
     * this one it knocks: [PeersException.Unreachable] when that had no answer for half a minute.
     */
    public suspend fun session(device: DeviceId): Session =
        Session(translating { client.session(device.text, null) })

    /**
     * Sets how far [device] is trusted. From [TrustLevel.KNOWN] on it is connected by itself whenever it can be reached and a
     * person looks. With [PeersConfig.store] the level is on the disk when this returns, in some milliseconds.
     */
    @JvmOverloads
    @Throws(PeersException::class)
    public fun trust(device: DeviceId, level: TrustLevel = TrustLevel.TRUSTED): Unit =
        translating { client.trust(device.text, level.toGenerated()) }

    /**
     * A fact about the network, as often as the operating system has one. The library acts when they have settled: paths have to
     * prove themselves, and on another network everything is made anew.
     */
    @Throws(PeersException::class)
    public fun networkChanged(snapshot: NetworkSnapshot): Unit =
        translating { client.networkChanged(snapshot.toGenerated()) }

    /**
     * Whether a person looks at the app. Suspending says goodbye: peers keep their sessions for an hour, connections close; it
     * returns when that is done, within two seconds. Coming back connects at once. What is sent meanwhile waits.
     */
    public suspend fun setAppState(state: AppState): Unit =
        translating { client.setAppState(state.toGenerated(), null) }

    /** Says goodbye to peers and ends everything; returns when sessions, threads and sockets are gone. Any number of times. */
    public suspend fun shutdown() {
        withContext(NonCancellable) {
            reporting.forEach { it.cancelAndJoin() }
            client.shutdown()
            following.joinAll()
            scope.cancel()
        }
    }

    /** [shutdown] without waiting for it. */
    override fun close() {
        CoroutineScope(Dispatchers.Default).launch { shutdown() }
    }

    /**
     * The last 2 000 records of the log, fewer if they are long, for a report of a problem: a line each with its time in UTC, level,
     * module and text. Ids, addresses, hosts and names are replaced by numbers. Works after [shutdown] as well.
     */
    public fun exportLog(): String = client.recentLog()

    /** Runs a source of facts; the library goes on without one that fails. */
    private suspend fun report(source: String, collect: suspend () -> Unit) {
        try {
            collect()
        } catch (cancelled: CancellationException) {
            throw cancelled
        } catch (error: Exception) {
            log.warn("source failed source=$source error=${error.javaClass.simpleName}")
        }
    }

    private suspend fun awaitStart() {
        if (states.value == PeersState.STOPPED) client.stateAfter(PeersState.STOPPED.toGenerated(), null)
    }

    private suspend fun followRelays() {
        var seen = client.relays()
        do {
            seen = client.relaysAfter(seen, null)
            statuses.value = seen.map { it.toStatus() }
        } while (client.state() != PeersState.CLOSED.toGenerated())
    }

    private suspend fun followState() {
        do {
            states.value = client.stateAfter(states.value.toGenerated(), null).toState()
        } while (states.value != PeersState.CLOSED)
    }
}
