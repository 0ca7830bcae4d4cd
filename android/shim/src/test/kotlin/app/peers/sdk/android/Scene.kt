package app.peers.sdk.android

import android.net.ConnectivityManager
import android.net.NetworkCapabilities.TRANSPORT_BLUETOOTH
import android.net.NetworkCapabilities.TRANSPORT_CELLULAR
import android.net.NetworkCapabilities.TRANSPORT_ETHERNET
import android.net.NetworkCapabilities.TRANSPORT_VPN
import android.net.NetworkCapabilities.TRANSPORT_WIFI
import android.os.Build

/** A sequence of events on a phone, and the snapshots that follow from each. */
internal class Scene(val name: String, private val since: Int, write: Scene.() -> Unit) {
    internal class Step(val act: Phone.() -> Unit) {
        /** The snapshots that follow. */
        var told: List<String> = emptyList()
    }

    val steps = mutableListOf<Step>()

    init {
        write()
    }

    val runs: Boolean get() = Build.VERSION.SDK_INT >= since

    fun step(act: Phone.() -> Unit): Step = Step(act).also(steps::add)

    infix fun Step.tells(snapshot: String) = tells(listOf(snapshot))

    infix fun Step.tells(snapshots: List<String>) {
        told = snapshots
    }

    fun wifi(id: Int, vararg addresses: String, change: Net.() -> Net = { this }) = on(id, addresses, change, TRANSPORT_WIFI)

    fun mobile(id: Int, vararg addresses: String, change: Net.() -> Net = { this }) =
        on(id, addresses, { copy(metered = true).change() }, TRANSPORT_CELLULAR)

    fun cable(id: Int, vararg addresses: String) = on(id, addresses, { this }, TRANSPORT_ETHERNET)

    fun bluetooth(id: Int, vararg addresses: String) = on(id, addresses, { this }, TRANSPORT_BLUETOOTH)

    fun vpn(id: Int, vararg addresses: String, over: Int? = null, change: Net.() -> Net = { this }) =
        on(id, addresses, change, *listOfNotNull(TRANSPORT_VPN, over).toIntArray())

    fun capabilities(change: Net.() -> Net) = step { capabilities(change) }

    fun link(change: Net.() -> Net) = step { link(change) }

    fun lost() = step { lose() }

    fun doze(on: Boolean) = step { block(on) }

    fun dataSaver(on: Boolean) = step { block(on, ConnectivityManager.ACTION_RESTRICT_BACKGROUND_CHANGED) }

    private fun on(id: Int, addresses: Array<out String>, change: Net.() -> Net, vararg transports: Int) =
        step { connect(Net(id, transports.toSet(), addresses.toList()).change()) }

    override fun toString(): String = name
}

internal class Scenes {
    val all = mutableListOf<Scene>()

    fun scene(name: String, since: Int = 24, write: Scene.() -> Unit) {
        all += Scene(name, since, write)
    }
}

