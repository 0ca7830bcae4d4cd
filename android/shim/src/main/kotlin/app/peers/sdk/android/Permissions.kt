package app.peers.sdk.android

import android.Manifest
import android.content.Context
import android.content.pm.PackageManager
import android.os.Build

/** Facts about permissions, read anew at each call: the user may change them at any time. */
public object Permissions {
    /** The name of the permission that local addresses need from API 37 on. The app asks the user for it. */
    public const val LOCAL_NETWORK: String = "android.permission.ACCESS_LOCAL_NETWORK"

    private const val LOCAL_NETWORK_SINCE = 37

    /** True if changes of network can be observed. The library's manifest asks for it; a manifest can take it away again. */
    @JvmStatic
    public fun networkState(context: Context): Boolean = context.has(Manifest.permission.ACCESS_NETWORK_STATE)

    /**
     * The app's access to addresses of the local network. Without it connections to them fail; those through relays and to
     * public addresses work.
     */
    @JvmStatic
    public fun localNetwork(context: Context): LocalNetworkAccess = when {
        Build.VERSION.SDK_INT < LOCAL_NETWORK_SINCE -> LocalNetworkAccess.NOT_NEEDED
        context.applicationInfo.targetSdkVersion < LOCAL_NETWORK_SINCE -> LocalNetworkAccess.NOT_NEEDED
        context.has(LOCAL_NETWORK) -> LocalNetworkAccess.GRANTED
        else -> LocalNetworkAccess.DENIED
    }

    private fun Context.has(permission: String) =
        checkSelfPermission(permission) == PackageManager.PERMISSION_GRANTED
}

/** The app's access to addresses of the local network. */
public enum class LocalNetworkAccess {
    /** The system, or the version that the app targets, knows no such permission. */
    NOT_NEEDED,

    /** The user allowed it. */
    GRANTED,

    /** Not asked for, not in the app's manifest, or the user said no. */
    DENIED,
}
