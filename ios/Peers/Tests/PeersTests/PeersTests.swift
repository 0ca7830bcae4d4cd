import Foundation
import XCTest

@testable import Peers

final class PeersTests: XCTestCase {
    // proves S019 S055
    func testTheStateFollowsTheLifeOfTheClient() async throws {
        try await network { network in
            let device = try await network.stopped()
            XCTAssertEqual(device.state, .stopped)
            await XCTAssertThrown(.notStarted) { try device.deviceID }
            try await device.start()
            try await device.start()
            try await device.isOnline()
            XCTAssertEqual(device.state, .online)
            await device.shutdown()
            XCTAssertEqual(device.state, .closed)
            var states: [PeersState] = []
            for await state in device.states { states.append(state) }
            XCTAssertEqual(states, [.closed])
        }
    }

    // proves S145
    func testEverythingSaysClosedAfterShutdown() async throws {
        try await network { network in
            let pair = try await network.pair()
            let id = try pair.second.deviceID
            await pair.first.shutdown()
            await pair.first.shutdown()
            await XCTAssertThrown(.closed) { try await pair.first.start() }
            await XCTAssertThrown(.closed) { try await pair.first.session(with: id) }
            await XCTAssertThrown(.closed) { try await pair.session.call("any", "thing") }
            await XCTAssertThrown(.closed) { try await pair.session.send("anything") }
            await XCTAssertThrown(.closed) { try pair.first.deviceID }
            XCTAssertEqual(pair.first.sessions, [])
            for await _ in pair.first.events {}
        }
    }

    func testAClientThatWasNeverStartedCanBeShutDown() async throws {
        try await network { network in
            let device = try await network.stopped()
            await device.shutdown()
        }
    }

    func testEventsAndStatesEndWithTheirTask() async throws {
        try await network { network in
            for device in [try await network.device(), try await network.stopped()] {
                let watching = [Task { for await _ in device.events {} }, Task { for await _ in device.states {} }]
                await Task.yield()
                for task in watching {
                    task.cancel()
                    try await within(.seconds(5), "the end of a loop") { await task.value }
                }
            }
        }
    }

    func testSettingsThatCannotWorkAreNamed() async throws {
        try await network { network in
            let device = try await network.stopped { $0.relays = [] }
            let error = await thrown { try await device.start() } as? PeersError
            guard case .config(let text) = error else { return XCTFail("\(String(describing: error))") }
            XCTAssertTrue(text.contains("relay"), text)
        }
    }

    func testAFileKeepsTheIdentity() async throws {
        try await network { network in
            let path = temporaryFolder().appendingPathComponent("keys")
            let first = try await network.device { $0.identity = .file(path) }
            let id = try first.deviceID
            await first.shutdown()
            let again = try await network.device { $0.identity = .file(path) }
            XCTAssertEqual(try again.deviceID, id)
            let other = try await network.device()
            XCTAssertNotEqual(try other.deviceID, id)
        }
    }

    func testAStoreKeepsTheIdentityAndMayFail() async throws {
        try await network { network in
            let store = MemoryStore()
            store.set(broken: true)
            let device = try await network.stopped { $0.identity = .store(store) }
            let error = await thrown { try await device.start() } as? PeersError
            guard case .identity(let text) = error else { return XCTFail("\(String(describing: error))") }
            XCTAssertTrue(text.contains("Locked"), text)
            store.set(broken: false)
            try await device.start()
            let id = try device.deviceID
            await device.shutdown()
            XCTAssertEqual(try store.load()?.count, 64)
            let again = try await network.device { $0.identity = .store(store) }
            XCTAssertEqual(try again.deviceID, id)
        }
    }

