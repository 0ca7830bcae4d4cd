package app.peers.sdk

import com.sun.jna.Callback
import com.sun.jna.CallbackReference
import com.sun.jna.Pointer
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicLong
import kotlin.coroutines.resume
import kotlinx.coroutines.CancellableContinuation
import kotlinx.coroutines.suspendCancellableCoroutine

/** Coroutines that the library wakes by a call of a plain function. */
internal object Waits {
    private val last = AtomicLong()
    private val waiting = ConcurrentHashMap<Long, CancellableContinuation<Unit>>()

    /** Suspends until the library calls back. [begin] hands it the function and the token, and tells whether it will call. */
    suspend inline fun wait(crossinline begin: (wake: Pointer?, token: Long) -> Boolean): Unit =
        suspendCancellableCoroutine { coroutine ->
            val token = add(coroutine)
            if (!begin(Wake.address, token)) wake(token)
            coroutine.invokeOnCancellation {
                if (forget(token) != null) begin(null, 0)
            }
        }

    fun add(coroutine: CancellableContinuation<Unit>): Long =
        last.incrementAndGet().also { waiting[it] = coroutine }

    fun forget(token: Long): CancellableContinuation<Unit>? = waiting.remove(token)

    fun wake(token: Long) {
        forget(token)?.resume(Unit)
    }
}

/** The function that the library calls, as JNA wants it. */
internal fun interface WakeFunction : Callback {
    fun callback(token: Long)
}

internal object Wake : WakeFunction {
    val address: Pointer by lazy {
        CallbackThreads.keep()
        CallbackReference.getFunctionPointer(this)
    }

    override fun callback(token: Long): Unit = Waits.wake(token)
}
