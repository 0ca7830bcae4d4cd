import Foundation
internal import PeersGenerated

/// Bytes both ways, in order; whoever writes waits for whoever reads. Reading is an `AsyncSequence` of chunks.
public struct PeerStream: Sendable {
    private let inner: PeersGenerated.Stream
    private let lane: UInt64

    init(_ stream: PeersGenerated.Stream) {
        inner = stream
        lane = stream.lane()
    }

    /// What its opener called it.
    public var name: String { inner.name() }

    /// The group it belongs to.
    public var group: GroupID? { inner.group().map(GroupID.init) }

    /// Marks it as bulk, which can wait: while data costs money here nothing more of it is sent or taken, unless
    /// `PeersConfig.bulkOnMetered` says so. The peer has a mark of its own.
    public var bulk: Bool {
        get { inner.isBulk() }
        nonmutating set { inner.setBulk(bulk: newValue) }
    }

    /// Writes all of `data`; waits while the peer reads slower. Chunks of some 64 KiB are fast and leave room for progress and
    /// cancellation. After a cancelled write it is unknown how much was written: `reset()`.
    public func write(_ data: Data) async throws {
        var written = 0
        repeat {
            try Task.checkCancellation()
            let more = try Lane.write(lane, data, from: written)
            if more == 0 {
                let rest = data.dropFirst(written)
                return try await cancellable { try await inner.write(data: rest, cancel: $0) }
            }
            written += more
        } while written < data.count
    }

    /// Says that nothing follows.
    public func finish() async throws {
        try await cancellable { try await inner.finish(cancel: $0) }
    }

    /// Gives up writing: the peer's reads fail with `code`.
    public func reset(code: UInt64 = 0) {
        inner.reset(code: code)
    }

    /// The next bytes, at most `max`; nil at the end. A cancelled read loses nothing.
    public func read(max: Int = 256 * 1024) async throws -> Data? {
        precondition(max > 0, "max must be positive")
        while true {
            // Otherwise a fast writer would keep the reader's actor to itself.
            await Task.yield()
            let taken = try Lane.read(lane, max: max)
            if !taken.isEmpty { return taken }
            guard try await cancellable({ try await inner.bytesReady(cancel: $0) }) else { return nil }
        }
    }

    /// Gives up reading: the peer's writes fail with `code`.
    public func stop(code: UInt64 = 0) {
        inner.stop(code: code)
    }
}

extension PeerStream: AsyncSequence {
    public func makeAsyncIterator() -> PeersSequence<Data, any Error>.Iterator {
        PeersSequence(nexts: { { (_: isolated (any Actor)?) in try await read() } }).makeAsyncIterator()
    }
}