/** Sequences as phones report them. The default network begins as none. */
internal val SCENES: List<Scene> = Scenes().apply {
    scene("a lift: mobile data goes and comes back with the same address") {
        mobile(100, "10.64.0.3/30") tells "cellular#100 metered 10.64.0.3"
        lost() tells "offline"
        mobile(101, "10.64.0.3/30") tells "cellular#101 metered 10.64.0.3"
    }
    scene("a tunnel: mobile data is about to go, goes, and comes back with another address") {
        mobile(100, "10.64.0.3/30") tells "cellular#100 metered 10.64.0.3"
        step { tell { it.onLosing(known(100).network, 30_000) } } tells emptyList()
        lost() tells "offline"
        mobile(101, "10.77.1.9/30") tells "cellular#101 metered 10.77.1.9"
    }
    scene("a voice call: mobile data pauses and goes on", since = 28) {
        mobile(100, "10.64.0.3/30") tells "cellular#100 metered 10.64.0.3"
        capabilities { copy(suspended = true) } tells "offline"
        capabilities { copy(suspended = false) } tells "cellular#100 metered 10.64.0.3"
    }
    scene("a VPN comes up and goes down over Wi-Fi") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        vpn(101, "10.8.0.2/24", over = TRANSPORT_WIFI) tells "wifi#101 10.8.0.2"
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
    }
    scene("a VPN stays while what is under it moves from Wi-Fi to mobile data") {
        vpn(101, "10.8.0.2/24", over = TRANSPORT_WIFI) tells "wifi#101 10.8.0.2"
        capabilities { copy(transports = setOf(TRANSPORT_VPN, TRANSPORT_CELLULAR), metered = true) } tells
            "cellular#101 metered 10.8.0.2"
    }
    scene("a VPN that does not tell what is under it") {
        vpn(101, "10.8.0.2/24", "fd00::2/64") tells "other#101 10.8.0.2 fd00:0:0:0:0:0:0:2"
        lost() tells "offline"
    }
    scene("a captive portal: nothing but the sign-in page, then all") {
        wifi(100, "192.168.1.7/24") { copy(validated = false, captive = true) } tells "wifi#100 unvalidated 192.168.1.7"
        capabilities { copy(validated = true, captive = false) } tells "wifi#100 192.168.1.7"
    }
    scene("a captive portal: mobile data carries on until the sign-in") {
        mobile(100, "10.64.0.3/30") tells "cellular#100 metered 10.64.0.3"
        wifi(101, "192.168.1.7/24") tells "wifi#101 192.168.1.7"
    }
    scene("airplane mode on and off") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        lost() tells "offline"
        mobile(101, "10.64.0.3/30") tells "cellular#101 metered 10.64.0.3"
        wifi(102, "192.168.1.7/24") tells "wifi#102 192.168.1.7"
    }
    scene("airplane mode with Wi-Fi on again") {
        mobile(100, "10.64.0.3/30") tells "cellular#100 metered 10.64.0.3"
        lost() tells "offline"
        wifi(101, "192.168.1.7/24") tells "wifi#101 192.168.1.7"
    }
    scene("Doze: blocked but for maintenance windows") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        for (window in 1..2) {
            doze(true) tells "offline"
            doze(false) tells "wifi#100 192.168.1.7"
        }
    }
    scene("Doze: the network changes while it is blocked", since = 29) {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        doze(true) tells "offline"
        link { copy(addresses = listOf("192.168.1.8/24")) } tells emptyList()
        doze(false) tells "wifi#100 192.168.1.8"
    }
    scene("data saver keeps an unseen app from mobile data") {
        mobile(100, "10.64.0.3/30") tells "cellular#100 metered 10.64.0.3"
        dataSaver(true) tells "offline"
        dataSaver(false) tells "cellular#100 metered 10.64.0.3"
    }
    scene("a roam between access points of one Wi-Fi changes nothing") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        capabilities { this } tells emptyList()
        link { this } tells emptyList()
    }
    scene("a roam to another Wi-Fi that gives the same address") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        wifi(101, "192.168.1.7/24") tells "wifi#101 192.168.1.7"
    }
    scene("a lease that was renewed with another address") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        link { copy(addresses = listOf("192.168.1.31/24")) } tells "wifi#100 192.168.1.31"
    }
    scene("IPv6 only: 464XLAT brings an IPv4 address a moment later") {
        mobile(100, "2001:db8::5/64") tells "cellular#100 metered 2001:db8:0:0:0:0:0:5"
        step { stack("192.0.0.4") } tells "cellular#100 metered 2001:db8:0:0:0:0:0:5 192.0.0.4"
    }
    scene("privacy addresses of IPv6 take turns") {
        wifi(100, "192.168.1.7/24", "2001:db8::1/64") tells "wifi#100 192.168.1.7 2001:db8:0:0:0:0:0:1"
        link { copy(addresses = addresses + "2001:db8::2/64") } tells
            "wifi#100 192.168.1.7 2001:db8:0:0:0:0:0:1 2001:db8:0:0:0:0:0:2"
        link { copy(addresses = addresses - "2001:db8::1/64") } tells "wifi#100 192.168.1.7 2001:db8:0:0:0:0:0:2"
    }
    scene("two networks: out of the house") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        mobile(101, "10.64.0.3/30") tells "cellular#101 metered 10.64.0.3"
        step { tell { it.onLost(known(100).network) } } tells emptyList()
    }
    scene("two networks: late words about the one that is gone") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        lost() tells "offline"
        step { tell { it.onLinkPropertiesChanged(known(100).network, known(100).link()) } } tells emptyList()
        step { tell { it.onCapabilitiesChanged(known(100).network, known(100).capabilities()) } } tells emptyList()
        mobile(101, "10.64.0.3/30") tells "cellular#101 metered 10.64.0.3"
        step { tell { it.onCapabilitiesChanged(known(100).network, known(100).capabilities()) } } tells emptyList()
    }
    scene("a hotspot is declared metered") {
        wifi(100, "192.168.43.7/24") tells "wifi#100 192.168.43.7"
        capabilities { copy(metered = true) } tells "wifi#100 metered 192.168.43.7"
    }
    scene("mobile data is free for a while", since = 30) {
        mobile(100, "10.64.0.3/30") tells "cellular#100 metered 10.64.0.3"
        capabilities { copy(freeForNow = true) } tells "cellular#100 10.64.0.3"
        capabilities { copy(freeForNow = false) } tells "cellular#100 metered 10.64.0.3"
    }
    scene("the Wi-Fi's own uplink fails and returns") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        capabilities { copy(validated = false) } tells "wifi#100 unvalidated 192.168.1.7"
        capabilities { copy(validated = true) } tells "wifi#100 192.168.1.7"
    }
    scene("the other SIM takes over mobile data") {
        mobile(100, "10.64.0.3/30") tells "cellular#100 metered 10.64.0.3"
        mobile(101, "100.70.2.1/32") tells "cellular#101 metered 100.70.2.1"
    }
    scene("a cable is plugged in and pulled out") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        cable(101, "192.168.1.8/24") tells "wired#101 192.168.1.8"
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
    }
    scene("another phone's network by Bluetooth") {
        bluetooth(100, "192.168.44.3/24") tells "other#100 192.168.44.3"
        lost() tells "offline"
    }
    scene("the system gives up on the request") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        step { tell { it.onUnavailable() } } tells "offline"
    }
    scene("the documented order: nothing is told by halves", since = 26) {
        step { become(net(100)) } tells emptyList()
        step { tell { it.onAvailable(known(100).network) } } tells emptyList()
        step { tell { it.onCapabilitiesChanged(known(100).network, known(100).capabilities()) } } tells emptyList()
        step { tell { it.onLinkPropertiesChanged(known(100).network, known(100).link()) } } tells "wifi#100 192.168.1.7"
        step { tell { it.onBlockedStatusChanged(known(100).network, false) } } tells emptyList()
    }
    scene("the documented order: a network that is blocked from its first moment on", since = 29) {
        step { become(net(100)) } tells emptyList()
        step { tell { it.onAvailable(known(100).network) } } tells emptyList()
        step { tell { it.onCapabilitiesChanged(known(100).network, known(100).capabilities()) } } tells emptyList()
        step { tell { it.onLinkPropertiesChanged(known(100).network, known(100).link()) } } tells "wifi#100 192.168.1.7"
        step { tell { it.onBlockedStatusChanged(known(100).network, true) } } tells "offline"
    }
    scene("onAvailable again for the same network changes nothing") {
        wifi(100, "192.168.1.7/24") tells "wifi#100 192.168.1.7"
        wifi(100, "192.168.1.7/24") tells emptyList()
    }
}.all

private fun net(id: Int) = Net(id, setOf(TRANSPORT_WIFI), listOf("192.168.1.7/24"))
