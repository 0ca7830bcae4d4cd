import Foundation

/// Observers of one notification centre, removed together.
final class Observers: @unchecked Sendable {
    // `NotificationCenter` may be used from any thread.
    private let center: NotificationCenter
    private let tokens = Locked<[any NSObjectProtocol]>([])

    init(_ center: NotificationCenter) {
        self.center = center
    }

    /// Calls `body` on the thread that posts.
    func observe(_ name: Notification.Name, _ body: @escaping @Sendable () -> Void) {
        let token = center.addObserver(forName: name, object: nil, queue: nil) { _ in body() }
        tokens.withLock { $0.append(token) }
    }

    func remove() {
        tokens.withLock { tokens in
            tokens.forEach(center.removeObserver)
            tokens = []
        }
    }
}
