internal import PeersGenerated

/// The reason for which a session ended. The description is its stable name, for logs.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum EndReason: String, Sendable, Hashable, CustomStringConvertible {
    /// The app closed it, or shut the client down.
    case closed
    /// This device closed it to make room for another one: there were more than 30.
    case evicted
    /// The peer closed it, or had no room for it.
    case closedByPeer = "closed-by-peer"
    /// The peer's app was started anew, or waited too long for a path; the device has another session then.
    case peerRestarted = "peer-restarted"
    /// No path came back within `PeersConfig.resumeWindow`.
    case noPath = "no-path"
    /// The peer broke the protocol.
    case `protocol`
    /// Too much waited here to be collected.
    case overloaded

    public var description: String { rawValue }

    init(_ reason: PeersGenerated.EndReason) {
        switch reason {
        // The library's threads end with the client.
        case .closed, .noRuntime: self = .closed
        case .evicted: self = .evicted
        case .closedByPeer: self = .closedByPeer
        case .peerRestarted: self = .peerRestarted
        case .noPath: self = .noPath
        case .protocol: self = .protocol
        case .overloaded: self = .overloaded
        }
    }
}
