package app.peers.sdk

import app.peers.sdk.generated.ClientConfig
import app.peers.sdk.generated.DeviceAddress
import app.peers.sdk.generated.GroupMember
import app.peers.sdk.generated.IceServer
import app.peers.sdk.generated.RelayEndpoint
import app.peers.sdk.generated.TrustPolicy
import app.peers.sdk.generated.TrustedDevice
import java.io.File
import java.util.concurrent.TimeUnit
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.emptyFlow

/** Keeps the settings of one builder apart from those of another. */
@DslMarker
public annotation class PeersDsl

/** The settings of [Peers]. */
@PeersDsl
public class PeersConfig internal constructor() {
    private val relays = mutableListOf<RelayEndpoint>()
    internal var identity: Identity? = null
        private set
    private val trusted = mutableListOf<TrustedDevice>()
    private var policy: TrustPolicy? = null
    private val groups = mutableListOf<String>()
    private val members = mutableListOf<GroupMember>()
    private val addresses = mutableListOf<DeviceAddress>()
    private val iceServers = mutableListOf<IceServer>()
    private val handlers = mutableMapOf<String, suspend (Request) -> ByteArray>()

    /** Shown to peers, at most 64 bytes. */
    public var name: String = ""

    /** What may carry sessions: any of [PathKind.WEBRTC] and [PathKind.RELAY]; empty for all. */
    public var transports: Set<PathKind> = emptySet()

    /** These kinds of path first, in this order; the others follow as they usually do. */
    public var prefer: List<PathTier> = emptyList()

    /** How long a session without a path waits for one before it is lost: a day at most. Each end has its own. */
    public var resumeWindow: Duration = 1.minutes

    /** [resumeWindow] for Java. */
    public fun setResumeWindow(time: Long, unit: TimeUnit) {
        resumeWindow = unit.toMillis(time).milliseconds
    }

    /** Lets streams marked as bulk ([PeerStream.bulk]) go on while data costs money; without it they wait. */
    public var bulkOnMetered: Boolean = false

    internal var network: Flow<NetworkSnapshot> = emptyFlow()
        private set

    internal var appState: Flow<AppState> = emptyFlow()
        private set

    internal var logSinks: List<LogSink> = emptyList()
        private set

    /** The least grave level that reaches [Peers.logs], [Peers.exportLog] and [logTo]; null for nothing. */
    public var logLevel: LogLevel? = null

    /**
     * Lets every device reach this one through its relays, as a service for the public does. Without it a device that is not
     * trusted can knock, and nothing else.
     */
    public var open: Boolean = false

    /**
     * The address at which this device listens for others, as `192.168.1.2:0`; port 0 picks one, which [Peers.listening] tells.
     * Those dial it without a relay ([address]). The port is closed while the app is suspended. A device that does not know the
     * keys of this one is refused there and learns nothing.
     */
    public var listen: String? = null

    /**
     * The file that remembers levels and keys of devices between two runs of the app; null forgets them. Its folder exists. One
     * [Peers] at a time uses it, from [Peers.start] to [Peers.shutdown]. On Android there is one by default.
     */
    public var store: File? = null

    /** Only relayed candidates: peers never learn this device's addresses. */
    public var relayOnly: Boolean = false

    /** Encrypt on WebRTC as well, where DTLS already does. */
    public var requireSealing: Boolean = false

    /** Loopback candidates, for tests and demos on one machine. */
    public var loopback: Boolean = false

    /**
     * A relay's `ws://` or `wss://` URL, and its operator's [token] if it admits devices with one only: see
     * [PeersState.NOT_ADMITTED]. Several calls name several relays.
     *
     * A certificate that no public authority has issued needs one of two: its own [authorities], in PEM or DER, which then count
     * in place of those that browsers trust; or [pins], SHA-256 hashes of its public key or of the certificate (`sha256/` and
     * base64, or hexadecimal). With a pin no other key is accepted, and no authority, name or date is asked.
     */
    @JvmOverloads
    public fun relay(
        url: String,
        token: String? = null,
        authorities: List<ByteArray> = emptyList(),
        pins: List<String> = emptyList(),
    ) {
        relays += RelayEndpoint(url, token, authorities, pins)
    }

