#if canImport(UIKit)
    import Foundation
    import UIKit

    /// The app's notifications as a source of facts. UIKit posts them for apps with scenes as well: when the first scene enters the
    /// foreground, and when the last one has left it.
    final class AppLifecycle: FactSource {
        private let observers = Observers(.default)

        func start(_ tell: @escaping @Sendable (SystemFact) -> Void) {
            observers.observe(UIApplication.willEnterForegroundNotification) { tell(.foreground) }
            observers.observe(UIApplication.didBecomeActiveNotification) { tell(.foreground) }
            observers.observe(UIApplication.didEnterBackgroundNotification) { tell(.background) }
            observers.observe(UIApplication.willTerminateNotification) { tell(.stopping) }
        }

        func stop() {
            observers.remove()
        }
    }

    /// Time in the background by `ProcessInfo.performExpiringActivity`, which apps and app extensions have alike. The activity lasts
    /// as long as its block runs: a thread of the system waits in it until `end`.
    final class ExpiringActivity: BackgroundTime {
        private let current = Locked<DispatchGroup?>(nil)

        func begin(_ expiring: @escaping @Sendable () -> Void) {
            let activity = DispatchGroup()
            activity.enter()
            current.withLock { current in
                current?.leave()
                current = activity
            }
            ProcessInfo.processInfo.performExpiringActivity(withReason: "peers are told goodbye") { [current] expired in
                // Called a second time when the system ends the activity, while the first call waits.
                if expired, current.withLock({ $0 === activity }) { expiring() }
                activity.wait()
            }
        }

        func end() {
            current.withLock { current in
                current?.leave()
                current = nil
            }
        }
    }
#elseif canImport(AppKit)
    import AppKit
    import Foundation

    /// The machine's sleep as a source of facts. A Mac does not stop an app whose windows are hidden.
    final class SystemSleep: FactSource {
        private let observers = Observers(NSWorkspace.shared.notificationCenter)

        func start(_ tell: @escaping @Sendable (SystemFact) -> Void) {
            observers.observe(NSWorkspace.willSleepNotification) { tell(.stopping) }
            observers.observe(NSWorkspace.didWakeNotification) { tell(.foreground) }
        }

        func stop() {
            observers.remove()
        }
    }
#endif
