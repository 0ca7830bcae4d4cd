import Foundation
import XCTest

@testable import Peers

/// Real devices of one test at a real relay; all gone after it.
actor Network {
    private var devices: [Peers] = []
    private var commands: [Command] = []

    /// A started device on this machine that the relay knows.
    func device(_ configure: @Sendable (inout PeersConfig) -> Void = { _ in }) async throws -> Peers {
        let device = try stopped(configure)
        try await device.start()
        try await device.isOnline()
        return device
    }

    /// A device that was not started.
    func stopped(_ configure: @Sendable (inout PeersConfig) -> Void = { _ in }) throws -> Peers {
        try stopped(at: Relay.url.get(), configure)
    }

    /// A device that was not started, of another relay.
    func stopped(
        at relay: URL, token: String? = nil, _ configure: @Sendable (inout PeersConfig) -> Void = { _ in }
    ) throws -> Peers {
        try stopped(at: relay, token: token, system: .platform([]), configure)
    }

    /// A device that was not started, on this system.
    func stopped(
        at relay: URL? = nil, token: String? = nil, system: System, _ configure: @Sendable (inout PeersConfig) -> Void
    ) throws -> Peers {
        var config = PeersConfig(relay: try relay ?? Relay.url.get(), token: token, identity: .temporary)
        config.loopback = true
        configure(&config)
        let device = try Peers(config, system: system)
        devices.append(device)
        return device
    }

    /// Two devices that trust each other, and the session between them, as each of them sees it.
    func pair(_ configureSecond: @Sendable (inout PeersConfig) -> Void = { _ in }) async throws -> Pair {
        try await pair({ _ in }, configureSecond)
    }

    func pair(
        _ configureFirst: @Sendable (inout PeersConfig) -> Void, _ configureSecond: @Sendable (inout PeersConfig) -> Void
    ) async throws -> Pair {
        let first = try await device(configureFirst)
        let firstID = try first.deviceID
        let second = try await device {
            $0.trusted[firstID] = .trusted
            configureSecond(&$0)
        }
        try first.trust(second.deviceID)
        let session = try await first.session(with: second.deviceID)
        let other = try await second.event("the session of the other side") {
            if case .connected(let other, _) = $0, other.device == firstID { other } else { nil }
        }
        return Pair(first: first, second: second, session: session, other: other)
    }

    /// A device written in Rust, in a process of its own, that lets anyone in; and a session with it.
    func rustPeer(
        _ configure: @Sendable (inout PeersConfig) -> Void = { _ in }
    ) async throws -> (session: Session, device: Peers) {
        let (_, id) = try rustProcess(temporaryFolder().appendingPathComponent("identity"))
        let device = try await device {
            $0.trusted[id] = .trusted
            configure(&$0)
        }
        return (try await device.session(with: id), device)
    }

    /// The process of such a device, whose keys are in the file `identity`, and its id. One that it trusts by name it dials.
    func rustProcess(_ identity: URL, trust: String = "any") throws -> (command: Command, id: DeviceID) {
        let relay = try Relay.url.get().absoluteString
        let command = try Command("listen", "--relay", relay, "--identity", identity.path, "--trust", trust, "--loopback")
        commands.append(command)
        let id = DeviceID(try command.line(after: "device "))
        _ = try command.line(after: "Online")
        return (command, id)
    }

    /// Keys that a device can be started with, and its id then.
    func keys() throws -> (identity: Identity, id: DeviceID) {
        let file = temporaryFolder().appendingPathComponent("identity")
        let command = try Command("id", "--identity", file.path)
        commands.append(command)
        return (.file(file), DeviceID(try command.line(after: "")))
    }

    /// The URL of another relay, with these settings.
    func relay(_ settings: String...) throws -> URL {
        let command = try Command(["relay", "--listen", "127.0.0.1:0"] + settings.flatMap { ["--set", $0] })
        commands.append(command)
        return try XCTUnwrap(URL(string: "ws://\(command.line(after: "listening on "))"))
    }

    /// Ends the commands of this test without a word.
    func endCommands() {
        for command in commands { command.end() }
        commands = []
    }

    func end() async {
        for device in devices { await device.shutdown() }
        devices = []
        endCommands()
    }
}

