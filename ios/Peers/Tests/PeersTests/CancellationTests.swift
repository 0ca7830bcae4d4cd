import Foundation
import XCTest

@testable import Peers

/// Tasks that are cancelled while they wait, and what is left of their session.
final class CancellationTests: XCTestCase {
    func testACancelledSendSendsNothing() async throws {
        try await network { network in
            let pair = try await network.pair()
            let sent = Locked(0)
            let begun = Once<Bool>()
            // Nothing is taken at the other end, whose queues hold less than this.
            let sending = Task {
                for number in 0..<16 {
                    try await pair.session.send(large(number))
                    sent.withLock { $0 += 1 }
                    await begun.set(true)
                }
            }
            _ = try await begun.get("the first message")
            sending.cancel()
            try await isCancelled(sending)
            let count = sent.withLock { $0 }
            async let marker: Void = pair.session.send("next")
            let messages = try await pair.other.take(count + 1)
            try await marker
            for number in 0..<count { XCTAssertTrue(messages[number].bytes == large(number), "message \(number)") }
            XCTAssertEqual(try messages[count].text, "next")
        }
    }

    func testACancelledWriteEndsAndItsStreamCanBeReset() async throws {
        try await network { network in
            let pair = try await network.pair()
            let stream = try await pair.session.openStream("film")
            let writing = Task { try await stream.write(Data(count: 64 << 20)) }
            var streams = pair.other.streams.makeAsyncIterator()
            let inbound = try await streams.next()
            let first = try await inbound?.read()
            XCTAssertNotNil(first)
            writing.cancel()
            try await isCancelled(writing)
            stream.reset(code: 7)
            await XCTAssertThrown(.streamReset(code: 7)) { while try await inbound?.read() != nil {} }
            try await works(pair)
        }
    }

    func testACancelledReadLosesNothing() async throws {
        try await network { network in
            let pair = try await network.pair()
            let (stream, inbound) = try await streams(pair)
            for number in UInt8(2)..<10 {
                let reading = Task { try await inbound.read() }
                await Task.yield()
                reading.cancel()
                try await isCancelled(reading)
                try await stream.write(Data([number]))
                let read = try await inbound.read()
                XCTAssertEqual(read, Data([number]))
            }
            try await works(pair)
        }
    }

    func testCancelledCallsMakeRoomForOthers() async throws {
        try await network { network in
            let pair = try await network.pair {
                $0.handlers["patient"] = { _ in
                    try await Task.sleep(for: .seconds(3600))
                    return Data()
                }
                $0.handlers["echo"] = { $0.body }
            }
            // More than may wait at a time.
            for _ in 0..<300 {
                let calling = Task { try await pair.session.call("patient", "call") }
                await Task.yield()
                calling.cancel()
                try await isCancelled(calling)
            }
            let answer = try await pair.session.call("echo", "echo", Data([1]))
            XCTAssertEqual(answer, Data([1]))
            try await works(pair)
        }
    }

    func testAWriteOfNothingSendsNothingAndIsNoError() async throws {
        try await network { network in
            let pair = try await network.pair()
            let (stream, inbound) = try await streams(pair)
            try await stream.write(Data())
            try await stream.write(Data([2]))
            let read = try await inbound.read()
            XCTAssertEqual(read, Data([2]))
            try await stream.write(Data())
            try await stream.finish()
            let end = try await inbound.read()
            XCTAssertNil(end)
        }
    }

    func testTheMainActorAndAnotherActorShareASession() async throws {
        try await network { network in
            let pair = try await network.pair { $0.handlers["echo"] = { $0.body } }
            let screen = await Screen(pair.other)
            let worker = Worker(pair.session)
            async let shown = screen.show(3)
            for number in 0..<3 { try await worker.say("\(number)") }
            let texts = try await shown
            XCTAssertEqual(texts, ["0", "1", "2"])
            let echo = try await worker.echo(Data([1]))
            XCTAssertEqual(echo, Data([1]))
        }
    }
}

/// A view model, as Swift 6 wants it.
@MainActor
private final class Screen {
    private let session: Session
    private var texts: [String] = []

    init(_ session: Session) {
        self.session = session
    }

    func show(_ count: Int) async throws -> [String] {
        for try await message in session.messages {
            MainActor.preconditionIsolated()
            texts.append(try message.text)
            if texts.count == count { break }
        }
        return texts
    }
}

private actor Worker {
    private let session: Session

    init(_ session: Session) {
        self.session = session
    }

    func say(_ text: String) async throws { try await session.send(text) }

    func echo(_ data: Data) async throws -> Data { try await session.call("echo", "echo", data) }
}

/// Four megabytes that do not get smaller.
private func large(_ number: Int) -> Data {
    var state = UInt64(number + 1)
    var data = Data(capacity: 4_000_000)
    for _ in 0..<500_000 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        withUnsafeBytes(of: state) { data.append(contentsOf: $0) }
    }
    return data
}

/// A stream that has carried one byte, at both ends.
private func streams(_ pair: Pair) async throws -> (stream: PeerStream, inbound: PeerStream) {
    let stream = try await pair.session.openStream("file")
    try await stream.write(Data([1]))
    var streams = pair.other.streams.makeAsyncIterator()
    let next = try await streams.next()
    let inbound = try XCTUnwrap(next)
    let first = try await inbound.read()
    XCTAssertEqual(first, Data([1]))
    return (stream, inbound)
}

private func works(_ pair: Pair) async throws {
    try await pair.session.send("still there")
    let text = try await pair.other.take(1)[0].text
    XCTAssertEqual(text, "still there")
}

private func isCancelled<T: Sendable>(_ task: Task<T, any Error>) async throws {
    let error = try await within(.seconds(10), "the end of a cancelled task") { await thrown { try await task.value } }
    XCTAssertTrue(error is CancellationError, "\(String(describing: error))")
}
