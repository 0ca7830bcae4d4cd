package app.peers.sdk.android

import android.view.ViewGroup
import android.widget.Button
import android.widget.EditText
import android.widget.TextView
import app.peers.sdk.Network
import app.peers.sdk.Relay
import app.peers.sdk.network
import com.example.chat.Chat
import com.example.chat.ChatActivity
import com.example.chat.ChatApp
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

/** The app of core/docs/guide/android.md, used as a person uses it. */
@RunWith(PeersTestRunner::class)
@Config(sdk = [24, 37], application = ChatApp::class)
class GuideTest {
    @get:Rule
    internal val process = PhoneProcess()

    @Test
    fun `a person compares digits with another device, and hears from it`() {
        val app = RuntimeEnvironment.getApplication() as ChatApp
        app.relay = Relay.url
        // Its views take Robolectric seconds on a busy machine.
        Robolectric.buildActivity(ChatActivity::class.java).setup().use { controller ->
            val content = controller.get().findViewById<ViewGroup>(android.R.id.content).getChildAt(0) as ViewGroup
            network(2.minutes) { talk(List(content.childCount) { content.getChildAt(it) as TextView }) }
        }
        runBlocking { app.peers.shutdown() }
    }

    private suspend fun Network.talk(views: List<TextView>) {
        val (to, message, send, accept, lines) = views
        assertTrue(to is EditText && message is EditText && send is Button && accept is Button)
        val id = lines.shows("this device: ").substringAfter("this device: ").substringBefore('\n')
        lines.shows("ONLINE")

        val other = Chat(stopped()).apply { start() }
        other.lines.first { it == "ONLINE" }
        other.say(id, "hello")
        accept.shows("Accept ")
        accept.performClick()
        val sas = other.lines.first { it.startsWith("compare: ") }.removePrefix("compare: ")
        accept.shows(sas)
        accept.performClick()
        lines.shows("heard: hello")

        to.setText(other.lines.first { it.startsWith("this device: ") }.removePrefix("this device: "))
        message.setText("and back")
        send.performClick()
        other.lines.first { it == "heard: and back" }
    }

    /** The view's text, as soon as it has [part] in it. */
    private fun TextView.shows(part: String): String = awaitOnMain(part) { "$text" }
}
