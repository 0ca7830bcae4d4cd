import Foundation
internal import PeersGenerated

/// The settings of `Peers`.
public struct PeersConfig: Sendable {
    /// Relays, `ws://` or `wss://`; at least one.
    public var relays: [URL]
    /// Where the device's keys live.
    public var identity: Identity
    /// Shown to peers, at most 64 bytes.
    public var name = ""
    /// Devices whose trust is known now.
    public var trusted: [DeviceID: TrustLevel] = [:]
    /// Judges all others; nil makes one an `.incoming` event. Called on a thread of the library; must not block for long.
    public var trustPolicy: (@Sendable (DeviceID, UserID) -> TrustLevel?)?
    /// Answer the calls of peers, by service. What one returns is the answer; `RequestFailed` says no in the app's words, any
    /// other error says no without any. Its task is cancelled when the caller gives up.
    public var handlers: [String: @Sendable (Request) async throws -> Data] = [:]
    /// Groups this device belongs to.
    public var groups: Set<GroupID> = []
    /// STUN and TURN servers besides those the relay names.
    public var iceServers: [ICEServer] = []
    /// What may carry sessions: any of `.webrtc` and `.relay`; empty for all.
    public var transports: Set<PathKind> = []
    /// How much the library tells in `Peers.logs`; nil for nothing.
    public var logLevel: LogLevel?
    /// Only relayed candidates: peers never learn this device's addresses.
    public var relayOnly = false
    /// Encrypt on WebRTC as well, where DTLS already does.
    public var requireSealing = false
    /// Loopback candidates, for tests and demos on one machine.
    public var loopback = false

    public init(relay: URL, identity: Identity) {
        relays = [relay]
        self.identity = identity
    }
}

/// A STUN or TURN server.
public struct ICEServer: Sendable, Hashable {
    public var url: String
    public var username: String?
    public var credential: String?

    public init(url: String, username: String? = nil, credential: String? = nil) {
        self.url = url
        self.username = username
        self.credential = credential
    }
}

extension PeersConfig {
    var generated: ClientConfig {
        ClientConfig(
            relays: relays.map(\.absoluteString),
            identity: identity.generated,
            name: name,
            trusted: trusted.map { TrustedDevice(device: $0.key.text, level: $0.value.generated) },
            trustPolicy: trustPolicy.map(PolicyBridge.init),
            services: Array(handlers.keys),
            handler: handlers.isEmpty ? nil : Handlers(handlers),
            groups: groups.map(\.text),
            iceServers: iceServers.map { IceServer(url: $0.url, username: $0.username, credential: $0.credential) },
            transports: transports.map(\.generated),
            relayOnly: relayOnly,
            requireSealing: requireSealing,
            loopback: loopback,
            logLevel: logLevel?.generated
        )
    }
}

private final class PolicyBridge: TrustPolicy {
    private let judge: @Sendable (DeviceID, UserID) -> TrustLevel?

    init(judge: @escaping @Sendable (DeviceID, UserID) -> TrustLevel?) {
        self.judge = judge
    }

    func trust(device: String, user: String) throws -> PeersGenerated.TrustLevel? {
        judge(DeviceID(device), UserID(user))?.generated
    }
}
