import Foundation
import Observation
import Peers

/// The chats of one person: contacts, messages, and the state of the paths to them. `run` keeps it going. The other functions are
/// a person's actions. The properties tell their outcome, a failure included.
@MainActor @Observable
public final class ChatModel {
    /// This device's code; nil before the keys are there.
    public private(set) var ownCode: DeviceID?
    /// Whether a relay is reached.
    public private(set) var client = PeersState.stopped
    /// Each relay, and why it is not reached.
    public private(set) var relays: [RelayStatus] = []
    public private(set) var chats = Chats()
    /// Sessions that there are, by their peer.
    public private(set) var connections: [DeviceID: Connection] = [:]
    /// Why a contact is not reached.
    public private(set) var problems: [DeviceID: String] = [:]
    /// Devices that ask for a session.
    public private(set) var requests: [JoinRequest] = []
    /// Digits to compare with those on a contact's screen, by contact.
    public private(set) var comparisons: [DeviceID: String] = [:]
    /// Why the last action failed.
    public private(set) var problem: String?

    @ObservationIgnored private let peers: Peers
    @ObservationIgnored private let store: any ChatStore
    @ObservationIgnored private var writing: Task<Void, any Error>?
    @ObservationIgnored private var sessions: [DeviceID: Session] = [:]
    @ObservationIgnored private var deliveries: [DeviceID: Delivery] = [:]
    @ObservationIgnored private var followers: [Task<Void, Never>] = []

    public init(peers: Peers, store: any ChatStore) {
        self.peers = peers
        self.store = store
    }

    /// Restores the chats, then connects and follows what happens. Returns after a failed start, when the task is cancelled, and
    /// when `Peers` ends.
    public func run() async {
        await reporting {
            chats = Chats(try await store.load())
            followers.append(Task { [peers] in for await state in peers.states { clientChanged(state) } })
            followers.append(Task { [peers] in for await statuses in peers.relayStatuses { relays = statuses } })
            try await peers.start()
            ownCode = try peers.deviceID
            for contact in chats.contacts { try deliver(to: contact.device) }
            for await event in peers.events { await handle(event) }
        }
        for task in followers { task.cancel() }
        for delivery in deliveries.values { delivery.end() }
        followers = []
        deliveries = [:]
    }

    /// Adds the device that shows `code`.
    public func add(_ code: String) async {
        await reporting {
            let device = DeviceID(code.trimmingCharacters(in: .whitespacesAndNewlines).lowercased())
            if device.text.wholeMatch(of: /[a-z2-7]{32}/) == nil {
                problem = "This is no device's code: it has 32 letters a-z and digits 2-7."
            } else if device == ownCode {
                problem = "This is the code of this device."
            } else {
                try await addContact(Contact(device: device, name: ""))
            }
        }
    }

    /// Removes a contact and its messages, and ends the session with it.
    public func remove(_ device: DeviceID) async {
        await reporting {
            deliveries.removeValue(forKey: device)?.end()
            try await record(.contactRemoved(device))
            comparisons[device] = nil
            problems[device] = nil
            try peers.trust(device, .untrusted)
            for session in peers.sessions where session.device == device { await session.close() }
        }
    }

    /// Lets a device in; one without digits may come and be compared.
    public func accept(_ request: JoinRequest) async {
        await reporting {
            requests.removeAll { $0.id == request.id }
            try request.incoming.accept()
            if request.digits != nil { try await addContact(Contact(device: request.device, name: request.name)) }
        }
    }

    /// Turns a device away.
    public func refuse(_ request: JoinRequest) {
        requests.removeAll { $0.id == request.id }
        request.incoming.reject()
    }

    /// Stores a text for a device, which gets it as soon as it can be reached.
    public func send(_ text: String, to device: DeviceID) async {
        await reporting {
            if text.count > longestText {
                problem = "A message has at most \(longestText) characters."
            } else {
                let id = UUID().uuidString
                try await record(.messageAdded(ChatMessage(id: id, device: device, outgoing: true, text: text, delivered: false)))
                retry()
            }
        }
    }

    /// Tries again to reach contacts, also one that has refused this device.
    public func retry() {
        for delivery in deliveries.values { delivery.wake(wanted: true) }
    }

    /// Reads round trips and losses anew, which change without an event.
    public func refresh() {
        for session in sessions.values { show(session) }
    }

    /// The last log records, without ids, names and addresses.
    public func exportLog() -> String { peers.recentLog }

    public func dismissProblem() { problem = nil }

    private func clientChanged(_ state: PeersState) {
        client = state
        if state == .online { contactsMayBeReachable() }
    }

    private func contactsMayBeReachable() {
        for delivery in deliveries.values { delivery.wake() }
    }

