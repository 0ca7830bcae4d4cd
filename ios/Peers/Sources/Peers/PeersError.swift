import Foundation
internal import PeersGenerated

/// Why an operation failed. Each case says what to do about it; `code` is for logs and statistics.
///
/// A cancelled task throws `CancellationError` instead.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum PeersError: Error, Sendable, Hashable {
    /// Closed here: the client, the session or the stream. Make a new one.
    case closed
    /// `start()` was not called, or did not succeed.
    case notStarted
    /// The configuration cannot work; the text names the setting.
    case config(String)
    /// The device's keys could not be read or kept. Check the file or the store.
    case identity(String)
    /// The store of levels and keys (`PeersConfig.store`) could not be read or written. Make room, or see to the file.
    case store(String)
    /// No relay answers; the text says of each why. Wait for `.online`; it is tried again by itself.
    case offline(String)
    /// The peer cannot be reached now; the text says of each way why. Try again when it comes online.
    case unreachable(String)
    /// No answer in time; whether the peer acted on the request is unknown.
    case timedOut
    /// One of the two devices refuses the other. Ask people, do not try again.
    case denied
    /// The session could not be resumed: what was not acknowledged may be lost. Get a new session.
    case sessionLost(String)
    /// Too much is waiting already. Wait for some of it.
    case full
    /// More than one message may hold. Send it as a stream.
    case tooLarge
    /// The name of a service or a method has more than 64 bytes, or that of a stream more than 255.
    case nameTooLong
    /// The two devices do not share this group.
    case notInGroup
    /// Data that is not what it should be: the sender's mistake.
    case codec(String)
    /// The peer answered a call with an error.
    case callFailed(CallFailure, text: String)
    /// The peer gave up this stream, for the application's reason.
    case streamReset(code: UInt64)
    /// A defect of this library. Please report it.
    case `internal`(String)

    public var code: String {
        switch self {
        case .closed: "closed"
        case .notStarted: "not-started"
        case .config: "config"
        case .identity: "identity"
        case .store: "store"
        case .offline: "offline"
        case .unreachable: "unreachable"
        case .timedOut: "timed-out"
        case .denied: "denied"
        case .sessionLost: "session-lost"
        case .full: "full"
        case .tooLarge: "too-large"
        case .nameTooLong: "name-too-long"
        case .notInGroup: "not-in-group"
        case .codec: "codec"
        case .callFailed: "call-failed"
        case .streamReset: "stream-reset"
        case .internal: "internal"
        }
    }
}

extension PeersError: LocalizedError {
    public var errorDescription: String? {
        switch self {
        case .config(let text), .identity(let text), .store(let text), .offline(let text), .unreachable(let text),
            .sessionLost(let text), .codec(let text), .callFailed(_, let text), .internal(let text):
            "\(code): \(text)"
        default: code
        }
    }
}

/// What kind of no a call got.
///
/// Later versions may add cases: end a `switch` with `@unknown default`.
public enum CallFailure: Sendable, Hashable {
    /// The handler failed; the text is the application's.
    case application
    /// Nothing handles this service and method.
    case notFound
    /// The trust or the group of the caller does not allow it.
    case denied
    /// Too many calls wait already.
    case overloaded
    /// The handler could not read the request.
    case badRequest
}

/// Runs `body` and translates its errors.
func translating<T>(_ body: () throws -> T) throws -> T {
    do {
        return try body()
    } catch let error as PeersGenerated.PeersError {
        throw error.translated
    }
}

/// Runs `operation` with a handle that ends it when the task is cancelled, and translates its errors.
func cancellable<T: Sendable>(
    isolation: isolated (any Actor)? = #isolation,
    _ operation: (Cancellation) async throws -> T
) async throws -> T {
    let cancellation = Cancellation()
    do {
        return try await withTaskCancellationHandler {
            try await operation(cancellation)
        } onCancel: {
            cancellation.cancel()
        }
    } catch let error as PeersGenerated.PeersError {
        throw error.translated
    }
}

extension PeersGenerated.PeersError {
    var translated: any Error {
        switch self {
        case .Closed: PeersError.closed
        case .NotStarted: PeersError.notStarted
        case .Config(let reason): PeersError.config(reason)
        case .Identity(let reason): PeersError.identity(reason)
        case .Store(let reason): PeersError.store(reason)
        case .Offline(let reason): PeersError.offline(reason)
        case .Unreachable(let reason): PeersError.unreachable(reason)
        case .TimedOut: PeersError.timedOut
        case .Denied: PeersError.denied
        case .SessionLost(let reason): PeersError.sessionLost(reason)
        case .Full: PeersError.full
        case .TooLarge: PeersError.tooLarge
        case .NameTooLong: PeersError.nameTooLong
        case .NotInGroup: PeersError.notInGroup
        case .Codec(let reason): PeersError.codec(reason)
        case .CallFailed(let code, let text): PeersError.callFailed(CallFailure(code), text: text)
        case .StreamReset(let code): PeersError.streamReset(code: code)
        case .Cancelled: CancellationError()
        case .Internal(let reason): PeersError.internal(reason)
        }
    }
}

extension CallFailure {
    init(_ code: FailureCode) {
        switch code {
        case .application: self = .application
        case .notFound: self = .notFound
        case .denied: self = .denied
        case .overloaded: self = .overloaded
        case .badRequest: self = .badRequest
        }
    }

    var generated: FailureCode {
        switch self {
        case .application: .application
        case .notFound: .notFound
        case .denied: .denied
        case .overloaded: .overloaded
        case .badRequest: .badRequest
        }
    }
}
