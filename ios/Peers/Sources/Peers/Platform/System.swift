/// A part of the system that `Peers` follows by itself, on iOS and macOS.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum SystemSource: Sendable, Hashable, CaseIterable {
    /// The network, by `NWPathMonitor`: what `Peers.networkChanged` is for elsewhere.
    case network
    /// The life of the app on iOS, the machine's sleep on macOS: what `Peers.setAppState` is for elsewhere.
    case appState
}

/// A setting by which the person keeps the app from a network; iOS has them for each app.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum NetworkDenial: Sendable, Hashable {
    /// Mobile data is off for this app.
    case cellular
    /// Wi-Fi is off for this app.
    case wifi
    /// The local network is not allowed, and there is no other.
    case localNetwork
}

/// The parts of a system that a shim listens to.
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
