import Foundation
internal import PeersGenerated

/// A peer's call: `device` is proven, and so is its membership in `group`.
public struct Request: Sendable {
    public let device: DeviceID
    public let service: String
    public let method: String
    public let group: GroupID?
    public let body: Data
}

/// Thrown by a handler to say no: the caller sees the failure and the text.
public struct RequestFailed: Error, Sendable {
    public let failure: CallFailure
    public let text: String

    public init(_ text: String, failure: CallFailure = .application) {
        self.text = text
        self.failure = failure
    }
}

/// Answers requests with tasks, one per request. The library bounds how many there are.
final class Handlers: RequestHandler {
    private let handlers: [String: @Sendable (Request) async throws -> Data]
    private let running = Running()

    init(_ handlers: [String: @Sendable (Request) async throws -> Data]) {
        self.handlers = handlers
    }

    func handle(request: InboundRequest, responder: Responder) throws {
        guard let handler = handlers[request.service] else {
            responder.fail(code: .notFound, text: "no such service")
            return
        }
        running.start(request.number) { await answer(request, by: responder, with: handler) }
    }

    func giveUp(number: UInt64) throws {
        running.cancel(number)
    }
}

/// Tasks that can be cancelled by their numbers.
private final class Running: @unchecked Sendable {
    private let lock = NSLock()
    private var tasks: [UInt64: Task<Void, Never>] = [:]

    func start(_ number: UInt64, _ work: @escaping @Sendable () async -> Void) {
        lock.withLock {
            tasks[number] = Task {
                await work()
                self.end(number)
            }
        }
    }

    func cancel(_ number: UInt64) {
        lock.withLock { tasks[number] }?.cancel()
    }

    private func end(_ number: UInt64) {
        lock.withLock { _ = tasks.removeValue(forKey: number) }
    }
}

private func answer(
    _ request: InboundRequest, by responder: Responder, with handler: @Sendable (Request) async throws -> Data
) async {
    do {
        responder.reply(body: try await handler(Request(request)))
    } catch let error as RequestFailed {
        responder.fail(code: error.failure.generated, text: error.text)
    } catch {
        // The app's own words may say more than the caller should know.
        responder.fail(code: .application, text: "the handler failed")
    }
}

extension Request {
    fileprivate init(_ inbound: InboundRequest) {
        device = DeviceID(inbound.device)
        service = inbound.service
        method = inbound.method
        group = inbound.group.map(GroupID.init)
        body = inbound.body
    }
}
