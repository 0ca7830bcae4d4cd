internal import PeersGenerated

/// Whether a session can be used.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum SessionStatus: Sendable, Hashable {
    /// A path carries it.
    case usable
    /// There is a path, but it does not answer, or has not yet.
    case verifying
    /// There is no path; what is sent waits for one.
    case down
    /// The peer said that it would be away; what is sent waits for its return.
    case away

    init(_ status: PeersGenerated.SessionStatus) {
        switch status {
        case .usable: self = .usable
        case .verifying: self = .verifying
        case .down: self = .down
        case .away: self = .away
        }
    }
}

/// How good a path is.
public struct Quality: Sendable, Hashable {
    /// How it feels, worst first.
    ///
    /// Later versions may add cases: end a `switch` with `@unknown default`.
    public enum Level: Sendable, Hashable {
        /// Hardly usable.
        case bad
        /// Noticeably slow.
        case fair
        /// Nothing to notice.
        case good
    }

    /// 0 is useless, 100 perfect.
    public let score: Int
    /// The level the score is in, with hysteresis.
    public let level: Level

    init(_ quality: PeersGenerated.Quality) {
        score = Int(quality.score)
        switch quality.level {
        case .bad: level = .bad
        case .fair: level = .fair
        case .good: level = .good
        }
    }
}

/// What is known about the path that carries a session.
public struct PathInfo: Sendable, Hashable {
    /// What it runs over.
    public let kind: PathKind
    /// Whether a TURN server forwards it.
    public let relayed: Bool
    /// Moving average of the round trip, once measured.
    public let rtt: Duration?
    /// How much round trips differ from one to the next.
    public let jitter: Duration
    /// Percent of the last ten pings that were not answered in time.
    public let loss: Int
    /// Bytes per second in both directions over the last second.
    public let throughput: UInt64
    /// Bytes sent in all.
    public let sent: UInt64
    /// Bytes received in all.
    public let received: UInt64
    /// All of this as one number.
    public let quality: Quality

    init(_ info: PeersGenerated.PathInfo) {
        kind = PathKind(info.kind)
        relayed = info.relayed
        rtt = info.rttUs.map { .microseconds($0) }
        jitter = .microseconds(info.jitterUs)
        loss = Int(info.loss)
        throughput = info.throughput
        sent = info.sent
        received = info.received
        quality = Quality(info.quality)
    }
}
