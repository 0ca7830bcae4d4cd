package app.peers.sdk.android

import org.junit.runners.model.FrameworkMethod
import org.robolectric.RobolectricTestRunner
import org.robolectric.internal.bytecode.InstrumentationConfiguration

/**
 * For tests that call the native library. It is loaded once in a process and takes callbacks from one copy of the bindings;
 * Robolectric loads classes anew for each API level, but for these.
 */
class PeersTestRunner(testClass: Class<*>) : RobolectricTestRunner(testClass) {
    override fun createClassLoaderConfig(method: FrameworkMethod): InstrumentationConfiguration =
        listOf("app.peers.sdk.generated.", "com.sun.jna.", "kotlin.", "kotlinx.coroutines.")
            .fold(InstrumentationConfiguration.Builder(super.createClassLoaderConfig(method))) { builder, name ->
                builder.doNotAcquirePackage(name)
            }
            // Packages do not tell one configuration from another when Robolectric looks for loaded classes to use again.
            .doNotAcquireClass("app.peers.sdk.generated.PeersClient")
            .build()
}
