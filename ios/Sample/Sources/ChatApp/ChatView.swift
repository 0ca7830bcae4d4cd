import ChatModel
import Peers
import SwiftUI

/// The messages of one contact, and the path to it.
struct ChatView: View {
    let model: ChatModel
    let contact: Contact
    @State private var text = ""
    @Environment(\.dismiss) private var dismiss

    var body: some View {
        VStack {
            connection
            if let digits = model.comparisons[contact.device] { comparing(digits) }
            messages
            composer
        }
        .padding()
        .navigationTitle(contact.title)
        .toolbar {
            Button("Remove", role: .destructive) { remove() }
        }
    }

    private var connection: some View {
        HStack {
            Text(model.words(for: contact.device)).font(.caption)
            if model.problems[contact.device] != nil { Button("Try again") { model.retry() } }
        }
    }

    private func comparing(_ digits: String) -> some View {
        VStack {
            Text("The other device shows the same six digits, and its person accepts this device there.")
            Text(digits).font(.largeTitle).monospaced()
            Button("They differ", role: .destructive) { remove() }
        }
    }

    private var messages: some View {
        ScrollView {
            LazyVStack {
                ForEach(model.chats.messages(with: contact.device), id: \.self) { message in
                    VStack(alignment: message.outgoing ? .trailing : .leading) {
                        Text(message.text).padding(8).background(.quaternary, in: .rect(cornerRadius: 8))
                        if message.outgoing { Text(message.delivered ? "delivered" : "waits").font(.caption2) }
                    }
                    .frame(maxWidth: .infinity, alignment: message.outgoing ? .trailing : .leading)
                }
            }
        }
        .defaultScrollAnchor(.bottom)
    }

    private var composer: some View {
        HStack {
            TextField("Message", text: $text)
            Button("Send") {
                let sent = text
                text = ""
                Task { await model.send(sent, to: contact.device) }
            }
            .disabled(text.allSatisfy(\.isWhitespace))
        }
    }

    private func remove() {
        dismiss()
        Task { await model.remove(contact.device) }
    }
}
