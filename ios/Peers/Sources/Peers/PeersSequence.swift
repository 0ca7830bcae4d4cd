internal import PeersGenerated

/// Values of the library in the order in which they arise. The property that returns a sequence says for how many consumers it is,
/// and when it ends; it ends as well when the consumer's task is cancelled.
public struct PeersSequence<Element: Sendable, Failure: Error>: AsyncSequence, Sendable {
    /// Waits for the next value of one iterator; nil at the end.
    typealias Step = (isolated (any Actor)?) async -> Result<Element?, Failure>

    /// Makes the step of an iterator.
    fileprivate let steps: @Sendable () -> Step

    public func makeAsyncIterator() -> Iterator {
        Iterator(step: steps())
    }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let step: Step

        /// The next value; nil at the end.
        public mutating func next() async throws(Failure) -> Element? {
            try await next(isolation: nil)
        }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(Failure) -> Element? {
            try await step(actor).get()
        }
    }
}

extension PeersSequence where Failure == Never {
    /// Takes what is there, and waits with `ready` while that is nothing. An error of `ready` ends the sequence.
    init(
        take: @escaping @Sendable () -> Element?,
        ready: @escaping @Sendable (Cancellation) async throws -> Bool
    ) {
        steps = { { (_: isolated (any Actor)?) in .success(try? await taken(take, ready)) } }
    }

    /// The value now, then each one that follows by `after`. Ends when that returns the value it was given.
    init<Value: Equatable & Sendable>(
        now: @escaping @Sendable () -> Value,
        after: @escaping @Sendable (Value, Cancellation) async -> Value,
        element: @escaping @Sendable (Value) -> Element
    ) {
        steps = {
            var seen: Value?
            return { (_: isolated (any Actor)?) in
                guard let last = seen else {
                    let first = now()
                    seen = first
                    return .success(element(first))
                }
                let next = try? await cancellable { await after(last, $0) }
                guard let next, next != last else { return .success(nil) }
                seen = next
                return .success(element(next))
            }
        }
    }
}

extension PeersSequence where Failure == any Error {
    /// Each iterator has a function of its own from `nexts`, which returns the next value, nil at the end.
    init(nexts: @escaping @Sendable () -> (isolated (any Actor)?) async throws -> Element?) {
        steps = {
            let next = nexts()
            return { actor in
                do {
                    return .success(try await next(actor))
                } catch {
                    return .failure(error)
                }
            }
        }
    }

    /// Takes what is there, and waits with `ready` while that is nothing.
    init(
        take: @escaping @Sendable () throws -> Element?,
        ready: @escaping @Sendable (Cancellation) async throws -> Bool
    ) {
        self.init(nexts: { { (_: isolated (any Actor)?) in try await taken(take, ready) } })
    }
}

/// Takes what is there, and waits with `ready` while that is nothing. Nil when `ready` says that nothing will come.
private func taken<Element>(
    isolation: isolated (any Actor)? = #isolation,
    _ take: () throws -> Element?,
    _ ready: (Cancellation) async throws -> Bool
) async throws -> Element? {
    while true {
        if let element = try take() { return element }
        guard try await cancellable(ready) else { return nil }
    }
}
