package app.peers.sdk.android

import kotlin.test.assertEquals
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.Assume.assumeTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.ParameterizedRobolectricTestRunner
import org.robolectric.annotation.Config

/** Each scene at each API level: the snapshots that follow from what the system tells. */
@RunWith(ParameterizedRobolectricTestRunner::class)
@Config(sdk = [24, 29, 35, 37])
class NetworkScenesTest(private val index: Int, @Suppress("unused") private val name: String) {
    @Test
    fun `each step tells its snapshots`() = runBlocking {
        val scene = SCENES[index]
        assumeTrue("not on this API level", scene.runs)
        val phone = Phone()
        val told = mutableListOf<String>()
        // Unconfined: a snapshot is here when the callback returns.
        val observing = launch(Dispatchers.Unconfined) { phone.observer.snapshots.collect { told += it.text() } }
        assertEquals(listOf("offline"), told)
        assertEquals(AndroidNetwork.Observation.RUNNING, phone.observer.observation.value)
        scene.steps.forEachIndexed { number, step ->
            told.clear()
            step.act(phone)
            assertEquals(step.told, told, "${scene.name}, step ${number + 1}")
        }
        observing.cancelAndJoin()
        assertEquals(0, phone.callbacks)
        assertEquals(AndroidNetwork.Observation.STOPPED, phone.observer.observation.value)
    }

    companion object {
        @JvmStatic
        @ParameterizedRobolectricTestRunner.Parameters(name = "{1}")
        fun scenes(): List<Array<Any>> = SCENES.mapIndexed { index, scene -> arrayOf(index, scene.name) }
    }
}
