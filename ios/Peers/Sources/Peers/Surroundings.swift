internal import PeersGenerated

/// Whether a person looks at the app.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum AppState: Sendable, Hashable {
    /// A person looks.
    case foreground
    /// The app runs unseen: what there is is kept alive, nothing more.
    case background
    /// The system is about to stop the app: peers are told, every connection closes, no timer runs.
    case suspended

    var generated: PeersGenerated.AppState {
        switch self {
        case .foreground: .foreground
        case .background: .background
        case .suspended: .suspended
        }
    }
}

/// The network as the operating system describes it at one moment.
public struct NetworkSnapshot: Sendable, Hashable {
    /// What kind of network carries the default route.
    ///
    /// Later versions may add cases: end a `switch` with `@unknown default`.
    public enum Medium: Sendable, Hashable {
        /// Wi-Fi.
        case wifi
        /// A mobile network.
        case cellular
        /// A cable.
        case wired
        /// Something else, a VPN for example.
        case other
    }

    /// Whether there is a default route that the system lets this app use.
    public var online: Bool
    /// What carries it.
    public var medium: Medium
    /// Whether its data costs money.
    public var metered: Bool
    /// The device's own addresses on it, as text, without a zone or a prefix length.
    public var addresses: [String]

    public init(online: Bool, medium: Medium = .other, metered: Bool = false, addresses: [String] = []) {
        self.online = online
        self.medium = medium
        self.metered = metered
        self.addresses = addresses
    }

    var generated: PeersGenerated.NetworkSnapshot {
        let kind: PeersGenerated.Medium =
            switch medium {
            case .wifi: .wifi
            case .cellular: .cellular
            case .wired: .wired
            case .other: .other
            }
        return PeersGenerated.NetworkSnapshot(online: online, medium: kind, metered: metered, addresses: addresses)
    }
}
