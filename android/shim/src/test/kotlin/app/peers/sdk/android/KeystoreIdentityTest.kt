package app.peers.sdk.android

import android.content.Context
import android.os.UserManager
import android.security.keystore.KeyPermanentlyInvalidatedException
import app.peers.sdk.DeviceId
import app.peers.sdk.Peers
import app.peers.sdk.PeersException
import java.io.File
import java.security.ProviderException
import java.security.UnrecoverableKeyException
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotEquals
import kotlin.test.assertTrue
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

/** Through the real library, which makes the keys and asks for them. */
@RunWith(PeersTestRunner::class)
@Config(sdk = [24, 29, 35, 37])
class KeystoreIdentityTest {
    private val context: Context = RuntimeEnvironment.getApplication()
    private val file get() = File(context.noBackupFilesDir, "peers-device")

    @Before
    fun install() = FakeKeystore.install()

    @After
    fun remove() = FakeKeystore.remove()

    @Test
    fun `a phone stays the same device`() {
        assertEquals(start(), start())
        assertEquals(setOf("app.peers.sdk.device"), FakeKeystore.keys.keys)
    }

    @Test
    fun `of starts at once one makes the keys and the others can try again`() {
        val starts = runBlocking { List(8) { async(Dispatchers.IO) { runCatching { start() } } }.awaitAll() }
        val device = start()
        for (start in starts) {
            start.onSuccess { assertEquals(device, it) }
            start.onFailure { assertEquals(KeystoreProblem.STORAGE, (it.cause as KeystoreException).problem) }
        }
        assertTrue(starts.any { it.isSuccess })
    }

    @Test
    fun `identities with different names are different devices`() {
        assertNotEquals(start(), start(KeystoreIdentity(context, "other")))
        assertFailsWith<IllegalArgumentException> { KeystoreIdentity(context, "../other") }
    }

    @Test
    fun `what is stored is neither the secret nor twice the same`() {
        start()
        val first = file.readBytes()
        assertEquals(1 + 12 + 64 + 16, first.size)
        KeystoreIdentity(context).reset()
        assertTrue(!file.exists() && FakeKeystore.keys.isEmpty())
        start()
        assertTrue(!first.contentEquals(file.readBytes()))
    }

    @Test
    fun `a lost key is said, and a new device is made when the app says so`() {
        val before = start()
        FakeKeystore.keys.clear()
        repeat(2) { assertEquals(KeystoreProblem.KEY_LOST, problem()) }
        KeystoreIdentity(context).reset()
        assertNotEquals(before, start())
    }

    @Test
    fun `an invalidated key is said`() {
        start()
        FakeKeystore.failure = KeyPermanentlyInvalidatedException()
        assertEquals(KeystoreProblem.KEY_LOST, problem())
    }

    @Test
    fun `a keystore that does not answer can be asked again`() {
        val before = start()
        for (failure in listOf(UnrecoverableKeyException("busy"), ProviderException("busy"))) {
            FakeKeystore.failure = failure
            assertEquals(KeystoreProblem.UNAVAILABLE, problem())
        }
        FakeKeystore.failure = null
        assertEquals(before, start())
    }

    @Test
    fun `a file that was changed in any byte, or cut, is said and kept`() {
        start()
        val whole = file.readBytes()
        val changed = whole.indices.map { at -> whole.clone().also { it[at] = (it[at].toInt() xor 1).toByte() } }
        val cut = listOf(0, 1, 12, 13, 28, 29, whole.size - 1).map(whole::copyOf)
        for (bytes in changed.filterIndexed { at, _ -> at % 8 == 0 } + cut + (whole + 0)) {
            file.writeBytes(bytes)
            assertEquals(KeystoreProblem.CORRUPTED, problem())
            assertTrue(bytes.contentEquals(file.readBytes()))
        }
    }

    @Test
    fun `a secret that was stored under another name is not taken`() {
        start()
        FakeKeystore.keys["app.peers.sdk.other"] = FakeKeystore.keys.getValue("app.peers.sdk.device")
        file.copyTo(File(context.noBackupFilesDir, "peers-other"))
        assertEquals(KeystoreProblem.CORRUPTED, problem(KeystoreIdentity(context, "other")))
    }

    @Test
    fun `before the first unlock the keys wait`() {
        val before = start()
        val user = shadowOf(context.getSystemService(Context.USER_SERVICE) as UserManager)
        user.setUserUnlocked(false)
        assertEquals(KeystoreProblem.LOCKED, problem())
        user.setUserUnlocked(true)
        assertEquals(before, start())
    }

    @Test
    fun `a storage that takes nothing is said`() {
        file.mkdirs()
        assertEquals(KeystoreProblem.STORAGE, problem())
    }

    private fun start(identity: KeystoreIdentity = KeystoreIdentity(context)): DeviceId = runBlocking {
        val peers = peers(identity)
        peers.start()
        peers.deviceId.also { peers.shutdown() }
    }

    private fun problem(identity: KeystoreIdentity = KeystoreIdentity(context)): KeystoreProblem = runBlocking {
        val peers = peers(identity)
        val error = assertFailsWith<PeersException.Identity> { peers.start() }
        peers.shutdown()
        (error.cause as KeystoreException).problem
    }

    private fun peers(identity: KeystoreIdentity) = Peers {
        // Nothing listens there: the keys are made and read before.
        relay("ws://127.0.0.1:9")
        identity(identity)
    }
}