    // proves S010 S127 D25
    func testAStrangerIsLetInByTheAppWhenBothHaveTheDigits() async throws {
        try await network { network in
            let host = try await network.device()
            let id = try host.deviceID
            let guest = try await network.device { $0.trusted[id] = .trusted }
            let dialing = Task { try await guest.session(with: id) }
            let knock = try await host.nextRequest()
            XCTAssertNil(knock.sas)
            try knock.accept()
            let request = try await host.nextRequest()
            XCTAssertEqual(request.device, try guest.deviceID)
            let digits = try await guest.digits(of: id)
            XCTAssertEqual(digits.count, 6)
            XCTAssertEqual(request.sas, digits)
            try request.accept()
            try await guest.event("the end of comparing") { if case .compared(id) = $0 { () } else { nil } }
            let session = try await dialing.value
            XCTAssertEqual(session.device, id)
        }
    }

    // proves S010 S080 S127 S191
    func testDevicesThatHaveMetFindEachOtherAgainAtAnAddressWithoutARelayAndWithoutAQuestion() async throws {
        try await network { network in
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("peers-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let kept: @Sendable (inout PeersConfig, String) -> Void = { config, name in
                config.identity = .file(folder.appendingPathComponent("\(name).key"))
                config.store = folder.appendingPathComponent("\(name).store")
            }
            let host = try await network.device { kept(&$0, "host") }
            let guest = try await network.device { kept(&$0, "guest") }
            let (hostID, guestID) = (try host.deviceID, try guest.deviceID)
            try host.trust(guestID)
            try guest.trust(hostID)
            try await guest.session(with: hostID).send("met")
            try await host.event("the session") { if case .connected = $0 { () } else { nil } }
            await host.shutdown()
            await guest.shutdown()

            let listens: @Sendable (inout PeersConfig) -> Void = { config in
                kept(&config, "host")
                config.relays = []
                config.listen = "127.0.0.1:0"
            }
            let listening = try await network.stopped(listens)
            try await listening.start()
            let url = try XCTUnwrap(URL(string: "ws://\(try XCTUnwrap(listening.listening))"))
            let dialing = try await network.stopped { config in
                kept(&config, "guest")
                config.relays = []
                config.addresses = [hostID: [url]]
            }
            try await dialing.start()
            let path = try await dialing.session(with: hostID).path
            XCTAssertEqual(path, .lan)
            try await listening.event("the session") { if case .connected = $0 { () } else { nil } }
            try listening.trust(guestID, .untrusted)
            try await dialing.event("the end") { if case .disconnected = $0 { () } else { nil } }
            await XCTAssertThrown(.store("the store is in use")) {
                try await network.stopped(listens).start()
            }
        }
    }

    // proves S010 S127
    func testAStrangerThatTheAppTurnsAwayGetsNoAnswer() async throws {
        try await network { network in
            let host = try await network.device()
            let id = try host.deviceID
            let guest = try await network.device { $0.trusted[id] = .trusted }
            let dialing = Task { try await guest.session(with: id) }
            let request = try await host.nextRequest()
            XCTAssertEqual(request.device, try guest.deviceID)
            XCTAssertNil(request.sas)
            request.reject()
            let waited = await thrown { try await within(.milliseconds(700), "an answer") { await dialing.result } }
            XCTAssertTrue(waited is DeadlinePassed, "\(String(describing: waited))")
            dialing.cancel()
            _ = try await within(.seconds(10), "the end of a dial") { await dialing.result }
            XCTAssertEqual(host.sessions, [])
        }
    }

    // proves S010 S127
    func testAnOpenDeviceTellsAStrangerThatItIsTurnedAway() async throws {
        try await network { network in
            let host = try await network.device { $0.open = true }
            let id = try host.deviceID
            let guest = try await network.device { $0.trusted[id] = .trusted }
            let dialing = Task { try await guest.session(with: id) }
            let request = try await host.nextRequest()
            XCTAssertEqual(request.device, try guest.deviceID)
            let digits = try await guest.digits(of: id)
            XCTAssertEqual(digits.count, 6)
            XCTAssertEqual(request.sas, digits)
            request.reject()
            try await guest.event("the end of comparing") { if case .compared(id) = $0 { () } else { nil } }
            await XCTAssertThrown(.denied) { try await dialing.value }
            XCTAssertEqual(host.sessions, [])
        }
    }

