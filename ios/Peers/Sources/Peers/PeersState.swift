internal import PeersGenerated

/// Whether this device reaches a relay.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum PeersState: Sendable, Hashable {
    /// Not started yet.
    case stopped
    /// Dialing a relay for the first time.
    case connecting
    /// Registered: peers can be reached.
    case online
    /// No relay answers; it is tried again. Sessions on direct paths go on. `Peers.relays` says why.
    case offline
    /// No relay admits this device: a token is missing or wrong, or the device is not on the relay's list. It is tried again.
    case notAdmitted
    /// The app was suspended or its network changed; no relay has answered since.
    case verifying
    /// The app is suspended: peers and relays were told goodbye.
    case suspended
    /// Another process registered with this identity. This one registers anew when its app comes to the foreground.
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
        case .notAdmitted: self = .notAdmitted
        case .verifying: self = .verifying
        case .suspended: self = .suspended
        case .superseded: self = .superseded
        case .closed: self = .closed
        }
    }
}
