#if canImport(Security)
    import Foundation
    import Security

    /// The device's secret in the Keychain, readable from the first unlock after the device was switched on, also in the
    /// background. It is part of no backup that another device could restore, and it outlives the app's removal.
    public struct KeychainStore: SecretStore {
        private let secret: KeychainSecret<GenericPassword>

        /// The item is a generic password named by `service` and `account`. `accessGroup` shares it with other apps and extensions
        /// of the same team.
        public init(service: String, account: String = "peers", accessGroup: String? = nil) {
            secret = KeychainSecret(item: GenericPassword(service: service, account: account, accessGroup: accessGroup))
        }

        /// Throws `KeychainError`.
        public func load() throws -> Data? { try secret.load() }

        /// Throws `KeychainError`; `.duplicate` if there is one.
        public func store(_ secret: Data) throws { try self.secret.store(secret) }

        /// Removes the secret: the device has another id from the next start on. Throws `KeychainError`.
        public func remove() throws { try secret.remove() }
    }

    extension Identity {
        /// In the Keychain, made on first use. `Peers.start()` throws `KeychainError` when it does not keep them.
        public static func keychain(service: String, account: String = "peers", accessGroup: String? = nil) -> Identity {
            .store(KeychainStore(service: service, account: account, accessGroup: accessGroup))
        }
    }

    private struct GenericPassword: KeychainItem {
        let service: String
        let account: String
        let accessGroup: String?

        func read() -> (status: Int32, data: Data?) {
            var query = attributes
            query[kSecReturnData as String] = true
            query[kSecMatchLimit as String] = kSecMatchLimitOne
            var result: CFTypeRef?
            let status = SecItemCopyMatching(NSDictionary(dictionary: query) as CFDictionary, &result)
            return (status, result as? Data)
        }

        func add(_ data: Data) -> Int32 {
            var item = attributes
            item[kSecValueData as String] = data
            item[kSecAttrAccessible as String] = kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly
            return SecItemAdd(NSDictionary(dictionary: item) as CFDictionary, nil)
        }

        func delete() -> Int32 {
            SecItemDelete(NSDictionary(dictionary: attributes) as CFDictionary)
        }

        private var attributes: [String: Any] {
            var attributes: [String: Any] = [
                kSecClass as String: kSecClassGenericPassword,
                kSecAttrService as String: service,
                kSecAttrAccount as String: account,
                kSecAttrSynchronizable as String: false,
                // On macOS the keychain in files knows no accessibility.
                kSecUseDataProtectionKeychain as String: true,
            ]
            attributes[kSecAttrAccessGroup as String] = accessGroup
            return attributes
        }
    }
#endif
