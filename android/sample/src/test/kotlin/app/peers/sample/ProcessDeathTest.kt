package app.peers.sample

import app.peers.sample.model.ChatModel
import app.peers.sample.model.FileChatStore
import app.peers.sdk.DeviceId
import app.peers.sdk.FileIdentity
import app.peers.sdk.Network
import app.peers.sdk.Peers
import app.peers.sdk.Relay
import app.peers.sdk.network
import java.io.File
import java.nio.file.Path
import kotlin.io.path.createTempDirectory
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.distinctUntilChanged
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withContext

/** The app in a process of its own, which is killed as Android kills apps: without a word. */
class ProcessDeathTest {
    @Test
    fun `contacts and messages outlive the process, and a stored text is delivered once`() = network(120.seconds) {
        val keys = createTempDirectory().resolve("identity")
        val (peer, rust) = rustProcess(keys)
        val folder = createTempDirectory()
        AppProcess(folder).use { app ->
            app.command("add $rust")
            app.command("send $rust before")
            app.says("> before, < before")
            peer.destroyForcibly().waitFor()
            app.command("send $rust stored")
            app.says("> before, < before, … stored")
        }
        rustProcess(keys)
        AppProcess(folder).use { app ->
            app.says("> before, < before, … stored")
            app.says("> before, < before, > stored, < stored")
        }
        AppProcess(folder).use { app ->
            app.command("send $rust after")
            app.says("> before, < before, > stored, < stored, > after, < after")
        }
    }
}

/** The process of [App] with its files in [folder]. */
private class AppProcess(folder: Path) : AutoCloseable {
    private val process = ProcessBuilder(
        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "-Djna.library.path=${System.getProperty("jna.library.path")}",
        "-cp", System.getProperty("java.class.path"),
        App::class.java.name, Relay.url, folder.toString(),
    ).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val output = process.inputReader()

    suspend fun command(line: String) = withContext(Dispatchers.IO) {
        process.outputWriter().apply { appendLine(line) }.flush()
    }

    /** Reads on until the process prints [wanted]. */
    suspend fun says(wanted: String): Unit = runInterruptible(Dispatchers.IO) {
        val seen = mutableListOf<String>()
        while (seen.lastOrNull() != wanted) {
            seen += output.readLine() ?: error("the app ended without: $wanted; it said $seen")
        }
    }

    /** SIGKILL. */
    override fun close() {
        process.destroyForcibly().waitFor()
    }
}

/** A person's commands on standard input, the messages with all contacts on standard output. */
internal object App {
    @JvmStatic
    fun main(arguments: Array<String>): Unit = runBlocking {
        val (relay, folder) = arguments
        val peers = Peers {
            relay(relay)
            identity(FileIdentity(File(folder, "identity")))
            loopback = true
        }
        val model = ChatModel(peers, FileChatStore(File(folder, "chats")))
        launch { model.run() }
        launch {
            model.state.map { it.chats.messages.joinToString(transform = { message -> message.describe() }) }
                .distinctUntilChanged().collect(::println)
        }
        while (true) {
            val words = runInterruptible(Dispatchers.IO) { readlnOrNull() }?.split(' ', limit = 3) ?: break
            when (words[0]) {
                "add" -> model.add(words[1])
                "send" -> model.send(DeviceId(words[1]), words[2])
            }
        }
    }
}
