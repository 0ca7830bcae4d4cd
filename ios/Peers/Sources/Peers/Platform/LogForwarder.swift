#if canImport(os)
    import os
#endif

/// Where the library's log goes.
public enum LogSink: Sendable, Hashable {
    /// To the system's log, by `os.Logger` with the subsystem `app.peers`; on a system without it as `app`.
    case system
    /// To `Peers.logs`, for the app to take.
    case app
}

extension LogSink {
    /// How much is logged by default: what happens to connections and sessions, where the system keeps it.
    static var defaultLevel: LogLevel? {
        #if canImport(os)
            .info
        #else
            nil
        #endif
    }

    var write: (@Sendable (LogRecord) -> Void)? {
        switch self {
        case .app: nil
        #if canImport(os)
            case .system: { $0.writeToSystem() }
        #else
            case .system: nil
        #endif
        }
    }
}

#if canImport(os)
    extension LogRecord {
        /// A record holds no key, no content and no full address: its text may be public.
        fileprivate func writeToSystem() {
            Logger(subsystem: "app.peers", category: module).log(level: level.systemType, "\(text, privacy: .public)")
        }
    }

    extension LogLevel {
        /// A warning is kept on disk, as `default` is.
        fileprivate var systemType: OSLogType {
            switch self {
            case .error: .error
            case .warn: .default
            case .info: .info
            case .debug: .debug
            }
        }
    }
#endif

/// Takes a client's log and writes it, until it ends or this is dropped.
final class LogForwarder: Sendable {
    private let task: Task<Void, Never>

    init(_ logs: PeersSequence<LogRecord, Never>, _ write: @escaping @Sendable (LogRecord) -> Void) {
        task = Task {
            for await record in logs { write(record) }
        }
    }

    deinit { task.cancel() }
}
