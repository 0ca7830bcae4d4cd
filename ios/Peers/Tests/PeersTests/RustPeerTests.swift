import Foundation
import XCTest

@testable import Peers

/// Swift here, Rust in another process, a relay in a third.
final class RustPeerTests: XCTestCase {
    // proves S081 S104 S119 S121 S122 S123 S140 S141 S150 S153 S156
    func testObjectsCrossBothWaysOverWebRTC() async throws {
        try await network { network in
            let (session, _) = try await network.rustPeer()
            let sent: Value = ["text": "grüezi", "count": 3, "list": [true, nil, 1.5], "raw": .bytes(Data([1, 2]))]
            try await session.send(sent)
            let echoed = try await session.take(1)[0].value
            XCTAssertEqual(echoed, sent)
            try await session.send("and a text")
            let text = try await session.take(1)[0].text
            XCTAssertEqual(text, "and a text")
        }
    }

    // proves S012 S117
    func testAThousandMessagesComeBackOnceAndInOrder() async throws {
        try await network { network in
            let (session, _) = try await network.rustPeer()
            async let sending: Void = { for n in 0..<1000 { try await session.send(.integer(Int64(n))) } }()
            let echoed = try await session.take(1000).map { try $0.value }
            try await sending
            XCTAssertEqual(echoed, (0..<1000).map { .integer($0) })
        }
    }

    // proves S013 S116
    func testALargeObjectCrosses() async throws {
        try await network { network in
            let (session, _) = try await network.rustPeer()
            let sent: Value = ["text": .text(String(repeating: "all work and no play ", count: 100_000))]
            try await session.send(sent)
            let echoed = try await session.take(1)[0].value
            XCTAssertEqual(echoed, sent)
        }
    }

    func testFiftyCallsAtOnceGetTheirOwnAnswers() async throws {
        try await network { network in
            let (session, _) = try await network.rustPeer()
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for n in 0..<50 {
                    group.addTask {
                        let body = Data("call \(n)".utf8)
                        return try await session.call("echo", "echo", body) == body
                    }
                }
                for try await own in group { XCTAssertTrue(own) }
            }
        }
    }

    // proves S014 S117
    func test64MiBArriveWholeAndTheWriterSeesProgress() async throws {
        try await network { network in
            let (session, _) = try await network.rustPeer()
            let stream = try await session.openStream("file")
            let chunk = Data((0..<64 * 1024).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 8) })
            var progress = 0
            for _ in 0..<1024 {
                try await stream.write(chunk)
                progress += chunk.count
            }
            try await stream.finish()
            XCTAssertEqual(progress, 64 << 20)
            let answer = try await stream.readAll()
            let count = answer.prefix(8).reduce(0) { $0 << 8 | Int($1) }
            XCTAssertEqual(count, progress)
            XCTAssertEqual(Data(answer.dropFirst(8)), try SHA256.hash(chunk, times: 1024))
        }
    }

    // proves S039
    func testACallWithoutAnAnswerInTimeFailsAndTheSessionGoesOn() async throws {
        try await network { network in
            let (session, _) = try await network.rustPeer()
            await XCTAssertThrown(.timedOut) {
                try await session.call("echo", "sleep", sleepFor(30_000), timeout: .milliseconds(200))
            }
            let answer = try await session.call("echo", "echo", Data([7]))
            XCTAssertEqual(answer, Data([7]))
        }
    }

    func testACallToAnUnknownServiceFailsWithTheReason() async throws {
        try await network { network in
            let (session, _) = try await network.rustPeer()
            let error = await thrown { try await session.call("nobody", "knows") } as? PeersError
            guard case .callFailed(.notFound, _) = error else { return XCTFail("\(String(describing: error))") }
            XCTAssertEqual(error?.code, "call-failed")
        }
    }

    func testACancelledCallReturnsAtOnce() async throws {
        try await network { network in
            let (session, _) = try await network.rustPeer()
            let call = Task { try await session.call("echo", "sleep", sleepFor(30_000)) }
            await Task.yield()
            call.cancel()
            let error = try await within(.seconds(5), "the end of a call") { await thrown { try await call.value } }
            XCTAssertTrue(error is CancellationError, "\(String(describing: error))")
            let answer = try await session.call("echo", "echo", Data([7]))
            XCTAssertEqual(answer, Data([7]))
        }
    }

    // proves S019 S076
    func testAPeerThatWasKilledAndStartedAgainHasAnotherSession() async throws {
        try await network { network in
            let keys = temporaryFolder().appendingPathComponent("identity")
            let (command, id) = try await network.rustProcess(keys)
            let device = try await network.device { $0.trusted[id] = .trusted }
            let first = try await device.session(with: id)
            command.end()
            _ = try await network.rustProcess(keys, trust: device.deviceID.text)
            var told: [(session: Session, left: EndReason?)] = []
            for await event in device.events {
                guard let about = event.session else { continue }
                if case .disconnected(_, let reason) = event { told.append((about, reason)) } else { told.append((about, nil)) }
                if case .connected = event, about != first { break }
            }
            let second = try XCTUnwrap(told.popLast()).session
            XCTAssertTrue(told.allSatisfy { $0.session == first })
            XCTAssertEqual(told.compactMap(\.left), [.peerRestarted])
            XCTAssertTrue(second != first && second.device == id && first.hasEnded && !second.hasEnded)
            let answer = try await second.call("echo", "echo", Data([7]))
            XCTAssertEqual(answer, Data([7]))
            await device.shutdown()
            for await event in device.events {
                if let about = event.session { XCTAssertEqual(about.device, id); XCTAssertTrue(about == second) }
            }
        }
    }

    // proves S145 S147
    func testShutdownEndsAPendingCall() async throws {
        try await network { network in
            let (session, device) = try await network.rustPeer()
            let call = Task { try await session.call("echo", "sleep", sleepFor(30_000)) }
            await Task.yield()
            await device.shutdown()
            let error = try await within(.seconds(10), "the end of a call") { await thrown { try await call.value } }
            XCTAssertTrue(error is PeersError, "\(String(describing: error))")
            await XCTAssertThrown(.closed) { try await session.call("echo", "echo") }
        }
    }
}

private func sleepFor(_ milliseconds: UInt32) -> Data {
    withUnsafeBytes(of: milliseconds.bigEndian) { Data($0) }
}
