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

    init(_ handlers: [String: @Sendable (Request) async throws -> Data]) {
        self.handlers = handlers
    }

    func handle(request: InboundRequest) throws {
        guard let handler = handlers[request.service()] else {
            request.fail(code: .notFound, text: "no such service")
            return
        }
        let answering = Task { await answer(request, with: handler) }
        Task {
            // Returns as well when the request was answered: then there is nothing left to cancel.
            await request.over()
            answering.cancel()
        }
    }
}

private func answer(_ inbound: InboundRequest, with handler: @Sendable (Request) async throws -> Data) async {
    do {
        inbound.reply(body: try await handler(Request(inbound)))
    } catch let error as RequestFailed {
        inbound.fail(code: error.failure.generated, text: error.text)
    } catch {
        // The app's own words may say more than the caller should know.
        inbound.fail(code: .application, text: "the handler failed")
    }
}

extension Request {
    fileprivate init(_ inbound: InboundRequest) {
        device = DeviceID(inbound.device())
        service = inbound.service()
        method = inbound.method()
        group = inbound.group().map(GroupID.init)
        body = inbound.body()
    }
}
