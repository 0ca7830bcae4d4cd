import ChatModel
import Foundation
import Peers
import SwiftUI

@main
struct ChatApp: App {
    @State private var session = AppSession()

    var body: some Scene {
        WindowGroup {
            if let model = session.model {
                DevicesView(model: model).task { await model.run() }
            } else {
                RelayView(session: session)
            }
        }
    }
}

/// Holds the one client of the app, from the moment a relay is known.
@MainActor @Observable
final class AppSession {
    private(set) var model: ChatModel?
    /// Why the last relay was not taken.
    private(set) var problem: String?

    init() {
        if let relay = UserDefaults.standard.string(forKey: "relay") { use(relay) }
    }

    func use(_ relay: String) {
        do {
            guard let url = URL(string: relay) else { throw PeersError.config("relay: is no URL") }
            let peers = try Peers(PeersConfig(relay: url, identity: .keychain(service: "app.peers.sample")))
            let folder = URL.applicationSupportDirectory
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            model = ChatModel(peers: peers, store: FileChatStore(folder.appending(path: "chats")))
            UserDefaults.standard.set(relay, forKey: "relay")
        } catch {
            problem = error.localizedDescription
        }
    }
}

/// Asks for the relay on the first start.
struct RelayView: View {
    let session: AppSession
    @State private var url = ""

    var body: some View {
        Form {
            TextField("wss://relay.example.com", text: $url).autocorrectionDisabled()
            if let problem = session.problem { Text(problem).foregroundStyle(.red) }
            Button("Use this relay") { session.use(url) }.disabled(url.isEmpty)
        }
    }
}