struct Pair: Sendable {
    let first: Peers
    let second: Peers
    /// The first's session with the second.
    let session: Session
    /// The second's session with the first.
    let other: Session
}

#if os(iOS)
    /// The relay that scripts/swift runs on the host of a simulator.
    enum Relay {
        static let url = Result {
            try XCTUnwrap(ProcessInfo.processInfo.environment["PEERS_RELAY"].flatMap { URL(string: $0) })
        }
    }

    /// An app on iOS starts no processes.
    final class Command: Sendable {
        convenience init(_ arguments: String...) throws {
            try self.init(arguments)
        }

        init(_ arguments: [String]) throws {
            throw XCTSkip("needs another process")
        }

        func line(after prefix: String) throws -> String { prefix }
        func end() {}
        func signal(_ number: Int32 = SIGKILL) {}
    }
#else
    /// One relay for all tests, ended when they exit.
    enum Relay {
        private static let command = Result { try Command("relay", "--listen", "127.0.0.1:0") }

        static let url = Result {
            let address = try command.get().line(after: "listening on ")
            atexit { try? Relay.command.get().signal() }
            return try XCTUnwrap(URL(string: "ws://\(address)"))
        }
    }

    /// The `peers` command that scripts/swift built, running.
    final class Command: @unchecked Sendable {
        private let process = Process()
        private let output = Pipe()

        convenience init(_ arguments: String...) throws {
            try self.init(arguments)
        }

        init(_ arguments: [String]) throws {
            let folder = try XCTUnwrap(ProcessInfo.processInfo.environment["PEERS_BIN_DIR"])
            process.executableURL = URL(fileURLWithPath: folder).appendingPathComponent("peers")
            process.arguments = arguments
            process.standardOutput = output
            process.standardError = output
            try process.run()
        }

        /// The rest of the next line that begins with `prefix`. A command that does not print it in time is ended, and with it
        /// what is read here.
        func line(after prefix: String) throws -> String {
            let limit = DispatchWorkItem { self.signal() }
            DispatchQueue.global().asyncAfter(deadline: .now() + 30, execute: limit)
            defer { limit.cancel() }
            while true {
                let line = try readLine()
                if line.hasPrefix(prefix) { return String(line.dropFirst(prefix.count)) }
                if line.isEmpty, !process.isRunning {
                    throw PeersError.internal("the command ended, or was ended, without a line of \"\(prefix)\"")
                }
            }
        }

        private func readLine() throws -> String {
            var line = Data()
            while let byte = try output.fileHandleForReading.read(upToCount: 1), let character = byte.first {
                if character == UInt8(ascii: "\n") { break }
                line.append(character)
            }
            return String(decoding: line, as: UTF8.self)
        }

        func end() {
            signal()
            process.waitUntilExit()
        }

        /// Sends a signal, by default one that ends it. Does not wait, which cannot be done while exiting.
        func signal(_ number: Int32 = SIGKILL) {
            kill(process.processIdentifier, number)
        }
    }
#endif

func temporaryFolder() -> URL {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
}

/// Runs `test` with a deadline: what hangs, fails.
func network(_ test: @escaping @Sendable (Network) async throws -> Void) async throws {
    let network = Network()
    let result: Result<Void, any Error>
    do {
        result = .success(try await within(.seconds(60), "the end of the test") { try await test(network) })
    } catch {
        result = .failure(error)
    }
    try await within(.seconds(30), "the end of the test's devices") { await network.end() }
    try result.get()
}

struct DeadlinePassed: Error, CustomStringConvertible {
    let limit: Duration
    let awaited: String

    var description: String { "waited \(limit) for \(awaited)" }
}

