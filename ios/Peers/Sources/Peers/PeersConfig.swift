import Foundation
internal import PeersGenerated

/// The settings of `Peers`.
public struct PeersConfig: Sendable {
    /// Relays to register at: at least one, unless other devices have an address.
    public var relays: [Relay]
    /// Where the device's keys live.
    public var identity: Identity
    /// Shown to peers, at most 64 bytes.
    public var name = ""
    /// Devices whose trust is known now. It counts instead of the level in the `store`, where a device that was blocked stays so.
    public var trusted: [DeviceID: TrustLevel] = [:]
    /// Judges all others; nil makes one an `.incoming` event. Called on a thread of the library; must not block for long.
    public var trustPolicy: (@Sendable (DeviceID, UserID) -> TrustLevel?)?
    /// Lets every device reach this one through its relays, as a service for the public does. Without it a device that is not
    /// trusted can knock, and nothing else.
    public var open = false
    /// Answer the calls of peers, by service. What one returns is the answer; `RequestFailed` says no in the app's words, any
    /// other error says no without any. Its task is cancelled when the caller gives up.
    public var handlers: [String: @Sendable (Request) async throws -> Data] = [:]
    /// Groups this device carries. A group's data passes to and from the devices that `members` names, from `.newDevice` on, and
    /// no others. The peer checks the same on its side.
    public var groups: Set<GroupID> = []
    /// The members of groups, as far as the app knows.
    public var members: [GroupID: Set<DeviceID>] = [:]
    /// STUN and TURN servers besides those the relay names.
    public var iceServers: [ICEServer] = []
    /// What may carry sessions: any of `.webrtc` and `.relay`; empty for all.
    public var transports: Set<PathKind> = []
    /// These kinds of path first, in this order; the others follow as they usually do.
    public var prefer: [PathTier] = []
    /// Where devices may be reached directly: `ws://` in the local network, or `wss://`. Not dialed with `relayOnly`, since what
    /// listens there sees this device's address.
    public var addresses: [DeviceID: [URL]] = [:]
    /// How long a session without a path waits for one before it is lost: a day at most. Each end has its own.
    public var resumeWindow: Duration = .seconds(60)
    /// Lets streams marked as bulk (`PeerStream.bulk`) go on while data costs money; without it they wait.
    public var bulkOnMetered = false
    /// The least level that is logged; nil for nothing.
    public var logLevel: LogLevel? = LogSink.defaultLevel
    /// Where it goes.
    public var logSink: LogSink = .system
    /// Parts of the system that are followed by themselves, on iOS and macOS. For each other one, and on other systems, the app
    /// tells by `Peers.networkChanged` and `Peers.setAppState`. In an app that the system launched in the background, the first
    /// `setAppState(.background)` is the app's to tell: no notification does.
    public var systemSources: Set<SystemSource> = Set(SystemSource.allCases)
    /// The address at which this device listens for others, as `192.168.1.2:0`; port 0 picks one, which `Peers.listening` tells.
    /// Those dial it without a relay (`addresses`). The port is closed while the app is suspended. A device that does not know the
    /// keys of this one is refused there and learns nothing.
    public var listen: String?
    /// The file that remembers levels and keys of devices between two runs of the app; nil forgets them. Its folder exists. One
    /// `Peers` at a time uses it, from `start` to `shutdown`. It belongs into a folder of the app alone, such as Application
    /// Support. In the folder of an app group the system ends an app that is suspended with a locked file.
    public var store: URL?
    /// Only relayed candidates: peers never learn this device's addresses.
    public var relayOnly = false
    /// Encrypt on WebRTC as well, where DTLS already does.
    public var requireSealing = false
    /// Loopback candidates, for tests and demos on one machine.
    public var loopback = false

    /// With one relay, and its operator's token if it admits devices with one only.
    public init(relay: URL, token: String? = nil, identity: Identity) {
        relays = [Relay(url: relay, token: token)]
        self.identity = identity
    }

    /// A relay to register at.
    public struct Relay: Sendable, Hashable {
        /// `ws://` or `wss://`.
        public var url: URL
        /// Its operator's token, at most 256 bytes, if it admits devices with one only: see `PeersState.notAdmitted`.
        public var token: String?
        /// The authorities that may have issued its certificate, in PEM or DER; empty for those that browsers trust.
        public var authorities: [Data]
        /// SHA-256 hashes of its certificate's public key or of its certificate: `sha256/` and base64, or hexadecimal. With one,
        /// no other key is accepted, and no authority, name or date is asked.
        public var pins: [String]

        public init(url: URL, token: String? = nil, authorities: [Data] = [], pins: [String] = []) {
            self.url = url
            self.token = token
            self.authorities = authorities
            self.pins = pins
        }
    }
}

extension PeersConfig.Relay: CustomStringConvertible, CustomReflectable {
    // Tokens stay out of logs.
    public var description: String { "Relay(\(url.absoluteString))" }
    public var customMirror: Mirror { Mirror(self, children: ["url": url]) }
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
    func generated(identity: IdentitySource) -> ClientConfig {
        ClientConfig(
            relays: relays.map {
                RelayEndpoint(
                    url: $0.url.absoluteString, token: $0.token, authorities: $0.authorities, pins: $0.pins)
            },
            identity: identity,
            name: name,
            trusted: trusted.map { TrustedDevice(device: $0.key.text, level: $0.value.generated) },
            trustPolicy: trustPolicy.map(PolicyBridge.init),
            open: open,
            services: Array(handlers.keys),
            handler: handlers.isEmpty ? nil : Handlers(handlers),
            groups: groups.map(\.text),
            members: members.flatMap { group, devices in
                devices.map { GroupMember(group: group.text, device: $0.text) }
            },
            iceServers: iceServers.map { IceServer(url: $0.url, username: $0.username, credential: $0.credential) },
            transports: transports.map(\.generated),
            prefer: prefer.map(\.generated),
            addresses: addresses.flatMap { device, urls in
                urls.map { DeviceAddress(device: device.text, url: $0.absoluteString) }
            },
            resumeWindowMs: resumeWindow.milliseconds,
            bulkOnMetered: bulkOnMetered,
            listen: listen,
            store: store?.path,
            relayOnly: relayOnly,
            requireSealing: requireSealing,
            loopback: loopback,
            logLevel: logLevel?.generated
        )
    }
}

extension Duration {
    /// Whole milliseconds, from zero on.
    var milliseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds)) * 1000 + UInt64(max(0, attoseconds) / 1_000_000_000_000_000)
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
