import Foundation
import XCTest

/// Hashes by the system's own command: what the tests compare with shares no code with what they test.
enum SHA256 {
    static func hash(_ chunk: Data, times: Int) throws -> Data {
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        for _ in 0..<times { try input.fileHandleForWriting.write(contentsOf: chunk) }
        try input.fileHandleForWriting.close()
        let line = try XCTUnwrap(output.fileHandleForReading.readToEnd())
        process.waitUntilExit()
        let hex = Array(line.prefix(64))
        return Data(stride(from: 0, to: hex.count, by: 2).compactMap { index in
            UInt8(String(decoding: hex[index...index + 1], as: UTF8.self), radix: 16)
        })
    }
}
