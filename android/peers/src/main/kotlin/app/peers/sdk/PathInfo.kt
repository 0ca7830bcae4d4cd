package app.peers.sdk

import app.peers.sdk.generated.PathInfo as GeneratedPathInfo
import app.peers.sdk.generated.Quality as GeneratedQuality
import app.peers.sdk.generated.QualityLevel as GeneratedLevel
import app.peers.sdk.generated.SessionStatus as GeneratedStatus
import kotlin.time.Duration
import kotlin.time.Duration.Companion.microseconds

/** Whether a session can be used. */
public enum class SessionStatus {
    /** A path carries it. */
    USABLE,

    /** There is a path, but it does not answer, or has not yet. */
    VERIFYING,

    /** There is no path; what is sent waits for one. */
    DOWN,

    /** The peer said that it would be away; what is sent waits for its return. */
    AWAY,
}

/** How good a path is: [score] from 0, useless, to 100, perfect. [level] follows it with hysteresis. */
public data class Quality(val score: Int, val level: Level) {
    /** How it feels, worst first. */
    public enum class Level {
        /** Hardly usable. */
        BAD,

        /** Noticeably slow. */
        FAIR,

        /** Nothing to notice. */
        GOOD,
    }
}

/** What is known about the path that carries a session. */
public data class PathInfo(
    /** What it runs over. */
    val kind: PathKind,
    /** Whether a TURN server forwards it. */
    val relayed: Boolean,
    /** Moving average of the round trip, once measured. */
    val rtt: Duration?,
    /** How much round trips differ from one to the next. */
    val jitter: Duration,
    /** Percent of the last ten pings that were not answered in time. */
    val loss: Int,
    /** Bytes per second in both directions over the last second. */
    val throughput: ULong,
    /** Bytes sent in all. */
    val sent: ULong,
    /** Bytes received in all. */
    val received: ULong,
    /** All of this as one number. */
    val quality: Quality,
)

internal fun GeneratedStatus.toStatus(): SessionStatus = when (this) {
    GeneratedStatus.USABLE -> SessionStatus.USABLE
    GeneratedStatus.VERIFYING -> SessionStatus.VERIFYING
    GeneratedStatus.DOWN -> SessionStatus.DOWN
    GeneratedStatus.AWAY -> SessionStatus.AWAY
}

internal fun GeneratedQuality.toQuality(): Quality = Quality(
    score.toInt(),
    when (level) {
        GeneratedLevel.BAD -> Quality.Level.BAD
        GeneratedLevel.FAIR -> Quality.Level.FAIR
        GeneratedLevel.GOOD -> Quality.Level.GOOD
    },
)

internal fun GeneratedPathInfo.toInfo(): PathInfo = PathInfo(
    kind = kind.toPath(),
    relayed = relayed,
    rtt = rttUs?.toLong()?.microseconds,
    jitter = jitterUs.toLong().microseconds,
    loss = loss.toInt(),
    throughput = throughput,
    sent = sent,
    received = received,
    quality = quality.toQuality(),
)
