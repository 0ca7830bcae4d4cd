import Foundation
import XCTest

@testable import Peers

#if os(Linux)
    final class CyclesTests: XCTestCase {
        // proves S035 S145
        func testAHundredStartsAndStopsLeaveNothingBehind() async throws {
            // What the library and the runtimes keep for good is there after a few.
            for _ in 0..<20 { try await cycle() }
            let before = try Usage()
            for _ in 0..<100 { try await cycle() }
            let after = try Usage()
            XCTAssertLessThanOrEqual(after.threads, before.threads + 2)
            XCTAssertLessThanOrEqual(after.files, before.files + 2)
            // Measured: half a megabyte for 200 clients.
            XCTAssertLessThanOrEqual(after.kilobytes, before.kilobytes + 4 * 1024)
        }

        private func cycle() async throws {
            try await network { network in
                let pair = try await network.pair { $0.handlers["echo"] = { $0.body } }
                _ = try await pair.session.call("echo", "echo", Data(count: 1000))
            }
        }
    }

    private struct Usage {
        let threads: Int
        let files: Int
        let kilobytes: Int

        init() throws {
            let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            func field(_ name: String) -> Int {
                let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
                return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
            }
            threads = field("Threads")
            kilobytes = field("VmRSS")
            files = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        }
    }
#endif
