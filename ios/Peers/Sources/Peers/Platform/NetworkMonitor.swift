#if canImport(Network)
    import Foundation
    import Network

    /// `NWPathMonitor` as a source of facts.
    final class NetworkMonitor: FactSource, @unchecked Sendable {
        // Used by `start` and `stop` alone, one after the other.
        private let monitor = NWPathMonitor()

        func start(_ tell: @escaping @Sendable (SystemFact) -> Void) {
            monitor.pathUpdateHandler = { tell(.network(NetworkFacts($0))) }
            monitor.start(queue: DispatchQueue(label: "app.peers.network"))
        }

        func stop() {
            monitor.cancel()
        }
    }

    extension NetworkFacts {
        init(_ path: NWPath) {
            let addresses = interfaceAddresses()
            self.init(
                status: Status(path),
                interfaces: path.availableInterfaces.map {
                    Interface(name: $0.name, kind: Interface.Kind($0.type), addresses: addresses[$0.name] ?? [])
                },
                gateways: path.gateways.map { "\($0)" },
                expensive: path.isExpensive,
                constrained: path.isConstrained
            )
        }
    }

    extension NetworkFacts.Status {
        fileprivate init(_ path: NWPath) {
            switch path.status {
            case .satisfied: self = .satisfied
            case .requiresConnection: self = .requiresConnection
            case .unsatisfied: self = .unsatisfied(NetworkFacts.Reason(path.unsatisfiedReason))
            @unknown default: self = .unsatisfied(.notAvailable)
            }
        }
    }

    extension NetworkFacts.Reason {
        fileprivate init(_ reason: NWPath.UnsatisfiedReason) {
            // `vpnInactive` is known from iOS 17 on.
            switch reason {
            case .cellularDenied: self = .cellularDenied
            case .wifiDenied: self = .wifiDenied
            case .localNetworkDenied: self = .localNetworkDenied
            default: self = .notAvailable
            }
        }
    }

    extension NetworkFacts.Interface.Kind {
        fileprivate init(_ type: NWInterface.InterfaceType) {
            switch type {
            case .wifi: self = .wifi
            case .cellular: self = .cellular
            case .wiredEthernet: self = .wired
            case .loopback: self = .loopback
            case .other: self = .other
            @unknown default: self = .other
            }
        }
    }
#endif
