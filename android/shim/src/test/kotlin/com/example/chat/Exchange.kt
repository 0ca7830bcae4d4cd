package com.example.chat

import android.app.Application
import android.content.Context
import androidx.work.Constraints
import androidx.work.CoroutineWorker
import androidx.work.ExistingPeriodicWorkPolicy
import androidx.work.NetworkType
import androidx.work.PeriodicWorkRequestBuilder
import androidx.work.WorkManager
import androidx.work.WorkerParameters
import app.peers.sdk.DeviceId
import app.peers.sdk.PeersException
import app.peers.sdk.android.Peers
import app.peers.sdk.android.ProcessLifecycle
import java.util.concurrent.TimeUnit
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.withTimeout

// guide:begin exchange
class App : Application() {
    var relay = "wss://relay.example.com"
    lateinit var friend: String                            // the id of a device that is always on
    val lifecycle by lazy { ProcessLifecycle() }
    val peers by lazy {
        Peers(this) {
            relay(relay)
            trust(DeviceId(friend))
            appState(lifecycle.states)
        }
    }
}

class Exchange(context: Context, parameters: WorkerParameters) : CoroutineWorker(context, parameters) {
    override suspend fun doWork(): Result {
        val app = applicationContext as App
        return app.lifecycle.awake {
            try {
                app.peers.start()
                withTimeout(60.seconds) {
                    val session = app.peers.session(DeviceId(app.friend))
                    session.send("news")
                    session.drain()                        // returns when the peer has it
                }
                Result.success()
            } catch (error: PeersException.Unreachable) {
                Result.retry()                             // the peer's app is not running
            } catch (error: PeersException.Offline) {
                Result.retry()                             // no relay is reached
            } catch (error: TimeoutCancellationException) {
                Result.retry()
            }
        }
    }
}

fun enqueue(context: Context) {
    val request = PeriodicWorkRequestBuilder<Exchange>(15, TimeUnit.MINUTES)
        .setConstraints(Constraints(requiredNetworkType = NetworkType.CONNECTED))
        .build()
    WorkManager.getInstance(context).enqueueUniquePeriodicWork("exchange", ExistingPeriodicWorkPolicy.KEEP, request)
}
// guide:end
