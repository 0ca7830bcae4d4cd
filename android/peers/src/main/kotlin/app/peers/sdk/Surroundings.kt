package app.peers.sdk

import app.peers.sdk.generated.AppState as GeneratedAppState
import app.peers.sdk.generated.Medium as GeneratedMedium
import app.peers.sdk.generated.NetworkSnapshot as GeneratedSnapshot
import java.net.InetAddress

/** Whether a person looks at the app. */
public enum class AppState {
    /** A person looks. */
    FOREGROUND,

    /** The app runs unseen: what there is is kept alive, nothing more. */
    BACKGROUND,

    /** The system is about to stop the app: peers are told, every connection closes, no timer runs. */
    SUSPENDED,
}

/** The network as the operating system describes it at one moment. */
public class NetworkSnapshot @JvmOverloads constructor(
    /** Whether there is a default route that the system lets this app use. */
    public val online: Boolean,
    /** What carries it. */
    public val medium: Medium = Medium.OTHER,
    /** Whether its data costs money. */
    public val metered: Boolean = false,
    /** The device's own addresses on it. */
    public val addresses: List<InetAddress> = emptyList(),
    /**
     * The system's own number for this connection to a network, where it has one: another number is another network, whatever
     * its addresses are.
     */
    public val network: Long? = null,
    /** True if the system has reached the Internet over it, or does not say. */
    public val validated: Boolean = true,
) {
    /** What kind of network carries the default route. */
    public enum class Medium {
        /** Wi-Fi. */
        WIFI,

        /** A mobile network. */
        CELLULAR,

        /** A cable. */
        WIRED,

        /** Something else, or a VPN over something unknown. */
        OTHER,
    }

    override fun equals(other: Any?): Boolean = other is NetworkSnapshot && toGenerated() == other.toGenerated()

    override fun hashCode(): Int = toGenerated().hashCode()

    /** Without addresses, so that it can be logged. */
    override fun toString(): String =
        "NetworkSnapshot(online=$online, medium=$medium, metered=$metered, validated=$validated, addresses=${addresses.size})"
}

internal fun AppState.toGenerated(): GeneratedAppState = when (this) {
    AppState.FOREGROUND -> GeneratedAppState.FOREGROUND
    AppState.BACKGROUND -> GeneratedAppState.BACKGROUND
    AppState.SUSPENDED -> GeneratedAppState.SUSPENDED
}

internal fun NetworkSnapshot.toGenerated(): GeneratedSnapshot = GeneratedSnapshot(
    online = online,
    medium = when (medium) {
        NetworkSnapshot.Medium.WIFI -> GeneratedMedium.WIFI
        NetworkSnapshot.Medium.CELLULAR -> GeneratedMedium.CELLULAR
        NetworkSnapshot.Medium.WIRED -> GeneratedMedium.WIRED
        NetworkSnapshot.Medium.OTHER -> GeneratedMedium.OTHER
    },
    metered = metered,
    // Java writes the zone of a link-local address behind it.
    addresses = addresses.map { it.hostAddress.substringBefore('%') },
    network = network?.toULong(),
    validated = validated,
)
