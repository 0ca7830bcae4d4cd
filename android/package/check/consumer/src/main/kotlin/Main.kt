import app.peers.sdk.DeviceId
import app.peers.sdk.PeerEvent
import app.peers.sdk.Peers
import app.peers.sdk.PeersException
import app.peers.sdk.PeersState
import app.peers.sdk.TemporaryIdentity
import app.peers.sdk.Value
import kotlin.system.exitProcess
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout

/** Arguments: a relay's URL and the id of a device that waits there (`peers listen`). */
fun main(arguments: Array<String>): Unit = runBlocking {
    val (relay, peer) = arguments
    withTimeout(60.seconds) {
        val peers = Peers {
            relay(relay)
            identity(TemporaryIdentity)
            loopback = true
            trust(DeviceId(peer))
            trustPolicy { _, _ -> null }
            handle("consumer") { it.body }
        }
        peers.start()
        peers.state.first { it == PeersState.ONLINE }
        talk(peers, DeviceId(peer))
        peers.shutdown()
    }
    println("consumer: ok")
    // A pool of threads that coroutines left behind does not keep the process.
    exitProcess(0)
}

private suspend fun talk(peers: Peers, peer: DeviceId) = coroutineScope {
    val connected = async { peers.events.filterIsInstance<PeerEvent.Connected>().first() }
    val session = peers.session(peer)
    expect(session, connected.await().session)

    val sent = List(100) { Value.of("number" to it, "text" to "grüezi") }
    sent.forEach { session.send(it) }
    expect(sent, session.messages.map { it.value }.take(sent.size).toList())

    expect("called", session.call("echo", "echo", "called".encodeToByteArray()).decodeToString())
    val refused = runCatching { session.call("no such service", "at all") }.exceptionOrNull()
    expect("call-failed", (refused as? PeersException.CallFailed)?.code)

    val stream = session.openStream("file")
    repeat(16) { stream.write(ByteArray(64 * 1024)) }
    stream.finish()
    // The answer: how many bytes came, and their hash.
    val answer = stream.bytes.toList().fold(ByteArray(0)) { all, next -> all + next }
    expect(8 + 32, answer.size)
}

private fun <T> expect(expected: T, actual: T) = check(expected == actual) { "expected $expected, got $actual" }
