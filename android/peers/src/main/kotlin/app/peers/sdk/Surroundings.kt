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
public data class NetworkSnapshot(
    /** Whether there is a default route that the system lets this app use. */
    val online: Boolean,
    /** What carries it. */
    val medium: Medium = Medium.OTHER,
    /** Whether its data costs money. */
    val metered: Boolean = false,
    /** The device's own addresses on it. */
    val addresses: List<InetAddress> = emptyList(),
) {
    /** What kind of network carries the default route. */
    public enum class Medium {
        /** Wi-Fi. */
        WIFI,

        /** A mobile network. */
        CELLULAR,

        /** A cable. */
        WIRED,

        /** Something else, a VPN for example. */
        OTHER,
    }
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
)
