import Foundation
import Observation
import XCTest

@testable import Peers

/// The programs of core/docs/guide, run as a reader runs them.
final class GuideTests: XCTestCase {
    func testTheQuickStartLetsADeviceInAndShowsWhatItSays() async throws {
        try await within(.seconds(60), "the quick start") { try await introduce() }
    }

    func testWhatReplacesSimplePeerIsAnswered() async throws {
        try await network { network in
            let (identity, id) = try await network.keys()
            guard case .file(let keys) = identity else { return XCTFail("\(identity)") }
            let other = try await network.device { $0.trusted[id] = .trusted }
            let (shown, show) = AsyncStream<String>.makeStream()
            let runs = Task { try await simplePeer(Relay.url.get(), keys, other.deviceID) { show.yield($0) } }
            for await event in other.events {
                guard case .connected(let session, _) = event else { continue }
                let heard = try await session.take(1)[0].text
                try await session.send("heard: \(heard)")
                let first = await shown.first { _ in true }
                XCTAssertEqual(first, "heard: hello")
                await session.close()
                break
            }
            try await runs.value
        }
    }

    func testWhatReplacesPeerJSShowsWhatAnotherDeviceSays() async throws {
        try await within(.seconds(60), "what PeerJS did") {
            let (shown, show) = AsyncStream<String>.makeStream()
            let alice = try Talk(relay: Relay.url.get(), keys: temporaryFolder().appendingPathComponent("keys")) { _ in }
            let bob = try Talk(relay: Relay.url.get(), keys: temporaryFolder().appendingPathComponent("keys")) { show.yield($0) }
            let runs = [alice, bob].map { talk in Task { try await talk.run() } }
            for talk in [alice, bob] { try await talk.peers.isOnline() }
            try await alice.say("hello", to: bob.peers.deviceID)
            var seen: [String] = []
            for await text in shown {
                seen.append(text)
                if seen.count == 2 { break }
            }
            XCTAssertEqual(seen, ["this is \(try bob.peers.deviceID)", "hello"])
            for talk in [alice, bob] { await talk.peers.shutdown() }
            for run in runs { try await run.value }
        }
    }
}

@MainActor
private func introduce() async throws {
    let alice = try ChatModel(config())
    let bob = try ChatModel(config())
    let runs = [alice, bob].map { model in Task { await model.run() } }
    for model in [alice, bob] { await until { model.lines.contains("online") } }
    let bobID = try XCTUnwrap(bob.lines.first?.split(separator: " ").last)

    let said = Task { await alice.say("hello", to: "\(bobID) ") }
    await until { bob.asking != nil }
    XCTAssertNil(bob.asking?.sas)
    bob.accept()
    await until { bob.asking?.sas != nil }
    let sas = try XCTUnwrap(bob.asking?.sas)
    await until { alice.lines.contains("compare: \(sas)") }
    bob.accept()
    await said.value
    await until { bob.lines.contains("heard: hello") }

    await alice.stop()
    await until { bob.lines.contains { $0.hasPrefix("ended: ") } }
    await bob.say("still there?", to: "no device")
    XCTAssertTrue(bob.lines.contains { $0.hasPrefix("not sent: config") }, "\(bob.lines)")
    await bob.stop()
    for run in runs { await run.value }
    await bob.run()
    XCTAssertEqual(bob.lines.last, "not started: closed")
}

private func config() throws -> PeersConfig {
    var config = PeersConfig(relay: try Relay.url.get(), identity: .temporary)
    config.loopback = true
    return config
}

private func simplePeer(
    _ relay: URL, _ keys: URL, _ other: DeviceID, _ show: @Sendable (String) -> Void
) async throws {
    // guide:begin simple-peer
    var config = PeersConfig(relay: relay, identity: .file(keys))   // on iOS: .keychain(service: "com.example.app")
    config.trusted[other] = .trusted
    let peers = try Peers(config)
    try await peers.start()
    let session = try await peers.session(with: other)              // returns when the device is reached
    try await session.send("hello")
    for try await message in session.messages { show(try message.text) }    // until one of the two closes
    await peers.shutdown()
    // guide:end
}

// guide:begin peerjs
final class Talk: Sendable {
    let peers: Peers
    let show: @Sendable (String) -> Void

    init(relay: URL, keys: URL, show: @escaping @Sendable (String) -> Void) throws {
        peers = try Peers(PeersConfig(relay: relay, identity: .file(keys)))
        self.show = show
    }

    func run() async throws {
        try await peers.start()
        show("this is \(try peers.deviceID)")
        for await event in peers.events {
            if case .incoming(let request) = event { try? request.accept() }    // an app asks the person first
            guard case .connected(let session, _) = event else { continue }
            Task {
                for try await message in session.messages { if case .text(let text) = try message.value["text"] { show(text) } }
            }
        }
    }

    func say(_ text: String, to device: DeviceID) async throws {
        try await peers.session(with: device).send(.object(["text": .text(text), "at": .decimal(Date.now.timeIntervalSince1970)]))
    }
}
// guide:end

/// Waits for a change that makes it true; ends early when the task is cancelled.
@MainActor
private func until(_ isTrue: () -> Bool) async {
    while !Task.isCancelled {
        let (changes, continuation) = AsyncStream<Void>.makeStream()
        if withObservationTracking(isTrue, onChange: { continuation.yield() }) { return }
        for await _ in changes { break }
    }
}