    // proves S010
    func testAPolicyJudgesStrangers() async throws {
        try await network { network in
            let guest = try await network.device()
            let known = try guest.deviceID
            let host = try await network.device { $0.trustPolicy = { device, _ in device == known ? .known : nil } }
            try guest.trust(host.deviceID)
            let session = try await guest.session(with: host.deviceID)
            XCTAssertEqual(session.device, try host.deviceID)
        }
    }

    func testARelayWithTokensAdmitsDevicesThatBringOne() async throws {
        try await network { network in
            let url = try await network.relay("access.rule=token", "access.tokens=first,second")
            let admitted = try await network.stopped(at: url, token: "second")
            try await admitted.start()
            try await admitted.isOnline()
            for token in [nil, "third"] {
                let refused = try await network.stopped(at: url, token: token)
                try await refused.start()
                try await refused.becomes(.notAdmitted)
            }
        }
    }

    func testARelayThatIsNotReachedSaysWhy() async throws {
        try await network { network in
            let url = try XCTUnwrap(URL(string: "ws://no-such-host.invalid"))
            let device = try await network.stopped(at: url)
            XCTAssertEqual(device.relays, [])
            try await device.start()
            var problem: RelayProblem?
            for await relays in device.relayStatuses {
                problem = relays.first?.problem
                if problem != nil { break }
            }
            XCTAssertEqual(problem?.code, "not-found")
            let reason = try XCTUnwrap(problem?.reason)
            XCTAssertTrue(reason.contains("host was not found"), reason)
            let other = try await network.device().deviceID
            let error = await thrown { try await device.session(with: other) } as? PeersError
            guard case .offline(let text) = error else { return XCTFail("\(String(describing: error))") }
            XCTAssertTrue(text.contains(reason), text)
            await device.shutdown()
            XCTAssertEqual(device.relays.map(\.state), [.stopped])
            for await _ in device.relayStatuses {}
        }
    }

    func testAuthoritiesAndPinsReachTheLibrary() async throws {
        try await network { network in
            for (wrong, named) in [(Data("?".utf8), ""), (Data(), "beef")] {
                let device = try await network.stopped {
                    if named.isEmpty { $0.relays[0].authorities = [wrong] } else { $0.relays[0].pins = [named] }
                }
                let error = await thrown { try await device.start() } as? PeersError
                guard case .config(let text) = error else { return XCTFail("\(String(describing: error))") }
                XCTAssertTrue(text.contains(named.isEmpty ? "authority" : "pin"), text)
            }
        }
    }

    func testARelaysTokenIsNotShown() throws {
        let url = try XCTUnwrap(URL(string: "wss://relay.example.com"))
        let config = PeersConfig(relay: url, token: "hush", identity: .temporary)
        var dumped = ""
        dump(config, to: &dumped)
        for shown in [dumped, "\(config)", String(reflecting: config)] {
            XCTAssertTrue(shown.contains("relay.example.com") && !shown.contains("hush"), shown)
        }
    }

    func testASessionUsesOnlyWhatWasChosen() async throws {
        try await network { network in
            for only in [PathKind.relay, .webrtc] {
                let first = try await network.device { $0.transports = [only] }
                let firstID = try first.deviceID
                let second = try await network.device {
                    $0.transports = [only]
                    $0.trusted[firstID] = .trusted
                }
                let session = try await first.session(with: second.deviceID)
                try await session.send("hello")
                try await session.drain()
                XCTAssertEqual(session.path, only)
            }
            let bad = try await network.stopped { $0.transports = [.custom] }
            let error = await thrown { try await bad.start() }
            guard case .config(let reason) = error as? PeersError else { return XCTFail("\(String(describing: error))") }
            XCTAssertTrue(reason.contains("transports"), reason)
        }
    }

