package app.peers.sdk.android

import android.os.Build
import android.util.Log
import app.peers.sdk.LogLevel
import app.peers.sdk.LogRecord
import kotlin.test.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowLog

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [24, 29, 35, 37])
class AndroidLogTest {
    @Test
    fun `each level has its priority`() {
        LogLevel.entries.forEach { AndroidLog().log(LogRecord(it, "peers::engine", "session ended")) }
        val written = ShadowLog.getLogsForTag("Peers")
        assertEquals(listOf(Log.ERROR, Log.WARN, Log.INFO, Log.DEBUG), written.map { it.type })
        assertEquals(setOf("peers::engine: session ended"), written.map { it.msg }.toSet())
    }

    @Test
    fun `a long tag is cut where the system takes no more`() {
        val tag = "a-tag-of-more-than-23-characters"
        AndroidLog(tag).log(LogRecord(LogLevel.INFO, "peers", "text"))
        val expected = if (Build.VERSION.SDK_INT < 26) tag.take(23) else tag
        assertEquals(1, ShadowLog.getLogsForTag(expected).size)
    }
}
