package app.peers.sdk.android

import android.app.Activity
import android.os.Looper
import androidx.lifecycle.Lifecycle
import androidx.lifecycle.LifecycleOwner
import androidx.lifecycle.LifecycleRegistry
import app.peers.sdk.AppState
import app.peers.sdk.AppState.BACKGROUND
import app.peers.sdk.AppState.FOREGROUND
import app.peers.sdk.AppState.SUSPENDED
import java.util.concurrent.TimeUnit
import kotlin.test.assertEquals
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.UnconfinedTestDispatcher
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config

@OptIn(ExperimentalCoroutinesApi::class)
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [24, 29, 35, 37])
class ProcessLifecycleTest {
    private val told = mutableListOf<AppState>()

    @Before
    fun startProcess() = startLifecycle()

    @Test
    fun `an app that a person leaves is suspended after a while, and at once back`() = runTest {
        observe(ProcessLifecycle())
        val activity = Robolectric.buildActivity(Activity::class.java).setup()
        settle()
        told.clear()
        leave(activity)
        assertEquals(listOf(BACKGROUND), told)
        advanceTimeBy(5.seconds)
        assertEquals(listOf(BACKGROUND), told)
        runCurrent()
        assertEquals(listOf(BACKGROUND, SUSPENDED), told)
        activity.restart().resume()
        settle()
        assertEquals(listOf(BACKGROUND, SUSPENDED, FOREGROUND), told)
        finish(activity)
    }

    @Test
    fun `an activity that replaces another is no departure`() = runTest {
        observe(ProcessLifecycle())
        val first = Robolectric.buildActivity(Activity::class.java).setup()
        settle()
        told.clear()
        first.pause()
        val second = Robolectric.buildActivity(Activity::class.java).setup()
        first.stop()
        settle()
        advanceTimeBy(60.seconds)
        assertEquals(emptyList(), told)
        first.destroy()
        finish(second)
    }

    @Test
    fun `a return in time is no suspension`() = runTest {
        observe(ProcessLifecycle(10.seconds))
        val activity = Robolectric.buildActivity(Activity::class.java).setup()
        settle()
        told.clear()
        leave(activity)
        advanceTimeBy(9.seconds)
        activity.restart().resume()
        settle()
        advanceTimeBy(60.seconds)
        assertEquals(listOf(BACKGROUND, FOREGROUND), told)
        finish(activity)
    }

    @Test
    fun `a process without an activity works in the background while it is kept awake`() = runTest {
        val lifecycle = ProcessLifecycle()
        val work = CompletableDeferred<Unit>()
        val working = launch(UnconfinedTestDispatcher(testScheduler)) { lifecycle.awake { work.await() } }
        observe(lifecycle)
        advanceTimeBy(60.seconds)
        assertEquals(listOf(BACKGROUND), told)
        work.complete(Unit)
        working.join()
        advanceTimeBy(6.seconds)
        assertEquals(listOf(BACKGROUND, SUSPENDED), told)
        lifecycle.awake { assertEquals(listOf(BACKGROUND, SUSPENDED, BACKGROUND), told) }
    }

    @Test
    fun `an app can go on in the background for good`() = runTest {
        observe(ProcessLifecycle(Duration.INFINITE))
        advanceTimeBy(100_000.seconds)
        assertEquals(listOf(BACKGROUND), told)
    }

    @Test
    fun `a lifecycle that nothing feeds tells nothing`() = runTest {
        val owner = object : LifecycleOwner {
            override val lifecycle = LifecycleRegistry(this)
        }
        observe(ProcessLifecycle(owner = owner))
        advanceTimeBy(60.seconds)
        assertEquals(emptyList(), told)
        owner.lifecycle.currentState = Lifecycle.State.STARTED
        settle()
        assertEquals(listOf(FOREGROUND), told)
    }

    private fun TestScope.observe(lifecycle: ProcessLifecycle) {
        backgroundScope.launch(UnconfinedTestDispatcher(testScheduler)) { lifecycle.states.collect(told::add) }
        settle()
    }

    private fun TestScope.settle() {
        shadowOf(Looper.getMainLooper()).idle()
        runCurrent()
    }

    private fun TestScope.leave(activity: ActivityController<Activity>) {
        activity.pause().stop()
        shadowOf(Looper.getMainLooper()).idleFor(699, TimeUnit.MILLISECONDS)
        runCurrent()
        assertEquals(emptyList(), told)
        shadowOf(Looper.getMainLooper()).idleFor(1, TimeUnit.MILLISECONDS)
        runCurrent()
    }

    private fun TestScope.finish(activity: ActivityController<Activity>) {
        activity.pause().stop().destroy()
        shadowOf(Looper.getMainLooper()).idleFor(1, TimeUnit.SECONDS)
        runCurrent()
    }
}
