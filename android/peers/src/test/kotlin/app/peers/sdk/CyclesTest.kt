package app.peers.sdk

import java.io.File
import kotlin.test.Test
import kotlin.test.assertTrue

class CyclesTest {
    // proves S035 S145
    @Test
    fun `a hundred starts and stops leave nothing behind`() = network {
        suspend fun cycle() {
            val (session) = pair { handle("echo") { it.body } }
            session.call("echo", "echo", ByteArray(1000))
            end()
        }
        // What the JVM and the library keep for good is there after a few.
        repeat(20) { cycle() }
        val usage = listOf(Usage.now()) + List(5) {
            repeat(20) { cycle() }
            Usage.now()
        }
        assertTrue(usage.last().threads <= usage.first().threads + 2, "threads: $usage")
        assertTrue(usage.last().files <= usage.first().files + 2, "file descriptors: $usage")
        // The JVM's own memory grows by leaps, now and then; what leaks grows every time.
        val growth = usage.zipWithNext { before, after -> after.kilobytes - before.kilobytes }.min()
        assertTrue(growth <= 1024, "memory: $usage")
    }

    private data class Usage(val threads: Int, val files: Int, val kilobytes: Long) {
        companion object {
            fun now(): Usage {
                // Handles that nobody holds any more are freed by the collector.
                repeat(3) {
                    System.gc()
                    System.runFinalization()
                }
                val status = File("/proc/self/status").readLines().associate { it.substringBefore(':') to it.substringAfter(':').trim() }
                val files = File("/proc/self/fd").list().orEmpty().size
                return Usage(status.getValue("Threads").toInt(), files, status.getValue("VmRSS").substringBefore(' ').toLong())
            }
        }
    }
}
