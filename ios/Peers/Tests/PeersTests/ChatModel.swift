import Foundation
import Observation
import Peers

@MainActor @Observable
final class ChatModel {
    private(set) var lines: [String] = []
    private(set) var asking: IncomingRequest?                // a device that waits for an answer
    private let peers: Peers

    init(_ config: PeersConfig) throws { peers = try Peers(config) }

    func run() async {
        do {
            try await peers.start()                          // makes the keys on first run, connects in the background
            lines.append("this device: \(try peers.deviceID)")
        } catch {
            lines.append("not started: \(error)")
            return
        }
        Task { await watch() }
        for await event in peers.events { handle(event) }    // ends with peers.shutdown()
    }

    func say(_ text: String, to device: String) async {
        do {
            let device = DeviceID(device.trimmingCharacters(in: .whitespaces))
            try await peers.session(with: device).send(text)  // connects if need be
        } catch {
            lines.append("not sent: \(error.localizedDescription)")
        }
    }

    func accept() {
        do { try asking?.accept() } catch { lines.append("too late") }    // it asked too long ago
        asking = nil
    }

    func stop() async { await peers.shutdown() }

    private func watch() async {
        var shown: [String] = []
        for await relays in peers.relayStatuses {
            let problems = relays.compactMap { $0.problem?.reason }
            if problems != shown { lines += problems.map { "relay: \($0)" } }
            shown = problems
        }
    }

    private func handle(_ event: PeerEvent) {
        switch event {
        case .state(let state): lines.append("\(state)")
        case .incoming(let request): asking = request
        case .comparing(_, let sas): lines.append("compare: \(sas)")
        case .connected(let session, let path):
            lines.append("connected by \(path)")
            Task { await hear(session) }
        case .pathChanged(_, let path): lines.append("now by \(path.map { "\($0)" } ?? "no path")")
        case .disconnected(_, let reason): lines.append("ended: \(reason)")
        default: break
        }
    }

    private func hear(_ session: Session) async {
        do {
            for try await message in session.messages { lines.append("heard: \(try message.text)") }
        } catch { lines.append("stopped: \(error.localizedDescription)") }
    }
}
