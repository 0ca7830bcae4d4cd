internal import PeersGenerated

/// How much is logged, and how grave one record is.
public enum LogLevel: Sendable, Hashable {
    /// A defect of this library.
    case error
    /// Something that should not happen, such as a peer that breaks the protocol.
    case warn
    /// What happens to connections and sessions.
    case info
    /// Every step on the way.
    case debug
}

/// One statement of the library. It holds no key, no content and no full address.
public struct LogRecord: Sendable, Hashable {
    public let level: LogLevel
    public let module: String
    public let text: String
}

extension PeersClient {
    /// The log, for one consumer.
    var logRecords: PeersSequence<LogRecord, Never> {
        PeersSequence(take: { self.takeLogs(max: 1).first.map(LogRecord.init) }, ready: { try await self.logsReady(cancel: $0) })
    }
}

extension LogLevel {
    init(_ level: PeersGenerated.LogLevel) {
        switch level {
        case .error: self = .error
        case .warn: self = .warn
        case .info: self = .info
        case .debug: self = .debug
        }
    }

    var generated: PeersGenerated.LogLevel {
        switch self {
        case .error: .error
        case .warn: .warn
        case .info: .info
        case .debug: .debug
        }
    }
}

extension LogRecord {
    init(_ record: PeersGenerated.LogRecord) {
        self.init(level: LogLevel(record.level), module: record.module, text: record.text)
    }
}
