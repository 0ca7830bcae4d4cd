package app.peers.sdk

import app.peers.sdk.generated.FailureCode
import app.peers.sdk.generated.InboundRequest
import app.peers.sdk.generated.RequestHandler
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch

/** A peer's call: [device] is proven, and so is its membership in [group]. */
public class Request internal constructor(
    public val device: DeviceId,
    public val service: String,
    public val method: String,
    public val group: GroupId?,
    public val body: ByteArray,
)

/** Thrown by a handler to say no: the caller sees [failure] and the message. */
public class RequestFailed(
    message: String,
    public val failure: CallFailure = CallFailure.APPLICATION,
) : Exception(message)

/** Answers requests with coroutines, one per request. The library bounds how many there are. */
internal class Handlers(
    private val handlers: Map<String, suspend (Request) -> ByteArray>,
    private val scope: CoroutineScope,
) : RequestHandler {
    override fun handle(request: InboundRequest) {
        scope.launch { request.use { answerWhileWanted(it) } }
    }

    private suspend fun answerWhileWanted(request: InboundRequest) = coroutineScope {
        val answering = launch { answer(request) }
        val watch = launch {
            request.over()
            answering.cancelAndJoin()
        }
        answering.join()
        watch.cancel()
    }

    private suspend fun answer(request: InboundRequest) {
        val handler = handlers[request.service()]
            ?: return request.fail(FailureCode.NOT_FOUND, "no such service")
        try {
            request.reply(handler(request.toRequest()))
        } catch (error: CancellationException) {
            throw error
        } catch (error: RequestFailed) {
            request.fail(error.failure.toGenerated(), error.message.orEmpty())
        } catch (_: Exception) {
            // The app's own words may say more than the caller should know.
            request.fail(FailureCode.APPLICATION, "the handler failed")
        }
    }
}

private fun InboundRequest.toRequest() =
    Request(DeviceId(device()), service(), method(), group()?.let(::GroupId), body())
