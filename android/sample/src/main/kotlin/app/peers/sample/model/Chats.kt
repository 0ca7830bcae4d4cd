package app.peers.sample.model

import app.peers.sdk.DeviceId

/** A device that this person chats with. */
data class Contact(val device: DeviceId, val name: String)

/** A text to or from [device]. The sender chooses [id], by which the receiver tells a repetition from a new message. */
data class ChatMessage(
    val id: String,
    val device: DeviceId,
    val outgoing: Boolean,
    val text: String,
    /** False while an outgoing message waits for the peer to have it. */
    val delivered: Boolean,
)

/** A change of the chats, as the store keeps it. */
sealed interface ChatRecord {
    data class ContactAdded(val contact: Contact) : ChatRecord

    /** The contact and its messages are gone. */
    data class ContactRemoved(val device: DeviceId) : ChatRecord

    data class MessageAdded(val message: ChatMessage) : ChatRecord

    data class MessageDelivered(val id: String) : ChatRecord
}

/** Contacts and messages, oldest first: the sum of all records. */
data class Chats(val contacts: List<Contact> = emptyList(), val messages: List<ChatMessage> = emptyList()) {
    operator fun plus(record: ChatRecord): Chats = when (record) {
        is ChatRecord.ContactAdded -> if (isContact(record.contact.device)) this else copy(contacts = contacts + record.contact)
        is ChatRecord.ContactRemoved -> Chats(
            contacts.filter { it.device != record.device },
            messages.filter { it.device != record.device },
        )
        is ChatRecord.MessageAdded -> copy(messages = messages + record.message)
        is ChatRecord.MessageDelivered ->
            copy(messages = messages.map { if (it.outgoing && it.id == record.id) it.copy(delivered = true) else it })
    }

    fun isContact(device: DeviceId): Boolean = contacts.any { it.device == device }

    fun with(device: DeviceId): List<ChatMessage> = messages.filter { it.device == device }

    /** Messages that the peer may not have yet. */
    fun waiting(device: DeviceId): List<ChatMessage> = messages.filter { it.device == device && it.outgoing && !it.delivered }

    fun hasReceived(device: DeviceId, id: String): Boolean = messages.any { it.device == device && !it.outgoing && it.id == id }
}
