internal import PeersGenerated

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
