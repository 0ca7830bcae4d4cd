import ChatModel
import Peers
import SwiftUI

/// This device, the devices that ask, the devices to chat with.
struct DevicesView: View {
    let model: ChatModel
    @State private var code = ""

    var body: some View {
        NavigationStack {
            List {
                Section("This device is \(String(describing: model.client))") { ownDevice }
                ForEach(model.requests) { RequestView(model: model, request: $0) }
                Section("Devices") {
                    addDevice
                    ForEach(model.chats.contacts) { contact in
                        NavigationLink(value: contact) {
                            VStack(alignment: .leading) {
                                Text(contact.title)
                                Text(model.words(for: contact.device)).font(.caption)
                            }
                        }
                    }
                }
            }
            .navigationDestination(for: Contact.self) { ChatView(model: model, contact: $0) }
            .toolbar { ShareLink("Share log", item: SharedLog(model: model), preview: SharePreview("Log")) }
        }
        .alert("Chat", isPresented: isFailed) {
            Button("OK") { model.dismissProblem() }
        } message: {
            Text(model.problem ?? "")
        }
        .task {
            while !Task.isCancelled {
                model.refresh()
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    @ViewBuilder private var ownDevice: some View {
        ForEach(model.relays, id: \.self) { Text($0.words).font(.caption) }
        if let code = model.ownCode {
            Text(code.readable).monospaced().textSelection(.enabled)
            ShareLink("Share code", item: code.text)
        }
    }

    private var addDevice: some View {
        HStack {
            TextField("Code of another device", text: $code).autocorrectionDisabled()
            Button("Add") {
                let added = code
                code = ""
                Task { await model.add(added) }
            }
            .disabled(code.isEmpty)
        }
    }

    private var isFailed: Binding<Bool> {
        Binding(get: { model.problem != nil }, set: { if !$0 { model.dismissProblem() } })
    }
}

/// The log as it is when a person shares it.
private struct SharedLog: Transferable {
    let model: ChatModel

    static var transferRepresentation: some TransferRepresentation {
        ProxyRepresentation { (log: SharedLog) in await log.model.exportLog() }
    }
}

/// A device that asks: first whether it may come and be compared, then with the digits.
private struct RequestView: View {
    let model: ChatModel
    let request: JoinRequest

    var body: some View {
        Section("\(request.name.isEmpty ? "A device" : request.name) asks to chat") {
            Text(request.device.readable).monospaced()
            if let digits = request.digits {
                Text("Does it show \(digits)?").font(.title3)
            } else {
                Text("Let it come and be compared?")
            }
            HStack {
                Button("Accept") { Task { await model.accept(request) } }
                Button("Refuse", role: .destructive) { model.refuse(request) }
            }
            .buttonStyle(.borderless)
        }
    }
}
