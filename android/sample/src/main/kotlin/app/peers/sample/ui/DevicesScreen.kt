package app.peers.sample.ui

import androidx.compose.foundation.clickable
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.PaddingValues
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.lazy.LazyColumn
import androidx.compose.foundation.lazy.items
import androidx.compose.material3.Button
import androidx.compose.material3.Card
import androidx.compose.material3.ExperimentalMaterial3Api
import androidx.compose.material3.ListItem
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.Scaffold
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.material3.TopAppBar
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.setValue
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.text.font.FontFamily
import androidx.compose.ui.unit.dp
import app.peers.sample.model.ChatState
import app.peers.sample.model.Contact
import app.peers.sample.model.JoinRequest
import app.peers.sdk.DeviceId

/** This device, the devices that ask, the devices to chat with. */
@OptIn(ExperimentalMaterial3Api::class)
@Composable
internal fun DevicesScreen(state: ChatState, actions: ChatActions) {
    Scaffold(
        topBar = {
            TopAppBar(
                title = { Text("Devices") },
                actions = { TextButton(onClick = actions::shareLog) { Text("Share log") } },
            )
        },
    ) { inset ->
        LazyColumn(
            modifier = Modifier.padding(inset),
            contentPadding = PaddingValues(16.dp),
            verticalArrangement = Arrangement.spacedBy(12.dp),
        ) {
            item { OwnDevice(state, actions) }
            items(state.requests) { Request(it, actions) }
            item { AddDevice(actions) }
            items(state.chats.contacts, key = { it.device.text }) { Device(it, state, actions) }
        }
    }
}

@Composable
private fun OwnDevice(state: ChatState, actions: ChatActions) {
    Card(Modifier.fillMaxWidth()) {
        Column(Modifier.padding(16.dp)) {
            Text("This device is ${state.client.name.lowercase().replace('_', ' ')}")
            for (relay in state.relays) {
                Text(relay.describe(), style = MaterialTheme.typography.bodySmall)
            }
            state.ownCode?.let { OwnCode(it, actions) }
        }
    }
}

@Composable
private fun OwnCode(code: DeviceId, actions: ChatActions) {
    Text("Its code, for other devices:", Modifier.padding(top = 8.dp))
    Text(code.readable(), fontFamily = FontFamily.Monospace)
    TextButton(onClick = { actions.shareCode(code) }) { Text("Share code") }
}

@Composable
private fun Request(request: JoinRequest, actions: ChatActions) {
    Card(Modifier.fillMaxWidth()) {
        Column(Modifier.padding(16.dp)) {
            Text("${request.name.ifEmpty { "A device" }} asks to chat", style = MaterialTheme.typography.titleMedium)
            Text(request.device.readable(), fontFamily = FontFamily.Monospace)
            val digits = request.digits
            Text(if (digits == null) "Let it come and be compared?" else "Does it show ${digits.chunked(3).joinToString(" ")}?")
            Row(horizontalArrangement = Arrangement.spacedBy(8.dp)) {
                Button(onClick = { actions.accept(request) }) { Text("Accept") }
                TextButton(onClick = { actions.refuse(request) }) { Text("Refuse") }
            }
        }
    }
}

@Composable
private fun AddDevice(actions: ChatActions) {
    var code by remember { mutableStateOf("") }
    Row(verticalAlignment = Alignment.CenterVertically, horizontalArrangement = Arrangement.spacedBy(8.dp)) {
        OutlinedTextField(
            value = code,
            onValueChange = { code = it.filterNot(Char::isWhitespace) },
            label = { Text("Code of another device") },
            singleLine = true,
            modifier = Modifier.weight(1f),
        )
        Button(
            enabled = code.isNotEmpty(),
            onClick = {
                actions.add(code)
                code = ""
            },
        ) { Text("Add") }
    }
}

@Composable
private fun Device(contact: Contact, state: ChatState, actions: ChatActions) {
    ListItem(
        headlineContent = { Text(contact.title()) },
        supportingContent = { Text(state.describe(contact.device)) },
        modifier = Modifier.clickable { actions.open(contact.device) },
    )
}
