import ChatModel
import Foundation
import Peers

// ChatProcess RELAY FOLDER: a person's commands on standard input (`add CODE`, `send CODE TEXT`), the messages with all contacts
// on standard output, whenever they change.
let arguments = CommandLine.arguments
guard arguments.count == 3, let relay = URL(string: arguments[1]) else { exit(2) }
let folder = URL(fileURLWithPath: arguments[2])

var config = PeersConfig(relay: relay, identity: .file(folder.appendingPathComponent("identity")))
config.loopback = true
config.systemSources = []
let model = ChatModel(peers: try Peers(config), store: FileChatStore(folder.appendingPathComponent("chats")))

let printing = Task { @MainActor in
    for await _ in changes({ model.chats }) {
        let line = model.chats.messages.map(\.line).joined(separator: ", ") + "\n"
        FileHandle.standardOutput.write(Data(line.utf8))
    }
}
let running = Task { await model.run() }
let (lines, input) = AsyncStream.makeStream(of: String.self)
Thread.detachNewThread {
    while let line = readLine() { input.yield(line) }
    input.finish()
}
for await line in lines {
    let words = line.split(separator: " ", maxSplits: 2).map(String.init)
    switch words.first {
    case "add": await model.add(words[1])
    case "send": await model.send(words[2], to: DeviceID(words[1]))
    default: break
    }
}
printing.cancel()
running.cancel()
