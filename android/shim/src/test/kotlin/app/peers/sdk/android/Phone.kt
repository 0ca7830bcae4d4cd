package app.peers.sdk.android

import android.content.Context
import android.content.Intent
import android.net.ConnectivityManager
import android.net.LinkAddress
import android.net.LinkProperties
import android.net.Network
import android.net.NetworkCapabilities
import android.os.Build
import android.os.PowerManager
import app.peers.sdk.NetworkSnapshot
import java.net.InetAddress
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowNetwork
import org.robolectric.shadows.ShadowNetworkCapabilities

/** A network that a phone may be on. */
internal data class Net(
    val id: Int,
    val transports: Set<Int>,
    val addresses: List<String>,
    val metered: Boolean = false,
    val validated: Boolean = true,
    val captive: Boolean = false,
    val suspended: Boolean = false,
    val freeForNow: Boolean = false,
    val name: String = "net$id",
) {
    val network: Network = ShadowNetwork.newInstance(id)

    fun capabilities(): NetworkCapabilities = ShadowNetworkCapabilities.newInstance().also { capabilities ->
        val shadow = shadowOf(capabilities)
        transports.forEach(shadow::addTransportType)
        fun set(capability: Int, present: Boolean) {
            if (present) shadow.addCapability(capability) else shadow.removeCapability(capability)
        }
        set(NetworkCapabilities.NET_CAPABILITY_INTERNET, true)
        set(NetworkCapabilities.NET_CAPABILITY_NOT_METERED, !metered)
        set(NetworkCapabilities.NET_CAPABILITY_VALIDATED, validated)
        set(NetworkCapabilities.NET_CAPABILITY_CAPTIVE_PORTAL, captive)
        if (Build.VERSION.SDK_INT >= 28) set(NetworkCapabilities.NET_CAPABILITY_NOT_SUSPENDED, !suspended)
        if (Build.VERSION.SDK_INT >= 30) set(NetworkCapabilities.NET_CAPABILITY_TEMPORARILY_NOT_METERED, freeForNow)
    }

    fun link(): LinkProperties = LinkProperties().also { link ->
        link.interfaceName = name
        link.setLinkAddresses(addresses.map(::linkAddress))
    }

    private fun linkAddress(text: String): LinkAddress {
        val (address, prefix) = text.split('/')
        return LinkAddress(InetAddress.getByName(address), prefix.toInt())
    }
}

/**
 * A phone whose system tells of its default network in the documented order of the API level of the test. A step changes the
 * phone; what the app is told follows.
 */
internal class Phone {
    private val context: Context = RuntimeEnvironment.getApplication()
    private val manager = context.getSystemService(Context.CONNECTIVITY_SERVICE) as ConnectivityManager
    private val stacked = mutableMapOf<String, List<String>>()
    private val known = mutableMapOf<Int, Net>()
    private var current: Net? = null

    /** The observer under test. */
    val observer = AndroidNetwork(context) { name -> stacked[name].orEmpty().map(InetAddress::getByName) }

    init {
        // The shadow's own callbacks follow no documented order.
        shadowOf(manager).setNetworkCallbacksEnabled(false)
        shadowOf(manager).setDefaultNetworkActive(false)
    }

    /** [net] becomes the default network, whichever was before. */
    fun connect(net: Net) {
        become(net)
        tell { it.onAvailable(net.network) }
        if (Build.VERSION.SDK_INT >= 26) {
            tell { it.onCapabilitiesChanged(net.network, net.capabilities()) }
            tell { it.onLinkPropertiesChanged(net.network, net.link()) }
        }
        if (Build.VERSION.SDK_INT >= 29) tell { it.onBlockedStatusChanged(net.network, false) }
    }

    /** The default network is [net] from now on, before any callback. */
    fun become(net: Net) {
        know(net)
        current = net
        shadowOf(manager).setDefaultNetworkActive(true)
    }

    fun capabilities(change: Net.() -> Net) {
        val net = checkNotNull(current).change().also(::know)
        current = net
        tell { it.onCapabilitiesChanged(net.network, net.capabilities()) }
    }

    fun link(change: Net.() -> Net) {
        val net = checkNotNull(current).change().also(::know)
        current = net
        tell { it.onLinkPropertiesChanged(net.network, net.link()) }
    }

    /** 464XLAT puts an interface upon the network's own, which the system tells as changed link properties. */
    fun stack(address: String) {
        stacked["v4-${checkNotNull(current).name}"] = listOf(address)
        link { this }
    }

    fun lose() {
        val net = checkNotNull(current)
        current = null
        shadowOf(manager).setDefaultNetworkActive(false)
        tell { it.onLost(net.network) }
    }

    /** Rules of the system keep the app from its network, or no longer do. */
    fun block(blocked: Boolean, by: String = PowerManager.ACTION_DEVICE_IDLE_MODE_CHANGED) {
        val net = checkNotNull(current)
        shadowOf(manager).setDefaultNetworkActive(!blocked)
        if (Build.VERSION.SDK_INT >= 29) {
            tell { it.onBlockedStatusChanged(net.network, blocked) }
        } else {
            context.sendBroadcast(Intent(by))
            shadowOf(android.os.Looper.getMainLooper()).idle()
        }
    }

    /** One callback by itself. */
    fun tell(callback: (ConnectivityManager.NetworkCallback) -> Unit): Unit =
        shadowOf(manager).networkCallbacks.toList().forEach(callback)

    val callbacks: Int get() = shadowOf(manager).networkCallbacks.size

    fun known(id: Int): Net = known.getValue(id)

    private fun know(net: Net) {
        known[net.id] = net
        shadowOf(manager).setNetworkCapabilities(net.network, net.capabilities())
        shadowOf(manager).setLinkProperties(net.network, net.link())
    }
}

/** `wifi#100 metered unvalidated 192.168.1.7`, or `offline`. */
internal fun NetworkSnapshot.text(): String {
    if (!online) return "offline"
    val id = checkNotNull(network) ushr 32
    val words = listOf("${medium.name.lowercase()}#$id") +
        listOfNotNull("metered".takeIf { metered }, "unvalidated".takeUnless { validated }) +
        addresses.map { it.hostAddress }
    return words.joinToString(" ")
}
