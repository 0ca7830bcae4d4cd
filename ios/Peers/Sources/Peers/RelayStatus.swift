internal import PeersGenerated

/// One relay, and where this device stands with it.
public struct RelayStatus: Sendable, Hashable {
    /// As `PeersConfig.relays` was given it.
    public let url: String
    /// Now.
    public let state: RelayState
    /// Why the last try failed or the last registration ended; kept while the next try runs, nil once it succeeds.
    public let problem: RelayProblem?
}

/// Where this device stands with one relay.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum RelayState: Sendable, Hashable {
    /// Dialing or registering.
    case connecting
    /// Registered.
    case registered
    /// It did not work, or it ended; it is tried again in a moment.
    case waiting
    /// The app is suspended.
    case suspended
    /// Another process registered with this identity.
    case superseded
    /// Shut down.
    case stopped
}

/// Why a relay is not reached.
public struct RelayProblem: Sendable, Hashable {
    /// A stable name: `not-found`, `unreachable`, `tls`, `not-a-relay`, `wrong-name`, `not-admitted`, `refused`, `silent`,
    /// `broken`, `closed`, `network-changed`, `protocol`.
    public let code: String
    /// For a person.
    public let reason: String
}

extension RelayStatus {
    init(_ status: PeersGenerated.RelayStatus) {
        url = status.url
        state = RelayState(status.state)
        problem = status.problem.map { RelayProblem(code: $0.code, reason: $0.reason) }
    }
}

extension RelayState {
    init(_ state: PeersGenerated.RelayState) {
        switch state {
        case .connecting: self = .connecting
        case .registered: self = .registered
        case .waiting: self = .waiting
        case .suspended: self = .suspended
        case .superseded: self = .superseded
        case .stopped: self = .stopped
        }
    }
}
