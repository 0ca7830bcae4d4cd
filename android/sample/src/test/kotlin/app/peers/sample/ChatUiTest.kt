package app.peers.sample

import androidx.compose.ui.test.ComposeUiTest
import androidx.compose.ui.test.ExperimentalTestApi
import androidx.compose.ui.test.assertIsDisplayed
import androidx.compose.ui.test.assertIsNotEnabled
import androidx.compose.ui.test.hasSetTextAction
import androidx.compose.ui.test.onNodeWithText
import androidx.compose.ui.test.performClick
import androidx.compose.ui.test.performTextInput
import androidx.compose.ui.test.runComposeUiTest
import app.peers.sample.model.ChatMessage
import app.peers.sample.model.ChatState
import app.peers.sample.model.Chats
import app.peers.sample.model.Connection
import app.peers.sample.model.Contact
import app.peers.sample.model.JoinRequest
import app.peers.sample.ui.ChatActions
import app.peers.sample.ui.ChatUi
import app.peers.sdk.DeviceId
import app.peers.sdk.PathKind
import app.peers.sdk.PeersState
import app.peers.sdk.Quality
import app.peers.sdk.SessionStatus
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.time.Duration.Companion.milliseconds

/** The screens by Compose for the desktop: what they show of a state, and which action a click is. */
@OptIn(ExperimentalTestApi::class)
class ChatUiTest {
    private val device = DeviceId("abcdefghijklmnopqrstuvwxyz234567")
    private val connection = Connection(SessionStatus.USABLE, PathKind.WEBRTC, false, 12.milliseconds, 0, Quality.Level.GOOD)
    private val chatting = ChatState(
        client = PeersState.ONLINE,
        ownCode = DeviceId("a".repeat(32)),
        chats = Chats(
            listOf(Contact(device, "Anna's phone")),
            listOf(
                ChatMessage("1", device, outgoing = true, "grüezi", delivered = true),
                ChatMessage("2", device, outgoing = false, "hello", delivered = true),
                ChatMessage("3", device, outgoing = true, "are you there?", delivered = false),
            ),
        ),
        connections = mapOf(device to connection),
    )

    @Test
    fun `the list shows devices, this one's code and the path`() = screens(chatting) { actions ->
        onNodeWithText("This device is online").assertIsDisplayed()
        onNodeWithText("aaaaaaaa aaaaaaaa aaaaaaaa aaaaaaaa").assertIsDisplayed()
        onNodeWithText("Direct · rtt 12.0ms · loss 0 % · good").assertIsDisplayed()
        onNodeWithText("Anna's phone").performClick()
        assertEquals("open $device", actions.last)
        onNodeWithText("Add").assertIsNotEnabled()
        onNode(hasSetTextAction()).performTextInput(" ${device.text}")
        onNodeWithText("Add").performClick()
        assertEquals("add $device", actions.last)
        onNodeWithText("Share log").performClick()
        assertEquals("shareLog", actions.last)
    }

    @Test
    fun `a chat shows its messages and sends`() = screens(chatting, open = device) { actions ->
        for (text in listOf("grüezi", "delivered", "hello", "are you there?", "waits")) onNodeWithText(text).assertIsDisplayed()
        onNode(hasSetTextAction()).performTextInput("yes")
        onNodeWithText("Send").performClick()
        assertEquals("send $device yes", actions.last)
        onNodeWithText("Back").performClick()
        assertEquals("open null", actions.last)
    }

    @Test
    fun `digits to compare, and an unreachable device, are shown`() = screens(
        chatting.copy(
            connections = emptyMap(),
            problems = mapOf(device to "no answer"),
            comparisons = mapOf(device to "123456"),
        ),
        open = device,
    ) { actions ->
        onNodeWithText("no answer").assertIsDisplayed()
        onNodeWithText("123 456").assertIsDisplayed()
        onNodeWithText("They differ").performClick()
        assertEquals("remove $device", actions.last)
        onNodeWithText("Try again").assertIsDisplayed()
    }

    @Test
    fun `a failure is shown until it is dismissed`() = screens(ChatState(problem = "This is no device's code.")) { actions ->
        onNodeWithText("This is no device's code.").assertIsDisplayed()
        onNodeWithText("OK").performClick()
        assertEquals("dismissProblem", actions.last)
    }

    private fun screens(state: ChatState, open: DeviceId? = null, test: ComposeUiTest.(Recorded) -> Unit) = runComposeUiTest {
        val actions = Recorded()
        setContent { ChatUi(state, open, actions) }
        test(actions)
    }
}

/** The last action, as text. */
private class Recorded : ChatActions {
    var last = ""

    override fun add(code: String) = note("add $code")

    override fun accept(request: JoinRequest) = note("accept ${request.device}")

    override fun refuse(request: JoinRequest) = note("refuse ${request.device}")

    override fun remove(device: DeviceId) = note("remove $device")

    override fun send(device: DeviceId, text: String) = note("send $device $text")

    override fun open(device: DeviceId?) = note("open $device")

    override fun retry() = note("retry")

    override fun refresh() {}

    override fun shareCode(code: DeviceId) = note("shareCode $code")

    override fun shareLog() = note("shareLog")

    override fun dismissProblem() = note("dismissProblem")

    private fun note(action: String) {
        last = action
    }
}
