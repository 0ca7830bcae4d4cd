import Foundation

/// Keeps what must survive the end of the process.
public protocol ChatStore: Sendable {
    /// All records kept so far, oldest first.
    func load() async throws -> [ChatRecord]
    /// Keeps a record: once this returns, the next `load` has it, however the process ends.
    func append(_ record: ChatRecord) async throws
}

/// A file that is no store's.
public struct DamagedStore: Error {}

/// A file to which each record is appended as a line of JSON. For one process at a time.
public actor FileChatStore: ChatStore {
    private let file: URL

    public init(_ file: URL) {
        self.file = file
    }

    public func load() throws -> [ChatRecord] {
        guard FileManager.default.fileExists(atPath: file.path) else { return [] }
        let content = try Data(contentsOf: file)
        let whole = content.lastIndex(of: newline).map { content[...$0] } ?? content.prefix(0)
        let decoder = JSONDecoder()
        let records = try whole.split(separator: newline).map { line in
            do { return try decoder.decode(ChatRecord.self, from: line) } catch is DecodingError { throw DamagedStore() }
        }
        // A process that ended inside `append` leaves a part of a line.
        if whole.count < content.count { try truncate(to: whole.count) }
        return records
    }

    public func append(_ record: ChatRecord) throws {
        let line = try JSONEncoder().encode(record) + [newline]
        if !FileManager.default.fileExists(atPath: file.path) {
            try Data().write(to: file, options: .completeFileProtectionUntilFirstUserAuthentication)
        }
        let handle = try FileHandle(forWritingTo: file)
        defer { try? handle.close() }
        let whole = try handle.seekToEnd()
        do {
            try handle.write(contentsOf: line)
            try handle.synchronize()
        } catch {
            // The next record is not to follow a part of this one.
            try handle.truncate(atOffset: whole)
            throw error
        }
    }

    private func truncate(to length: Int) throws {
        let handle = try FileHandle(forWritingTo: file)
        defer { try? handle.close() }
        try handle.truncate(atOffset: UInt64(length))
    }
}

private let newline = UInt8(ascii: "\n")