    private func handle(_ event: PeerEvent) async {
        switch event {
        case .incoming(let request): await ask(JoinRequest(incoming: request))
        case .comparing(let device, let digits): comparisons[device] = digits
        case .compared(let device): comparisons[device] = nil
        case .connected(let session, _): follow(session)
        case .disconnected(let session, _):
            guard sessions[session.device] == session else { return }
            sessions[session.device] = nil
            connections[session.device] = nil
        case .pathChanged(let session, _), .statusChanged(let session, _), .qualityChanged(let session, _): show(session)
        case .online: contactsMayBeReachable()
        // Among them may be that a session began.
        case .missed: for session in peers.sessions { follow(session) }
        case .state, .offline, .metered: break
        }
    }

    private func ask(_ request: JoinRequest) async {
        if chats.isContact(request.device) { return await reporting { try request.incoming.accept() } }
        // The same device's earlier request is over.
        requests.removeAll { $0.id == request.id }
        requests.append(request)
    }

    private func follow(_ session: Session) {
        let device = session.device
        guard sessions.updateValue(session, forKey: device) != session else { return }
        problems[device] = nil
        show(session)
        deliveries[device]?.wake()
        followers.append(
            Task {
                await reporting { for try await message in session.messages { await receive(message, from: device) } }
            })
    }

    private func show(_ session: Session) {
        connections[session.device] = Connection(session)
    }

    private func receive(_ message: Message, from device: DeviceID) async {
        await reporting {
            let (id, text) = try message.chat
            // A sender whose process ended before it knew of the delivery sends again.
            guard !chats.hasReceived(id, from: device) else { return }
            try await record(.messageAdded(ChatMessage(id: id, device: device, outgoing: false, text: text, delivered: true)))
        }
    }

    private func addContact(_ contact: Contact) async throws {
        try await record(.contactAdded(contact))
        // The start does it for all contacts that there are.
        if ownCode != nil { try deliver(to: contact.device) }
    }

    /// Trusts a contact, connects to it and sends what waits; after a failure again, once something has changed.
    private func deliver(to device: DeviceID) throws {
        try peers.trust(device)
        guard deliveries[device] == nil else { return }
        deliveries[device] = Delivery { [weak self] in await self?.sendWaiting(to: device) ?? .done }
    }

    private func sendWaiting(to device: DeviceID) async -> Delivery.Outcome {
        do {
            let session = try await peers.session(with: device)
            let waiting = chats.waiting(for: device)
            guard !waiting.isEmpty else { return .done }
            for message in waiting { try await session.send(message.value) }
            try await session.drain()
            for message in waiting { try await record(.messageDelivered(id: message.id)) }
        } catch is CancellationError {
        } catch {
            problems[device] = error.localizedDescription
            if case PeersError.denied = error { return .refused }
        }
        return .done
    }

    /// Stores first: what a person sees is there after a restart. One after the other, whether the caller waits or not.
    private func record(_ record: ChatRecord) async throws {
        let before = writing
        let task = Task {
            _ = await before?.result
            try await store.append(record)
            chats.add(record)
        }
        writing = task
        try await task.value
    }

    /// Shows the failure of an action instead of throwing it.
    private func reporting(_ action: () async throws -> Void) async {
        do {
            try await action()
        } catch is CancellationError {
        } catch let error as PeersError {
            problem = error.localizedDescription
        } catch {
            problem = "The chats cannot be stored: \(error.localizedDescription)"
        }
    }
}

/// Far less than a message of the SDK may hold.
private let longestText = 4_000

/// Attempts to deliver what waits for one contact, one at a time: the first at once, another after each wake. A contact that has
/// refused is asked again when a person wants it.
@MainActor
private final class Delivery {
    enum Outcome {
        case done, refused
    }

    private let wakes: AsyncStream<Void>.Continuation
    private var task: Task<Void, Never>?
    private var isRefused = false

    init(_ attempt: @escaping @MainActor () async -> Outcome) {
        // A wake during an attempt is kept for the next one.
        let (stream, wakes) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.wakes = wakes
        task = Task { [weak self] in
            for await _ in stream where self?.isRefused == false {
                let outcome = await attempt()
                self?.isRefused = outcome == .refused
            }
        }
        wake()
    }

    func wake(wanted: Bool = false) {
        if wanted { isRefused = false }
        wakes.yield()
    }

    func end() {
        task?.cancel()
    }
}

extension ChatMessage {
    fileprivate var value: Value { ["id": .text(id), "text": .text(text)] }
}

extension Message {
    /// Id and text. A device that is no chat app may send something else, which is a message of its own each time.
    fileprivate var chat: (id: String, text: String) {
        get throws {
            let value = try value
            let id: String = if case .text(let id) = value["id"] { id } else { UUID().uuidString }
            if case .text(let text) = value["text"] { return (id, text) }
            if case .text(let text) = value { return (id, text) }
            return (id, String(describing: value))
        }
    }
}
