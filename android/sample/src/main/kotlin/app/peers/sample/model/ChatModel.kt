package app.peers.sample.model

import app.peers.sdk.DeviceId
import app.peers.sdk.Message
import app.peers.sdk.PeerEvent
import app.peers.sdk.Peers
import app.peers.sdk.PeersException
import app.peers.sdk.PeersState
import app.peers.sdk.Session
import app.peers.sdk.TrustLevel
import app.peers.sdk.Value
import java.io.IOException
import java.util.UUID
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.distinctUntilChanged
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext

/**
 * The chats of one person: contacts, messages, and the state of the paths to them. [run] keeps it going. The other functions are
 * a person's actions. [state] tells their outcome, a failure included.
 */
class ChatModel(private val peers: Peers, private val store: ChatStore) {
    private val states = MutableStateFlow(ChatState())
    private val writing = Mutex()

    /** Reasons so far to try again to reach a contact. */
    private val reasons = MutableStateFlow(Reasons())

    val state: StateFlow<ChatState> = states.asStateFlow()

    /** Restores the chats, then connects and follows what happens. Returns after a failed start, and when [Peers] ends. */
    suspend fun run(): Unit = coroutineScope {
        reporting {
            restore()
            launch { peers.state.collect(::clientChanged) }
            launch { peers.relays.collect { now -> states.update { it.copy(relays = now) } } }
            peers.start()
            states.update { it.copy(ownCode = peers.deviceId) }
            states.value.chats.contacts.forEach { peers.trust(it.device) }
            launch { deliverToContacts() }
            val followed = mutableMapOf<DeviceId, Session>()
            peers.events.collect { handle(it, followed) }
        }
        coroutineContext.cancelChildren()
    }

    /** Adds the device that shows [code]. */
    suspend fun add(code: String): Unit = reporting {
        val device = DeviceId(code.trim().lowercase())
        when {
            !CODE.matches(device.text) -> fail("This is no device's code: it has 32 letters a-z and digits 2-7.")
            device == states.value.ownCode -> fail("This is the code of this device.")
            else -> addContact(Contact(device, name = ""))
        }
    }

    /** Removes a contact and its messages, and ends the session with it. */
    suspend fun remove(device: DeviceId): Unit = reporting {
        record(ChatRecord.ContactRemoved(device))
        states.update { it.copy(comparisons = it.comparisons - device, problems = it.problems - device) }
        peers.trust(device, TrustLevel.UNTRUSTED)
        peers.sessions.filter { it.device == device }.forEach { it.close() }
    }

    /** Lets a device in; one without digits may come and be compared. */
    suspend fun accept(request: JoinRequest): Unit = reporting {
        states.update { it.copy(requests = it.requests - request) }
        request.incoming.accept()
        if (request.digits != null) addContact(Contact(request.device, request.name))
    }

    /** Turns a device away. */
    fun refuse(request: JoinRequest) {
        states.update { it.copy(requests = it.requests - request) }
        request.incoming.reject()
    }

    /** Stores [text] for [device], which gets it as soon as it can be reached. */
    suspend fun send(device: DeviceId, text: String): Unit = reporting {
        if (text.length > LONGEST_TEXT) {
            fail("A message has at most $LONGEST_TEXT characters.")
        } else {
            record(ChatRecord.MessageAdded(ChatMessage("${UUID.randomUUID()}", device, outgoing = true, text, delivered = false)))
            retry()
        }
    }

    /** Tries again to reach contacts, also one that has refused this device. */
    fun retry() = reasons.update { it.copy(wishes = it.wishes + 1) }

    /** Reads round trips and losses anew, which change without an event. */
    fun refresh() = peers.sessions.forEach { session ->
        val connection = session.toConnection()
        states.update { if (session.device in it.connections) it.with(session, connection) else it }
    }

    /** The last log records, without ids, names and addresses. */
    fun exportLog(): String = peers.exportLog()

    fun dismissProblem() = states.update { it.copy(problem = null) }

    private suspend fun restore() {
        val records = withContext(Dispatchers.IO) { store.load() }
        states.update { state -> state.copy(chats = records.fold(Chats(), Chats::plus)) }
    }

    private fun clientChanged(now: PeersState) {
        states.update { it.copy(client = now) }
        if (now == PeersState.ONLINE) contactsMayBeReachable()
    }

    private fun contactsMayBeReachable() = reasons.update { it.copy(events = it.events + 1) }

    private suspend fun CoroutineScope.handle(event: PeerEvent, followed: MutableMap<DeviceId, Session>) {
        when (event) {
            is PeerEvent.Incoming -> reporting { ask(event) }
            is PeerEvent.Comparing -> states.update { it.copy(comparisons = it.comparisons + (event.device to event.sas)) }
            is PeerEvent.Compared -> states.update { it.copy(comparisons = it.comparisons - event.device) }
            is PeerEvent.Connected -> follow(event.session, followed)
            is PeerEvent.Disconnected -> if (followed.remove(event.device, event.session)) {
                states.update { it.copy(connections = it.connections - event.device) }
            }
            is PeerEvent.OfSession -> show(event.session)
            is PeerEvent.Online -> contactsMayBeReachable()
            // Among them may be that a session began.
            is PeerEvent.Missed -> peers.sessions.forEach { follow(it, followed) }
            is PeerEvent.State, is PeerEvent.Offline, is PeerEvent.Metered -> {}
        }
    }

