package app.peers.sample.smoke

import android.content.Intent
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import androidx.test.uiautomator.By
import androidx.test.uiautomator.BySelector
import androidx.test.uiautomator.UiDevice
import androidx.test.uiautomator.UiObject2
import androidx.test.uiautomator.Until
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith

/**
 * The sample as a person uses it, from another process: a minified app as well. `scripts/sample emulator` starts a relay and a
 * device in Rust that echoes, and names them in the arguments `relay` and `device`.
 */
@RunWith(AndroidJUnit4::class)
class ChatSmokeTest {
    private val instrumentation = InstrumentationRegistry.getInstrumentation()
    private val phone = UiDevice.getInstance(instrumentation)
    private val peer = argument("device")

    @Before
    fun connect() {
        shell("pm clear $APP")
        open()
        type(argument("relay"), "Use this relay")
        find(By.text("This device is online"))
        type(peer, "Add")
        find(By.text(peer.take(TITLE))).click()
        find(By.textContains("loss"))
    }

    @Test
    fun textsCrossBothWaysOnADirectPathOrTheRelay() {
        say("hello")
        isAnswered("hello")
    }

    @Test
    fun aTextWaitsForTheNetwork() {
        shell("svc wifi disable")
        shell("svc data disable")
        say("offline")
        find(By.text("waits"))
        shell("svc wifi enable")
        shell("svc data enable")
        isAnswered("offline")
    }

    @Test
    fun theSessionGoesOnAfterTheBackground() {
        phone.pressHome()
        check(phone.wait(Until.gone(By.pkg(APP)), LIMIT)) { "the app stays on the screen" }
        open()
        say("back")
        isAnswered("back")
    }

    @Test
    fun chatsAreThereAfterTheProcessWasKilled() {
        say("before")
        isAnswered("before")
        shell("am force-stop $APP")
        open()
        find(By.text(peer.take(TITLE))).click()
        isAnswered("before")
        say("after")
        isAnswered("after")
    }

    private fun open() {
        val context = instrumentation.context
        val start = checkNotNull(context.packageManager.getLaunchIntentForPackage(APP)) { "$APP is not installed" }
        context.startActivity(start.addFlags(Intent.FLAG_ACTIVITY_NEW_TASK))
        find(By.pkg(APP))
    }

    private fun say(text: String) = type(text, "Send")

    /** Enters [text] in the only field on the screen. */
    private fun type(text: String, button: String) {
        find(By.clazz("android.widget.EditText")).text = text
        // The button is enabled in the next frame.
        phone.waitForIdle()
        find(By.text(button).enabled(true)).click()
    }

    /** The text and its echo are on the screen, and nothing waits. */
    private fun isAnswered(text: String) {
        check(phone.wait({ it.findObjects(By.text(text)).size == 2 && !it.hasObject(By.text("waits")) }, LIMIT)) {
            "no answer to: $text"
        }
    }

    private fun find(selector: BySelector): UiObject2 =
        checkNotNull(phone.wait(Until.findObject(selector), LIMIT)) { "not on the screen: $selector" }

    private fun shell(command: String) {
        phone.executeShellCommand(command)
    }

    private fun argument(name: String): String =
        checkNotNull(InstrumentationRegistry.getArguments().getString(name)) { "the argument $name is missing" }

    private companion object {
        const val APP = "app.peers.sample"
        const val LIMIT = 60_000L

        /** The letters of a code that stand for a contact without a name. */
        const val TITLE = 8
    }
}
