internal import PeersGenerated

/// Whether this device reaches a relay.
public enum PeersState: Sendable, Hashable {
    /// Not started yet.
    case stopped
    /// Dialing a relay for the first time.
    case connecting
    /// Registered: peers can be reached.
    case online
    /// No relay answers; it is tried again. Sessions on direct paths go on.
    case offline
    /// Another process registered with this identity. Nothing is tried again: shut down.
    case superseded
    /// Shut down.
    case closed
}

extension PeersState {
    init(_ state: ClientState) {
        switch state {
        case .stopped: self = .stopped
        case .connecting: self = .connecting
        case .online: self = .online
        case .offline: self = .offline
        case .superseded: self = .superseded
        case .closed: self = .closed
        }
    }
}
