import Foundation
import XCTest

@testable import Peers

/// Daily life of a phone with a real core, relay and peer under it.
final class SystemSessionTests: XCTestCase {
    // proves S109 S159
    func testASessionSurvivesEachSequenceAndLosesAndRepeatsNothing() async throws {
        for sequence in SystemSequence.all where sequence.isLastedThrough {
            try await survives(sequence)
        }
    }

    /// A peer in Rust echoes numbered messages: one before each fact, one after the last, one once the core has acted on them.
    private func survives(_ sequence: SystemSequence) async throws {
        do {
            try await network { network in
                let phone = FakePhone()
                let (_, id) = try await network.rustProcess(temporaryFolder().appendingPathComponent("identity"))
                let device = try await network.stopped(system: phone.system) { $0.trusted[id] = .trusted }
                try await device.start()
                let session = try await device.session(with: id)
                var reducer = SystemReducer()
                for (number, fact) in sequence.facts.enumerated() {
                    try await session.send(.integer(Int64(number)))
                    phone.tell(fact)
                    if reducer.handle(fact).contains(.app(.suspended)) { try await device.becomes(.suspended) }
                }
                let last = sequence.facts.count + 1
                try await session.send(.integer(Int64(last - 1)))
                if sequence.changesNetwork { try await device.verifies(session) }
                try await session.send(.integer(Int64(last)))
                let echoed = try await session.take(last + 1).map { try $0.value }
                XCTAssertEqual(echoed, (0...last).map { .integer(Int64($0)) }, sequence.name)
                XCTAssertFalse(session.hasEnded, sequence.name)
            }
        } catch {
            XCTFail("\(sequence.name): \(error)")
        }
    }
}

extension Peers {
    /// Waits until a session's paths were doubted and have proved themselves.
    fileprivate func verifies(_ session: Session) async throws {
        for status in [SessionStatus.verifying, .usable] {
            try await event("\(status) paths") { if case .statusChanged(session, status) = $0 { () } else { nil } }
        }
    }
}

extension SystemSequence {
    private var networks: [NetworkSnapshot] { reports.compactMap { if case .network(let it) = $0 { it } else { nil } } }
    private var apps: [AppState] { reports.compactMap { if case .app(let it) = $0 { it } else { nil } } }

    /// Ends with a network and in the foreground, where messages come through.
    fileprivate var isLastedThrough: Bool {
        networks.last?.online != false && apps.last ?? .foreground == .foreground && !reports.isEmpty
    }

    /// The last network is another one than the first, which the core began on. After suspension it doubts paths anyway.
    fileprivate var changesNetwork: Bool {
        guard let first = networks.first(where: \.online), let last = networks.last else { return false }
        return !apps.contains(.suspended) && (first.medium, first.addresses) != (last.medium, last.addresses)
    }
}
