import Peers

/// A device that this person chats with.
public struct Contact: Hashable, Sendable, Codable, Identifiable {
    public let device: DeviceID
    public let name: String

    public var id: String { device.text }

    public init(device: DeviceID, name: String) {
        self.device = device
        self.name = name
    }
}

/// A text to or from a device.
public struct ChatMessage: Hashable, Sendable, Codable, Identifiable {
    /// Chosen by the sender; the receiver tells a repetition from a new message by it.
    public let id: String
    public let device: DeviceID
    public let outgoing: Bool
    public let text: String
    /// False while an outgoing message waits for the peer to have it.
    public var delivered: Bool

    public init(id: String, device: DeviceID, outgoing: Bool, text: String, delivered: Bool) {
        self.id = id
        self.device = device
        self.outgoing = outgoing
        self.text = text
        self.delivered = delivered
    }
}

/// A change of the chats, as the store keeps it.
public enum ChatRecord: Hashable, Sendable, Codable {
    case contactAdded(Contact)
    /// The contact and its messages are gone.
    case contactRemoved(DeviceID)
    case messageAdded(ChatMessage)
    case messageDelivered(id: String)
}

/// Contacts and messages, oldest first: the sum of all records.
public struct Chats: Hashable, Sendable {
    public private(set) var contacts: [Contact] = []
    public private(set) var messages: [ChatMessage] = []

    public init(_ records: [ChatRecord] = []) {
        for record in records { add(record) }
    }

    public mutating func add(_ record: ChatRecord) {
        switch record {
        case .contactAdded(let contact):
            if !isContact(contact.device) { contacts.append(contact) }
        case .contactRemoved(let device):
            contacts.removeAll { $0.device == device }
            messages.removeAll { $0.device == device }
        case .messageAdded(let message): messages.append(message)
        case .messageDelivered(let id):
            if let place = messages.firstIndex(where: { $0.outgoing && $0.id == id }) { messages[place].delivered = true }
        }
    }

    public func isContact(_ device: DeviceID) -> Bool { contacts.contains { $0.device == device } }

    public func messages(with device: DeviceID) -> [ChatMessage] { messages.filter { $0.device == device } }

    /// Messages that the peer may not have yet.
    func waiting(for device: DeviceID) -> [ChatMessage] { messages(with: device).filter { $0.outgoing && !$0.delivered } }

    func hasReceived(_ id: String, from device: DeviceID) -> Bool {
        messages(with: device).contains { !$0.outgoing && $0.id == id }
    }
}
