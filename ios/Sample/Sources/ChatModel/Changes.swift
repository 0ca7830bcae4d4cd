import Observation

/// An element at once, and one after each change of what `read` reads.
@MainActor
package func changes<T>(_ read: @escaping @MainActor @Sendable () -> T) -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    observe(read, continuation)
    return stream
}

@MainActor
private func observe<T>(_ read: @escaping @MainActor @Sendable () -> T, _ continuation: AsyncStream<Void>.Continuation) {
    withObservationTracking {
        _ = read()
    } onChange: {
        // This comes before the change.
        Task { @MainActor in observe(read, continuation) }
    }
    continuation.yield()
}

extension ChatMessage {
    /// As a person reads it.
    package var line: String {
        outgoing ? (delivered ? "> \(text)" : "… \(text)") : "< \(text)"
    }
}
