// readme:begin
import Foundation
import Peers

final class Chat: Sendable {
    let peers: Peers

    init(relay: URL, keys: URL) throws { peers = try Peers(PeersConfig(relay: relay, identity: .file(keys))) }

    func run(friends: Set<DeviceID>, show: @escaping @Sendable (DeviceID, String) -> Void) async throws {
        try await peers.start()                              // makes the keys on first run, connects in the background
        for await event in peers.events {                    // ends with peers.shutdown()
            if case .incoming(let request) = event, friends.contains(request.device) { try request.accept() }
            guard case .connected(let session, _) = event else { continue }
            Task { for try await message in session.messages { show(session.device, try message.text) } }
        }
    }

    func say(_ text: String, to device: DeviceID) async throws { try await peers.session(with: device).send(text) }
}
// readme:end

import XCTest

final class ReadmeTests: XCTestCase {
    // proves S120
    func testTheProgramInTheReadmeWorks() async throws {
        try await within(.seconds(60), "the end of the conversation") {
            let shown = Once<[String]>()
            let folder = temporaryFolder()
            let alice = try Chat(relay: Relay.url.get(), keys: folder.appendingPathComponent("a"))
            let bob = try Chat(relay: Relay.url.get(), keys: folder.appendingPathComponent("b"))
            let aliceRuns = Task { try await alice.run(friends: []) { _, _ in } }
            try await alice.peers.isOnline()
            let aliceID = try alice.peers.deviceID
            let bobRuns = Task {
                try await bob.run(friends: [aliceID]) { device, text in Task { await shown.set([device.text, text]) } }
            }
            try await bob.peers.isOnline()
            try alice.peers.trust(bob.peers.deviceID)
            try await alice.say("hello", to: bob.peers.deviceID)
            let seen = try await shown.get("a message")
            XCTAssertEqual(seen, [aliceID.text, "hello"])
            await alice.peers.shutdown()
            await bob.peers.shutdown()
            try await aliceRuns.value
            try await bobRuns.value
        }
    }
}
