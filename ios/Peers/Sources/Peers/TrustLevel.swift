internal import PeersGenerated

/// How far a device is trusted, lowest first.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum TrustLevel: Sendable, Hashable {
    /// Known to do harm. Nothing outweighs this.
    case malicious
    /// Explicitly not trusted.
    case untrusted
    /// Never seen.
    case unknown
    /// Of a user met for the first time.
    case newUser
    /// A new device of a known user.
    case newDevice
    /// Known for a while.
    case known
    /// Trusted by decision of this user.
    case trusted
    /// Another device of this user.
    case own
}

extension TrustLevel {
    var generated: PeersGenerated.TrustLevel {
        switch self {
        case .malicious: .malicious
        case .untrusted: .untrusted
        case .unknown: .unknown
        case .newUser: .newUser
        case .newDevice: .newDevice
        case .known: .known
        case .trusted: .trusted
        case .own: .own
        }
    }
}
