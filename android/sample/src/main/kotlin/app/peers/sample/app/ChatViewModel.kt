package app.peers.sample.app

import android.app.Application
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.SavedStateHandle
import androidx.lifecycle.viewModelScope
import app.peers.sample.model.ChatModel
import app.peers.sample.model.JoinRequest
import app.peers.sample.ui.ChatActions
import app.peers.sdk.DeviceId
import app.peers.sdk.PeersException
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.launch

/** Binds the screens to the process's [ChatModel]. The open chat is restored with the activity. */
class ChatViewModel(app: Application, private val saved: SavedStateHandle) : AndroidViewModel(app), ChatActions {
    private val problems = MutableStateFlow<String?>(null)

    val model: StateFlow<ChatModel?> get() = getApplication<ChatApplication>().model

    /** Why the last relay was not taken. */
    val relayProblem: StateFlow<String?> = problems.asStateFlow()

    /** The device whose chat is open, as text. */
    val open: StateFlow<String?> = saved.getStateFlow(OPEN, null)

    fun useRelay(url: String) {
        problems.value = try {
            getApplication<ChatApplication>().useRelay(url)
            null
        } catch (error: PeersException) {
            error.message
        }
    }

    override fun open(device: DeviceId?) {
        saved[OPEN] = device?.text
    }

    override fun add(code: String) = act { add(code) }

    override fun accept(request: JoinRequest) = act { accept(request) }

    override fun refuse(request: JoinRequest) = act { refuse(request) }

    override fun remove(device: DeviceId) = act { remove(device) }

    override fun send(device: DeviceId, text: String) = act { send(device, text) }

    override fun retry() = act { retry() }

    override fun refresh() = act { refresh() }

    override fun dismissProblem() = act { dismissProblem() }

    override fun shareCode(code: DeviceId) = getApplication<ChatApplication>().share(code.text)

    override fun shareLog() = act { getApplication<ChatApplication>().share(exportLog().takeLast(LONGEST_SHARED)) }

    private fun act(action: suspend ChatModel.() -> Unit) {
        viewModelScope.launch { model.value?.action() }
    }

    private companion object {
        const val OPEN = "open"

        /** An intent holds less than a megabyte, in two bytes a character. */
        const val LONGEST_SHARED = 200_000
    }
}
