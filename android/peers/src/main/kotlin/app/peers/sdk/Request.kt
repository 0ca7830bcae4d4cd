package app.peers.sdk

import app.peers.sdk.generated.FailureCode
import app.peers.sdk.generated.InboundRequest
import app.peers.sdk.generated.RequestHandler
import app.peers.sdk.generated.Responder
import java.util.concurrent.ConcurrentHashMap
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Job
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
public class RequestFailed @JvmOverloads constructor(
    message: String,
    public val failure: CallFailure = CallFailure.APPLICATION,
) : Exception(message)

/** Answers requests with coroutines, one per request. The library bounds how many there are. */
internal class Handlers(
    private val handlers: Map<String, suspend (Request) -> ByteArray>,
    private val scope: CoroutineScope,
) : RequestHandler {
    private val running = ConcurrentHashMap<ULong, Job>()

    override fun handle(request: InboundRequest, responder: Responder) {
        val answering = scope.launch(start = CoroutineStart.LAZY) { answer(request, responder) }
        running[request.number] = answering
        answering.invokeOnCompletion {
            running.remove(request.number)
            responder.close()
        }
        answering.start()
    }

    override fun giveUp(number: ULong) {
        running[number]?.cancel()
    }

    private suspend fun answer(request: InboundRequest, responder: Responder) {
        val handler = handlers[request.service]
            ?: return responder.fail(FailureCode.NOT_FOUND, "no such service")
        try {
            val answer = handler(request.toRequest())
            if (!Lane.reply(request.number.toLong(), answer)) responder.reply(answer)
        } catch (error: CancellationException) {
            throw error
        } catch (error: RequestFailed) {
            responder.fail(error.failure.toGenerated(), error.message.orEmpty())
        } catch (_: Exception) {
            // The app's own words may say more than the caller should know.
            responder.fail(FailureCode.APPLICATION, "the handler failed")
        }
    }
}

private fun InboundRequest.toRequest() = Request(DeviceId(device), service, method, group?.let(::GroupId), body)
