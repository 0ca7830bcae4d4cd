import Foundation
import XCTest

@testable import Peers

#if os(Linux)
    final class CyclesTests: XCTestCase {
        // proves S035 S145
        func testAThousandStartsAndStopsLeaveNothingBehind() async throws {
            // What the library and the runtimes keep for good is there after some.
            for _ in 0..<100 { try await cycle() }
            let before = try Usage()
            var (after, grown) = (before, [Int]())
            for _ in 0..<5 {
                let allocated = after.allocated
                for _ in 0..<200 { try await cycle() }
                after = try Usage()
                grown.append(after.allocated - allocated)
            }
            // Threads of the runtimes and sockets of closed connections end a moment later; what leaks stays.
            let room = 1000 * 320
            after = try await Usage.settled {
                $0.threads <= before.threads + 2 && $0.files <= before.files + 2 && $0.allocated <= before.allocated + room
            }
            XCTAssertLessThanOrEqual(after.threads, before.threads + 2)
            XCTAssertLessThanOrEqual(after.files, before.files + 2)
            // What leaks stays; what the runtimes keep for later grows less from round to round, or is freed when its threads end. A
            // client has a hundred times as much as a cycle may leave.
            XCTAssertLessThanOrEqual(after.allocated, before.allocated + room, "\(grown) \(before) \(after)")
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
        /// Bytes that were allocated and not freed: what the allocator has, without what it keeps for later.
        let allocated: Int

        /// The usage as soon as it is enough, or after ten seconds.
        static func settled(_ isEnough: (Usage) -> Bool) async throws -> Usage {
            for _ in 0..<20 {
                let usage = try Usage()
                if isEnough(usage) { return usage }
                try await Task.sleep(for: .milliseconds(500))
            }
            return try Usage()
        }

        init() throws {
            let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            func field(_ name: String) -> Int {
                let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
                return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
            }
            threads = field("Threads")
            allocated = try Self.inUse()
            files = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        }

        /// From the totals at the end of malloc_info(3), which Swift's module of glibc leaves out.
        private static func inUse() throws -> Int {
            typealias MallocInfo = @convention(c) (CInt, OpaquePointer) -> CInt
            let function = unsafeBitCast(try XCTUnwrap(dlsym(nil, "malloc_info")), to: MallocInfo.self)
            let file = try XCTUnwrap(tmpfile())
            defer { fclose(file) }
            XCTAssertEqual(function(0, OpaquePointer(file)), 0)
            rewind(file)
            var text = [UInt8](repeating: 0, count: 1 << 20)
            text.removeLast(text.count - fread(&text, 1, text.count, file))
            let totals = String(decoding: text, as: UTF8.self).components(separatedBy: "</heap>").last ?? ""
            func size(_ element: String) throws -> Int {
                let found = try XCTUnwrap(totals.components(separatedBy: "\n").first { $0.hasPrefix("<" + element) }, totals)
                return try XCTUnwrap(Int(found.components(separatedBy: "size=\"")[1].prefix(while: \.isNumber)))
            }
            return try size("system type=\"current\"") + size("total type=\"mmap\"") - size("total type=\"fast\"")
                - size("total type=\"rest\"")
        }
    }
#endif
