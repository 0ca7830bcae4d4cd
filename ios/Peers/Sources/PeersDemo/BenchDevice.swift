import Foundation
import Peers

/// What the way through Swift costs: two devices of this process at a relay.
struct Bench {
    private static let rounds = 5
    private static let messages = 100_000
    private static let megabytes = 128
    let relay: String

    func run() async throws {
        let (first, second) = (try await device(), try await device())
        try first.trust(second.deviceID)
        try second.trust(first.deviceID)
        let out = try await first.session(with: second.deviceID)
        guard let into = await firstSession(of: second) else { throw PeersError.closed }
        _ = try await sendMessages(out, into)
        _ = try await sendStream(out, into)
        try await report("messages_100B", "1/s", Double(Self.messages), Self.messages) { try await sendMessages(out, into) }
        try await report("stream", "MB/s", Double(Self.megabytes) * 1.048576, Self.megabytes) {
            try await sendStream(out, into)
        }
        await first.shutdown()
        await second.shutdown()
    }

    private func device() async throws -> Peers {
        guard let url = URL(string: relay) else { throw PeersError.config("relay") }
        var config = PeersConfig(relay: url, identity: .temporary)
        config.loopback = true
        let device = try Peers(config)
        try await device.start()
        for await state in device.states where state == .online { break }
        return device
    }

    private func firstSession(of peers: Peers) async -> Session? {
        for await event in peers.events {
            if case .connected(let session, _) = event { return session }
        }
        return nil
    }

    /// Seconds until all were handed over, and until all were taken.
    private func sendMessages(_ out: Session, _ into: Session) async throws -> (Double, Double) {
        let started = ContinuousClock.now
        let taking = Task {
            var taken = 0
            for try await _ in into.messages {
                taken += 1
                if taken == Self.messages { break }
            }
            return ContinuousClock.now - started
        }
        let body = Data(count: 100)
        for _ in 0..<Self.messages { try await out.send(body) }
        let sent = ContinuousClock.now - started
        return (sent.inSeconds, try await taking.value.inSeconds)
    }

    private func sendStream(_ out: Session, _ into: Session) async throws -> (Double, Double) {
        let started = ContinuousClock.now
        let taking = Task {
            for try await stream in into.streams {
                for try await _ in stream {}
                try await stream.finish()
                break
            }
            return ContinuousClock.now - started
        }
        let chunk = Data((0..<64 * 1024).map { UInt8(truncatingIfNeeded: $0) })
        let stream = try await out.openStream("bench")
        for _ in 0..<Self.megabytes * 16 { try await stream.write(chunk) }
        try await stream.finish()
        let sent = ContinuousClock.now - started
        return (sent.inSeconds, try await taking.value.inSeconds)
    }

    private func report(
        _ metric: String, _ unit: String, _ amount: Double, _ n: Int, _ round: () async throws -> (Double, Double)
    ) async throws {
        var samples: [(out: Double, into: Double)] = []
        for _ in 0..<Self.rounds { samples.append(try await round()) }
        for (direction, seconds) in [("out", samples.map(\.out)), ("in", samples.map(\.into))] {
            let median = seconds.sorted()[seconds.count / 2]
            writeLine(["metric": "swift_\(metric)_\(direction)", "value": amount / median, "unit": unit, "n": n])
        }
    }
}
