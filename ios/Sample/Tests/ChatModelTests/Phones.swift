import ChatModel
import Foundation
import Peers
import XCTest

/// A phone with the app: its model on a real client, until the test ends.
@MainActor
final class Phone {
    let peers: Peers
    let model: ChatModel
    private let running: Task<Void, Never>

    init(_ network: Network) async throws {
        let peers = try await network.stopped { $0.logLevel = .debug }
        let model = ChatModel(peers: peers, store: FileChatStore(temporaryFolder().appendingPathComponent("chats")))
        self.peers = peers
        self.model = model
        running = Task { await model.run() }
    }

    deinit { running.cancel() }

    /// This phone's code, once it has keys.
    func code() async throws -> DeviceID {
        try await until("the own code") { $0.ownCode != nil }
        return try XCTUnwrap(model.ownCode)
    }

    /// Waits for what the screens show; the test fails when it does not come.
    func until(
        _ wanted: String, file: StaticString = #filePath, line: UInt = #line,
        _ condition: @escaping @MainActor @Sendable (ChatModel) -> Bool
    ) async throws {
        let model = model
        do {
            try await within(.seconds(40), wanted) { @MainActor in
                for await _ in changes({ condition(model) }) where condition(model) { return }
            }
        } catch {
            XCTFail("not in time: \(wanted); \(model.summary)", file: file, line: line)
            throw error
        }
    }
}

extension ChatModel {
    /// The messages with a device as a person reads them.
    func lines(_ device: DeviceID) -> [String] { chats.messages(with: device).map(\.line) }

    func isUsable(_ device: DeviceID) -> Bool { connections[device]?.status == .usable }

    fileprivate var summary: String {
        "\(client), \(connections), \(problems), \(requests.count) requests, \(comparisons), \(problem ?? "-"), \(chats)"
    }
}

/// Runs `test` on a network of its own.
func phones(_ test: @escaping @MainActor @Sendable (Network) async throws -> Void) async throws {
    try await network { try await test($0) }
}
