package app.peers.sdk

import app.peers.sdk.generated.LogLevel as GeneratedLogLevel
import app.peers.sdk.generated.LogRecord as GeneratedLogRecord
import java.util.Objects

/** How much is logged, and how grave one record is. */
public enum class LogLevel {
    /** A defect of this library. */
    ERROR,

    /** Something that should not happen, such as a peer that breaks the protocol. */
    WARN,

    /** What happens to connections and sessions. */
    INFO,

    /** Every step on the way. */
    DEBUG,
}

/** One statement of the library. It holds no key, no content and no full address. */
public class LogRecord internal constructor(public val level: LogLevel, public val module: String, public val text: String) {
    override fun equals(other: Any?): Boolean =
        other is LogRecord && level == other.level && module == other.module && text == other.text

    override fun hashCode(): Int = Objects.hash(level, module, text)

    override fun toString(): String = "LogRecord(level=$level, module=$module, text=$text)"
}

/** Takes log records, for a log of the app's own. */
public fun interface LogSink {
    /** Called on one thread of the library at a time; must not block for long. What it throws is ignored. */
    public fun log(record: LogRecord)
}

internal fun LogLevel.toGenerated(): GeneratedLogLevel = when (this) {
    LogLevel.ERROR -> GeneratedLogLevel.ERROR
    LogLevel.WARN -> GeneratedLogLevel.WARN
    LogLevel.INFO -> GeneratedLogLevel.INFO
    LogLevel.DEBUG -> GeneratedLogLevel.DEBUG
}

internal fun GeneratedLogRecord.toRecord(): LogRecord = LogRecord(level.toLevel(), module, text)

private fun GeneratedLogLevel.toLevel(): LogLevel = when (this) {
    GeneratedLogLevel.ERROR -> LogLevel.ERROR
    GeneratedLogLevel.WARN -> LogLevel.WARN
    GeneratedLogLevel.INFO -> LogLevel.INFO
    GeneratedLogLevel.DEBUG -> LogLevel.DEBUG
}
