package app.peers.sample.ui

import app.peers.sample.model.ChatState
import app.peers.sample.model.Connection
import app.peers.sample.model.Contact
import app.peers.sdk.DeviceId
import app.peers.sdk.PathKind
import app.peers.sdk.RelayStatus
import app.peers.sdk.SessionStatus
import kotlin.time.DurationUnit

/** In groups of eight, as a person reads it out. */
internal fun DeviceId.readable(): String = text.chunked(8).joinToString(" ")

internal fun Contact.title(): String = name.ifEmpty { device.text.take(8) }

internal fun RelayStatus.describe(): String =
    listOfNotNull(url, state.name.lowercase(), problem?.let { "${it.code}: ${it.reason}" }).joinToString(" · ")

internal fun ChatState.describe(device: DeviceId): String =
    connections[device]?.describe() ?: problems[device] ?: "not connected"

internal fun Connection.describe(): String = listOfNotNull(
    when (status) {
        SessionStatus.USABLE -> if (relayed) "TURN" else path?.describe()
        SessionStatus.VERIFYING -> "verifying"
        SessionStatus.DOWN -> "looking for a path"
        SessionStatus.AWAY -> "away"
    },
    rtt?.let { "rtt ${it.toString(DurationUnit.MILLISECONDS, decimals = 1)}" },
    loss?.let { "loss $it %" },
    quality?.name?.lowercase(),
).joinToString(" · ")

private fun PathKind.describe(): String = when (this) {
    PathKind.LAN -> "Local network"
    PathKind.WEBRTC -> "Direct"
    PathKind.INTERNET -> "Internet"
    PathKind.RELAY -> "Relay"
    PathKind.CUSTOM -> "Custom"
}
