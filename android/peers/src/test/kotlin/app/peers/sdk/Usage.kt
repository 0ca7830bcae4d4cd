package app.peers.sdk

import com.sun.jna.Native
import com.sun.jna.Structure
import java.io.File
import java.lang.management.ManagementFactory
import javax.management.ObjectName

/**
 * What this process holds. [objects] counts the reachable objects of each of our classes, [heap] is bytes of all reachable
 * objects, [native] bytes that the Rust library and JNA allocated and did not free: neither garbage, allocators' caches nor the
 * JVM's own memory count.
 */
internal data class Usage(
    val threads: Int,
    val files: Int,
    val objects: Map<String, Int>,
    val heap: Long,
    val native: Long,
) {
    override fun toString() =
        "(threads=$threads, files=$files, objects=${objects.values.sum()}, heap=$heap, native=$native)"

    companion object {
        /** Cleaners free handles a moment after a collection, in a thread of their own: counts until two counts agree. */
        fun now(): Usage {
            var reachable = Reachable.now()
            for (attempt in 0 until 50) {
                Thread.sleep(10)
                val again = Reachable.now()
                val same = again.objects == reachable.objects
                reachable = again
                if (same) break
            }
            return Usage(
                threads = File("/proc/self/task").list().orEmpty().size,
                files = File("/proc/self/fd").list().orEmpty().size,
                objects = reachable.objects.filterKeys { it.startsWith("app.peers.") },
                heap = reachable.bytes,
                native = LibC.mallinfo2().run { used + mapped } - ofTheJvm(),
            )
        }

        /** Bytes that the JVM itself took from the C library. */
        private fun ofTheJvm(): Long {
            val answer = jvm("vmNativeMemory", "summary", "scale=B")
            val total = Regex("malloc: (\\d+)").find(answer) ?: error("use -XX:NativeMemoryTracking=summary: $answer")
            return total.groupValues[1].toLong()
        }
    }
}

/** [objects] of ours and JNA's by class; [bytes] of all there are. */
private class Reachable(val objects: Map<String, Int>, val bytes: Long) {
    companion object {
        /** Collects garbage, then counts. */
        fun now(): Reachable {
            // "  12:   30   960  app.peers.sdk.Session", at the end "Total   144000   8930992"
            val rows = jvm("gcClassHistogram").lineSequence().map { it.trim().split(Regex("\\s+")) }.toList()
            val ours = rows.filter { it.size >= 4 && (it[3].startsWith("app.peers.") || it[3].startsWith("com.sun.jna.")) }
            return Reachable(ours.associate { it[3] to it[1].toInt() }, rows.last { it[0] == "Total" }[2].toLong())
        }
    }
}

/** Asks the JVM what `jcmd` would. */
private fun jvm(command: String, vararg arguments: String): String {
    val name = ObjectName("com.sun.management:type=DiagnosticCommand")
    val signature = arrayOf(Array<String>::class.java.name)
    return ManagementFactory.getPlatformMBeanServer().invoke(name, command, arrayOf(arguments), signature) as String
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
