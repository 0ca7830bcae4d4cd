package app.peers.sample.model

import app.peers.sdk.DeviceId
import app.peers.sdk.PeersException
import app.peers.sdk.Value
import java.io.ByteArrayOutputStream
import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.EOFException
import java.io.File
import java.io.FileOutputStream
import java.io.IOException

/** Keeps what must survive the end of the process. Both functions may block, and throw [IOException]. */
interface ChatStore {
    /** All records kept so far, oldest first. */
    fun load(): List<ChatRecord>

    /** Keeps [record]: once this returns, the next [load] has it, however the process ends. */
    fun append(record: ChatRecord)
}

/** A file to which each record is appended: its length, then the record as MessagePack. For one process at a time. */
class FileChatStore(private val file: File) : ChatStore {
    override fun load(): List<ChatRecord> {
        if (!file.exists()) return emptyList()
        val records = mutableListOf<ChatRecord>()
        var whole = 0L
        DataInputStream(file.inputStream().buffered()).use { input ->
            while (true) {
                val bytes = input.nextRecord() ?: break
                records += bytes.toRecord()
                whole += Int.SIZE_BYTES + bytes.size
            }
        }
        // A process that ended inside `append` leaves a part of a record.
        if (whole < file.length()) FileOutputStream(file, true).use { it.channel.truncate(whole) }
        return records
    }

    override fun append(record: ChatRecord) {
        val bytes = record.toValue().encode()
        val framed = ByteArrayOutputStream(Int.SIZE_BYTES + bytes.size)
        DataOutputStream(framed).apply {
            writeInt(bytes.size)
            write(bytes)
        }
        FileOutputStream(file, true).use { output ->
            val whole = output.channel.size()
            try {
                output.write(framed.toByteArray())
                output.fd.sync()
            } catch (error: IOException) {
                // The next record is not to follow a part of this one.
                output.channel.truncate(whole)
                throw error
            }
        }
    }

    /** Null at the end, and where a record is cut short. */
    private fun DataInputStream.nextRecord(): ByteArray? {
        val size = try {
            readInt()
        } catch (_: EOFException) {
            return null
        }
        if (size !in 1..LONGEST_RECORD) throw IOException("${file.name} is no file of chats")
        val bytes = ByteArray(size)
        return try {
            bytes.also(::readFully)
        } catch (_: EOFException) {
            null
        }
    }

    private fun ByteArray.toRecord(): ChatRecord = try {
        Value.decode(this).toRecord()
    } catch (error: PeersException.Codec) {
        throw IOException("${file.name} is damaged", error)
    }

    private companion object {
        /** More than the longest text that [ChatModel] takes. */
        const val LONGEST_RECORD = 1 shl 20
    }
}

private fun ChatRecord.toValue(): Value = when (this) {
    is ChatRecord.ContactAdded -> Value.of("contact" to contact.device.text, "name" to contact.name)
    is ChatRecord.ContactRemoved -> Value.of("removed" to device.text)
    is ChatRecord.MessageDelivered -> Value.of("delivered" to id)
    is ChatRecord.MessageAdded -> with(message) {
        Value.of("message" to id, "device" to device.text, "outgoing" to outgoing, "text" to text)
    }
}

private fun Value.toRecord(): ChatRecord {
    val fields = this as? Value.Object ?: throw IOException("a record is no object")
    return when {
        "contact" in fields.values -> ChatRecord.ContactAdded(Contact(DeviceId(fields.text("contact")), fields.text("name")))
        "removed" in fields.values -> ChatRecord.ContactRemoved(DeviceId(fields.text("removed")))
        "delivered" in fields.values -> ChatRecord.MessageDelivered(fields.text("delivered"))
        else -> {
            val outgoing = (fields["outgoing"] as? Value.Bool)?.value ?: throw IOException("a record lacks outgoing")
            val device = DeviceId(fields.text("device"))
            ChatRecord.MessageAdded(ChatMessage(fields.text("message"), device, outgoing, fields.text("text"), !outgoing))
        }
    }
}

private fun Value.Object.text(name: String): String =
    (this[name] as? Value.Text)?.value ?: throw IOException("a record lacks $name")