/// Runs `work` and returns or throws as it does, if it does in time. Work that does not is cancelled and left behind: what it waits for may
/// not end with its task.
func within<T: Sendable>(
    _ limit: Duration, _ awaited: String, _ work: @escaping @Sendable () async throws -> T
) async throws -> T {
    let outcome = AsyncThrowingStream<T, any Error>.makeStream()
    let task = Task {
        do {
            outcome.continuation.yield(try await work())
            outcome.continuation.finish()
        } catch {
            outcome.continuation.finish(throwing: error)
        }
    }
    // Not Task.sleep: one that is cancelled keeps its memory for as long as it would have slept, which tests of leaks would count.
    let timer = DispatchSource.makeTimerSource()
    timer.schedule(deadline: .now() + limit / .seconds(1))
    timer.setEventHandler { outcome.continuation.finish(throwing: DeadlinePassed(limit: limit, awaited: awaited)) }
    timer.resume()
    defer {
        timer.cancel()
        task.cancel()
    }
    for try await result in outcome.stream { return result }
    throw CancellationError()
}

/// The error that `work` throws.
func thrown<T: Sendable>(
    file: StaticString = #filePath, line: UInt = #line, isolation: isolated (any Actor)? = #isolation,
    _ work: () async throws -> T
) async -> (any Error)? {
    do {
        _ = try await work()
        XCTFail("nothing was thrown", file: file, line: line)
        return nil
    } catch {
        return error
    }
}

func XCTAssertThrown<T: Sendable>(
    _ expected: PeersError, file: StaticString = #filePath, line: UInt = #line,
    isolation: isolated (any Actor)? = #isolation, _ work: () async throws -> T
) async {
    let error = await thrown(file: file, line: line, work)
    XCTAssertEqual(error as? PeersError, expected, "\(String(describing: error))", file: file, line: line)
}

/// Something that becomes known once.
actor Once<T: Sendable> {
    private var value: T?
    private var waiting: [AsyncStream<T>.Continuation] = []

    var isSet: Bool { value != nil }

    func set(_ new: T) {
        guard value == nil else { return }
        value = new
        for one in waiting { one.yield(new) }
        waiting = []
    }

    /// It, once it is known; `awaited` says what it is.
    func get(_ awaited: String, within limit: Duration = .seconds(30)) async throws -> T {
        if let value { return value }
        let (stream, continuation) = AsyncStream<T>.makeStream()
        waiting.append(continuation)
        return try await within(limit, awaited) {
            for await value in stream { return value }
            throw CancellationError()
        }
    }
}

extension PeerStream {
    func readAll() async throws -> Data {
        var all = Data()
        for try await chunk in self { all.append(chunk) }
        return all
    }
}

extension Peers {
    func isOnline() async throws {
        try await becomes(.online)
    }

    func becomes(_ wanted: PeersState) async throws {
        try await within(.seconds(30), "the state \(wanted)") { [states] in
            for await state in states where state == wanted { return }
            throw StreamEnded()
        }
    }

    /// The digits that this device is to show while another one asks its person.
    func digits(of device: DeviceID) async throws -> String {
        try await event("the digits") { if case .comparing(device, let sas) = $0 { sas } else { nil } }
    }

    /// The next device of unknown trust that asks for a session.
    func nextRequest() async throws -> IncomingRequest {
        try await event("a request") { if case .incoming(let request) = $0 { request } else { nil } }
    }

    /// What `pick` takes of the first event that it takes something of.
    func event<T: Sendable>(
        _ awaited: String, within limit: Duration = .seconds(30), _ pick: @escaping @Sendable (PeerEvent) -> T?
    ) async throws -> T {
        try await within(limit, awaited) { [events] in
            for await event in events {
                if let picked = pick(event) { return picked }
            }
            throw StreamEnded()
        }
    }
}

/// A sequence ended before the element that a test waits for.
struct StreamEnded: Error {}

extension Session {
    /// The next `count` messages.
    func take(_ count: Int) async throws -> [Message] {
        var taken: [Message] = []
        for try await message in messages {
            taken.append(message)
            if taken.count == count { break }
        }
        return taken
    }
}
