package app.peers.sdk.android

import android.net.ConnectivityManager
import android.net.LinkProperties
import android.net.Network
import android.net.NetworkCapabilities
import android.os.Build

/**
 * Puts together what the callbacks of `registerDefaultNetworkCallback` tell one by one.
 *
 * The orders that the reference of `ConnectivityManager.NetworkCallback` documents:
 * - from API 26 on `onAvailable` is followed at once by `onCapabilitiesChanged`, `onLinkPropertiesChanged` and, from API 29 on,
 *   `onBlockedStatusChanged`: facts are told when the first two are there. Before API 26 nothing has to follow: what the system
 *   answers when asked has to do.
 * - a new default network comes by `onAvailable`, without `onLost` for the one before. Whatever still arrives about another
 *   network than the last one is late.
 * - `onLosing` says that the network works for some time yet: nothing follows from it.
 */
internal class DefaultNetwork(
    private val system: ConnectivityManager,
    private val interfaces: Interfaces,
    private val report: (NetworkFacts) -> Unit,
) : ConnectivityManager.NetworkCallback() {
    private var network: Network? = null
    private var capabilities: NetworkCapabilities? = null
    private var link: LinkProperties? = null
    private var blocked = false

    override fun onAvailable(network: Network): Unit = synchronized(this) {
        if (network != this.network) {
            this.network = network
            capabilities = null
            link = null
            blocked = false
        }
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.O) {
            capabilities = system.getNetworkCapabilities(network) ?: capabilities
            link = system.getLinkProperties(network) ?: link
        }
        tell()
    }

    override fun onCapabilitiesChanged(network: Network, networkCapabilities: NetworkCapabilities): Unit = about(network) {
        capabilities = networkCapabilities
    }

    override fun onLinkPropertiesChanged(network: Network, linkProperties: LinkProperties): Unit = about(network) {
        link = linkProperties
    }

    override fun onBlockedStatusChanged(network: Network, blocked: Boolean): Unit = about(network) {
        this.blocked = blocked
    }

    override fun onLost(network: Network): Unit = synchronized(this) {
        if (network == this.network) forget()
    }

    override fun onUnavailable(): Unit = synchronized(this) { forget() }

    /** The rules that block apps have changed, which no callback tells before API 29. */
    fun rulesChanged(): Unit = synchronized(this) {
        // The system shows a blocked app no active network.
        blocked = system.activeNetwork == null
        if (network != null) tell()
    }

    private inline fun about(network: Network, change: () -> Unit) = synchronized(this) {
        if (network == this.network) {
            change()
            tell()
        }
    }

    private fun forget() {
        network = null
        report(NetworkFacts.NONE)
    }

    private fun tell() {
        val network = network ?: return
        val complete = capabilities != null && link != null
        if (complete || Build.VERSION.SDK_INT < Build.VERSION_CODES.O) {
            report(NetworkFacts.of(network, capabilities, link, blocked, interfaces))
        }
    }
}
