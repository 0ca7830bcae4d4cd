internal import PeersGenerated

/// This device among its peers.
///
/// ```swift
/// let peers = try Peers(PeersConfig(relay: url, identity: .file(path)))   // nothing connects yet
/// try await peers.start()
/// try await peers.session(with: device).send("hello")
/// ```
/// All functions may be called from any thread, the main thread included: none blocks. Cancelling a task cancels what it waits
/// for, at the peer as well. After `shutdown()` everything throws `PeersError.closed`.
public final class Peers: Sendable {
    private let client: PeersClient
    private let shim: SystemShim
    private let store: StoreBridge?
    private let log: LogForwarder?

    /// A client that does nothing yet.
    public convenience init(_ config: PeersConfig) throws {
        try self.init(config, system: .platform(config.systemSources))
    }

    /// The same with another system.
    init(_ config: PeersConfig, system: System) throws {
        let identity = config.identity.generated
        let client = try translating { try PeersClient(config: config.generated(identity: identity.source)) }
        self.client = client
        store = identity.bridge
        shim = SystemShim(system, core: client)
        log = config.logSink.write.map { LogForwarder(client.logRecords, $0) }
    }

    /// Whether a relay is reached, now.
    public var state: PeersState { PeersState(client.state()) }

    /// The state now, and each one it changes to; a state that lasted shorter than the loop looked away is not told. For any
    /// number of consumers. Ends after `.closed`, or when the task is cancelled.
    public var states: PeersSequence<PeersState, Never> {
        PeersSequence(
            now: { [client] in client.state() }, after: { [client] in await client.stateAfter(seen: $0, cancel: $1) },
            element: PeersState.init)
    }

    /// Where each relay stands now, and why one is not reached, in the order of `PeersConfig.relays`; empty before `start()`.
    public var relays: [RelayStatus] { client.relays().map(RelayStatus.init) }

    /// That, and each change of it; what lasted shorter than the loop looked away is not told. For any number of consumers. Ends
    /// at `shutdown()`, or when the task is cancelled.
    public var relayStatuses: PeersSequence<[RelayStatus], Never> {
        PeersSequence(
            now: { [client] in client.relays() }, after: { [client] in await client.relaysAfter(seen: $0, cancel: $1) },
            element: { $0.map(RelayStatus.init) })
    }

    /// What happens, also what happened since `start()` and was not taken: the library keeps a bounded number of events and
    /// counts the rest in `.missed`. For one consumer; with several each event goes to one of them. Ends at `shutdown()`, or
    /// when the task is cancelled.
    public var events: PeersSequence<PeerEvent, Never> {
        // One at a time: a loop that ends takes no more than it got.
        PeersSequence(take: { [client] in client.takeEvents(max: 1).first.map(PeerEvent.init) }) { [client] cancellation in
            if client.state() == .stopped { _ = await client.stateAfter(seen: .stopped, cancel: cancellation) }
            return try await client.eventsReady(cancel: cancellation)
        }
    }

    /// The library's log, as `PeersConfig.logLevel` asks, for the app's own log, where `PeersConfig.logSink` leaves it to the
    /// app. The library keeps a bounded number of records and counts the rest. For one consumer. Ends at `shutdown()`, or when the
    /// task is cancelled.
    public var logs: PeersSequence<LogRecord, Never> { client.logRecords }

    /// The last 2 000 records of the log, fewer if they are long, oldest first, for a report of a problem: a line each with its
    /// time in UTC, level, module and text. Ids, addresses, hosts and names are replaced by numbers. After `shutdown()` as well;
    /// empty without `PeersConfig.logLevel`.
    public var recentLog: String { client.recentLog() }

    /// This device. `PeersError.notStarted` before `start()`.
    public var deviceID: DeviceID {
        get throws { DeviceID(try translating { try client.deviceId() }) }
    }

    /// The address at which this device listens now; nil without `PeersConfig.listen`, and while the app is suspended.
    public var listening: String? { client.listening() }

    /// This device's user. `PeersError.notStarted` before `start()`.
    public var userID: UserID {
        get throws { UserID(try translating { try client.userId() }) }
    }

    /// Sessions that can be used now.
    public var sessions: [Session] { client.sessions().map(Session.init) }

    /// Reads or makes the keys and begins to connect; does not wait for the relay. May be called again when it failed, with
    /// `KeychainError` for example. From now on changes of the network and of the app's state are followed, as
    /// `PeersConfig.systemSources` asks.
    public func start() async throws {
        do {
            try await cancellable { try await client.start(cancel: $0) }
        } catch let error as PeersError {
            if case .identity = error, let reason = store?.keychainError { throw reason }
            throw error
        }
        shim.start()
    }

    /// The session with a device: the one there is, or a new one. Returns when it can be used. At a device that does not accept
    /// this one it knocks: `PeersError.unreachable` when that had no answer for half a minute.
    public func session(with device: DeviceID) async throws -> Session {
        Session(try await cancellable { try await client.session(device: device.text, cancel: $0) })
    }

    /// Sets how far a device is trusted. From `.known` on it is connected by itself whenever it can be reached and a person looks.
    /// With `PeersConfig.store` the level is on the disk when this returns, in some milliseconds.
    public func trust(_ device: DeviceID, _ level: TrustLevel = .trusted) throws {
        try translating { try client.trust(device: device.text, level: level.generated) }
    }

    /// A fact about the network, as often as the operating system has one; on iOS and macOS see `PeersConfig.systemSources`. The
    /// library acts when they have settled: paths have to
    /// prove themselves, and on another network everything is made anew. `PeersError.config` for an address that is none.
    public func networkChanged(_ snapshot: NetworkSnapshot) throws {
        try translating { try client.networkChanged(snapshot: snapshot.generated) }
    }

    /// The person's setting because of which there is no network now, for the app to point at. Nil where there is a network or
    /// another reason, and where `PeersConfig.systemSources` leaves the network to the app.
    public var networkDenial: NetworkDenial? { shim.denial }

    /// Whether a person looks at the app. Suspending says goodbye: peers keep their sessions for an hour, connections close; it
    /// returns when that is done, within two seconds. Coming back connects at once. What is sent meanwhile waits.
    public func setAppState(_ state: AppState) async throws {
        try await cancellable { try await client.setAppState(state: state.generated, cancel: $0) }
    }

    /// Says goodbye to peers and ends everything; returns when sessions, threads and sockets are gone. Any number of times.
    public func shutdown() async {
        shim.stop()
        await client.shutdown()
    }
}

extension PeersClient: SystemListener {
    // A client that ends meanwhile needs no reports: that is the only error there can be.
    func report(_ snapshot: NetworkSnapshot) {
        try? networkChanged(snapshot: snapshot.generated)
    }

    func report(_ state: AppState) async {
        try? await cancellable { try await setAppState(state: state.generated, cancel: $0) }
    }
}
