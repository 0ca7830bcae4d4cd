package app.peers.sdk

import java.io.InputStream
import java.io.OutputStream
import java.net.InetAddress
import java.net.Socket
import java.net.URI
import java.nio.file.Path
import java.security.KeyStore
import java.security.MessageDigest
import java.util.Base64
import javax.net.ssl.KeyManagerFactory
import javax.net.ssl.SSLContext
import kotlin.concurrent.thread
import kotlin.io.path.createTempDirectory
import kotlin.io.path.inputStream

/** Ends TLS before a relay, as a reverse proxy does. [startRelay] gets its address and returns the relay's URL. */
internal class TlsFront(startRelay: (address: String) -> String) : AutoCloseable {
    private val store = KeyStore.getInstance("PKCS12").apply { makeKey().inputStream().use { load(it, PASSWORD) } }
    private val listener = context().serverSocketFactory.createServerSocket(0, 50, InetAddress.getLoopbackAddress())
    private val relay = URI(startRelay("127.0.0.1:${listener.localPort}"))

    val url = "wss://127.0.0.1:${listener.localPort}"

    /** DER. */
    val certificate: ByteArray = store.getCertificate(NAME).encoded

    val pin: String = "sha256/" + Base64.getEncoder()
        .encodeToString(MessageDigest.getInstance("SHA-256").digest(store.getCertificate(NAME).publicKey.encoded))

    private val accepts = thread(isDaemon = true) { serve() }

    private fun serve() {
        while (true) {
            val device = runCatching { listener.accept() }.getOrElse { return }
            val upstream = Socket(relay.host, relay.port)
            for ((from, to) in listOf(device to upstream, upstream to device)) {
                thread(isDaemon = true) {
                    // A device that does not trust the certificate ends the handshake.
                    runCatching { from.getInputStream().copyFlushing(to.getOutputStream()) }
                    runCatching { to.close() }
                }
            }
        }
    }

    private fun context(): SSLContext {
        val keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm()).apply { init(store, PASSWORD) }
        return SSLContext.getInstance("TLS").apply { init(keys.keyManagers, null, null) }
    }

    override fun close() {
        listener.close()
        accepts.join()
    }

    private companion object {
        const val NAME = "relay"
        val PASSWORD = "password".toCharArray()

        fun makeKey(): Path {
            val file = createTempDirectory().resolve("keys.p12")
            val keytool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString()
            val process = ProcessBuilder(
                keytool, "-genkeypair", "-keystore", "$file", "-storetype", "PKCS12", "-storepass", PASSWORD.concatToString(),
                "-alias", NAME, "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=relay", "-ext", "san=ip:127.0.0.1",
            ).redirectErrorStream(true).start()
            val said = process.inputReader().readText()
            check(process.waitFor() == 0) { said }
            return file
        }
    }
}

private fun InputStream.copyFlushing(to: OutputStream) {
    val buffer = ByteArray(16 * 1024)
    while (true) {
        val read = read(buffer)
        if (read < 0) return
        to.write(buffer, 0, read)
        to.flush()
    }
}
