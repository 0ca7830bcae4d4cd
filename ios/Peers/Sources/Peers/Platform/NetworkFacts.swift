/// One update of the system's network monitor, without the system's types: `NWPath` of Apple's Network framework.
struct NetworkFacts: Sendable, Hashable {
    /// `NWPath.Status`.
    enum Status: Sendable, Hashable {
        /// A path is there.
        case satisfied
        /// None is there, for this reason.
        case unsatisfied(Reason)
        /// None is there; a connection attempt may bring one up, a VPN on demand for example.
        case requiresConnection
    }

    /// `NWPath.UnsatisfiedReason`.
    enum Reason: Sendable, Hashable {
        case notAvailable
        case cellularDenied
        case wifiDenied
        case localNetworkDenied
    }

    /// `NWInterface`, and the addresses that `getifaddrs` gives it.
    struct Interface: Sendable, Hashable {
        /// `NWInterface.InterfaceType`. `other` stands for virtual networks, a VPN's tunnel among them.
        enum Kind: Sendable, Hashable {
            case wifi
            case cellular
            case wired
            case loopback
            case other
        }

        var name: String
        var kind: Kind
        var addresses: [String]
    }

    var status: Status
    /// The interfaces that the path may use, the preferred one first.
    var interfaces: [Interface]
    /// Addresses of the path's gateways.
    var gateways: [String] = []
    /// `NWPath.isExpensive`: a mobile network, or a hotspot on one.
    var expensive = false
    /// `NWPath.isConstrained`: Low Data Mode.
    var constrained = false
}

extension NetworkFacts {
    /// The network that new sockets use.
    var snapshot: NetworkSnapshot {
        if case .unsatisfied = status { return .offline }
        let first = interfaces.first { $0.kind != .loopback }
        return NetworkSnapshot(
            online: true,
            medium: first?.kind.medium ?? .other,
            // Low Data Mode asks apps to save data as if it cost money.
            metered: expensive || constrained,
            addresses: first?.addresses.filter { !isTranslators($0) } ?? []
        )
    }
}

extension NetworkFacts {
    /// The setting because of which there is no network.
    var denial: NetworkDenial? {
        switch status {
        case .unsatisfied(.cellularDenied): .cellular
        case .unsatisfied(.wifiDenied): .wifi
        case .unsatisfied(.localNetworkDenied): .localNetwork
        case .satisfied, .requiresConnection, .unsatisfied(.notAvailable): nil
        }
    }
}

extension NetworkFacts.Interface.Kind {
    fileprivate var medium: NetworkSnapshot.Medium {
        switch self {
        case .wifi: .wifi
        case .cellular: .cellular
        case .wired: .wired
        case .loopback, .other: .other
        }
    }
}

extension NetworkSnapshot {
    static let offline = NetworkSnapshot(online: false)
}

/// Whether an address lies in 192.0.0.0/29, the range of RFC 7335 that 464XLAT gives to the device itself. It is the same on every
/// IPv6-only network, and it comes and goes while the network stays.
private func isTranslators(_ address: String) -> Bool {
    let prefix = "192.0.0."
    guard address.hasPrefix(prefix), let last = UInt8(address.dropFirst(prefix.count)) else { return false }
    return last < 8
}
