import Foundation
import Peers

/// A device of scripts/demo.
actor DemoDevice {
    private var peers: Peers?
    private var tasks: [Task<Void, any Error>] = []
    private var echoes: [Value] = []
    private var waitingForEcho: CheckedContinuation<Value, Never>?
    private var paths: [DeviceID: PathKind] = [:]
    private var waitingForPaths: [CheckedContinuation<Void, Never>] = []

    func run() async {
        while let line = await Task.detached(operation: { readLine() }).value {
            do {
                let command = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
                guard let answer = try await perform(command) else { break }
                writeLine(answer)
            } catch {
                writeLine(["error": "\(error)"])
            }
        }
        await peers?.shutdown()
        // All loops end with the client; leaving before they did would end the process under their feet.
        for task in tasks { _ = await task.result }
    }

    /// Nil after the last command.
    private func perform(_ command: [String: Any]) async throws -> [String: any Sendable]? {
        let device = DeviceID(command["device"] as? String ?? "")
        switch command["do"] as? String {
        case "start":
            return try await start(relay: command["relay"] as? String ?? "", name: command["name"] as? String ?? "")
        case "trust":
            try running().trust(device)
            return ["trusted": device.text]
        case "connect": return try await connect(device)
        case "run": return try await run(device, megabytes: command["mb"] as? Int ?? 64)
        case "close": return try await close(device)
        case "stop": return nil
        default: return ["error": "unknown command"]
        }
    }

    private func start(relay: String, name: String) async throws -> [String: any Sendable] {
        guard let url = URL(string: relay) else { throw PeersError.config("relay") }
        var config = PeersConfig(relay: url, identity: .temporary)
        config.name = name
        config.loopback = true
        config.handlers["demo"] = { $0.body }
        let peers = try Peers(config)
        self.peers = peers
        try await peers.start()
        tasks.append(Task { for await event in peers.events { handle(event) } })
        for await state in peers.states where state == .online { break }
        return ["device": try peers.deviceID.text]
    }

    private func running() throws -> Peers {
        guard let peers else { throw PeersError.notStarted }
        return peers
    }

    private func handle(_ event: PeerEvent) {
        switch event {
        case .connected(let session, let path):
            set(path, of: session.device)
            tasks.append(Task { try await answerMessages(of: session) })
            tasks.append(Task { try await answerStreams(of: session) })
        case .pathChanged(let session, let path): set(path, of: session.device)
        case .disconnected(let session, _): set(nil, of: session.device)
        default: break
        }
    }

    private func set(_ path: PathKind?, of device: DeviceID) {
        paths[device] = path
        wakeWaiting()
    }

    private func wakeWaiting() {
        waitingForPaths.forEach { $0.resume() }
        waitingForPaths = []
    }

    /// Waits until `condition` holds, for some seconds.
    private func wait(until condition: () -> Bool) async {
        let deadline = ContinuousClock.now + .seconds(20)
        let alarm = Task {
            try await Task.sleep(until: deadline)
            wakeWaiting()
        }
        while !condition(), ContinuousClock.now < deadline {
            await withCheckedContinuation { waitingForPaths.append($0) }
        }
        alarm.cancel()
    }

    private func answerMessages(of session: Session) async throws {
        for try await message in session.messages {
            let value = try message.value
            if let echo = value["echo"] {
                received(echo)
            } else {
                try await session.send(["echo": value])
            }
        }
    }

    private nonisolated func answerStreams(of session: Session) async throws {
        try await withThrowingTaskGroup(of: Void.self) { answers in
            for try await stream in session.streams {
                answers.addTask { try await self.answerStream(stream) }
            }
        }
    }

    private nonisolated func answerStream(_ stream: PeerStream) async throws {
        var hash = SHA256()
        for try await chunk in stream { hash.update(chunk) }
        try await stream.write(hash.finish())
        try await stream.finish()
    }

    private func received(_ echo: Value) {
        if let waiting = waitingForEcho {
            waitingForEcho = nil
            waiting.resume(returning: echo)
        } else {
            echoes.append(echo)
        }
    }

    private func nextEcho() async -> Value {
        if !echoes.isEmpty { return echoes.removeFirst() }
        return await withCheckedContinuation { waitingForEcho = $0 }
    }

    private func connect(_ device: DeviceID) async throws -> [String: any Sendable] {
        let started = ContinuousClock.now
        let session = try await running().session(with: device)
        let setup = ContinuousClock.now - started
        // The relay may carry a session until WebRTC is there.
        await wait { paths[device] == .webrtc }
        return [
            "connected": session.device.text, "peer": session.peerName, "path": session.path?.description ?? "none",
            "setup_ms": setup.inSeconds * 1000,
        ]
    }

    private func close(_ device: DeviceID) async throws -> [String: any Sendable] {
        for session in try running().sessions where session.device == device { await session.close() }
        await wait { paths[device] == nil }
        return ["closed": device.text]
    }

    private func run(_ device: DeviceID, megabytes: Int) async throws -> [String: any Sendable] {
        let session = try await running().session(with: device)
        let sent: Value = ["hello": .text(device.text), "list": [1, 2.5, true]]
        try await session.send(sent)
        guard await nextEcho() == sent else { throw PeersError.codec("the object came back changed") }
        let rtt = try await roundTrip(session)
        let (elapsed, same) = try await transfer(megabytes, over: session)
        return [
            "ran": device.text, "rtt_us": Int(rtt.inSeconds * 1e6),
            "mbps": Double(megabytes) * 1.048576 / elapsed.inSeconds, "sha256_ok": same,
        ]
    }

    /// The median of twenty calls.
    private nonisolated func roundTrip(_ session: Session) async throws -> Duration {
        var samples: [Duration] = []
        let question = Data(0..<64)
        for _ in 0..<20 {
            let started = ContinuousClock.now
            guard try await session.call("demo", "echo", question) == question else {
                throw PeersError.codec("the call came back changed")
            }
            samples.append(ContinuousClock.now - started)
        }
        return samples.sorted()[10]
    }

    private nonisolated func transfer(_ megabytes: Int, over session: Session) async throws -> (Duration, Bool) {
        let chunks = (0..<16).map { n in Data((0..<64 * 1024).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ n &* 7) }) }
        var hash = SHA256()
        for n in 0..<megabytes * 16 { hash.update(chunks[n % 16]) }
        let expected = hash.finish()
        let started = ContinuousClock.now
        let stream = try await session.openStream("file")
        for n in 0..<megabytes * 16 { try await stream.write(chunks[n % 16]) }
        try await stream.finish()
        var answer = Data()
        for try await part in stream { answer.append(part) }
        return (ContinuousClock.now - started, answer == expected)
    }
}
