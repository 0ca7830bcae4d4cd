import Foundation
import XCTest

@testable import Peers

final class LogTests: XCTestCase {
    func testTheRingKeepsTheNewestInTheirOrder() {
        var ring = LogRing()
        for number in 0..<LogRing.capacity + 3 {
            ring.append(LogRecord(level: .info, module: "peers", text: "record number=\(number)"), at: Date(timeIntervalSince1970: 0))
        }
        let lines = ring.redacted.split(separator: "\n")
        XCTAssertEqual(lines.count, LogRing.capacity)
        XCTAssertEqual(lines.first, "1970-01-01T00:00:00.000Z info peers: record number=3")
        XCTAssertEqual(lines.last, "1970-01-01T00:00:00.000Z info peers: record number=\(LogRing.capacity + 2)")
    }

    func testWhoAndWhereIsTakenOut() {
        let (one, other) = (String(repeating: "a", count: 32), String(repeating: "7", count: 32))
        let cases = [
            ("path changed device=\(one) to \(other), \(one)", "path changed device=<id 1> to <id 2>, <id 1>"),
            ("dial 192.0.2.7:4711 failed", "dial <address> failed"),
            ("addresses [192.0.2.7, 2001:db8::7]", "addresses [<address>, <address>]"),
            ("dial [fe80::1]:443", "dial [<address>]:443"),
            (#"relay="wss://relay.example.com:8443/path""#, #"relay="wss:<host>/path""#),
            ("server turn:turn.example.com:3478?transport=udp", "server turn:<host>?transport=udp"),
        ]
        var redactor = Redactor()
        for (text, redacted) in cases { XCTAssertEqual(redactor.redact(text), redacted) }
    }

    func testEverythingElseStays() {
        var redactor = Redactor()
        for text in ["rtt=1.5ms attempt=2", "peers_proto::path::score", "at 12:34:56", "version 0.1.0", "code=0x1f", ""] {
            XCTAssertEqual(redactor.redact(text), text)
        }
    }
}
