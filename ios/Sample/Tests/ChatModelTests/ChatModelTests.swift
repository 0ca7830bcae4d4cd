import Foundation
import Peers
import XCTest

@testable import ChatModel

/// The model with a real client and relay; the peer is a process in Rust that echoes, or another client.
final class ChatModelTests: XCTestCase {
    func testADeviceIsAddedByItsCodeAndTextsCrossBothWays() async throws {
        try await phones { network in
            let (phone, rust) = try await connected(network)
            await phone.model.send("grüezi", to: rust)
            await phone.model.send("and a second text", to: rust)
            let wanted: Set = ["> grüezi", "> and a second text", "< grüezi", "< and a second text"]
            try await phone.until("both texts and their echoes") { Set($0.lines(rust)) == wanted }
            XCTAssertEqual(phone.model.lines(rust).count, 4)
        }
    }

    func testThePathItsQualityAndTheRelaysAreShown() async throws {
        try await phones { network in
            let (phone, rust) = try await connected(network)
            try await phone.until("the direct path and its quality") { model in
                guard let path = model.connections[rust]?.path else { return false }
                return path.kind == .webrtc && path.rtt != nil && path.quality.level == .good
            }
            let path = try XCTUnwrap(phone.model.connections[rust]?.path)
            XCTAssertTrue(path.loss == 0 && !path.relayed, "\(path)")
            XCTAssertEqual(phone.model.client, .online)
            XCTAssertEqual(phone.model.relays.map(\.state), [.registered])
        }
    }

    func testATextThatWasWrittenWithoutANetworkIsDeliveredOnceItIsBack() async throws {
        try await phones { network in
            let (phone, rust, command) = try await connectedWithProcess(network)
            // The peer falls silent, as behind a network that is gone.
            command.signal(SIGSTOP)
            try phone.peers.networkChanged(NetworkSnapshot(online: false))
            await phone.model.send("from the tunnel", to: rust)
            try await phone.until("the doubt about the path") { !$0.isUsable(rust) }
            XCTAssertEqual(phone.model.lines(rust), ["… from the tunnel"])
            command.signal(SIGCONT)
            try phone.peers.networkChanged(wifi(8))
            try await phone.until("the delivery") { $0.lines(rust) == ["> from the tunnel", "< from the tunnel"] }
            try await phone.until("the relay") { $0.client == .online && $0.isUsable(rust) }
        }
    }

    func testATextThatWasWrittenWhileTheAppWasSuspendedIsDeliveredOnItsReturn() async throws {
        try await phones { network in
            let (phone, rust) = try await connected(network)
            try await phone.peers.setAppState(.suspended)
            try await phone.until("the suspension") { $0.client == .suspended && $0.connections[rust]?.status == .away }
            await phone.model.send("from the pocket", to: rust)
            XCTAssertEqual(phone.model.lines(rust), ["… from the pocket"])
            try await phone.peers.setAppState(.foreground)
            try await phone.until("the delivery") { $0.lines(rust) == ["> from the pocket", "< from the pocket"] }
            try await phone.until("the relay") { $0.client == .online }
        }
    }

    func testADeviceIsLetInWhenTheDigitsAreTheSameAndIsAContactThen() async throws {
        try await phones { network in
            let (first, second) = (try await Phone(network), try await Phone(network))
            let (firstCode, secondCode) = (try await first.code(), try await second.code())
            await first.model.add(secondCode.text)
            try await second.until("the knock") { !$0.requests.isEmpty }
            await second.model.accept(try XCTUnwrap(second.model.requests.first))
            try await second.until("the digits") { $0.requests.first?.digits != nil }
            let request = try XCTUnwrap(second.model.requests.first)
            try await first.until("the same digits") { $0.comparisons == [secondCode: request.digits ?? ""] }
            await second.model.accept(request)
            try await second.until("the contact") {
                $0.isUsable(firstCode) && $0.chats.isContact(firstCode) && $0.requests.isEmpty
            }
            try await first.until("the end of comparing") { $0.isUsable(secondCode) && $0.comparisons.isEmpty }
            await first.model.send("to the second", to: secondCode)
            await second.model.send("to the first", to: firstCode)
            try await first.until("the texts") { Set($0.lines(secondCode)) == ["> to the second", "< to the first"] }
            try await second.until("the texts") { Set($0.lines(firstCode)) == ["> to the first", "< to the second"] }
        }
    }

    func testADeviceThatIsRefusedAfterComparingIsDenied() async throws {
        try await phones { network in
            let (phone, stranger) = (try await Phone(network), try await Phone(network))
            let code = try await phone.code()
            _ = try await stranger.code()
            await stranger.model.add(code.text)
            try await phone.until("the knock") { !$0.requests.isEmpty }
            await phone.model.accept(try XCTUnwrap(phone.model.requests.first))
            try await phone.until("the digits") { $0.requests.first?.digits != nil }
            phone.model.refuse(try XCTUnwrap(phone.model.requests.first))
            try await stranger.until("the refusal") { $0.problems == [code: "denied"] && $0.comparisons.isEmpty }
            phone.hasNothing(of: try await stranger.code())
        }
    }

