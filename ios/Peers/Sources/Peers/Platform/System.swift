/// A part of the system that `Peers` follows by itself, on iOS and macOS.
public enum SystemSource: Sendable, Hashable, CaseIterable {
    /// The network, by `NWPathMonitor`: what `Peers.networkChanged` is for elsewhere.
    case network
    /// The life of the app on iOS, the machine's sleep on macOS: what `Peers.setAppState` is for elsewhere.
    case appState
}

/// What a shim listens to.
struct System: Sendable {
    var sources: [any FactSource]
    var background: any BackgroundTime
}

extension System {
    /// This platform's; nothing where it has none.
    static func platform(_ wanted: Set<SystemSource>) -> System {
        var system = System(sources: [], background: UnlimitedTime())
        #if canImport(Network)
            if wanted.contains(.network) { system.sources.append(NetworkMonitor()) }
        #endif
        #if canImport(UIKit)
            if wanted.contains(.appState) {
                system.sources.append(AppLifecycle())
                system.background = ExpiringActivity()
            }
        #elseif canImport(AppKit)
            if wanted.contains(.appState) { system.sources.append(SystemSleep()) }
        #endif
        return system
    }
}

/// Of a system that does not stop apps in the background.
private struct UnlimitedTime: BackgroundTime {
    func begin(_ expiring: @escaping @Sendable () -> Void) {}
    func end() {}
}
