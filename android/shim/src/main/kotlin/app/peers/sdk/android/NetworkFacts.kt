package app.peers.sdk.android

import android.net.LinkProperties
import android.net.Network
import android.net.NetworkCapabilities
import android.os.Build
import app.peers.sdk.NetworkSnapshot
import app.peers.sdk.NetworkSnapshot.Medium
import java.net.InetAddress

/**
 * The app's default network as Android describes it. [NetworkSnapshot] is what of it the library goes by.
 *
 * Source: the reference pages of `NetworkCapabilities` and `LinkProperties`.
 */
public class NetworkFacts internal constructor(
    /** True if there is a default network, be it usable or not. */
    public val present: Boolean,
    /** `Network.getNetworkHandle()`; null without a network. */
    public val handle: Long? = null,
    /** The medium that carries it. Under a VPN: the one that carries the VPN, where the system tells. */
    public val medium: Medium = Medium.OTHER,
    /** True if it is a VPN. */
    public val vpn: Boolean = false,
    /** True if its data costs money now. */
    public val metered: Boolean = false,
    /** True if the system reached the Internet over it. */
    public val validated: Boolean = false,
    /** True if it waits for a sign-in page. */
    public val captivePortal: Boolean = false,
    /** True if it carries nothing for the moment, as a mobile network may during a voice call. Always false before API 28. */
    public val suspended: Boolean = false,
    /** True if the system keeps this app from it: Doze, data saver, app standby, a VPN's lockdown. */
    public val blocked: Boolean = false,
    /** The phone's addresses on it, those of 464XLAT included. */
    public val addresses: List<InetAddress> = emptyList(),
) {
    /** True if the app can use it. */
    public val usable: Boolean get() = present && !blocked && !suspended

    /** The same as the library is given it. */
    public fun toSnapshot(): NetworkSnapshot = if (usable) {
        NetworkSnapshot(
            online = true,
            medium = medium,
            metered = metered,
            addresses = addresses,
            network = handle,
            validated = validated,
        )
    } else {
        NetworkSnapshot(online = false)
    }

    internal companion object {
        val NONE = NetworkFacts(present = false)

        /** [capabilities] and [link] are null where the system did not tell. */
        fun of(
            network: Network,
            capabilities: NetworkCapabilities?,
            link: LinkProperties?,
            blocked: Boolean,
            interfaces: Interfaces,
        ) = NetworkFacts(
            present = true,
            handle = network.networkHandle,
            medium = capabilities.medium(),
            vpn = capabilities?.hasTransport(NetworkCapabilities.TRANSPORT_VPN) == true,
            metered = capabilities.isMetered(),
            validated = capabilities?.hasCapability(NetworkCapabilities.NET_CAPABILITY_VALIDATED) == true,
            captivePortal = capabilities?.hasCapability(NetworkCapabilities.NET_CAPABILITY_CAPTIVE_PORTAL) == true,
            suspended = capabilities.isSuspended(),
            blocked = blocked,
            addresses = link.addresses(interfaces),
        )
    }
}

/** The addresses of a network interface by its name; none where there is no such interface. */
internal fun interface Interfaces {
    fun addresses(name: String): List<InetAddress>
}

private fun NetworkCapabilities?.medium(): Medium = when {
    this == null -> Medium.OTHER
    hasTransport(NetworkCapabilities.TRANSPORT_WIFI) -> Medium.WIFI
    hasTransport(NetworkCapabilities.TRANSPORT_CELLULAR) -> Medium.CELLULAR
    hasTransport(NetworkCapabilities.TRANSPORT_ETHERNET) -> Medium.WIRED
    Build.VERSION.SDK_INT >= Build.VERSION_CODES.S && hasTransport(NetworkCapabilities.TRANSPORT_USB) -> Medium.WIRED
    else -> Medium.OTHER
}

private fun NetworkCapabilities?.isMetered(): Boolean {
    if (this == null || hasCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED)) return false
    val free = Build.VERSION.SDK_INT >= Build.VERSION_CODES.R &&
        hasCapability(NetworkCapabilities.NET_CAPABILITY_TEMPORARILY_NOT_METERED)
    return !free
}

private fun NetworkCapabilities?.isSuspended(): Boolean =
    this != null && Build.VERSION.SDK_INT >= Build.VERSION_CODES.P &&
        !hasCapability(NetworkCapabilities.NET_CAPABILITY_NOT_SUSPENDED)

private fun LinkProperties?.addresses(interfaces: Interfaces): List<InetAddress> {
    if (this == null) return emptyList()
    // The public half of LinkProperties leaves out the interface that 464XLAT stacks upon an IPv6-only network.
    val stacked = interfaceName?.let { interfaces.addresses("v4-$it") }.orEmpty()
    return (linkAddresses.map { it.address } + stacked).distinct()
}
