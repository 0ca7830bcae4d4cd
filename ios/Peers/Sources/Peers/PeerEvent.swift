internal import PeersGenerated

/// Something happened. What is said about a session comes in this order: `.connected`, what changes, `.disconnected`, and nothing
/// after that. A device whose app was started anew has another session, which begins later: so the last word about a device that
/// has a session is never that it left.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum PeerEvent: Sendable {
    /// The state changed; `Peers.state` has it as well.
    case state(PeersState)
    /// A device of unknown trust asks for a session.
    case incoming(IncomingRequest)
    /// The device that this one connects to asks its person, who sees the same six digits: show them. If the two are not the same,
    /// `Peers.trust` with `.untrusted` ends it from this side.
    case comparing(DeviceID, sas: String)
    /// The digits of `.comparing` are of no use any more: the other side has answered, or the connection has ended. It comes after
    /// each of those, and before `.connected` if the answer was yes.
    case compared(DeviceID)
    /// A session can be used, whoever asked for it.
    case connected(Session, PathKind)
    /// A session moved to a path of another kind, or from or to a TURN server; nil while one is looked for.
    case pathChanged(Session, PathKind?)
    /// Whether a session can be used has changed.
    case statusChanged(Session, SessionStatus)
    /// The path a session uses feels different now.
    case qualityChanged(Session, Quality)
    /// A session ended.
    case disconnected(Session, reason: EndReason)
    /// A device registered at the relay.
    case online(DeviceID)
    /// A device left the relay. A session on a direct path goes on.
    case offline(DeviceID)
    /// Data costs money on the network there is now, or does not any more. While it does, nothing better than there is is looked for,
    /// idle paths are asked half as often, and streams marked as bulk (`PeerStream.bulk`) wait.
    case metered(Bool)
    /// Events older than those that follow were dropped because nobody took them.
    case missed(UInt64)
}

/// A device of unknown trust that asks for a session. Accept or reject it; left alone it is rejected after a while. A device that has
/// knocked asks twice: first whether it may come and be compared, then, in another of these, with the digits.
public struct IncomingRequest: Sendable {
    private let inner: Incoming
    /// Who asks, proven.
    public let device: DeviceID
    /// Whose device it is, proven.
    public let user: UserID
    /// What the device calls itself: show it, but do not rely on it.
    public let name: String
    /// Six digits that the asking device shows at the same time (`.comparing`) when nobody is in between. Nil for a knock: they come
    /// with the handshake, if it is accepted.
    public let sas: String?

    init(_ incoming: Incoming) {
        inner = incoming
        device = DeviceID(incoming.device())
        user = UserID(incoming.user())
        name = incoming.name()
        sas = incoming.sas()
    }

    /// Lets it in; if it has knocked, lets it come and be compared. `PeersError.closed` when decided already.
    public func accept() throws {
        try translating { try inner.accept() }
    }

    /// Turns it away; a device that has knocked gets no answer. Does nothing when decided already.
    public func reject() {
        inner.reject()
    }
}

extension PeerEvent {
    /// The session it is about, equal to the one that `.connected` brought; nil if it is about none.
    public var session: Session? {
        switch self {
        case .connected(let session, _), .pathChanged(let session, _), .statusChanged(let session, _),
            .qualityChanged(let session, _), .disconnected(let session, _):
            session
        case .state, .incoming, .comparing, .compared, .online, .offline, .metered, .missed: nil
        }
    }

    init(_ event: Event) {
        switch event {
        case .state(let state): self = .state(PeersState(state))
        case .incoming(let incoming): self = .incoming(IncomingRequest(incoming))
        case .comparing(let device, let sas): self = .comparing(DeviceID(device), sas: sas)
        case .compared(let device): self = .compared(DeviceID(device))
        case .connected(let session, let path): self = .connected(Session(session), PathKind(path))
        case .pathChanged(let session, let path): self = .pathChanged(Session(session), path.map(PathKind.init))
        case .statusChanged(let session, let status): self = .statusChanged(Session(session), SessionStatus(status))
        case .qualityChanged(let session, let quality): self = .qualityChanged(Session(session), Quality(quality))
        case .disconnected(let session, let reason): self = .disconnected(Session(session), reason: EndReason(reason))
        case .online(let device): self = .online(DeviceID(device))
        case .offline(let device): self = .offline(DeviceID(device))
        case .metered(let metered): self = .metered(metered)
        case .missed(let count): self = .missed(count)
        }
    }
}
