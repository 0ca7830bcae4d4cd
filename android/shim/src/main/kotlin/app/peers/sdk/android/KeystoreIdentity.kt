package app.peers.sdk.android

import android.content.Context
import android.os.UserManager
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import android.util.AtomicFile
import app.peers.sdk.StoredIdentity
import app.peers.sdk.android.KeystoreProblem.CORRUPTED
import app.peers.sdk.android.KeystoreProblem.KEY_LOST
import app.peers.sdk.android.KeystoreProblem.LOCKED
import app.peers.sdk.android.KeystoreProblem.STORAGE
import app.peers.sdk.android.KeystoreProblem.UNAVAILABLE
import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.security.GeneralSecurityException
import java.security.KeyStore
import java.security.ProviderException
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

/**
 * Keys in the app's private storage, encrypted by a key that never leaves the Android Keystore. No backup and no transfer to
 * another phone carries them, so no two phones are one device.
 *
 * A secret that is there and cannot be read is never replaced: `start` fails with [app.peers.sdk.PeersException.Identity], whose
 * cause is a [KeystoreException], until the app calls [reset].
 */
public class KeystoreIdentity @JvmOverloads constructor(
    context: Context,
    /** Tells several identities of one app apart. Letters, digits, `-` and `_`. */
    public val alias: String = "device",
) : StoredIdentity() {
    private val context = context.applicationContext ?: context
    private val keyName = "app.peers.sdk.$alias"

    init {
        require(alias.isNotEmpty() && alias.all { it.isLetterOrDigit() || it in "-_" }) { "alias: letters, digits, - and _" }
    }

    /** Forgets key and secret: the next start makes a new device, which peers have to accept anew. [KeystoreException] if not. */
    @Throws(KeystoreException::class)
    public fun reset(): Unit = explained {
        val file = file()
        alone(file) {
            file.delete()
            keystore().deleteEntry(keyName)
        }
    }

    override fun load(): ByteArray? = explained {
        val file = file()
        val sealed = if (isThere(file)) file.readFully() else return null
        val key = key() ?: throw KeystoreException(KEY_LOST, null)
        open(sealed, key)
    }

    override fun store(secret: ByteArray): Unit = explained {
        val file = file()
        alone(file) { write(secret, file) }
    }

    private fun write(secret: ByteArray, file: AtomicFile) {
        // Peers may know the device of the first one by now.
        if (isThere(file)) throw IOException("another start has stored its keys meanwhile")
        val sealed = seal(secret, key() ?: makeKey())
        val stream = file.startWrite()
        try {
            stream.write(sealed)
            file.finishWrite(stream)
        } catch (error: IOException) {
            file.failWrite(stream)
            throw error
        }
        // finishWrite keeps silent about a file that it could not put in place.
        if (!file.readFully().contentEquals(sealed)) throw KeystoreException(STORAGE, null)
    }

    private fun file(): AtomicFile {
        val user = context.getSystemService(Context.USER_SERVICE) as UserManager
        // The app's files are encrypted until then.
        if (!user.isUserUnlocked) throw KeystoreException(LOCKED, null)
        return AtomicFile(File(context.noBackupFilesDir, "peers-$alias"))
    }

    private fun isThere(file: AtomicFile) = file.baseFile.exists() || backup(file).exists()

    /** Keeps the app's other objects and processes from the key and the file. */
    private fun alone(file: AtomicFile, block: () -> Unit): Unit = synchronized(KeystoreIdentity::class.java) {
        RandomAccessFile(file.baseFile.path + ".lock", "rw").use { lock -> lock.channel.lock().use { block() } }
    }

    // What AtomicFile itself restores from when a write was cut short, before API 30.
    private fun backup(file: AtomicFile) = File(file.baseFile.path + ".bak")

    private fun keystore(): KeyStore = KeyStore.getInstance(PROVIDER).apply { load(null) }

    private fun key(): SecretKey? = keystore().getKey(keyName, null) as SecretKey?

    private fun makeKey(): SecretKey {
        val use = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        val spec = KeyGenParameterSpec.Builder(keyName, use)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .setKeySize(KEY_BITS)
            .build()
        return KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, PROVIDER).apply { init(spec) }.generateKey()
    }

    private fun seal(secret: ByteArray, key: SecretKey): ByteArray {
        val cipher = Cipher.getInstance(CIPHER).apply { init(Cipher.ENCRYPT_MODE, key) }
        cipher.updateAAD(keyName.toByteArray())
        return byteArrayOf(VERSION) + cipher.iv + cipher.doFinal(secret)
    }

    private fun open(sealed: ByteArray, key: SecretKey): ByteArray {
        if (sealed.size < 1 + NONCE_BYTES + TAG_BITS / 8 || sealed[0] != VERSION) throw KeystoreException(CORRUPTED, null)
        val nonce = GCMParameterSpec(TAG_BITS, sealed, 1, NONCE_BYTES)
        val cipher = Cipher.getInstance(CIPHER).apply { init(Cipher.DECRYPT_MODE, key, nonce) }
        cipher.updateAAD(keyName.toByteArray())
        return cipher.doFinal(sealed, 1 + NONCE_BYTES, sealed.size - 1 - NONCE_BYTES)
    }

    private companion object {
        const val PROVIDER = "AndroidKeyStore"
        const val CIPHER = "AES/GCM/NoPadding"
        const val KEY_BITS = 256
        const val NONCE_BYTES = 12
        const val TAG_BITS = 128
        const val VERSION: Byte = 1
    }
}

/** Why the keys of a [KeystoreIdentity] cannot be had; [problem] says what to do. */
public class KeystoreException internal constructor(
    public val problem: KeystoreProblem,
    cause: Throwable?,
) : Exception(problem.text, cause)

/** The kinds of trouble with the keys of a [KeystoreIdentity]. */
public enum class KeystoreProblem(internal val text: String) {
    /** The phone has not been unlocked since it started. Start again after `ACTION_USER_UNLOCKED`. */
    LOCKED("the phone has not been unlocked since it started"),

    /**
     * The keystore lost or invalidated the key, as some phones do when their screen lock is removed. What it encrypted is gone:
     * [KeystoreIdentity.reset] makes a new device.
     */
    KEY_LOST("the keystore has lost the key"),

    /** The file is not what was written. [KeystoreIdentity.reset] makes a new device. */
    CORRUPTED("the file of the keys is corrupted"),

    /** The file cannot be read or written: storage is full, or another start has just written it. Try again. */
    STORAGE("the file of the keys cannot be read or written"),

    /** The keystore does not answer as it should. Try again; a phone on which it stays so needs [KeystoreIdentity.reset]. */
    UNAVAILABLE("the keystore does not answer"),
}

private inline fun <T> explained(block: () -> T): T =
    try {
        block()
    } catch (error: IOException) {
        throw KeystoreException(STORAGE, error)
    } catch (error: AEADBadTagException) {
        throw KeystoreException(CORRUPTED, error)
    } catch (error: KeyPermanentlyInvalidatedException) {
        throw KeystoreException(KEY_LOST, error)
    } catch (error: GeneralSecurityException) {
        throw KeystoreException(UNAVAILABLE, error)
    } catch (error: ProviderException) {
        throw KeystoreException(UNAVAILABLE, error)
    }
