internal import PeersGenerated

/// The messages of a session.
public struct Messages: AsyncSequence, Sendable {
    public typealias Element = Message

    let session: PeersGenerated.Session
    let lane: UInt64

    public func makeAsyncIterator() -> Iterator {
        Iterator(batch: Batch(session: session, lane: lane))
    }

    public struct Iterator: AsyncIteratorProtocol {
        let batch: Batch

        /// The next message; nil at the end.
        public mutating func next() async throws -> Message? {
            try await batch.next()
        }
    }
}

/// Messages fetched together; what the loop leaves goes back. Used by one iterator, so by one task at a time.
final class Batch {
    private let session: PeersGenerated.Session
    private let lane: UInt64
    private var fetched: [Message] = []
    private var used = 0

    init(session: PeersGenerated.Session, lane: UInt64) {
        self.session = session
        self.lane = lane
    }

    deinit {
        let unused = fetched.dropFirst(used).map(PeersGenerated.Message.init)
        // Messages that came out of the library are fit to go back.
        if !unused.isEmpty { try? session.returnMessages(unused: unused) }
    }

    func next(isolation: isolated (any Actor)? = #isolation) async throws -> Message? {
        while used == fetched.count {
            // Otherwise a fast sender would keep the loop's actor to itself.
            await Task.yield()
            try Task.checkCancellation()
            fetched = try Lane.take(lane) ?? session.takeMessages(max: 1).map(Message.init)
            used = 0
            if fetched.isEmpty {
                let session = session
                guard try await cancellable({ try await session.messagesReady(cancel: $0) }) else { return nil }
            }
        }
        used += 1
        return fetched[used - 1]
    }
}

extension Message {
    fileprivate init(_ message: PeersGenerated.Message) {
        group = message.group.map(GroupID.init)
        bytes = message.body
    }
}

extension PeersGenerated.Message {
    fileprivate init(_ message: Message) {
        self.init(group: message.group?.text, body: message.bytes)
    }
}

/// The streams a peer opens.
public struct PeerStreams: AsyncSequence, Sendable {
    public typealias Element = PeerStream

    let session: PeersGenerated.Session

    public func makeAsyncIterator() -> Iterator {
        Iterator(session: session)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let session: PeersGenerated.Session

        /// The next stream; nil at the end.
        public mutating func next() async throws -> PeerStream? {
            let session = session
            while true {
                if let stream = session.takeStream() { return PeerStream(stream) }
                guard try await cancellable({ try await session.streamReady(cancel: $0) }) else { return nil }
            }
        }
    }
}
