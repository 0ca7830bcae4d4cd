import Foundation
import XCTest

@testable import Peers

/// The shim for Apple's systems, without one.
final class SystemTests: XCTestCase {
    func testEachSequenceOfDailyLifeBecomesItsReports() {
        XCTAssertGreaterThanOrEqual(SystemSequence.all.count, 30)
        for sequence in SystemSequence.all {
            var reducer = SystemReducer()
            XCTAssertEqual(sequence.facts.flatMap { reducer.handle($0) }, sequence.reports, sequence.name)
        }
    }

    func testASettingThatKeepsTheAppFromTheNetworkIsTold() {
        let (core, phone) = (FakeCore(), FakePhone())
        let shim = SystemShim(phone.system, core: core)
        shim.start()
        XCTAssertNil(shim.denial)
        let answers: [(NetworkFacts.Status, NetworkDenial?)] = [
            (.unsatisfied(.cellularDenied), .cellular), (.unsatisfied(.wifiDenied), .wifi),
            (.unsatisfied(.localNetworkDenied), .localNetwork), (.unsatisfied(.notAvailable), nil), (.satisfied, nil),
        ]
        for (status, denial) in answers {
            phone.tell(.network(NetworkFacts(status: status, interfaces: [])))
            XCTAssertEqual(shim.denial, denial)
        }
    }

    func testTheAddressesOfThisMachineAreNumbersWithoutAZone() throws {
        let addresses = interfaceAddresses()
        let loopback = try XCTUnwrap(addresses["lo"])
        XCTAssertTrue(loopback.contains("127.0.0.1"), "\(loopback)")
        for address in addresses.values.joined() {
            XCTAssertTrue(address.allSatisfy { $0.isHexDigit || $0 == "." || $0 == ":" }, address)
        }
    }

    func testASuspendedCoreEndsTheTimeInTheBackground() async throws {
        let (core, phone) = (FakeCore(), FakePhone())
        let shim = SystemShim(phone.system, core: core)
        shim.start()
        phone.tell(.background)
        try await core.reached([.background])
        XCTAssertEqual(phone.asked, 1)
        XCTAssertTrue(phone.hasTime)
        phone.expire()
        try await core.reached([.background, .suspended])
        XCTAssertTrue(phone.hasTime, "the app stopped before the core had said goodbye")
        core.finish()
        try await phone.timeEnded()
        XCTAssertFalse(phone.hasTime)
        shim.stop()
    }

    func testAnAppThatComesBackGivesItsTimeBack() async throws {
        let (core, phone) = (FakeCore(), FakePhone())
        let shim = SystemShim(phone.system, core: core)
        shim.start()
        phone.tell(.background)
        try await core.reached([.background])
        phone.tell(.foreground)
        XCTAssertFalse(phone.hasTime)
        try await core.reached([.background, .foreground])
        shim.stop()
    }

    func testTimeAskedForWhileTheCoreSuspendsIsKept() async throws {
        let (core, phone) = (FakeCore(), FakePhone())
        let shim = SystemShim(phone.system, core: core)
        shim.start()
        phone.tell(.background)
        try await core.reached([.background])
        phone.expire()
        try await core.reached([.background, .suspended])
        phone.tell(.foreground)
        phone.tell(.background)
        core.finish()
        // The foreground was outdated before its turn.
        try await core.reached([.background, .suspended, .background])
        XCTAssertEqual(phone.asked, 2)
        XCTAssertTrue(phone.hasTime)
        shim.stop()
    }

    func testADroppedShimLetsGoOfEverything() async throws {
        let phone = FakePhone()
        let freed = AsyncStream.makeStream(of: Void.self)
        do {
            let core = FakeCore(freed: freed.continuation)
            let shim = SystemShim(phone.system, core: core)
            shim.start()
            phone.tell(.background)
            try await core.reached([.background])
            withExtendedLifetime(shim) {}
        }
        try await within(.seconds(5), "the core to be freed") { for await _ in freed.stream { return } }
        XCTAssertTrue(phone.stopped)
        XCTAssertFalse(phone.hasTime)
        phone.tell(.background)
        XCTAssertFalse(phone.hasTime)
    }

    func testNothingIsHeardBeforeTheStartNorAfterTheStop() {
        let (core, phone) = (FakeCore(), FakePhone())
        let shim = SystemShim(phone.system, core: core)
        XCTAssertFalse(phone.started)
        shim.stop()
        shim.start()
        XCTAssertFalse(phone.started)
    }
}

/// A core that is in a state when the test says so; all but suspension is at once.
private final class FakeCore: SystemListener {
    private let reached = Locked<[AppState]>([])
    private let changes = AsyncStream.makeStream(of: Void.self)
    private let suspension = AsyncStream.makeStream(of: Void.self)
    private let freed: AsyncStream<Void>.Continuation?

    init(freed: AsyncStream<Void>.Continuation? = nil) {
        self.freed = freed
    }

    deinit { freed?.yield() }

    func report(_ snapshot: NetworkSnapshot) {}

    func report(_ state: AppState) async {
        reached.withLock { $0.append(state) }
        changes.continuation.yield()
        if state == .suspended { for await _ in suspension.stream { break } }
    }

    /// Waits until the core was told these states.
    func reached(_ wanted: [AppState]) async throws {
        try await within(.seconds(10), "the core in the states \(wanted)") { [changes, reached] in
            for await _ in changes.stream where reached.withLock({ $0 }) == wanted { return }
        }
    }

    /// The suspension is done.
    func finish() { suspension.continuation.yield() }
}

/// A system whose facts the test tells.
final class FakePhone: FactSource, BackgroundTime {
    private struct State {
        var tell: (@Sendable (SystemFact) -> Void)?
        var stopped = false
        var asked = 0
        var expiring: (@Sendable () -> Void)?
    }

    private let state = Locked(State())
    private let ends = AsyncStream.makeStream(of: Void.self)

    var system: System { System(sources: [self], background: self) }

    var started: Bool { state.withLock { $0.tell != nil } }
    var stopped: Bool { state.withLock { $0.stopped } }
    var asked: Int { state.withLock { $0.asked } }
    var hasTime: Bool { state.withLock { $0.expiring != nil } }

    func start(_ tell: @escaping @Sendable (SystemFact) -> Void) { state.withLock { $0.tell = tell } }
    func stop() { state.withLock { $0.stopped = true } }

    func begin(_ expiring: @escaping @Sendable () -> Void) {
        state.withLock {
            $0.asked += 1
            $0.expiring = expiring
        }
    }

    func end() {
        if state.withLock({ state in
            defer { state.expiring = nil }
            return state.expiring != nil
        }) {
            ends.continuation.yield()
        }
    }

    func tell(_ fact: SystemFact) { state.withLock { $0.tell }?(fact) }
    func expire() { state.withLock { $0.expiring }?() }

    /// Waits until the time in the background was given back.
    func timeEnded() async throws {
        try await within(.seconds(10), "the end of the time in the background") { [ends] in
            for await _ in ends.stream { return }
        }
    }
}
