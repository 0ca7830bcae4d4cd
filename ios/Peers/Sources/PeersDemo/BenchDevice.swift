import Foundation
import Peers

/// A device of scripts/bench ffi. Its commands are in tests/src/bench/ffi.rs, where the clock is.
struct BenchDevice {
    private var peers: Peers?
    private var session: Session?

    mutating func run() async {
        while let line = await Task.detached(operation: { readLine() }).value {
            do {
                let command = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
                writeLine(try await perform(command))
            } catch {
                writeLine(["error": "\(error)"])
            }
        }
        await peers?.shutdown()
    }

    private mutating func perform(_ command: [String: Any]) async throws -> [String: any Sendable] {
        let word = command["do"] as? String
        if word == "connect" {
            let to = DeviceID(command["to"] as? String ?? "")
            return ["device": try await connect(relay: command["relay"] as? String ?? "", to: to).text]
        }
        guard let session else { throw PeersError.notStarted }
        let count = command["count"] as? Int ?? 0
        switch word {
        case "send_messages": try await sendMessages(count, over: session)
        case "take_messages": try await takeMessages(count, from: session)
        case "send_stream": try await sendStream(count, over: session)
        case "take_stream": try await takeStream(from: session)
        default: throw PeersError.config("unknown command")
        }
        return ["done": true]
    }

    private mutating func connect(relay: String, to device: DeviceID) async throws -> DeviceID {
        guard let url = URL(string: relay) else { throw PeersError.config("relay") }
        var config = PeersConfig(relay: url, identity: .temporary)
        config.loopback = true
        config.handlers = ["echo": { $0.body }]
        let peers = try Peers(config)
        self.peers = peers
        try await peers.start()
        let session = try await peers.session(with: device)
        self.session = session
        // The relay may carry the session first.
        for await event in peers.events {
            if session.path == .webrtc { break }
            if case .pathChanged(session, .webrtc) = event { break }
        }
        return try peers.deviceID
    }

    private func sendMessages(_ count: Int, over session: Session) async throws {
        let body = Data(repeating: 7, count: 100)
        for _ in 0..<count { try await session.send(body) }
        try await session.drain()
    }

    private func takeMessages(_ count: Int, from session: Session) async throws {
        writeLine(["ready": true])
        var messages = session.messages.makeAsyncIterator()
        for _ in 0..<count { _ = try await messages.next() }
    }

    private func sendStream(_ writes: Int, over session: Session) async throws {
        let chunk = Data(repeating: 0x5a, count: 64 * 1024)
        let stream = try await session.openStream("bench")
        for _ in 0..<writes { try await stream.write(chunk) }
        try await stream.finish()
        stream.stop()
        try await session.drain()
    }

    private func takeStream(from session: Session) async throws {
        writeLine(["ready": true])
        var streams = session.streams.makeAsyncIterator()
        guard let stream = try await streams.next() else { throw PeersError.closed }
        for try await _ in stream {}
        stream.reset()
    }
}
