package app.peers.sdk.android

import androidx.work.ListenableWorker
import androidx.work.WorkManager
import androidx.work.WorkerParameters
import app.peers.sdk.PeersState
import app.peers.sdk.Relay
import app.peers.sdk.network
import com.example.chat.App
import com.example.chat.Exchange
import com.example.chat.enqueue
import kotlin.io.path.createTempDirectory
import kotlin.test.assertEquals
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

/** The recipe of core/docs/guide/android-background.md, in a process without an activity. */
@RunWith(PeersTestRunner::class)
@Config(sdk = [24, 37], application = App::class)
class RecipeTest {
    private val app = RuntimeEnvironment.getApplication() as App

    @get:Rule
    internal val process = PhoneProcess()

    @Test
    fun `a worker delivers its news, and the library is suspended after it`() = network {
        app.relay = Relay.url
        app.friend = rustProcess(createTempDirectory().resolve("identity")).second.text
        enqueue(app)
        assertEquals(Exchange::class.java, WorkManager.getInstance(app).enqueued?.worker)
        assertEquals(ListenableWorker.Result.success(), Exchange(app, WorkerParameters()).doWork())
        awaitOnMain("${PeersState.SUSPENDED}") { "${app.peers.state.value}" }
        app.peers.shutdown()
    }
}
