package com.example.chat

import app.peers.sdk.DeviceId
import app.peers.sdk.PeerEvent
import app.peers.sdk.Peers
import app.peers.sdk.PeersException
import app.peers.sdk.Session
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.catch
import kotlinx.coroutines.flow.distinctUntilChanged
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.launch

class Chat(private val peers: Peers) {
    val lines = MutableSharedFlow<String>(replay = 100, onBufferOverflow = BufferOverflow.DROP_OLDEST)
    val asking = MutableStateFlow<PeerEvent.Incoming?>(null)            // a device that waits for an answer
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)

    fun start() = scope.launch {
        peers.start()                                                   // makes the keys on first run, connects in the background
        show("this device: ${peers.deviceId}")
        launch {
            peers.relays.map { relays -> relays.mapNotNull { it.problem } }.distinctUntilChanged()
                .collect { problems -> problems.forEach { show("relay: ${it.reason}") } }
        }
        peers.events.collect { event ->
            when (event) {
                is PeerEvent.State -> show("${event.state}")
                is PeerEvent.Incoming -> asking.value = event
                is PeerEvent.Comparing -> show("compare: ${event.sas}")
                is PeerEvent.Connected -> {
                    show("connected by ${event.path}")
                    launch { hear(event.session) }
                }
                is PeerEvent.PathChanged -> show("now by ${event.path ?: "no path"}")
                is PeerEvent.Disconnected -> show("ended: ${event.reason}")
                else -> {}
            }
        }
    }

    fun say(to: String, text: String) = scope.launch {
        try {
            peers.session(DeviceId(to.trim())).send(text)               // connects if need be
        } catch (error: PeersException) {
            show("not sent: ${error.message}")
        }
    }

    fun accept() {
        val device = asking.value ?: return
        asking.value = null
        try {
            device.accept()
        } catch (error: PeersException.Closed) {
            show("too late")                                            // it asked too long ago
        }
    }

    private suspend fun hear(session: Session) =
        session.messages.map { it.text }.catch { show("stopped: ${it.message}") }.collect { show("heard: $it") }

    private fun show(line: String) {
        println(line)                                                   // on Android: logcat, tag System.out
        lines.tryEmit(line)
    }
}
