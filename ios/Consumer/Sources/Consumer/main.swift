import Foundation
import Peers

// Consumer RELAY DEVICE: says hello to a device that echoes, and prints what comes back.
guard CommandLine.arguments.count == 3, let relay = URL(string: CommandLine.arguments[1]) else {
    fatalError("usage: Consumer RELAY DEVICE")
}
let device = DeviceID(CommandLine.arguments[2])

var config = PeersConfig(relay: relay, identity: .temporary)
config.loopback = true
config.trusted[device] = .trusted
let peers = try Peers(config)
try await peers.start()
let session = try await peers.session(with: device)
try await session.send("hello")
for try await message in session.messages {
    print(try message.text)
    break
}
await peers.shutdown()
