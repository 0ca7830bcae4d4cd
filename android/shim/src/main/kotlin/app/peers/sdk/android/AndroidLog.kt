package app.peers.sdk.android

import android.os.Build
import android.util.Log
import app.peers.sdk.LogLevel
import app.peers.sdk.LogRecord
import app.peers.sdk.LogSink

/** The system's log, by `android.util.Log`, under one tag. Before API 26 the system takes the first 23 characters of a tag. */
public class AndroidLog @JvmOverloads constructor(tag: String = "Peers") : LogSink {
    private val tag = if (Build.VERSION.SDK_INT < Build.VERSION_CODES.O) tag.take(LONGEST_TAG) else tag

    override fun log(record: LogRecord) {
        Log.println(record.level.priority(), tag, "${record.module}: ${record.text}")
    }

    private fun LogLevel.priority(): Int = when (this) {
        LogLevel.ERROR -> Log.ERROR
        LogLevel.WARN -> Log.WARN
        LogLevel.INFO -> Log.INFO
        LogLevel.DEBUG -> Log.DEBUG
    }

    private companion object {
        const val LONGEST_TAG = 23
    }
}