    private fun ask(incoming: PeerEvent.Incoming) {
        val request = JoinRequest(incoming)
        when {
            states.value.chats.isContact(request.device) -> incoming.accept()
            // The same device's earlier request is over.
            else -> states.update { state ->
                state.copy(requests = state.requests.filter { it.device != request.device } + request)
            }
        }
    }

    private fun CoroutineScope.follow(session: Session, followed: MutableMap<DeviceId, Session>) {
        if (followed.put(session.device, session) == session) return
        states.update { it.copy(problems = it.problems - session.device) }
        show(session)
        contactsMayBeReachable()
        launch { reporting { session.messages.collect { receive(session.device, it) } } }
    }

    private fun show(session: Session) {
        val connection = session.toConnection()
        states.update { it.with(session, connection) }
    }

    private fun ChatState.with(session: Session, connection: Connection) =
        copy(connections = connections + (session.device to connection))

    private suspend fun receive(device: DeviceId, message: Message) = reporting {
        val (id, text) = message.toChat()
        // A sender whose process ended before it knew of the delivery sends again.
        if (!states.value.chats.hasReceived(device, id)) {
            record(ChatRecord.MessageAdded(ChatMessage(id, device, outgoing = false, text, delivered = true)))
        }
    }

    private suspend fun deliverToContacts() = coroutineScope {
        val deliveries = mutableMapOf<DeviceId, Job>()
        states.map { state -> state.chats.contacts.map { it.device }.toSet() }.distinctUntilChanged().collect { contacts ->
            (deliveries.keys - contacts).forEach { deliveries.remove(it)?.cancel() }
            (contacts - deliveries.keys).forEach { deliveries[it] = launch { deliver(it) } }
        }
    }

    /**
     * Connects to [device] and sends what waits; after a failure again, once there is a reason. A device that has refused this one
     * is asked again when a person wants it.
     */
    private suspend fun deliver(device: DeviceId) {
        while (true) {
            val before = reasons.value
            try {
                sendWaiting(device)
                states.first { it.chats.waiting(device).isNotEmpty() }
            } catch (error: PeersException) {
                unreachable(device, error)
                reasons.first { if (error is PeersException.Denied) it.wishes != before.wishes else it != before }
            } catch (error: IOException) {
                fail(error.message.orEmpty())
                reasons.first { it.wishes != before.wishes }
            }
        }
    }

    private fun unreachable(device: DeviceId, error: PeersException) = 
        states.update { it.copy(problems = it.problems + (device to error.message.orEmpty())) }

    private suspend fun sendWaiting(device: DeviceId) {
        val session = peers.session(device)
        val waiting = states.value.chats.waiting(device)
        if (waiting.isEmpty()) return
        waiting.forEach { session.send(it.toValue()) }
        session.drain()
        waiting.forEach { record(ChatRecord.MessageDelivered(it.id)) }
    }

    private suspend fun addContact(contact: Contact) {
        record(ChatRecord.ContactAdded(contact))
        // The start trusts all contacts that there are.
        if (states.value.ownCode != null) peers.trust(contact.device)
    }

    /** Stores first: what a person sees is there after a restart. */
    private suspend fun record(record: ChatRecord) = withContext(NonCancellable) {
        writing.withLock {
            withContext(Dispatchers.IO) { store.append(record) }
            states.update { it.copy(chats = it.chats + record) }
        }
    }

    /** Shows the failure of [action] instead of throwing it. */
    private inline fun reporting(action: () -> Unit) = try {
        action()
    } catch (error: PeersException) {
        fail(error.message.orEmpty())
    } catch (error: IOException) {
        fail("The chats cannot be stored: ${error.message}")
    }

    private fun fail(problem: String) = states.update { it.copy(problem = problem) }

    private companion object {
        val CODE = Regex("[a-z2-7]{32}")

        /** Far less than a message of the SDK may hold. */
        const val LONGEST_TEXT = 4_000
    }
}

private data class Reasons(
    /** Something happened after which a contact may be reachable. */
    val events: Long = 0,
    /** A person wants it. */
    val wishes: Long = 0,
)

private fun ChatMessage.toValue() = Value.of("id" to id, "text" to text)

/** Id and text. A device that is no chat app may send something else, which is a message of its own each time. */
private fun Message.toChat(): Pair<String, String> {
    val value = value
    val fields = value as? Value.Object
    val id = fields?.get("id") as? Value.Text ?: Value.Text("${UUID.randomUUID()}")
    val text = fields?.get("text") as? Value.Text ?: value as? Value.Text ?: Value.Text("$value")
    return id.value to text.value
}
