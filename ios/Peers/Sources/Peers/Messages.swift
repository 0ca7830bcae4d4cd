internal import PeersGenerated

/// The messages of a session.
public struct Messages: AsyncSequence, Sendable {
    public typealias Element = Message

    let session: PeersGenerated.Session

    public func makeAsyncIterator() -> Iterator {
        Iterator(batch: Batch(session: session))
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
    /// A batch costs about as much to fetch as one message.
    private static let size: UInt32 = 256
    private let session: PeersGenerated.Session
    private var fetched: [PeersGenerated.Message] = []
    private var used = 0

    init(session: PeersGenerated.Session) {
        self.session = session
    }

    deinit {
        let unused = Array(fetched.dropFirst(used))
        // Messages that came out of the library are fit to go back.
        if !unused.isEmpty { try? session.returnMessages(unused: unused) }
    }

    func next(isolation: isolated (any Actor)? = #isolation) async throws -> Message? {
        while used == fetched.count {
            let session = session
            guard try await cancellable({ try await session.messagesReady(cancel: $0) }) else { return nil }
            fetched = session.takeMessages(max: Self.size)
            used = 0
        }
        used += 1
        return Message(fetched[used - 1])
    }
}

extension Message {
    fileprivate init(_ message: PeersGenerated.Message) {
        group = message.group.map(GroupID.init)
        bytes = message.body
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
