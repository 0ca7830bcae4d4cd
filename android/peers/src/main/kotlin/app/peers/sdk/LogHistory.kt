package app.peers.sdk

import kotlin.time.Clock
import kotlin.time.Instant

/** The last log records, for a report of a problem. */
internal class LogHistory(private val capacity: Int = 2_000, private val clock: Clock = Clock.System) {
    private class Entry(val at: Instant, val record: LogRecord)

    private val entries = ArrayDeque<Entry>()

    fun add(record: LogRecord): Unit = synchronized(entries) {
        if (entries.size == capacity) entries.removeFirst()
        entries.addLast(Entry(clock.now(), record))
    }

    /** A line a record: time, level, module, text. Addresses, devices and names are replaced, the same by the same. */
    fun export(): String {
        val kept = synchronized(entries) { entries.toList() }
        val redaction = Redaction()
        return kept.joinToString("") { entry ->
            with(entry.record) { "${entry.at} ${level.name} $module ${redaction.of(text)}\n" }
        }
    }
}

/** Replaces what names a person, a device or a place by a number, which is the same for the same within one export. */
internal class Redaction {
    private val numbers = mutableMapOf<String, String>()

    fun of(text: String): String = PRIVATE.fold(text) { redacted, (kind, pattern) ->
        pattern.replace(redacted) { match ->
            numbers.getOrPut("$kind ${match.value}") { "<$kind-${numbers.keys.count { it.startsWith(kind) } + 1}>" }
        }
    }

    private companion object {
        val PRIVATE = listOf(
            "name" to Regex("""(?<=\b(?:device_|)name=)("[^"]*"|\S+)"""),
            "host" to Regex("""(?<=\b(?:ws|wss|http|https|stun|turn|turns):(?://)?)[^\s/,;"')]+"""),
            // Device and user ids: 20 bytes in base32.
            "id" to Regex("""\b[a-z2-7]{32}\b"""),
            "address" to Regex("""(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)"""),
            "address" to Regex("""(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?:%\w+)?(?![\w:])"""),
        )
    }
}