    /** Where the device's keys live. Required. */
    public fun identity(identity: Identity) {
        this.identity = identity
    }

    /**
     * Collected from [Peers.start] to [Peers.shutdown]: each snapshot is given to [Peers.networkChanged]. Replaces the one given
     * before; on Android there is one by default, and `emptyFlow()` takes it away.
     */
    public fun network(snapshots: Flow<NetworkSnapshot>) {
        network = snapshots
    }

    /**
     * Collected from [Peers.start] to [Peers.shutdown]: each state is given to [Peers.setAppState]. Replaces the one given before;
     * on Android there is one by default, and `emptyFlow()` takes it away.
     */
    public fun appState(states: Flow<AppState>) {
        appState = states
    }

    /** Takers of each log record, besides [Peers.logs]. Replaces those given before; on Android there is one by default. */
    public fun logTo(vararg sinks: LogSink) {
        logSinks = sinks.toList()
    }

    /** How far [device] is trusted. It counts instead of the level in the [store], where a device that was blocked stays so. */
    @JvmOverloads
    public fun trust(device: DeviceId, level: TrustLevel = TrustLevel.TRUSTED) {
        trusted += TrustedDevice(device.text, level.toGenerated())
    }

    /**
     * Judges devices that were not named by [trust]; null makes one a [PeerEvent.Incoming]. Called on a thread of the library;
     * must not block for long. What it throws means [TrustLevel.UNTRUSTED].
     */
    public fun trustPolicy(judge: (device: DeviceId, user: UserId) -> TrustLevel?) {
        policy = object : TrustPolicy {
            override fun trust(device: String, user: String) =
                reporting { judge(DeviceId(device), UserId(user))?.toGenerated() }
        }
    }

    /**
     * This device carries [group]. The group's data passes to and from the devices that [member] names, from
     * [TrustLevel.NEW_DEVICE] on, and no others. The peer checks the same on its side.
     */
    public fun group(group: GroupId) {
        groups += group.text
    }

    /** [device] is a member of [group], as far as the app knows. */
    public fun member(group: GroupId, device: DeviceId) {
        members += GroupMember(group.text, device.text)
    }

    /**
     * Where [device] may be reached directly: `ws://` in the local network, or `wss://`. Several calls name several addresses.
     * Not dialed with [relayOnly], since what listens there sees this device's address.
     */
    public fun address(device: DeviceId, url: String) {
        addresses += DeviceAddress(device.text, url)
    }

    /** A STUN or TURN server besides those the relay names. */
    @JvmOverloads
    public fun iceServer(url: String, username: String? = null, credential: String? = null) {
        iceServers += IceServer(url, username, credential)
    }

    /**
     * Answers the calls of peers to [service]: the result is the answer; [RequestFailed] says no in the app's words; any other
     * exception says no without any. The coroutine is cancelled when the caller gives up.
     */
    public fun handle(service: String, handler: suspend (Request) -> ByteArray) {
        handlers[service] = handler
    }

    internal fun toGenerated(scope: CoroutineScope): ClientConfig {
        val identity = identity ?: throw PeersException.Config("identity: is required", null)
        return ClientConfig(
            relays = relays.toList(),
            identity = identity.toGenerated(),
            name = name,
            trusted = trusted.toList(),
            trustPolicy = policy,
            open = open,
            services = handlers.keys.toList(),
            handler = if (handlers.isEmpty()) null else Handlers(handlers.toMap(), scope),
            groups = groups.toList(),
            members = members.toList(),
            iceServers = iceServers.toList(),
            transports = transports.map(PathKind::toGenerated),
            prefer = prefer.map(PathTier::toGenerated),
            addresses = addresses.toList(),
            resumeWindowMs = resumeWindow.inWholeMilliseconds.coerceAtLeast(0).toULong(),
            bulkOnMetered = bulkOnMetered,
            listen = listen,
            store = store?.path,
            relayOnly = relayOnly,
            requireSealing = requireSealing,
            loopback = loopback,
            logLevel = logLevel?.toGenerated(),
        )
    }
}
