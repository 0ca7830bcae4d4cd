import Foundation
import XCTest

@testable import Peers

final class SessionTests: XCTestCase {
    // proves S117
    func testLoopsThatStopEarlyLeaveTheRestToTheNextOne() async throws {
        try await network { network in
            let pair = try await network.pair()
            for n in 0..<10 { try await pair.session.send("\(n)") }
            try await pair.session.drain()
            let first = try await pair.other.take(1).map { try $0.text }
            XCTAssertEqual(first, ["0"])
            let some = try await pair.other.take(3).map { try $0.text }
            XCTAssertEqual(some, ["1", "2", "3"])
            let rest = try await pair.other.take(6).map { try $0.text }
            XCTAssertEqual(rest, ["4", "5", "6", "7", "8", "9"])
        }
    }

    func testAWaitingLoopEndsWithItsTask() async throws {
        try await network { network in
            let pair = try await network.pair()
            let waiting = Task { try await pair.other.take(1) }
            await Task.yield()
            waiting.cancel()
            let error = try await within(.seconds(5), "the end of a loop") { await thrown { try await waiting.value } }
            XCTAssertTrue(error is CancellationError, "\(String(describing: error))")
            try await pair.session.send("later")
            let later = try await pair.other.take(1)[0].text
            XCTAssertEqual(later, "later")
        }
    }

    func testMessagesOfEverySizeArriveOnceAndInOrder() async throws {
        // Beyond what the fast lane takes, beyond its buffer, and all that is smaller.
        @Sendable func body(_ n: Int) -> Data {
            Data(repeating: UInt8(truncatingIfNeeded: n), count: n % 1000 == 1 ? 100_000 : n % 100 == 1 ? 5000 : n % 300)
        }
        try await network { network in
            let pair = try await network.pair()
            let sending = Task { for n in 0..<5000 { try await pair.session.send(body(n)) } }
            var messages = pair.other.messages.makeAsyncIterator()
            for n in 0..<5000 {
                let message = try await messages.next()
                XCTAssertEqual(message?.bytes, body(n), "message \(n)")
            }
            try await sending.value
        }
    }

    func testAStreamCarriesMoreThanItsReaderHasTaken() async throws {
        try await network { network in
            let pair = try await network.pair()
            let data = Data((0..<(8 << 20)).map { UInt8(truncatingIfNeeded: $0 / 251) })
            let writing = Task {
                let stream = try await pair.session.openStream("film")
                try await stream.write(data)
                try await stream.finish()
            }
            var streams = pair.other.streams.makeAsyncIterator()
            let arrived = try await streams.next()?.readAll()
            try await writing.value
            XCTAssertTrue(arrived == data)
        }
    }

    func testTheSameSessionIsEqualWhereverItComesFrom() async throws {
        try await network { network in
            let pair = try await network.pair()
            let again = try await pair.second.session(with: pair.other.device)
            XCTAssertEqual(again, pair.other)
            XCTAssertEqual(pair.second.sessions, [pair.other])
            XCTAssertNotEqual(pair.session, pair.other)
        }
    }

    func testStreamsCarryBytesBothWays() async throws {
        try await network { network in
            let pair = try await network.pair()
            let answering = Task {
                for try await stream in pair.other.streams {
                    XCTAssertEqual(stream.name, "photo")
                    try await stream.write(Data(try await stream.readAll().reversed()))
                    return try await stream.finish()
                }
            }
            let stream = try await pair.session.openStream("photo")
            try await stream.write(Data([1, 2]))
            try await stream.write(Data([3]))
            try await stream.finish()
            let answer = try await stream.readAll()
            XCTAssertEqual(answer, Data([3, 2, 1]))
            try await answering.value
        }
    }

    func testAResetStreamFailsAtItsReaderWithTheCode() async throws {
        try await network { network in
            let pair = try await network.pair()
            let stream = try await pair.session.openStream("photo")
            try await stream.write(Data([1]))
            var streams = pair.other.streams.makeAsyncIterator()
            let inbound = try await streams.next()
            let first = try await inbound?.read()
            XCTAssertEqual(first, Data([1]))
            stream.reset(code: 42)
            await XCTAssertThrown(.streamReset(code: 42)) { try await inbound?.read() }
        }
    }

    func testMoreThanAMessageMayHoldIsRefused() async throws {
        try await network { network in
            let pair = try await network.pair()
            await XCTAssertThrown(.tooLarge) { try await pair.session.send(Data(count: 5 << 20)) }
            try await pair.session.send("still there")
        }
    }

    func testAClosedSessionEndsItsMessages() async throws {
        try await network { network in
            let pair = try await network.pair()
            await pair.session.close()
            for try await _ in pair.session.messages { XCTFail("nothing was sent") }
            await XCTAssertThrown(.closed) { try await pair.session.send("too late") }
        }
    }

    // proves S011
    func testStreamsBelongToAGroupThatBothDevicesAreIn() async throws {
        try await network { network in
            let group = GroupID(String(repeating: "a", count: 32))
            let (session, other) = try await network.grouped(group, bothName: true)
            let stream = try await session.openStream("photo", group: group)
            try await stream.write(Data([1]))
            var streams = other.streams.makeAsyncIterator()
            let inbound = try await streams.next()
            XCTAssertEqual(inbound?.group, group)
            let read = try await inbound?.read()
            XCTAssertEqual(read, Data([1]))
            let stranger = GroupID(String(repeating: "b", count: 32))
            await XCTAssertThrown(.notInGroup) { try await session.openStream("photo", group: stranger) }
        }
    }

    // proves S129
    func testAGroupsDataStaysAwayFromADeviceThatIsNotNamedAsItsMember() async throws {
        try await network { network in
            let group = GroupID(String(repeating: "a", count: 32))
            let (session, other) = try await network.grouped(group, bothName: false)
            await XCTAssertThrown(.notInGroup) { try await other.openStream("photo", group: group) }
            let refused = try await session.openStream("for the group", group: group)
            await XCTAssertThrown(.streamReset(code: 1 << 32)) { try await refused.read() }
            try await session.openStream("for the device").write(Data([1]))
            var streams = other.streams.makeAsyncIterator()
            let first = try await streams.next()
            XCTAssertEqual(first?.name, "for the device")
        }
    }
}

extension Network {
    /// The sessions of two devices that carry `group`: the first names the second as a member, the second only if `bothName`.
    fileprivate func grouped(_ group: GroupID, bothName: Bool) async throws -> (session: Session, other: Session) {
        let (first, second) = (try keys(), try keys())
        let one = try await device {
            $0.identity = first.identity
            $0.groups = [group]
            $0.members[group] = [second.id]
            $0.trusted[second.id] = .trusted
        }
        let two = try await device {
            $0.identity = second.identity
            $0.groups = [group]
            if bothName { $0.members[group] = [first.id] }
            $0.trusted[first.id] = .trusted
        }
        return (try await one.session(with: second.id), try await two.session(with: first.id))
    }
}
