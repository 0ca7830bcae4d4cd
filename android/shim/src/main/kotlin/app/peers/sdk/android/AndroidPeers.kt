@file:JvmName("AndroidPeers")

package app.peers.sdk.android

import android.content.Context
import app.peers.sdk.LogLevel
import app.peers.sdk.Peers
import app.peers.sdk.PeersConfig
import app.peers.sdk.PeersException
import java.io.File

/**
 * This phone among its peers.
 *
 * ```kotlin
 * val peers = Peers(context) { relay("wss://relay.example.com") }   // nothing connects yet
 * peers.start()
 * ```
 * Installs what a phone needs, before [configure] runs: [AndroidNetwork] as [PeersConfig.network], [ProcessLifecycle] as
 * [PeersConfig.appState], [KeystoreIdentity] as [PeersConfig.identity], [AndroidLog] as [PeersConfig.logTo], and
 * [LogLevel.INFO]. A file that is not backed up is [PeersConfig.store]. A setting in [configure] replaces the one installed.
 *
 * One for the process, made in `Application.onCreate` or on first use: two with the same identity supersede each other.
 */
@JvmName("create")
@Throws(PeersException::class)
public fun Peers(context: Context, configure: PeersConfig.() -> Unit): Peers = Peers {
    network(AndroidNetwork(context).snapshots)
    appState(ProcessLifecycle().states)
    identity(KeystoreIdentity(context))
    // The keys do not leave the phone, so what is known by them does not either.
    store = File(context.noBackupFilesDir, "peers.store")
    logTo(AndroidLog())
    logLevel = LogLevel.INFO
    configure()
}
