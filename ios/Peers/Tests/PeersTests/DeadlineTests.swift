import XCTest

/// The deadlines of the tests themselves.
final class DeadlineTests: XCTestCase {
    func testWorkThatIgnoresCancellationIsLeftBehind() async {
        let error = await thrown {
            try await within(.milliseconds(50), "an answer") {
                await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
            }
        }
        XCTAssertEqual((error as? DeadlinePassed)?.description, "waited 0.05 seconds for an answer")
    }

    func testAValueThatNeverComesIsNamed() async throws {
        let once = Once<Int>()
        let error = await thrown { try await once.get("a number", within: .milliseconds(50)) }
        XCTAssertEqual((error as? DeadlinePassed)?.awaited, "a number")
        await once.set(7)
        let late = try await once.get("a number")
        XCTAssertEqual(late, 7)
    }

    func testAValueReachesAllThatWait() async throws {
        let once = Once<Int>()
        async let first = once.get("a number")
        async let second = once.get("a number")
        await once.set(7)
        let (one, other) = try await (first, second)
        XCTAssertEqual([one, other], [7, 7])
    }
}
