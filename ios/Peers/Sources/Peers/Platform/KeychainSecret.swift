import Foundation

/// Why the Keychain does not keep this device's keys. `Peers.start()` throws it.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum KeychainError: Error, Sendable, Hashable {
    /// The device was not unlocked since it was switched on. Start again after
    /// `UIApplication.protectedDataDidBecomeAvailableNotification`.
    case locked
    /// The app is not signed with the entitlement that its Keychain items need: an application identifier on macOS, the access
    /// group where one is named. Correct the signature.
    case missingEntitlement
    /// Another process stored keys after this one had found none. Start again: the other's are used.
    case duplicate
    /// The item is not what was stored. `KeychainStore.remove()` and start again: the device gets another id.
    case corrupted
    /// Another answer of the Keychain, an `OSStatus`.
    case other(status: Int32)

    /// For logs and statistics.
    public var code: String {
        switch self {
        case .locked: "keychain-locked"
        case .missingEntitlement: "keychain-missing-entitlement"
        case .duplicate: "keychain-duplicate"
        case .corrupted: "keychain-corrupted"
        case .other: "keychain-other"
        }
    }
}

extension KeychainError: CustomStringConvertible, LocalizedError {
    public var description: String {
        if case .other(let status) = self { "\(code): status \(status)" } else { code }
    }

    public var errorDescription: String? { description }
}

/// One item of the Keychain.
protocol KeychainItem: Sendable {
    /// The item's data, with the status that tells whether there is any.
    func read() -> (status: Int32, data: Data?)
    func add(_ data: Data) -> Int32
    func delete() -> Int32
}

/// The secret in an item of the Keychain: what its answers mean.
struct KeychainSecret<Item: KeychainItem>: Sendable {
    let item: Item

    func load() throws -> Data? {
        let (status, data) = item.read()
        if status == KeychainStatus.itemNotFound { return nil }
        try KeychainStatus.check(status)
        guard let data, data.count == secretLength else { throw KeychainError.corrupted }
        return data
    }

    /// Never replaces a secret: the id of a device that another process has started depends on it.
    func store(_ secret: Data) throws {
        try KeychainStatus.check(item.add(secret))
    }

    func remove() throws {
        let status = item.delete()
        if status != KeychainStatus.itemNotFound { try KeychainStatus.check(status) }
    }
}

/// Bytes of a device's secret: see `SecretStore`.
private let secretLength = 64

/// Values of `OSStatus` in Apple's `SecBase.h`.
private enum KeychainStatus {
    static let itemNotFound: Int32 = -25300

    static func check(_ status: Int32) throws {
        switch status {
        case 0: return
        case -25308: throw KeychainError.locked
        case -34018: throw KeychainError.missingEntitlement
        case -25299: throw KeychainError.duplicate
        case -26275: throw KeychainError.corrupted
        default: throw KeychainError.other(status: status)
        }
    }
}
