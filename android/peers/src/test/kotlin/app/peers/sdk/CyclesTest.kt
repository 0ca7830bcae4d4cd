package app.peers.sdk

import org.junit.jupiter.api.Tag
import kotlin.test.Test
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.minutes

class CyclesTest {
    // proves S035 S145
    @Test
    @Tag("long")
    fun `a thousand starts and stops leave nothing behind`() = network(limit = 10.minutes) {
        // What the JVM and the library keep for good, counting included, is there after some.
        repeat(CYCLES / 2) { cycle() }
        Usage.now()
        val first = Usage.now()
        var last = first
        val grown = List(ROUNDS) {
            val (heap, native) = last.heap to last.native
            repeat(CYCLES) { cycle() }
            last = Usage.now()
            last.heap - heap to last.native - native
        }
        assertTrue(last.threads <= first.threads + 2, "threads: $first $last")
        assertTrue(last.files <= first.files + 2, "file descriptors: $first $last")
        // A class loaded late has an instance or two; what leaks has one a cycle.
        val more = last.objects.filter { (name, count) -> count > first.objects.getOrDefault(name, 0) + CYCLES / 2 }
        assertTrue(more.isEmpty(), "objects: $more")
        // The JVM makes the constants of a class when it compiles its code: on a busy machine late, in most of the rounds, and what
        // one round makes another may free. A leak adds to every round, so all but one of them grow.
        val heap = grown.map { it.first }.sorted()[1]
        assertTrue(heap <= CYCLES * LEAST_OBJECT, "heap: $grown $first $last")
        val native = grown.map { it.second }.sorted()[ROUNDS / 2]
        assertTrue(native <= 32 * KIB, "native memory: $grown $first $last")
    }

    /** The counts of the test above can grow. */
    @Test
    fun `clients that are not shut down are seen in every count`() = network {
        repeat(10) { cycle() }
        // What the cycles held is freed by and by, by other threads than this one.
        var before = Usage.now()
        do {
            val last = before
            before = Usage.now()
        } while (before.native < last.native - 32 * KIB)
        repeat(20) { device() }
        val after = Usage.now()
        assertTrue(after.threads > before.threads + 2, "threads: $before $after")
        assertTrue(after.files > before.files + 2, "file descriptors: $before $after")
        val name = "app.peers.sdk.generated.PeersClient"
        // The last cycle's coroutine may still hold one.
        assertTrue(after.objects.getValue(name) >= before.objects.getOrDefault(name, 0) + 4, "objects: $before $after")
        assertTrue(after.native > before.native + 32 * KIB, "native memory: $before $after")
    }

    /** Two clients from their start to their end. */
    private suspend fun Network.cycle() {
        val (session) = pair { handle("echo") { it.body } }
        session.call("echo", "echo", ByteArray(1000))
        end()
    }

    private companion object {
        const val ROUNDS = 5
        const val CYCLES = 200
        const val KIB = 1024L

        /** Bytes of an object and the entry of a collection that keeps it. */
        const val LEAST_OBJECT = 48L
    }
}
