import ChatModel
import Peers

extension DeviceID {
    /// In groups of eight, as a person reads it out.
    var readable: String {
        stride(from: 0, to: text.count, by: 8).map { text.dropFirst($0).prefix(8) }.joined(separator: " ")
    }
}

extension Contact {
    var title: String { name.isEmpty ? String(device.text.prefix(8)) : name }
}

extension RelayStatus {
    var words: String {
        [url, String(describing: state), problem.map { "\($0.code): \($0.reason)" }].compactMap(\.self).joined(separator: " · ")
    }
}

extension ChatModel {
    /// The path to a contact and its quality, or why there is none.
    func words(for device: DeviceID) -> String {
        connections[device]?.words ?? problems[device] ?? "not connected"
    }
}

extension Connection {
    fileprivate var words: String {
        let place: String? =
            switch status {
            case .usable: path?.words
            case .verifying: "verifying"
            case .down: "looking for a path"
            case .away: "away"
            }
        let rtt = path?.rtt.map { "rtt \($0.formatted(.units(allowed: [.milliseconds], width: .narrow)))" }
        return [place, rtt, path.map { "loss \($0.loss) %" }, path.map { "\($0.quality.level)" }]
            .compactMap(\.self).joined(separator: " · ")
    }
}

extension PathInfo {
    fileprivate var words: String {
        if relayed { return "TURN" }
        return switch kind {
        case .lan: "Local network"
        case .webrtc: "Direct"
        case .internet: "Internet"
        case .relay: "Relay"
        case .custom: "Custom"
        }
    }
}
