internal import PeersGenerated

/// What carries a session now, best first.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum PathKind: String, Sendable, Hashable, CustomStringConvertible {
    /// A WebSocket on the same network.
    case lan
    /// A WebRTC data channel.
    case webrtc
    /// A WebSocket over TLS to a device that listens publicly.
    case internet
    /// Through the relay.
    case relay
    /// Supplied by the app.
    case custom

    public var description: String { rawValue }
}

extension PathKind {
    init(_ kind: PeersGenerated.PathKind) {
        switch kind {
        case .lan: self = .lan
        case .webRtc: self = .webrtc
        case .internet: self = .internet
        case .relay: self = .relay
        case .custom: self = .custom
        }
    }

    var generated: PeersGenerated.PathKind {
        switch self {
        case .lan: .lan
        case .webrtc: .webRtc
        case .internet: .internet
        case .relay: .relay
        case .custom: .custom
        }
    }
}

/// Kinds of path, best first as long as `PeersConfig.prefer` names no others.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum PathTier: Sendable, Hashable {
    /// A WebSocket on the same network.
    case lan
    /// WebRTC, and no server in between.
    case direct
    /// WebRTC through a TURN server, or a WebSocket over TLS to a device that listens publicly.
    case forwarded
    /// Through the relay.
    case relay
    /// Supplied by the app.
    case custom

    var generated: PeersGenerated.PathTier {
        switch self {
        case .lan: .lan
        case .direct: .direct
        case .forwarded: .forwarded
        case .relay: .relay
        case .custom: .custom
        }
    }
}
