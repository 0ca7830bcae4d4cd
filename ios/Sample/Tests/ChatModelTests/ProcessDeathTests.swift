#if !os(iOS)
    import Foundation
    import XCTest

    /// The app in a process of its own, which is killed as iOS ends apps: without a word.
    final class ProcessDeathTests: XCTestCase {
        func testContactsAndMessagesAreThereAfterTheProcessWasKilledAndAStoredTextIsDeliveredOnce() async throws {
            try await network { network in
                let keys = temporaryFolder().appendingPathComponent("identity")
                let folder = temporaryFolder()
                let (peer, rust) = try await network.rustProcess(keys)
                let first = try AppProcess(folder)
                try first.command("add \(rust)")
                try first.command("send \(rust) before")
                try await first.says("> before, < before")
                peer.end()
                try first.command("send \(rust) stored")
                try await first.says("> before, < before, … stored")
                first.kill()
                _ = try await network.rustProcess(keys)
                let second = try AppProcess(folder)
                try await second.says("> before, < before, … stored")
                try await second.says("> before, < before, > stored, < stored")
                second.kill()
                let third = try AppProcess(folder)
                try third.command("send \(rust) after")
                try await third.says("> before, < before, > stored, < stored, > after, < after")
                third.kill()
            }
        }
    }

    /// The process of `ChatProcess` with its files in a folder.
    private final class AppProcess: @unchecked Sendable {
        private let process = Process()
        private let input = Pipe()
        private let output = Pipe()

        init(_ files: URL) throws {
            // On Linux the tests are a program, not a bundle, beside the app.
            let tests = Bundle(for: ProcessDeathTests.self).bundleURL
            let folder = tests.pathExtension == "xctest" ? tests.deletingLastPathComponent() : tests
            process.executableURL = folder.appendingPathComponent("ChatProcess")
            process.arguments = [try Relay.url.get().absoluteString, files.path]
            process.standardInput = input
            process.standardOutput = output
            try process.run()
        }

        deinit { kill() }

        func command(_ line: String) throws {
            try input.fileHandleForWriting.write(contentsOf: Data("\(line)\n".utf8))
        }

        /// Reads on until the process prints `wanted`; a process that does not is killed.
        func says(_ wanted: String) async throws {
            let deadline = Task { [self] in
                try await Task.sleep(for: .seconds(40))
                kill()
            }
            defer { deadline.cancel() }
            var seen: [String] = []
            while let line = try await readLine() {
                if line == wanted { return }
                seen.append(line)
            }
            XCTFail("the app ended without: \(wanted); it said \(seen)")
        }

        func kill() {
            guard process.isRunning else { return }
            Foundation.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }

        private func readLine() async throws -> String? {
            try await withCheckedThrowingContinuation { continuation in
                DispatchQueue.global().async { [self] in continuation.resume(with: Result { try nextLine() }) }
            }
        }

        private func nextLine() throws -> String? {
            var line = Data()
            while let byte = try output.fileHandleForReading.read(upToCount: 1), let character = byte.first {
                if character == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
                line.append(character)
            }
            return nil
        }
    }
#endif
