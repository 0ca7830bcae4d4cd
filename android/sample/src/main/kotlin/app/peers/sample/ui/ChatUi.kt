package app.peers.sample.ui

import androidx.compose.material3.AlertDialog
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.Composable
import androidx.compose.runtime.LaunchedEffect
import app.peers.sample.model.ChatState
import app.peers.sample.model.JoinRequest
import app.peers.sdk.DeviceId
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.delay

/** What a person can do on the screens. */
interface ChatActions {
    fun add(code: String)
    fun accept(request: JoinRequest)
    fun refuse(request: JoinRequest)
    fun remove(device: DeviceId)
    fun send(device: DeviceId, text: String)
    fun open(device: DeviceId?)
    fun retry()
    fun refresh()
    fun shareCode(code: DeviceId)
    fun shareLog()
    fun dismissProblem()
}

/** The list of devices, or the chat with the [open] one. */
@Composable
fun ChatUi(state: ChatState, open: DeviceId?, actions: ChatActions) {
    val contact = state.chats.contacts.find { it.device == open }
    MaterialTheme {
        if (contact == null) DevicesScreen(state, actions) else ChatScreen(contact, state, actions)
        state.comparisons.entries.firstOrNull()?.let { (device, digits) -> ComparingDialog(device, digits, actions) }
        state.problem?.let { ProblemDialog(it, actions) }
    }
    LaunchedEffect(actions) {
        while (true) {
            actions.refresh()
            delay(1.seconds)
        }
    }
}

@Composable
private fun ComparingDialog(device: DeviceId, digits: String, actions: ChatActions) {
    AlertDialog(
        onDismissRequest = {},
        title = { Text(digits.chunked(3).joinToString(" ")) },
        text = { Text("The other device shows the same six digits, and its person accepts this device there.") },
        confirmButton = {},
        dismissButton = { TextButton(onClick = { actions.remove(device) }) { Text("They differ") } },
    )
}

@Composable
private fun ProblemDialog(problem: String, actions: ChatActions) {
    AlertDialog(
        onDismissRequest = actions::dismissProblem,
        text = { Text(problem) },
        confirmButton = { TextButton(onClick = actions::dismissProblem) { Text("OK") } },
    )
}
