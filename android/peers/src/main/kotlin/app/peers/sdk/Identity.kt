package app.peers.sdk

import app.peers.sdk.generated.CallbackException
import app.peers.sdk.generated.IdentitySource
import app.peers.sdk.generated.SecretStore
import app.peers.sdk.generated.anotherDevice as generatedAnotherDevice
import java.io.File

/** Where the device's keys live: a [FileIdentity], a [StoredIdentity] or a [TemporaryIdentity]. */
public sealed interface Identity {
    public companion object {
        /**
         * The secret of another device of the same user, for that device's own [StoredIdentity]. [secret] is what the store of one
         * of the user's devices keeps: it goes from device to device by a way that nobody else sees.
         * [PeersException.Identity] if it is not 64 bytes.
         */
        @JvmStatic
        @Throws(PeersException::class)
        public fun anotherDevice(secret: ByteArray): ByteArray = translating {
            CallbackThreads.keep()
            generatedAnotherDevice(secret)
        }
    }
}

/** Keys in a file that only this user can read, made on first use. The folder exists. */
public class FileIdentity(public val file: File) : Identity

/** New keys for this run: the device has another id next time. */
public data object TemporaryIdentity : Identity

/**
 * Keys in the app's own store, best in hardware. Both functions may block; what they throw becomes the cause of a
 * [PeersException.Identity].
 */
public abstract class StoredIdentity : Identity {
    // The library keeps no more than its message.
    @Volatile
    internal var failure: Exception? = null

    /** The secret that [store] was given last, or null on first use. */
    @Throws(Exception::class)
    protected abstract fun load(): ByteArray?

    /** Keeps the secret, which is 64 bytes. */
    @Throws(Exception::class)
    protected abstract fun store(secret: ByteArray)

    internal fun asSecretStore(): SecretStore = object : SecretStore {
        override fun load(): ByteArray? = reporting { noting { this@StoredIdentity.load() } }

        override fun store(secret: ByteArray) = reporting { noting { this@StoredIdentity.store(secret) } }
    }

    private inline fun <T> noting(block: () -> T): T =
        try {
            block().also { failure = null }
        } catch (error: Exception) {
            failure = error
            throw error
        }
}

internal fun Identity.toGenerated(): IdentitySource = when (this) {
    is FileIdentity -> IdentitySource.File(file.path)
    is StoredIdentity -> IdentitySource.Store(asSecretStore())
    TemporaryIdentity -> IdentitySource.Temporary
}

/** Runs the app's code; what it throws goes back to the library as a value. */
internal inline fun <T> reporting(block: () -> T): T =
    try {
        block()
    } catch (error: Exception) {
        throw CallbackException.Failed(error.message ?: error.javaClass.simpleName)
    }
