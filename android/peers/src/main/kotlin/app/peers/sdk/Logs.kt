package app.peers.sdk

import app.peers.sdk.generated.LogRecord as GeneratedLogRecord
import app.peers.sdk.generated.PeersClient
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.receiveAsFlow

/** Carries the records of [client] to [sinks] and to the one collector of [records]. */
internal class Logs(private val client: PeersClient, private val sinks: List<LogSink>) {
    private val unread = Channel<LogRecord>(UNREAD)
    private var dropped = 0

    /** Records that [follow] has seen; ends with it. */
    val records: Flow<LogRecord> = unread.receiveAsFlow()

    /** Returns when the client's threads have ended. */
    suspend fun follow() {
        try {
            while (translating { client.logsReady(null) }) {
                client.takeLogs(BATCH).forEach { deliver(it.toRecord()) }
            }
            unread.close()
        } catch (error: PeersException) {
            unread.close(error)
        }
    }

    /** A record of the façade itself, which comes back as all others do. */
    fun warn(text: String): Unit = client.log(GeneratedLogRecord(LogLevel.WARN.toGenerated(), MODULE, text))

    private fun deliver(record: LogRecord) {
        for (sink in sinks) {
            try {
                sink.log(record)
            } catch (_: Exception) {
                // The other sinks get it all the same.
            }
        }
        if (dropped > 0 && unread.trySend(LogRecord(LogLevel.WARN, MODULE, "$dropped records dropped")).isSuccess) {
            dropped = 0
        }
        if (unread.trySend(record).isFailure) dropped += 1
    }

    private companion object {
        /** Records kept for a collector of [records]; further ones are counted. */
        const val UNREAD = 512
        const val BATCH = 64u
        const val MODULE = "peers_kotlin"
    }
}
