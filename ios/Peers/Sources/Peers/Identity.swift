import Foundation
internal import PeersGenerated

/// Keeps one secret for the app, best in hardware. Both functions may block; what they throw becomes `PeersError.identity`.
public protocol SecretStore: Sendable {
    /// The secret that `store` was given last, or nil on first use.
    func load() throws -> Data?
    /// Keeps the secret, which is 64 bytes.
    func store(_ secret: Data) throws
}

/// Where the device's keys live.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum Identity: Sendable {
    /// In a file that only this user can read, made on first use. The folder exists.
    case file(URL)
    /// In the app's own store.
    case store(any SecretStore)
    /// New keys for this run: the device has another id next time.
    case temporary
}

extension Identity {
    /// The secret of another device of the same user, for that device's own `SecretStore`. `secret` is what the store of one of the
    /// user's devices keeps: it goes from device to device by a way that nobody else sees. `PeersError.identity` if it is not 64
    /// bytes.
    public static func anotherDevice(of secret: Data) throws -> Data {
        try translating { try PeersGenerated.anotherDevice(secret: secret) }
    }

    /// For the library, and what it asks of the app's store if there is one.
    var generated: (source: IdentitySource, bridge: StoreBridge?) {
        switch self {
        case .file(let url): return (.file(path: url.path), nil)
        case .store(let store):
            let bridge = StoreBridge(store: store)
            return (.store(store: bridge), bridge)
        case .temporary: return (.temporary, nil)
        }
    }
}

final class StoreBridge: PeersGenerated.SecretStore {
    private let inner: any SecretStore
    private let failure = Locked<KeychainError?>(nil)

    init(store: any SecretStore) {
        inner = store
    }

    /// Why the last operation failed, if the store is the Keychain.
    var keychainError: KeychainError? { failure.withLock { $0 } }

    func load() throws -> Data? {
        try reporting { try inner.load() }
    }

    func store(secret: Data) throws {
        try reporting { try inner.store(secret) }
    }

    /// Runs the app's code; what it throws goes back to the library as a value.
    private func reporting<T>(_ body: () throws -> T) throws -> T {
        failure.withLock { $0 = nil }
        do {
            return try body()
        } catch {
            failure.withLock { $0 = error as? KeychainError }
            throw CallbackError.Failed(reason: String(describing: error))
        }
    }
}
