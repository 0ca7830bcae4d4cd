import Foundation
import XCTest

@testable import Peers

final class KeychainTests: XCTestCase {
    func testTheFirstSecretStays() throws {
        let item = FakeItem()
        let keychain = KeychainSecret(item: item)
        XCTAssertNil(try keychain.load())
        let secret = Data(repeating: 7, count: 64)
        try keychain.store(secret)
        XCTAssertEqual(try keychain.load(), secret)
        XCTAssertThrowsError(try keychain.store(Data(count: 64))) { XCTAssertEqual($0 as? KeychainError, .duplicate) }
        XCTAssertEqual(try keychain.load(), secret)
        try keychain.remove()
        try keychain.remove()
        XCTAssertNil(try keychain.load())
    }

    func testEachAnswerOfTheKeychainIsATypedError() {
        let answers: [(Int32, KeychainError)] = [
            (-25308, .locked), (-34018, .missingEntitlement), (-25299, .duplicate), (-26275, .corrupted),
            (-25291, .other(status: -25291)),
        ]
        for (status, error) in answers {
            let item = FakeItem()
            item.state.withLock { $0.failure = status }
            let keychain = KeychainSecret(item: item)
            XCTAssertThrowsError(try keychain.load()) { XCTAssertEqual($0 as? KeychainError, error) }
            XCTAssertThrowsError(try keychain.store(Data(count: 64))) { XCTAssertEqual($0 as? KeychainError, error) }
            XCTAssertThrowsError(try keychain.remove()) { XCTAssertEqual($0 as? KeychainError, error) }
        }
    }

    func testAnItemOfAnotherLengthIsCorrupted() {
        for length in [0, 63, 65] {
            let item = FakeItem()
            item.state.withLock { $0.data = Data(count: length) }
            XCTAssertThrowsError(try KeychainSecret(item: item).load()) {
                XCTAssertEqual($0 as? KeychainError, .corrupted)
            }
        }
    }

    func testAStartThrowsWhatTheKeychainSaysAndSucceedsOnceItIsUnlocked() async throws {
        try await network { network in
            let item = FakeItem()
            item.state.withLock { $0.failure = -25308 }
            let device = try await network.stopped { $0.identity = .store(FakeKeychain(item: item)) }
            let error = await thrown { try await device.start() }
            XCTAssertEqual(error as? KeychainError, .locked)
            item.state.withLock { $0.failure = nil }
            try await device.start()
            try await device.isOnline()
            XCTAssertEqual(item.state.withLock { $0.data?.count }, 64)
        }
    }
}

private struct FakeKeychain: SecretStore {
    let item: FakeItem

    func load() throws -> Data? { try KeychainSecret(item: item).load() }
    func store(_ secret: Data) throws { try KeychainSecret(item: item).store(secret) }
}

/// An item with the answers of Apple's Keychain.
private final class FakeItem: KeychainItem {
    struct State {
        var data: Data?
        var failure: Int32?
    }

    let state = Locked(State())

    func read() -> (status: Int32, data: Data?) {
        state.withLock { state in
            if let failure = state.failure { return (failure, nil) }
            return state.data.map { (0, $0) } ?? (-25300, nil)
        }
    }

    func add(_ data: Data) -> Int32 {
        state.withLock { state in
            if let failure = state.failure { return failure }
            if state.data != nil { return -25299 }
            state.data = data
            return 0
        }
    }

    func delete() -> Int32 {
        state.withLock { state in
            if let failure = state.failure { return failure }
            defer { state.data = nil }
            return state.data == nil ? -25300 : 0
        }
    }
}
