import Foundation
import XCTest

@testable import Peers

/// Request handlers written in Swift, called by another device.
final class HandlerTests: XCTestCase {
    func testAHandlerAnswersAndKnowsWhoAsks() async throws {
        try await network { network in
            let asked = Once<Request>()
            let pair = try await network.pair {
                $0.handlers["math"] = { request in
                    await asked.set(request)
                    return Data(request.body.reversed())
                }
            }
            let answer = try await pair.session.call("math", "reverse", Data([1, 2, 3]))
            XCTAssertEqual(answer, Data([3, 2, 1]))
            let request = try await asked.get("a request")
            XCTAssertEqual([request.service, request.method], ["math", "reverse"])
            XCTAssertEqual(request.device, try pair.first.deviceID)
        }
    }

    func testAHandlerSaysNoInItsOwnWords() async throws {
        try await network { network in
            let pair = try await network.pair {
                $0.handlers["shop"] = { _ in throw RequestFailed("sold out", failure: .badRequest) }
            }
            await XCTAssertThrown(.callFailed(.badRequest, text: "sold out")) { try await pair.session.call("shop", "buy") }
        }
    }

    func testWhatABrokenHandlerThrowsStaysWithIt() async throws {
        struct Password: Error {}
        try await network { network in
            let pair = try await network.pair {
                $0.handlers["broken"] = { _ in throw Password() }
                $0.handlers["fine"] = { $0.body }
            }
            await XCTAssertThrown(.callFailed(.application, text: "the handler failed")) {
                try await pair.session.call("broken", "call")
            }
            let answer = try await pair.session.call("fine", "call", Data([1]))
            XCTAssertEqual(answer, Data([1]))
        }
    }

    func testHandlersThatWaitDoNotHoldUpOthers() async throws {
        try await network { network in
            let gate = Once<Bool>()
            let pair = try await network.pair {
                $0.handlers["slow"] = { request in
                    _ = try await gate.get("the gate")
                    return request.body
                }
                $0.handlers["fast"] = { $0.body }
            }
            try await withThrowingTaskGroup(of: Data.self) { group in
                for _ in 0..<40 { group.addTask { try await pair.session.call("slow", "call", Data([8])) } }
                let answer = try await pair.session.call("fast", "call", Data([9]))
                XCTAssertEqual(answer, Data([9]))
                await gate.set(true)
                for try await slow in group { XCTAssertEqual(slow, Data([8])) }
            }
        }
    }

    func testACallerThatGivesUpCancelsTheHandler() async throws {
        try await network { network in
            let (started, cancelled) = (Once<Bool>(), Once<Bool>())
            let pair = try await network.pair {
                $0.handlers["patient"] = { request in
                    await started.set(true)
                    do {
                        try await Task.sleep(for: .seconds(3600))
                    } catch {
                        await cancelled.set(true)
                    }
                    return request.body
                }
            }
            let call = Task { try await pair.session.call("patient", "call") }
            _ = try await started.get("a handler that runs")
            call.cancel()
            _ = try await cancelled.get("a handler that is cancelled")
        }
    }

    // proves S145 S147
    func testShutdownEndsACallThatIsBeingHandledAtBothEnds() async throws {
        for callerLeaves in [true, false] {
            try await network { network in
                let (started, cancelled) = (Once<Bool>(), Once<Bool>())
                let pair = try await network.pair {
                    $0.handlers["patient"] = { request in
                        await started.set(true)
                        do {
                            try await Task.sleep(for: .seconds(3600))
                        } catch {
                            await cancelled.set(true)
                        }
                        return request.body
                    }
                }
                let call = Task { try await pair.session.call("patient", "call") }
                _ = try await started.get("a handler that runs")
                await (callerLeaves ? pair.first : pair.second).shutdown()
                // Whether the answer was on its way, nobody knows.
                let error = await thrown { try await within(.seconds(10), "the end of a call") { try await call.value } }
                switch error as? PeersError {
                case .sessionLost, .closed: break
                case let other: XCTFail("\(String(describing: other))")
                }
                _ = try await cancelled.get("a handler that is cancelled")
            }
        }
    }
}
