import Peers

/// A session as it is now.
public struct Connection: Hashable, Sendable {
    public let status: SessionStatus
    /// What is known about the path that carries it; nil while one is looked for.
    public let path: PathInfo?

    init(_ session: Session) {
        status = session.status
        path = session.pathInfo
    }
}

/// A device that is no contact and asks for a session.
public struct JoinRequest: Sendable, Identifiable {
    let incoming: IncomingRequest

    public var id: String { device.text }
    public var device: DeviceID { incoming.device }
    /// What the device calls itself, which proves nothing.
    public var name: String { incoming.name }
    /// Six digits that the asking device shows too; nil until it may come and be compared.
    public var digits: String? { incoming.sas }
}
