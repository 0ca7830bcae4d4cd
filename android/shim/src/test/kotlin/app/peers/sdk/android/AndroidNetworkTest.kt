package app.peers.sdk.android

import android.content.Context
import android.content.ContextWrapper
import android.net.ConnectivityManager
import app.peers.sdk.NetworkSnapshot
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.Implementation
import org.robolectric.annotation.Implements
import org.robolectric.shadows.ShadowConnectivityManager

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [24, 29, 35, 37])
class AndroidNetworkTest {
    @Test
    @Config(shadows = [WithoutPermission::class])
    fun `a missing permission is a fact`() = refused(AndroidNetwork.Observation.NOT_PERMITTED)

    @Test
    @Config(shadows = [TooMany::class])
    fun `a refused callback is a fact`() = refused(AndroidNetwork.Observation.REFUSED)

    @Test
    fun `a phone without the service is a fact`() {
        val context = object : ContextWrapper(RuntimeEnvironment.getApplication()) {
            override fun getApplicationContext(): Context = this

            override fun getSystemService(name: String): Any? = null
        }
        refused(AndroidNetwork.Observation.REFUSED, AndroidNetwork(context))
    }

    @Test
    fun `facts tell more than snapshots`() = runBlocking {
        val phone = Phone()
        assertNull(phone.observer.facts.value)
        val observing = launch(Dispatchers.Unconfined) { phone.observer.snapshots.collect {} }
        assertFalse(checkNotNull(phone.observer.facts.value).present)
        phone.connect(Net(100, setOf(1, 4), listOf("10.8.0.2/24"), validated = false, captive = true))
        val facts = checkNotNull(phone.observer.facts.value)
        assertTrue(facts.present && facts.usable && facts.vpn && facts.captivePortal && !facts.blocked && !facts.suspended)
        phone.block(true)
        val blocked = checkNotNull(phone.observer.facts.value)
        assertTrue(blocked.present && blocked.blocked && !blocked.usable)
        observing.cancelAndJoin()
    }

    @Test
    fun `snapshots can be collected again, and by two at once`() = runBlocking {
        val phone = Phone()
        phone.become(Net(100, setOf(1), listOf("192.168.1.7/24")))
        repeat(2) {
            val told = List(2) { mutableListOf<NetworkSnapshot>() }
            val observing = told.map { list -> launch(Dispatchers.Unconfined) { phone.observer.snapshots.collect(list::add) } }
            phone.connect(phone.known(100))
            told.forEach { assertEquals(listOf("wifi#100 192.168.1.7"), it.map(NetworkSnapshot::text)) }
            observing.forEach { it.cancelAndJoin() }
            assertEquals(0, phone.callbacks)
        }
    }

    private fun refused(
        reason: AndroidNetwork.Observation,
        observer: AndroidNetwork = AndroidNetwork(RuntimeEnvironment.getApplication()),
    ) = runBlocking {
        val told = mutableListOf<NetworkSnapshot>()
        val observing = launch(Dispatchers.Unconfined) { observer.snapshots.collect(told::add) }
        assertEquals(reason, observer.observation.value)
        assertTrue(observing.isActive)
        assertEquals(emptyList(), told)
        observing.cancelAndJoin()
        assertEquals(AndroidNetwork.Observation.STOPPED, observer.observation.value)
    }

    /** A system that finds ACCESS_NETWORK_STATE missing. */
    @Implements(ConnectivityManager::class)
    class WithoutPermission : ShadowConnectivityManager() {
        @Implementation
        override fun registerDefaultNetworkCallback(callback: ConnectivityManager.NetworkCallback): Unit =
            throw SecurityException("ConnectivityService: Neither user nor current process has ACCESS_NETWORK_STATE")
    }

    /** A system at which the app has a hundred callbacks already. */
    @Implements(ConnectivityManager::class)
    class TooMany : ShadowConnectivityManager() {
        @Implementation
        override fun registerDefaultNetworkCallback(callback: ConnectivityManager.NetworkCallback): Unit =
            throw object : RuntimeException("Too many NetworkRequests filed") {}
    }
}
