package app.peers.demo

import app.peers.sdk.DeviceId
import app.peers.sdk.PathKind
import app.peers.sdk.PeerEvent
import app.peers.sdk.Peers
import app.peers.sdk.Session
import app.peers.sdk.TemporaryIdentity
import com.sun.management.ThreadMXBean
import java.lang.management.ManagementFactory
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext

/** A device of scripts/bench ffi. Its commands are in tests/src/bench/ffi.rs, where the clock is. */
public object BenchDevice {
    @JvmStatic
    public fun main(args: Array<String>): Unit = runBlocking(Dispatchers.Default) {
        require(args.isEmpty()) { "commands come on standard input" }
        val worker = Worker()
        while (true) {
            val line = withContext(Dispatchers.IO) { readlnOrNull() } ?: break
            val answer = try {
                worker.perform(Json.read(line))
            } catch (error: Exception) {
                Json.write("error" to "${error.javaClass.simpleName}: ${error.message}")
            }
            println(answer)
        }
        worker.stop()
    }
}

private class Worker {
    private lateinit var peers: Peers
    private lateinit var session: Session

    suspend fun perform(command: Map<String, String>): String {
        val count = command["count"]?.toInt() ?: 0
        when (command["do"]) {
            "connect" -> {
                connect(command.getValue("relay"), DeviceId(command.getValue("to")))
                return Json.write("device" to peers.deviceId)
            }
            "send_messages" -> return counting { sendMessages(count) }
            "take_messages" -> return counting { takeMessages(count) }
            "send_stream" -> sendStream(count)
            "take_stream" -> takeStream()
            else -> error("unknown command")
        }
        return Json.write("done" to true)
    }

    suspend fun stop() {
        if (::peers.isInitialized) peers.shutdown()
    }

    /** Does the work and tells what it allocated on the heap. */
    private suspend fun counting(work: suspend () -> Unit): String {
        val before = allocated()
        work()
        return Json.write("done" to true, "allocated" to allocated() - before)
    }

    /** By all threads that live. */
    private fun allocated(): Long {
        val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean
        return threads.getThreadAllocatedBytes(threads.allThreadIds).sum()
    }

    private suspend fun connect(relay: String, to: DeviceId) {
        peers = Peers {
            relay(relay)
            identity(TemporaryIdentity)
            loopback = true
            handle("echo") { it.body }
        }
        peers.start()
        session = peers.session(to)
        // The relay may carry the session first.
        peers.events.first { session.path == PathKind.WEBRTC || it == PeerEvent.PathChanged(session, PathKind.WEBRTC) }
    }

    private suspend fun sendMessages(count: Int) {
        val body = ByteArray(100) { 7 }
        repeat(count) { session.send(body) }
        session.drain()
    }

    private suspend fun takeMessages(count: Int) {
        println(Json.write("ready" to true))
        session.messages.take(count).collect()
    }

    private suspend fun sendStream(writes: Int) {
        val chunk = ByteArray(64 * 1024) { 0x5a }
        val stream = session.openStream("bench")
        repeat(writes) { stream.write(chunk) }
        stream.finish()
        stream.stop()
        session.drain()
    }

    private suspend fun takeStream() {
        println(Json.write("ready" to true))
        val stream = session.streams.first()
        stream.bytes.collect()
        stream.reset()
    }
}
