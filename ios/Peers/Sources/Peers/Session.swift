import Foundation
internal import PeersGenerated

/// What this device shares with another one, over whichever path works. Messages arrive once and in order across changes of path.
/// Two values for the same session are equal; a device whose app was started anew has another session.
public struct Session: Sendable {
    private let inner: PeersGenerated.Session
    private let lane: UInt64
    /// The peer, proven.
    public let device: DeviceID

    init(_ session: PeersGenerated.Session) {
        inner = session
        lane = session.lane()
        device = DeviceID(session.device())
    }

    /// Whose device it is, proven.
    public var user: UserID { UserID(inner.user()) }

    /// What the peer calls itself.
    public var peerName: String { inner.peerName() }

    /// What carries it now; nil while a new path is looked for.
    public var path: PathKind? { inner.path().map(PathKind.init) }

    /// Whether it can be used.
    public var status: SessionStatus { SessionStatus(inner.status()) }

    /// Whether it has ended. What had arrived can still be taken.
    public var hasEnded: Bool { inner.hasEnded() }

    /// What is known about the path that carries it; nil while there is none.
    public var pathInfo: PathInfo? { inner.pathInfo().map(PathInfo.init) }

    /// Round trip of the path, once measured.
    public var rtt: Duration? { inner.rttUs().map { .microseconds($0) } }

    /// Messages from the peer, also those that came before anyone took them: then the peer is told to wait. For one consumer.
    /// Ends when the session is closed; throws `PeersError.sessionLost` when it is lost.
    public var messages: PeersSequence<Message, any Error> {
        PeersSequence(nexts: { [inner, lane] in
            let batch = Batch(session: inner, lane: lane)
            return { try await batch.next(isolation: $0) }
        })
    }

    /// Streams the peer opens. For one consumer, as `messages`.
    public var streams: PeersSequence<PeerStream, any Error> {
        PeersSequence(
            take: { [inner] in inner.takeStream().map(PeerStream.init) },
            ready: { [inner] in try await inner.streamReady(cancel: $0) })
    }

    /// Sends an object; waits only while too much is queued. At most 4 MiB encoded.
    public func send(_ value: Value, group: GroupID? = nil) async throws {
        try await send(value.encoded(), group: group)
    }

    /// Sends a text, which is an object too.
    public func send(_ text: String, group: GroupID? = nil) async throws {
        try await send(.text(text), group: group)
    }

    /// Sends bytes as they are.
    public func send(_ bytes: Data, group: GroupID? = nil) async throws {
        try Task.checkCancellation()
        if try Lane.send(lane, bytes, group: group?.text) { return }
        try await cancellable { try await inner.send(body: bytes, group: group?.text, cancel: $0) }
    }

    /// Asks the peer's service for a method, and returns its answer. A cancelled call is cancelled at the peer.
    public func call(
        _ service: String, _ method: String, _ body: Data = Data(), group: GroupID? = nil,
        timeout: Duration = .seconds(60)
    ) async throws -> Data {
        let request = CallRequest(
            service: service, method: method, body: body, group: group?.text, timeoutMs: timeout.milliseconds)
        return try await cancellable { try await inner.call(request: request, cancel: $0) }
    }

    /// Opens a stream to the peer, within a group if there is one.
    public func openStream(_ name: String, group: GroupID? = nil) async throws -> PeerStream {
        PeerStream(try await cancellable { try await inner.openStream(name: name, group: group?.text, cancel: $0) })
    }

    /// Waits until the peer has everything sent so far.
    public func drain() async throws {
        try await cancellable { try await inner.drain(cancel: $0) }
    }

    /// Ends the session, at the peer as well.
    public func close() async {
        await inner.end()
    }
}

extension Session: Hashable {
    public static func == (left: Session, right: Session) -> Bool {
        left.inner.isSame(other: right.inner)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(device)
    }
}

/// What a peer sent.
public struct Message: Sendable {
    public let group: GroupID?
    public let bytes: Data

    /// The object sent; `PeersError.codec` when the bytes are none.
    public var value: Value {
        get throws { try Value(encoded: bytes) }
    }

    /// The text sent; `PeersError.codec` when it was something else.
    public var text: String {
        get throws {
            guard case .text(let text) = try value else { throw PeersError.codec("not a text") }
            return text
        }
    }
}
