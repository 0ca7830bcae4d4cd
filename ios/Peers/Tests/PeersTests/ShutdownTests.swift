import Foundation
import XCTest

@testable import Peers

/// The end of a client in the middle of its work: a trap in any task ends the test process.
final class ShutdownTests: XCTestCase {
    // proves S145
    func testShutdownEndsWhatIsUnderWay() async throws {
        for _ in 0..<20 { try await end(cancellingTasks: false) }
    }

    // proves S145
    func testShutdownWhileTasksAreCancelledEndsWhatIsUnderWay() async throws {
        for _ in 0..<20 { try await end(cancellingTasks: true) }
    }

    private func end(cancellingTasks: Bool) async throws {
        try await network { network in
            let pair = try await network.pair { $0.handlers["echo"] = { $0.body } }
            let underWay = [Once<Bool>(), Once<Bool>(), Once<Bool>()]
            let tasks = work(pair, underWay)
            for (one, what) in zip(underWay, ["a message", "an answer", "bytes"]) { _ = try await one.get(what) }
            if cancellingTasks { tasks.forEach { $0.cancel() } }
            async let first: Void = pair.first.shutdown()
            async let second: Void = pair.second.shutdown()
            _ = await (first, second)
            // Loops end, and operations fail; none of them goes on.
            for task in tasks { _ = try await within(.seconds(10), "the end of a task") { await task.result } }
        }
    }
}

/// Everything a client can be busy with, until it ends; `underWay` tells that messages, calls and bytes arrive.
private func work(_ pair: Pair, _ underWay: [Once<Bool>]) -> [Task<Void, any Error>] {
    let (session, other) = (pair.session, pair.other)
    let devices = [pair.first, pair.second].flatMap { device in
        [Task<Void, any Error> { for await _ in device.events {} }, Task { for await _ in device.states {} }]
    }
    return devices + [
        Task { while true { try await session.send(Data(count: 100)) } },
        Task { for try await _ in other.messages { await underWay[0].set(true) } },
        Task {
            while true {
                _ = try await session.call("echo", "echo", Data(count: 100))
                await underWay[1].set(true)
            }
        },
        Task {
            let stream = try await session.openStream("file")
            while true { try await stream.write(Data(count: 64 * 1024)) }
        },
        Task {
            for try await stream in other.streams {
                for try await _ in stream { await underWay[2].set(true) }
            }
        },
    ]
}
