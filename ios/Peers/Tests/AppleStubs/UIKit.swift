// Stands in for Apple's module in type checks on Linux, and for what Apple's Foundation has beyond Linux's.
import Foundation

@MainActor
public class UIApplication {
    nonisolated public class var didEnterBackgroundNotification: NSNotification.Name { NSNotification.Name("") }
    nonisolated public class var willEnterForegroundNotification: NSNotification.Name { NSNotification.Name("") }
    nonisolated public class var didBecomeActiveNotification: NSNotification.Name { NSNotification.Name("") }
    nonisolated public class var willTerminateNotification: NSNotification.Name { NSNotification.Name("") }
}

extension ProcessInfo {
    public func performExpiringActivity(withReason reason: String, using block: @escaping @Sendable (Bool) -> Void) {}
}
