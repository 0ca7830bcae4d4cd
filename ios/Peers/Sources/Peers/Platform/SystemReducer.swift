/// A fact about the device, as the system tells it.
enum SystemFact: Sendable, Hashable {
    /// An update of the network monitor.
    case network(NetworkFacts)
    /// The app enters the foreground or is active in it.
    case foreground
    /// The app entered the background.
    case background
    /// The time to run in the background ends.
    case expiring
    /// The system ends the app, or the machine goes to sleep.
    case stopping
}

/// A statement for the core.
enum SystemReport: Sendable, Hashable {
    case network(NetworkSnapshot)
    case app(AppState)
}

/// Turns facts of the system into statements for the core. The core debounces them and decides; this drops repetitions only.
struct SystemReducer: Sendable {
    /// The network as it was told last.
    private(set) var network: NetworkFacts?
    /// The app's state by the facts so far. The core begins in the foreground too.
    private(set) var app: AppState = .foreground

    /// The statements that follow from a fact, in their order.
    mutating func handle(_ fact: SystemFact) -> [SystemReport] {
        switch fact {
        case .network(let facts): follow(facts)
        case .foreground: enter(.foreground)
        // A suspended app cannot enter the background: it is a late copy of the fact that led here.
        case .background: app == .foreground ? enter(.background) : []
        // The app may have come back while the system's notice was under way.
        case .expiring: app == .background ? enter(.suspended) : []
        case .stopping: enter(.suspended)
        }
    }

    private mutating func follow(_ facts: NetworkFacts) -> [SystemReport] {
        let before = network
        network = facts
        let snapshot = facts.snapshot
        if snapshot == before?.snapshot {
            guard let before, snapshot.online, moved(from: before, to: facts) else { return [] }
            // Another network gave the device the address it had: the monitor left out the moment between the two.
            return [.network(.offline), .network(snapshot)]
        }
        return [.network(snapshot)]
    }

    private func moved(from old: NetworkFacts, to new: NetworkFacts) -> Bool {
        !old.gateways.isEmpty && !new.gateways.isEmpty && Set(old.gateways).isDisjoint(with: new.gateways)
    }

    private mutating func enter(_ state: AppState) -> [SystemReport] {
        guard app != state else { return [] }
        app = state
        return [.app(state)]
    }
}
