package app.peers.sample.app

import android.app.Application
import app.peers.sample.model.ChatModel
import app.peers.sample.model.FileChatStore
import app.peers.sdk.PeersException
import app.peers.sdk.android.Peers
import java.io.File
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.launch

/** Holds the one client of the process, which activities come and go around. */
class ChatApplication : Application() {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
    private val models = MutableStateFlow<ChatModel?>(null)

    /** Null until a relay is known. */
    val model: StateFlow<ChatModel?> = models.asStateFlow()

    override fun onCreate() {
        super.onCreate()
        settings().getString(RELAY, null)?.let(::start)
    }

    /** Connects by way of the relay at [url], now and after each restart. [PeersException.Config] when it is no relay's URL. */
    fun useRelay(url: String) {
        if (models.value != null) return
        start(url)
        settings().edit().putString(RELAY, url).apply()
    }

    private fun start(relay: String) {
        val peers = Peers(this) { relay(relay) }
        val model = ChatModel(peers, FileChatStore(File(noBackupFilesDir, "chats")))
        models.value = model
        scope.launch { model.run() }
    }

    private fun settings() = getSharedPreferences("chat", MODE_PRIVATE)

    private companion object {
        const val RELAY = "relay"
    }
}
