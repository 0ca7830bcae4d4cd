// Stands in for Apple's module in type checks on Linux.
import Foundation

public class NSWorkspace {
    nonisolated(unsafe) public static let shared = NSWorkspace()
    public let notificationCenter = NotificationCenter()
    public class var willSleepNotification: NSNotification.Name { NSNotification.Name("") }
    public class var didWakeNotification: NSNotification.Name { NSNotification.Name("") }
}
