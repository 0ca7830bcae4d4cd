package app.peers.sdk.android

import android.content.Context
import androidx.lifecycle.ProcessLifecycleOwner
import java.util.concurrent.atomic.AtomicBoolean
import org.junit.rules.ExternalResource
import org.robolectric.RuntimeEnvironment

/**
 * Starts `ProcessLifecycleOwner` as `ProcessLifecycleInitializer` does at the start of a process. The initializer itself needs
 * the resources of a packed app; and all tests of an API level are one process, each with an application of its own.
 */
internal fun startLifecycle() {
    val application = RuntimeEnvironment.getApplication()
    val dispatcher = Class.forName("androidx.lifecycle.LifecycleDispatcher")
    val initialized = dispatcher.getDeclaredField("initialized").apply { isAccessible = true }
    (initialized.get(null) as AtomicBoolean).set(false)
    dispatcher.getMethod("init", Context::class.java).invoke(null, application)
    val owner = ProcessLifecycleOwner.Companion
    owner.javaClass.methods.single { it.name.startsWith("init") }.invoke(owner, application)
}

/** A process that has just begun, on a phone with a keystore. */
internal class PhoneProcess : ExternalResource() {
    override fun before() {
        FakeKeystore.install()
        startLifecycle()
    }

    override fun after() = FakeKeystore.remove()
}
