package app.peers.sample.ui

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.PaddingValues
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.lazy.LazyColumn
import androidx.compose.foundation.lazy.items
import androidx.compose.foundation.lazy.rememberLazyListState
import androidx.compose.material3.Button
import androidx.compose.material3.Card
import androidx.compose.material3.ExperimentalMaterial3Api
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.Scaffold
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.material3.TopAppBar
import androidx.compose.runtime.Composable
import androidx.compose.runtime.LaunchedEffect
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.setValue
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.unit.dp
import app.peers.sample.model.ChatMessage
import app.peers.sample.model.ChatState
import app.peers.sample.model.Contact

/** The messages of one contact, and the path to it. */
@OptIn(ExperimentalMaterial3Api::class)
@Composable
internal fun ChatScreen(contact: Contact, state: ChatState, actions: ChatActions) {
    Scaffold(
        topBar = {
            TopAppBar(
                title = { Text(contact.title()) },
                navigationIcon = { TextButton(onClick = { actions.open(null) }) { Text("Back") } },
                actions = {
                    TextButton(
                        onClick = {
                            actions.open(null)
                            actions.remove(contact.device)
                        },
                    ) { Text("Remove") }
                },
            )
        },
        bottomBar = { Composer { actions.send(contact.device, it) } },
    ) { inset ->
        Column(Modifier.padding(inset)) {
            Row(Modifier.padding(horizontal = 16.dp), verticalAlignment = Alignment.CenterVertically) {
                Text(state.describe(contact.device), Modifier.weight(1f), style = MaterialTheme.typography.bodySmall)
                if (contact.device in state.problems) TextButton(onClick = actions::retry) { Text("Try again") }
            }
            Messages(state.chats.with(contact.device))
        }
    }
}

@Composable
private fun Messages(messages: List<ChatMessage>) {
    val list = rememberLazyListState()
    LaunchedEffect(messages.size) {
        if (messages.isNotEmpty()) list.scrollToItem(messages.lastIndex)
    }
    LazyColumn(
        state = list,
        contentPadding = PaddingValues(16.dp),
        verticalArrangement = Arrangement.spacedBy(8.dp),
    ) {
        items(messages, key = { "${it.outgoing} ${it.id}" }) { Bubble(it) }
    }
}

@Composable
private fun Bubble(message: ChatMessage) {
    Box(Modifier.fillMaxWidth(), contentAlignment = if (message.outgoing) Alignment.CenterEnd else Alignment.CenterStart) {
        Card {
            Column(Modifier.padding(horizontal = 12.dp, vertical = 8.dp)) {
                Text(message.text)
                if (message.outgoing) {
                    Text(if (message.delivered) "delivered" else "waits", style = MaterialTheme.typography.labelSmall)
                }
            }
        }
    }
}

@Composable
private fun Composer(send: (String) -> Unit) {
    var text by remember { mutableStateOf("") }
    Row(
        Modifier.padding(16.dp),
        verticalAlignment = Alignment.CenterVertically,
        horizontalArrangement = Arrangement.spacedBy(8.dp),
    ) {
        OutlinedTextField(
            value = text,
            onValueChange = { text = it },
            label = { Text("Message") },
            modifier = Modifier.weight(1f),
        )
        Button(
            enabled = text.isNotBlank(),
            onClick = {
                send(text)
                text = ""
            },
        ) { Text("Send") }
    }
}
