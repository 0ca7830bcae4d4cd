package app.peers.sdk.android

import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.net.ConnectivityManager
import android.os.Build
import android.os.PowerManager
import app.peers.sdk.NetworkSnapshot
import java.net.NetworkInterface
import java.net.SocketException
import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.callbackFlow
import kotlinx.coroutines.flow.distinctUntilChanged
import kotlinx.coroutines.flow.map

/**
 * The app's default network, by `ConnectivityManager.registerDefaultNetworkCallback`.
 *
 * It never throws: [observation] tells when the system does not let the app look. The library then goes by its own
 * measurements, and finds a dead path some seconds later.
 */
public class AndroidNetwork internal constructor(context: Context, private val interfaces: Interfaces) {
    private val context = context.applicationContext ?: context
    private val observations = MutableStateFlow(Observation.STOPPED)
    private val latest = MutableStateFlow<NetworkFacts?>(null)

    public constructor(context: Context) : this(context, Interfaces(::addressesOf))

    /** The state of the observation, which runs while [snapshots] is collected. */
    public val observation: StateFlow<Observation> = observations.asStateFlow()

    /** The last facts; null before there were any. */
    public val facts: StateFlow<NetworkFacts?> = latest.asStateFlow()

    /** Registers the callback when collected and unregisters it afterwards. Without a network it begins with one that says so. */
    public val snapshots: Flow<NetworkSnapshot> = callbackFlow {
        val registration = register { facts ->
            latest.value = facts
            trySend(facts)
        }
        awaitClose {
            registration?.close()
            observations.value = Observation.STOPPED
        }
    }.buffer(UNREAD, BufferOverflow.DROP_OLDEST).map { it.toSnapshot() }.distinctUntilChanged()

    /** The state of the observation. */
    public enum class Observation {
        /** Nothing collects [snapshots]. */
        STOPPED,

        /** The system reports changes. */
        RUNNING,

        /** The manifest lacks `android.permission.ACCESS_NETWORK_STATE`, or merging it took it away. */
        NOT_PERMITTED,

        /** The system refused the callback: the app has too many of them (100), or the system service is gone. */
        REFUSED,
    }

    private fun register(report: (NetworkFacts) -> Unit): AutoCloseable? {
        val system = context.getSystemService(Context.CONNECTIVITY_SERVICE) as? ConnectivityManager
            ?: return refused(Observation.REFUSED)
        val callback = DefaultNetwork(system, interfaces, report)
        try {
            // Without a network no callback comes before there is one.
            if (system.activeNetwork == null) report(NetworkFacts.NONE)
            system.registerDefaultNetworkCallback(callback)
        } catch (_: SecurityException) {
            return refused(Observation.NOT_PERMITTED)
        } catch (_: RuntimeException) {
            // The documented refusal is a RuntimeException; its class is hidden.
            return refused(Observation.REFUSED)
        }
        val rules = if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q) followRules(callback) else null
        observations.value = Observation.RUNNING
        return AutoCloseable {
            rules?.let(context::unregisterReceiver)
            system.unregisterNetworkCallback(callback)
        }
    }

    private fun refused(reason: Observation): AutoCloseable? {
        observations.value = reason
        return null
    }

    private fun followRules(callback: DefaultNetwork): BroadcastReceiver {
        val receiver = object : BroadcastReceiver() {
            override fun onReceive(context: Context, intent: Intent) = callback.rulesChanged()
        }
        val filter = IntentFilter(PowerManager.ACTION_DEVICE_IDLE_MODE_CHANGED)
        filter.addAction(ConnectivityManager.ACTION_RESTRICT_BACKGROUND_CHANGED)
        context.registerReceiver(receiver, filter)
        return receiver
    }

    private companion object {
        /** The oldest of more unread facts are dropped; the last ones count. */
        const val UNREAD = 64
    }
}

private fun addressesOf(name: String) = try {
    NetworkInterface.getByName(name)?.inetAddresses?.toList().orEmpty()
} catch (_: SocketException) {
    emptyList()
}
