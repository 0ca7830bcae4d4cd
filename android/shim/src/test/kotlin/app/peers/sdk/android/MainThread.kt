package app.peers.sdk.android

import android.os.Looper
import kotlin.time.Duration.Companion.seconds
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowPausedLooper

private val LIMIT = 30.seconds

/** Runs the tasks of the main thread until [text] has [part] in it, and returns the text. */
internal fun awaitOnMain(part: String, text: () -> String): String {
    val main = shadowOf(Looper.getMainLooper()) as ShadowPausedLooper
    val deadline = System.nanoTime() + LIMIT.inWholeNanoseconds
    while (true) {
        main.idle()
        text().let { if (part in it) return it }
        check(System.nanoTime() < deadline) { "no $part in: ${text()}" }
        // Until there is a task. What needs none is looked at again soon.
        main.poll(100)
    }
}