    // proves S093
    func testASessionStaysOnTheKindOfPathThatIsPreferred() async throws {
        try await network { network in
            let pair = try await network.pair({ $0.prefer = [.relay] }, { $0.prefer = [.relay] })
            try await pair.session.send("hello")
            try await pair.session.drain()
            XCTAssertEqual(pair.session.path, .relay)
            await pair.first.shutdown()
            for await event in pair.first.events {
                if case .pathChanged(_, let path?) = event { XCTAssertEqual(path, .relay) }
            }
        }
    }

    func testAMalformedIdIsNamed() async throws {
        try await network { network in
            let error = await thrown { _ = try await network.stopped { $0.trusted[DeviceID("nobody")] = .known } }
            guard case .config(let reason) = error as? PeersError else { return XCTFail("\(String(describing: error))") }
            XCTAssertTrue(reason.contains("device id"), reason)
        }
    }

    func testASessionWaitsForAPathAsLongAsIsSet() async throws {
        try await network { network in
            let (session, device) = try await network.rustPeer { $0.resumeWindow = .seconds(1) }
            await network.endCommands()
            for await event in device.events {
                guard case .disconnected(let ended, let reason) = event else { continue }
                XCTAssertEqual(ended, session)
                XCTAssertEqual(reason, .noPath)
                break
            }
        }
    }

    func testAnAddressThatLeadsNowhereIsNamed() async throws {
        try await network { network in
            let id = try await network.device().deviceID
            for (text, works) in [("http://192.168.0.7", false), ("ws://192.168.0.7:7000", true)] {
                let url = try XCTUnwrap(URL(string: text))
                let device = try await network.stopped { $0.addresses[id] = [url] }
                if works {
                    try await device.start()
                } else {
                    let error = await thrown { try await device.start() }
                    guard case .config(let reason) = error as? PeersError else { return XCTFail("\(String(describing: error))") }
                    XCTAssertTrue(reason.contains("address"), reason)
                }
            }
        }
    }

    func testAUserHasSeveralDevices() async throws {
        try await network { network in
            let (first, second) = (MemoryStore(), MemoryStore())
            let here = try await network.device { $0.identity = .store(first) }
            let secret = try XCTUnwrap(first.load())
            try second.store(Identity.anotherDevice(of: secret))
            let there = try await network.device { $0.identity = .store(second) }
            XCTAssertEqual(try here.userID, try there.userID)
            XCTAssertNotEqual(try here.deviceID, try there.deviceID)
            let error = await thrown { try Identity.anotherDevice(of: Data(count: 63)) }
            guard case .identity = error as? PeersError else { return XCTFail("\(String(describing: error))") }
        }
    }

    func testTheLibrarysLogReachesTheAppOnceAskedFor() async throws {
        try await network { network in
            let talkative = try await network.device { $0.logLevel = .debug }
            let id = try talkative.deviceID
            let silent = try await network.device { $0.trusted[id] = .trusted }
            let session = try await talkative.session(with: silent.deviceID)
            try await session.send("the password is swordfish")
            await session.close()
            await talkative.shutdown()
            await silent.shutdown()
            var records: [LogRecord] = []
            for await record in talkative.logs { records.append(record) }
            XCTAssertTrue(records.contains { $0.level == .info && $0.text.hasPrefix("session ended") }, "\(records)")
            XCTAssertFalse(records.contains { $0.text.contains("swordfish") || $0.text.contains("127.0.0.1") }, "\(records)")
            for await record in silent.logs { XCTFail("\(record)") }
        }
    }
}

private final class MemoryStore: SecretStore, @unchecked Sendable {
    private struct Locked: Error {}
    private let lock = NSLock()
    private var secret: Data?
    private var broken = false

    func set(broken: Bool) {
        lock.withLock { self.broken = broken }
    }

    func load() throws -> Data? {
        try lock.withLock {
            if broken { throw Locked() }
            return secret
        }
    }

    func store(_ secret: Data) throws {
        lock.withLock { self.secret = secret }
    }
}
