import Foundation
import XCTest

import Peers

// readme:begin
actor Chat {
    private let peers: Peers
    private let show: @Sendable (DeviceID, String) -> Void
    nonisolated var states: PeersStates { peers.states }                        // .stopped, .connecting, .online, …

    init(relay: URL, keys: URL, show: @escaping @Sendable (DeviceID, String) -> Void) throws {
        peers = try Peers(PeersConfig(relay: relay, identity: .file(keys)))     // nothing connects yet
        self.show = show
    }

    func start() async throws -> DeviceID {
        try await peers.start()                                                 // keys are made on first run
        return try peers.deviceID
    }

    func run(friends: Set<DeviceID>) async throws {
        for await event in peers.events {                                       // ends at shutdown() or with its task
            switch event {
            case .incoming(let request) where friends.contains(request.device): try request.accept()
            case .incoming(let request): request.reject()
            case .connected(let session, _): Task { try await read(session) }
            default: break                                                      // .state, .pathChanged, .disconnected, …
            }
        }
    }

    private func read(_ session: Session) async throws {
        for try await message in session.messages { show(session.device, try message.text) }
    }

    func befriend(_ device: DeviceID) throws { try peers.trust(device) }
    func say(_ text: String, to device: DeviceID) async throws { try await peers.session(with: device).send(text) }
    func stop() async { await peers.shutdown() }
}
// readme:end

final class ReadmeTests: XCTestCase {
    // proves S120
    func testTheProgramInTheReadmeWorks() async throws {
        let shown = Once<[String]>()
        let folder = temporaryFolder()
        let alice = try Chat(relay: Relay.url.get(), keys: folder.appendingPathComponent("a")) { _, _ in }
        let bob = try Chat(relay: Relay.url.get(), keys: folder.appendingPathComponent("b")) { device, text in
            Task { await shown.set([device.text, text]) }
        }
        let (aliceID, bobID) = (try await alice.start(), try await bob.start())
        let running = Task { try await bob.run(friends: [aliceID]) }
        for await state in bob.states where state == .online { break }
        try await alice.befriend(bobID)
        try await alice.say("hello", to: bobID)
        let seen = await shown.get()
        XCTAssertEqual(seen, [aliceID.text, "hello"])
        await alice.stop()
        await bob.stop()
        try await running.value
    }
}
