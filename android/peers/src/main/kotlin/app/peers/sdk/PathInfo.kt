package app.peers.sdk

import app.peers.sdk.generated.PathInfo as GeneratedPathInfo
import app.peers.sdk.generated.Quality as GeneratedQuality
import app.peers.sdk.generated.QualityLevel as GeneratedLevel
import app.peers.sdk.generated.SessionStatus as GeneratedStatus
import java.util.Objects
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

/** How good a path is. */
public class Quality internal constructor(
    /** From 0, useless, to 100, perfect. */
    public val score: Int,
    /** Follows [score] with hysteresis. */
    public val level: Level,
) {
    /** How it feels, worst first. */
    public enum class Level {
        /** Hardly usable. */
        BAD,

        /** Noticeably slow. */
        FAIR,

        /** Nothing to notice. */
        GOOD,
    }

    override fun equals(other: Any?): Boolean = other is Quality && score == other.score && level == other.level

    override fun hashCode(): Int = Objects.hash(score, level)

    override fun toString(): String = "Quality(score=$score, level=$level)"
}

/** What is known about the path that carries a session. */
public class PathInfo internal constructor(
    /** What it runs over. */
    public val kind: PathKind,
    /** Whether a TURN server forwards it. */
    public val relayed: Boolean,
    /** Moving average of the round trip, once measured. */
    public val rtt: Duration?,
    /** How much round trips differ from one to the next. */
    public val jitter: Duration,
    /** Percent of the last ten pings that were not answered in time. */
    public val loss: Int,
    /** Bytes per second in both directions over the last second. */
    @get:JvmName("getThroughput")
    public val throughput: ULong,
    /** Bytes sent in all. */
    @get:JvmName("getSent")
    public val sent: ULong,
    /** Bytes received in all. */
    @get:JvmName("getReceived")
    public val received: ULong,
    /** All of this as one number. */
    public val quality: Quality,
) {
    private val all get() = listOf(kind, relayed, rtt, jitter, loss, throughput, sent, received, quality)

    override fun equals(other: Any?): Boolean = other is PathInfo && all == other.all

    override fun hashCode(): Int = all.hashCode()

    override fun toString(): String =
        "PathInfo(kind=$kind, relayed=$relayed, rtt=$rtt, jitter=$jitter, loss=$loss, throughput=$throughput, sent=$sent, " +
            "received=$received, quality=$quality)"
}

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
