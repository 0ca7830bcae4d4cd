package app.peers.sdk.android

import android.os.Handler
import android.os.Looper
import androidx.lifecycle.DefaultLifecycleObserver
import androidx.lifecycle.Lifecycle
import androidx.lifecycle.LifecycleOwner
import androidx.lifecycle.ProcessLifecycleOwner
import app.peers.sdk.AppState
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.callbackFlow
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.collectLatest
import kotlinx.coroutines.flow.combine
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.distinctUntilChanged
import kotlinx.coroutines.flow.update

/**
 * The app's state by `ProcessLifecycleOwner`: [AppState.FOREGROUND] while an activity is started,
 * [AppState.BACKGROUND] from 700 ms after the last one stopped, [AppState.SUSPENDED] another [suspendAfter] later.
 *
 * Android tells no app that it is about to be frozen. The default of five seconds leaves the library time for its goodbyes
 * before the system may freeze a cached process, which it does after ten seconds (Android 14 and later). An app that goes on in
 * the background uses [awake], or [Duration.INFINITE] while it has a foreground service.
 *
 * An app may have removed the initializer of `androidx.lifecycle` from its manifest. Then no state comes, and the library
 * takes the app to be in the foreground. Such an app gives [app.peers.sdk.PeersConfig.appState] a flow of its own.
 */
public class ProcessLifecycle(
    private val suspendAfter: Duration = 5.seconds,
    private val owner: LifecycleOwner = ProcessLifecycleOwner.get(),
) {
    private val working = MutableStateFlow(0)

    /** The states as they come; the first one at once. */
    public val states: Flow<AppState> = channelFlow {
        combine(visible(), working) { visible, works ->
            when {
                visible -> AppState.FOREGROUND
                works > 0 -> AppState.BACKGROUND
                else -> AppState.SUSPENDED
            }
        }.distinctUntilChanged().collectLatest { state ->
            if (state == AppState.SUSPENDED) {
                send(AppState.BACKGROUND)
                delay(suspendAfter)
            }
            send(state)
        }
    }.distinctUntilChanged()

    /** Runs [block] without being suspended in the background: in a worker, say, whose process the system keeps running. */
    public suspend fun <T> awake(block: suspend () -> T): T {
        working.update { it + 1 }
        try {
            return block()
        } finally {
            working.update { it - 1 }
        }
    }

    private fun visible(): Flow<Boolean> = callbackFlow {
        val observer = object : DefaultLifecycleObserver {
            override fun onStart(owner: LifecycleOwner) {
                trySend(true)
            }

            override fun onStop(owner: LifecycleOwner) {
                trySend(false)
            }
        }
        // Lifecycles are observed on the main thread only, and tell a new observer nothing while no activity is started.
        val main = Handler(Looper.getMainLooper())
        main.post {
            val state = owner.lifecycle.currentState
            // Before that, nothing feeds it: the app's manifest has taken androidx.startup away.
            if (state.isAtLeast(Lifecycle.State.CREATED)) trySend(state.isAtLeast(Lifecycle.State.STARTED))
            owner.lifecycle.addObserver(observer)
        }
        awaitClose { main.post { owner.lifecycle.removeObserver(observer) } }
    }.conflate()
}