    func testAnUnknownDeviceThatIsRefusedGetsNoAnswer() async throws {
        try await phones { network in
            let phone = try await Phone(network)
            let (stranger, asking) = try await strangerAsks(phone, network)
            try await phone.until("the knock") { !$0.requests.isEmpty }
            phone.model.refuse(try XCTUnwrap(phone.model.requests.first))
            let error = await thrown { try await asking.value } as? PeersError
            XCTAssertEqual(error?.code, "unreachable")
            phone.hasNothing(of: stranger)
        }
    }

    func testATextThatIsSentAgainAfterARestartIsShownOnceAndOneWithoutAnIdEachTime() async throws {
        try await phones { network in
            let phone = try await Phone(network)
            let code = try await phone.code()
            let sender = try await network.device { $0.trusted[code] = .trusted }
            let senderCode = try sender.deviceID
            await phone.model.add(senderCode.text)
            let session = try await sender.session(with: code)
            for _ in 0..<2 { try await session.send(["id": "1", "text": "hello"]) }
            for _ in 0..<2 { try await session.send("no chat app") }
            try await phone.until("the texts") { $0.lines(senderCode) == ["< hello", "< no chat app", "< no chat app"] }
        }
    }

    func testAContactThatIsRemovedIsGoneAndItsSessionEnds() async throws {
        try await phones { network in
            let (phone, rust) = try await connected(network)
            await phone.model.send("hello", to: rust)
            try await phone.until("the delivery") { $0.lines(rust) == ["> hello", "< hello"] }
            await phone.model.remove(rust)
            try await phone.until("the end of the session") { $0.connections[rust] == nil }
            phone.hasNothing(of: rust)
        }
    }

    func testWhatIsNoCodeOfAnotherDeviceIsRefusedWithTheReason() async throws {
        try await phones { network in
            let phone = try await Phone(network)
            let own = try await phone.code().text
            for code in ["", "abc", own, String(repeating: "0", count: 32), own + "a"] {
                await phone.model.add(code)
                XCTAssertTrue(phone.model.problem?.contains("code") == true, code)
                phone.model.dismissProblem()
            }
            XCTAssertEqual(phone.model.chats, Chats())
        }
    }

    func testTheExportedLogTellsWhatHappenedWithoutIdsAndAddresses() async throws {
        try await phones { network in
            let (phone, rust) = try await connected(network)
            await phone.model.send("a secret text", to: rust)
            try await phone.until("the delivery") { $0.lines(rust).count == 2 }
            let log = phone.model.exportLog()
            XCTAssertTrue(log.contains("way connected device"), log)
            let own = try await phone.code().text
            for detail in [rust.text, own, "127.0.0.1", "a secret text"] { XCTAssertFalse(log.contains(detail), log) }
        }
    }
}

/// A phone and the device in Rust that it has added and reached.
@MainActor
private func connected(_ network: Network) async throws -> (Phone, DeviceID) {
    let (phone, rust, _) = try await connectedWithProcess(network)
    return (phone, rust)
}

@MainActor
private func connectedWithProcess(_ network: Network) async throws -> (Phone, DeviceID, Command) {
    let (command, rust) = try await network.rustProcess(temporaryFolder().appendingPathComponent("identity"))
    let phone = try await Phone(network)
    _ = try await phone.code()
    try phone.peers.networkChanged(wifi(7))
    await phone.model.add(" \(rust.text.uppercased())\n")
    try await phone.until("the session") { $0.isUsable(rust) }
    return (phone, rust, command)
}

/// A device that is no contact, and its wait for a session.
@MainActor
private func strangerAsks(_ phone: Phone, _ network: Network) async throws -> (DeviceID, Task<Session, any Error>) {
    let code = try await phone.code()
    let stranger = try await network.device { $0.trusted[code] = .trusted }
    return (try stranger.deviceID, Task { try await stranger.session(with: code) })
}

extension Phone {
    fileprivate func hasNothing(of device: DeviceID) {
        XCTAssertNil(model.connections[device])
        XCTAssertFalse(model.chats.isContact(device))
        XCTAssertTrue(model.requests.isEmpty)
        XCTAssertEqual(model.lines(device), [])
        XCTAssertNil(model.problem)
    }
}

private func wifi(_ last: Int) -> NetworkSnapshot {
    NetworkSnapshot(online: true, medium: .wifi, addresses: ["192.168.0.\(last)"])
}
