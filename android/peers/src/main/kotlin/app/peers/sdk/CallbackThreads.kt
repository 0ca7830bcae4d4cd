package app.peers.sdk

import app.peers.sdk.generated.uniffiCallbackInterfaceRequestHandler as RequestHandlerCallbacks
import app.peers.sdk.generated.uniffiCallbackInterfaceSecretStore as SecretStoreCallbacks
import app.peers.sdk.generated.uniffiCallbackInterfaceTrustPolicy as TrustPolicyCallbacks
import app.peers.sdk.generated.uniffiRustFutureContinuationCallbackImpl as Continuation
import com.sun.jna.Callback
import com.sun.jna.CallbackThreadInitializer
import com.sun.jna.Native

/**
 * Keeps the library's threads known to the JVM. JNA makes a Java thread for every single callback otherwise, which costs fifty
 * times as much as the callback.
 */
internal object CallbackThreads {
    private val callbacks: List<Callback> = listOf(
        Wake,
        Continuation,
        RequestHandlerCallbacks.handle,
        RequestHandlerCallbacks.giveUp,
        RequestHandlerCallbacks.uniffiFree,
        RequestHandlerCallbacks.uniffiClone,
        SecretStoreCallbacks.load,
        SecretStoreCallbacks.store,
        SecretStoreCallbacks.uniffiFree,
        SecretStoreCallbacks.uniffiClone,
        TrustPolicyCallbacks.trust,
        TrustPolicyCallbacks.uniffiFree,
        TrustPolicyCallbacks.uniffiClone,
    )

    init {
        // A thread of the library ends with its client, and is forgotten by the JVM then.
        val kept = CallbackThreadInitializer(true, false, "peers")
        callbacks.forEach { Native.setCallbackThreadInitializer(it, kept) }
    }

    /** To be called before anything generated: JNA looks for the setting when it first hands a callback to the library. */
    fun keep(): Unit = Unit
}
