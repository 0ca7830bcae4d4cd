// As much of androidx.work as the guide's recipe calls, with the library's signatures: it is not among the tests' libraries.
package androidx.work

import android.content.Context
import java.util.concurrent.TimeUnit

class WorkerParameters

abstract class ListenableWorker(val applicationContext: Context, @Suppress("unused") parameters: WorkerParameters) {
    sealed class Result {
        internal object Success : Result()

        internal object Retry : Result()

        companion object {
            fun success(): Result = Success

            fun retry(): Result = Retry
        }
    }
}

abstract class CoroutineWorker(context: Context, parameters: WorkerParameters) : ListenableWorker(context, parameters) {
    abstract suspend fun doWork(): Result
}

enum class NetworkType { CONNECTED }

class Constraints(val requiredNetworkType: NetworkType)

enum class ExistingPeriodicWorkPolicy { KEEP }

class PeriodicWorkRequest(val worker: Class<*>, val minutes: Long) {
    class Builder(private val worker: Class<*>, private val minutes: Long) {
        fun setConstraints(constraints: Constraints): Builder =
            also { check(constraints.requiredNetworkType == NetworkType.CONNECTED) }

        fun build(): PeriodicWorkRequest = PeriodicWorkRequest(worker, minutes)
    }
}

inline fun <reified W : ListenableWorker> PeriodicWorkRequestBuilder(interval: Long, unit: TimeUnit) =
    PeriodicWorkRequest.Builder(W::class.java, unit.toMinutes(interval))

class WorkManager {
    var enqueued: PeriodicWorkRequest? = null
        private set

    fun enqueueUniquePeriodicWork(name: String, policy: ExistingPeriodicWorkPolicy, request: PeriodicWorkRequest) {
        check(name.isNotEmpty() && policy == ExistingPeriodicWorkPolicy.KEEP)
        enqueued = request
    }

    companion object {
        private val manager = WorkManager()

        fun getInstance(context: Context): WorkManager = manager.also { checkNotNull(context.applicationContext) }
    }
}
