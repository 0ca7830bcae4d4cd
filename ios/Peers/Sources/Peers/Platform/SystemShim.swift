/// A part of the system that tells facts.
protocol FactSource: Sendable {
    /// Begins to tell; the state of now comes first, where the system knows it. Called once.
    func start(_ tell: @escaping @Sendable (SystemFact) -> Void)
    /// Ends it. Facts that are under way may still arrive.
    func stop()
}

/// The time that the system gives an app to run in the background.
protocol BackgroundTime: Sendable {
    /// Asks for it. `expiring` is called once, on another thread, when it ends or when there is none, unless `end` comes before.
    func begin(_ expiring: @escaping @Sendable () -> Void)
    /// Gives it back: the app may be stopped at once.
    func end()
}

/// The core, as far as a shim uses it.
protocol SystemListener: AnyObject, Sendable {
    func report(_ snapshot: NetworkSnapshot)
    /// Returns when the core is in that state.
    func report(_ state: AppState) async
}

/// Tells the core what the system says, and keeps the app running in the background until the core has suspended.
///
/// Snapshots go to the core on the thread of their source. States of the app go one after the other: one that is outdated before
/// its turn is left out.
final class SystemShim: Sendable {
    private let system: System
    private let reducer = Locked(SystemReducer())
    private let stage = Locked(Stage.idle)
    private let states: AsyncStream<AppState>.Continuation
    private let follower: Task<Void, Never>
    private let core: Weak

    private enum Stage {
        case idle
        case running
        case stopped
    }

    init(_ system: System, core: any SystemListener) {
        let core = Weak(core)
        let (stream, states) = AsyncStream.makeStream(of: AppState.self, bufferingPolicy: .bufferingNewest(1))
        self.system = system
        self.core = core
        self.states = states
        follower = Task { [reducer, background = system.background] in
            for await state in stream {
                await core.target?.report(state)
                // An app that came back meanwhile may have asked for more time since.
                reducer.withLock { if $0.app == .suspended { background.end() } }
            }
        }
    }

    deinit { stop() }

    var denial: NetworkDenial? { reducer.withLock { $0.network?.denial } }

    /// Begins to listen; once, and not after `stop`.
    func start() {
        let starts = stage.withLock { stage in
            guard stage == .idle else { return false }
            stage = .running
            return true
        }
        guard starts else { return }
        for source in system.sources { source.start { [weak self] in self?.handle($0) } }
    }

    func stop() {
        let before = stage.withLock { stage in
            defer { stage = .stopped }
            return stage
        }
        guard before != .stopped else { return }
        if before == .running { system.sources.forEach { $0.stop() } }
        states.finish()
        follower.cancel()
        system.background.end()
    }

    private func handle(_ fact: SystemFact) {
        // Within the lock, so that statements reach the core in the order of their facts.
        reducer.withLock { reducer in
            for report in reducer.handle(fact) {
                switch report {
                case .network(let snapshot): core.target?.report(snapshot)
                case .app(let state): enter(state)
                }
            }
        }
    }

    private func enter(_ state: AppState) {
        switch state {
        case .foreground: system.background.end()
        case .background: system.background.begin { [weak self] in self?.handle(.expiring) }
        case .suspended: break
        }
        states.yield(state)
    }
}

/// The core belongs to the app: a shim does not keep it.
private final class Weak: @unchecked Sendable {
    // The runtime synchronises weak references; this one is not written after `init`.
    private(set) weak var target: (any SystemListener)?

    init(_ target: any SystemListener) {
        self.target = target
    }
}
