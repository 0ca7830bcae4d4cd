package app.peers.demo

import app.peers.sdk.PeerEvent
import app.peers.sdk.Peers
import app.peers.sdk.PeersState
import app.peers.sdk.Session
import app.peers.sdk.TemporaryIdentity
import kotlin.time.Duration
import kotlin.time.DurationUnit
import kotlin.time.TimeSource
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.runBlocking

/** What the way through Kotlin costs: two devices of this process at the relay of the first argument. */
public object Bench {
    private const val ROUNDS = 5
    private const val MESSAGES = 100_000
    private const val MEGABYTES = 128

    @JvmStatic
    public fun main(args: Array<String>): Unit = runBlocking {
        val first = device(args.single())
        val second = device(args.single())
        first.trust(second.deviceId)
        second.trust(first.deviceId)
        val out = first.session(second.deviceId)
        val into = (second.events.first { it is PeerEvent.Connected } as PeerEvent.Connected).session
        messages(out, into)
        stream(out, into)
        messages(out, into).let { report("messages_100B", "1/s", MESSAGES, it.map { (sent, taken) -> MESSAGES / sent to MESSAGES / taken }) }
        stream(out, into).let { report("stream", "MB/s", MEGABYTES, it.map { (sent, taken) -> MEGABYTES * 1.048576 / sent to MEGABYTES * 1.048576 / taken }) }
        first.shutdown()
        second.shutdown()
    }

    private suspend fun device(relay: String) = Peers {
        relay(relay)
        identity(TemporaryIdentity)
        loopback = true
    }.also { device ->
        device.start()
        device.state.first { it == PeersState.ONLINE }
    }

    /** Seconds until all were handed over, and until all were taken, per round. */
    private suspend fun messages(out: Session, into: Session) = rounds { started ->
        val body = ByteArray(100)
        val taken = async {
            into.messages.take(MESSAGES).collect()
            started.elapsedNow()
        }
        repeat(MESSAGES) { out.send(body) }
        started.elapsedNow() to taken.await()
    }

    private suspend fun stream(out: Session, into: Session) = rounds { started ->
        val chunk = ByteArray(64 * 1024) { it.toByte() }
        val taken = async {
            val stream = into.streams.first()
            stream.bytes.collect()
            stream.finish()
            started.elapsedNow()
        }
        val stream = out.openStream("bench")
        repeat(MEGABYTES * 16) { stream.write(chunk) }
        stream.finish()
        started.elapsedNow() to taken.await()
    }

    private suspend fun rounds(
        round: suspend kotlinx.coroutines.CoroutineScope.(TimeSource.Monotonic.ValueTimeMark) -> Pair<Duration, Duration>,
    ): List<Pair<Double, Double>> = List(ROUNDS) {
        val (sent, taken) = coroutineScope { round(TimeSource.Monotonic.markNow()) }
        sent.toDouble(DurationUnit.SECONDS) to taken.toDouble(DurationUnit.SECONDS)
    }

    private fun report(metric: String, unit: String, n: Int, rounds: List<Pair<Double, Double>>) {
        fun median(values: List<Double>) = values.sorted()[values.size / 2]
        println(Json.write("metric" to "kotlin_${metric}_out", "value" to median(rounds.map { it.first }), "unit" to unit, "n" to n))
        println(Json.write("metric" to "kotlin_${metric}_in", "value" to median(rounds.map { it.second }), "unit" to unit, "n" to n))
    }
}
