package app.peers.sdk

import com.sun.jna.Native
import com.sun.jna.Structure
import java.io.File
import java.lang.management.ManagementFactory
import kotlin.test.Test
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.minutes

class CyclesTest {
    // proves S035 S145
    @Test
    fun `a hundred starts and stops leave nothing behind`() = network(limit = 3.minutes) {
        suspend fun cycle() {
            val (session) = pair { handle("echo") { it.body } }
            session.call("echo", "echo", ByteArray(1000))
            end()
        }
        // What the JVM and the library keep for good is there after a few.
        repeat(40) { cycle() }
        val usage = listOf(Usage.now()) + List(10) {
            repeat(10) { cycle() }
            Usage.now()
        }
        val (first, last) = usage.first() to usage.last()
        assertTrue(last.threads <= first.threads + 2, "threads: $usage")
        assertTrue(last.files <= first.files + 2, "file descriptors: $usage")
        assertTrue(last.heap <= first.heap + 256 * KIB, "objects: $usage")
        // The JVM's compiler takes and gives back megabytes, now and then; what leaks is left by every round.
        val native = usage.zipWithNext { before, after -> after.native - before.native }.sorted()
        assertTrue(native[native.size / 2] <= 64 * KIB, "native memory: $usage")
    }

    /** [heap] and [native] are bytes in use: neither garbage nor free lists count, nor what fragmentation costs. */
    private data class Usage(val threads: Int, val files: Int, val heap: Long, val native: Long) {
        companion object {
            fun now(): Usage {
                // Handles that nobody holds any more are freed by the collector.
                repeat(3) {
                    System.gc()
                    System.runFinalization()
                }
                return Usage(
                    threads = File("/proc/self/task").list().orEmpty().size,
                    files = File("/proc/self/fd").list().orEmpty().size,
                    heap = ManagementFactory.getMemoryMXBean().heapMemoryUsage.used,
                    native = LibC.mallinfo2().run { used + mapped },
                )
            }
        }
    }

    private companion object {
        const val KIB = 1024L
    }
}

/** The C library, whose allocator Rust uses. */
internal object LibC {
    init {
        Native.register(LibC::class.java, "c")
    }

    @JvmStatic
    external fun mallinfo2(): AllocatorUsage

    /** `struct mallinfo2` of glibc: ten numbers, of which [used] and [mapped] are bytes that were allocated and not freed. */
    @Structure.FieldOrder("n0", "n1", "n2", "n3", "mapped", "n5", "n6", "used", "n8", "n9")
    class AllocatorUsage : Structure(), Structure.ByValue {
        @JvmField var n0 = 0L
        @JvmField var n1 = 0L
        @JvmField var n2 = 0L
        @JvmField var n3 = 0L
        @JvmField var mapped = 0L
        @JvmField var n5 = 0L
        @JvmField var n6 = 0L
        @JvmField var used = 0L
        @JvmField var n8 = 0L
        @JvmField var n9 = 0L
    }
}
