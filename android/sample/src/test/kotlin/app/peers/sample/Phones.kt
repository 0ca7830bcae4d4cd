package app.peers.sample

import app.peers.sample.model.ChatMessage
import app.peers.sample.model.ChatModel
import app.peers.sample.model.ChatState
import app.peers.sample.model.FileChatStore
import app.peers.sdk.AppState
import app.peers.sdk.DeviceId
import app.peers.sdk.FileIdentity
import app.peers.sdk.LogLevel
import app.peers.sdk.Network
import app.peers.sdk.NetworkSnapshot
import app.peers.sdk.network
import java.net.InetAddress
import java.nio.file.Path
import kotlin.io.path.createTempDirectory
import kotlin.test.fail
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull

/** A phone with the app: its model on a real client, and the facts that the phone tells. */
internal class Phone(network: Network, scope: CoroutineScope) {
    private val folder: Path = createTempDirectory()
    val networks = MutableSharedFlow<NetworkSnapshot>(replay = 1)
    val appStates = MutableSharedFlow<AppState>(replay = 1)
    val peers = network.stopped {
        identity(FileIdentity(folder.resolve("identity").toFile()))
        network(networks)
        appState(appStates)
        logLevel = LogLevel.DEBUG
    }
    val model = ChatModel(peers, FileChatStore(folder.resolve("chats").toFile()))

    init {
        scope.launch { model.run() }
    }

    suspend fun code(): DeviceId = checkNotNull(until("the own code") { it.ownCode != null }.ownCode)

    /** Waits for a state that the screens show; the test fails when it does not come. */
    suspend fun until(wanted: String, condition: (ChatState) -> Boolean): ChatState =
        withTimeoutOrNull(40.seconds) { model.state.first(condition) } ?: fail("not in time: $wanted; ${model.state.value}")
}

/** The messages with a device as a person reads them. */
internal fun ChatState.texts(device: DeviceId): List<String> = chats.with(device).map(ChatMessage::describe)

internal fun ChatMessage.describe() = when {
    !outgoing -> "< $text"
    delivered -> "> $text"
    else -> "… $text"
}

internal fun wifi(last: Int) = NetworkSnapshot(
    online = true,
    medium = NetworkSnapshot.Medium.WIFI,
    addresses = listOf(InetAddress.getByName("192.168.0.$last")),
)

/** Runs [test] on a network of its own. Phones run until its end. */
internal fun phones(test: suspend Network.(CoroutineScope) -> Unit): Unit = network(120.seconds) {
    coroutineScope {
        test(this)
        coroutineContext.cancelChildren()
    }
}
