package app.peers.sdk.android

import android.Manifest.permission.ACCESS_NETWORK_STATE
import android.app.Application
import android.os.Build
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [24, 29, 35, 37])
class PermissionsTest {
    private val application: Application = RuntimeEnvironment.getApplication()

    @Test
    fun `the network's state may be withheld`() {
        assertFalse(Permissions.networkState(application))
        shadowOf(application).grantPermissions(ACCESS_NETWORK_STATE)
        assertTrue(Permissions.networkState(application))
    }

    @Test
    fun `local addresses need the user's word from Android 17 on`() {
        val asked = Build.VERSION.SDK_INT >= 37
        application.applicationInfo.targetSdkVersion = 37
        assertEquals(if (asked) LocalNetworkAccess.DENIED else LocalNetworkAccess.NOT_NEEDED, access())
        shadowOf(application).grantPermissions(Permissions.LOCAL_NETWORK)
        assertEquals(if (asked) LocalNetworkAccess.GRANTED else LocalNetworkAccess.NOT_NEEDED, access())
        // Taken away in the system's settings.
        shadowOf(application).denyPermissions(Permissions.LOCAL_NETWORK)
        assertEquals(if (asked) LocalNetworkAccess.DENIED else LocalNetworkAccess.NOT_NEEDED, access())
        application.applicationInfo.targetSdkVersion = 36
        assertEquals(LocalNetworkAccess.NOT_NEEDED, access())
    }

    private fun access() = Permissions.localNetwork(application)
}
