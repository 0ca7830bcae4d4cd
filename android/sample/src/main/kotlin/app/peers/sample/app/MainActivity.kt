package app.peers.sample.app

import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.BackHandler
import androidx.activity.compose.setContent
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.lifecycle.ViewModelProvider
import androidx.lifecycle.compose.collectAsStateWithLifecycle
import app.peers.sample.model.ChatModel
import app.peers.sample.ui.ChatUi
import app.peers.sample.ui.RelayScreen
import app.peers.sdk.DeviceId
import app.peers.sdk.android.LocalNetworkAccess
import app.peers.sdk.android.Permissions

class MainActivity : ComponentActivity() {
    private val chat: ChatViewModel by lazy { ViewModelProvider(this)[ChatViewModel::class.java] }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        // Without it devices in the same Wi-Fi meet through the relay, if that is reached by a public address.
        if (savedInstanceState == null && Permissions.localNetwork(this) == LocalNetworkAccess.DENIED) {
            requestPermissions(arrayOf(Permissions.LOCAL_NETWORK), 0)
        }
        setContent {
            val model by chat.model.collectAsStateWithLifecycle()
            model?.let { Chat(it) } ?: Setup()
        }
    }

    @Composable
    private fun Chat(model: ChatModel) {
        val state by model.state.collectAsStateWithLifecycle()
        val open by chat.open.collectAsStateWithLifecycle()
        ChatUi(state, open?.let(::DeviceId), chat)
        BackHandler(enabled = open != null) { chat.open(null) }
    }

    @Composable
    private fun Setup() {
        val problem by chat.relayProblem.collectAsStateWithLifecycle()
        RelayScreen(problem, chat::useRelay)
    }
}
