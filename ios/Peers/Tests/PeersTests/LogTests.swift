import Foundation
import XCTest

@testable import Peers

final class LogTests: XCTestCase {
    func testALogGoesToItsSink() async throws {
        try await network { network in
            let ended = Once<LogRecord>()
            let pair = try await network.pair({ $0.logLevel = .info }, { _ in })
            let forwarder = LogForwarder(pair.first.logs) { record in
                if record.text.hasPrefix("session ended") { Task { await ended.set(record) } }
            }
            await pair.session.close()
            let record = try await ended.get("the record of a session's end")
            XCTAssertEqual(record.level, .info)
            withExtendedLifetime(forwarder) {}
        }
    }

    func testTheLastRecordsAreThereAfterTheEndWithNumbersForDevices() async throws {
        try await network { network in
            let pair = try await network.pair({ $0.logLevel = .debug }, { _ in })
            let other = try pair.second.deviceID.text
            await pair.session.close()
            await pair.first.shutdown()
            let recent = pair.first.recentLog
            XCTAssertTrue(recent.contains("Z INFO peers::engine::control session ended device=<id-1> reason="), recent)
            XCTAssertFalse(recent.contains(other) || recent.contains("127.0.0.1"), recent)
            let lines = recent.split(separator: "\n")
            for line in lines {
                XCTAssertNotNil(line.prefixMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ peers/), "\(line)")
            }
            let devices = Set(lines.compactMap { $0.firstMatch(of: /device=(\S+)/)?.output.1 })
            XCTAssertEqual(devices, ["<id-1>"], recent)
        }
    }

    func testNothingIsKeptWithoutALevel() async throws {
        try await network { network in
            let device = try await network.device()
            await device.shutdown()
            XCTAssertEqual(device.recentLog, "")
        }
    }
}
