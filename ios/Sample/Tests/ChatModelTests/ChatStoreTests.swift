import ChatModel
import Foundation
import Peers
import XCTest

final class ChatStoreTests: XCTestCase {
    private let file = temporaryFolder().appendingPathComponent("chats")
    private let device = DeviceID(String(repeating: "a", count: 32))
    private var records: [ChatRecord] {
        [
            .contactAdded(Contact(device: device, name: "Anna's phone\n")),
            .messageAdded(ChatMessage(id: "1", device: device, outgoing: true, text: "grüezi", delivered: false)),
            .messageAdded(ChatMessage(id: "2", device: device, outgoing: false, text: "hello", delivered: true)),
            .messageDelivered(id: "1"),
            .contactRemoved(DeviceID(String(repeating: "b", count: 32))),
        ]
    }

    func testAllRecordsAreThereAgain() async throws {
        let none = try await FileChatStore(file).load()
        XCTAssertEqual(none, [])
        for record in records { try await FileChatStore(file).append(record) }
        let loaded = try await FileChatStore(file).load()
        XCTAssertEqual(loaded, records)
    }

    func testARecordThatWasCutShortAnywhereIsLeftOutAndTheNextOneFollowsTheWholeOnes() async throws {
        try await FileChatStore(file).append(records[0])
        let whole = try Data(contentsOf: file).count
        try await FileChatStore(file).append(records[1])
        let bytes = try Data(contentsOf: file)
        for length in whole..<bytes.count {
            try bytes.prefix(length).write(to: file)
            let first = try await FileChatStore(file).load()
            XCTAssertEqual(first, [records[0]])
            try await FileChatStore(file).append(records[2])
            let both = try await FileChatStore(file).load()
            XCTAssertEqual(both, [records[0], records[2]])
        }
    }

    func testAFileThatIsSomethingElseIsAnError() async throws {
        try Data("some text of another program\n".utf8).write(to: file)
        let error = await thrown { try await FileChatStore(file).load() }
        XCTAssertTrue(error is DamagedStore, "\(String(describing: error))")
    }

    func testTheChatsAreTheSumOfTheRecords() {
        var chats = Chats(records)
        XCTAssertEqual(chats.messages.map(\.line), ["> grüezi", "< hello"])
        XCTAssertEqual(chats.contacts.map(\.device), [device])
        chats.add(.contactRemoved(device))
        XCTAssertEqual(chats, Chats())
    }
}
