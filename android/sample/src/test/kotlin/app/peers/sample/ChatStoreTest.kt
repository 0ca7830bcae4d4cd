package app.peers.sample

import app.peers.sample.model.ChatMessage
import app.peers.sample.model.ChatRecord
import app.peers.sample.model.Chats
import app.peers.sample.model.Contact
import app.peers.sample.model.FileChatStore
import app.peers.sdk.DeviceId
import java.io.File
import java.io.IOException
import kotlin.io.path.createTempDirectory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

class ChatStoreTest {
    private val file = createTempDirectory().resolve("chats").toFile()
    private val device = DeviceId("a".repeat(32))
    private val records = listOf(
        ChatRecord.ContactAdded(Contact(device, "Anna's phone")),
        ChatRecord.MessageAdded(ChatMessage("1", device, outgoing = true, "grüezi", delivered = false)),
        ChatRecord.MessageAdded(ChatMessage("2", device, outgoing = false, "hello", delivered = true)),
        ChatRecord.MessageDelivered("1"),
        ChatRecord.ContactRemoved(DeviceId("b".repeat(32))),
    )

    @Test
    fun `all records are there again`() {
        assertEquals(emptyList(), FileChatStore(file).load())
        records.forEach { FileChatStore(file).append(it) }
        assertEquals(records, FileChatStore(file).load())
    }

    @Test
    fun `a record that was cut short anywhere is left out, and the next one follows the whole ones`() {
        FileChatStore(file).append(records[0])
        val whole = file.length()
        FileChatStore(file).append(records[1])
        val bytes = file.readBytes()
        for (length in whole until bytes.size) {
            val cut = File(file.path + ".cut").apply { writeBytes(bytes.copyOf(length.toInt())) }
            assertEquals(records.take(1), FileChatStore(cut).load())
            FileChatStore(cut).append(records[2])
            assertEquals(listOf(records[0], records[2]), FileChatStore(cut).load())
        }
    }

    @Test
    fun `a file that is something else is an error`() {
        val noMessagePack = byteArrayOf(0, 0, 0, 1, 0xC1.toByte())
        val noObject = byteArrayOf(0, 0, 0, 1, 7)
        for (bytes in listOf("some text of another program".encodeToByteArray(), noMessagePack, noObject)) {
            file.writeBytes(bytes)
            assertFailsWith<IOException> { FileChatStore(file).load() }
        }
    }

    @Test
    fun `the chats are the sum of the records`() {
        val chats = records.fold(Chats(), Chats::plus)
        assertEquals(listOf("> grüezi", "< hello"), chats.messages.map { it.describe() })
        assertEquals(emptyList(), chats.waiting(device))
        assertEquals(Chats(), chats + ChatRecord.ContactRemoved(device))
    }
}
