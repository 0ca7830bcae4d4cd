//! Calls from peers, answered by the app.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use peers::RequestError;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::runtime::Tasks;
use crate::{CallbackError, DeviceId, FailureCode, GroupId, PeersError, lane};

/// Answers the calls of peers.
#[uniffi::export(with_foreign)]
pub trait RequestHandler: Send + Sync {
    /// Takes the request and returns at once; the answer comes by `responder`, from any thread.
    fn handle(&self, request: InboundRequest, responder: Arc<Responder>) -> Result<(), CallbackError>;

    /// The request of this number, which `handle` has taken, needs no answer any more: the caller gave up, or the session
    /// is gone.
    fn give_up(&self, number: u64) -> Result<(), CallbackError>;
}

/// A call of a peer. All of it crosses at once: on a JVM each crossing costs as much as the rest of the call.
#[derive(Debug, Clone, uniffi::Record)]
pub struct InboundRequest {
    /// Tells it from all others, and stands for its responder in [`crate::lane`].
    pub number: u64,
    /// The caller, proven.
    pub device: DeviceId,
    /// The service called.
    pub service: String,
    /// The method called.
    pub method: String,
    /// The group it is about; both devices are members.
    pub group: Option<GroupId>,
    /// The argument.
    pub body: Vec<u8>,
}

type Answer = Result<Bytes, RequestError>;

/// Answers one call. Dropping it unanswered fails the call.
#[derive(Debug, uniffi::Object)]
pub struct Responder {
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
    number: OnceLock<u64>,
}

#[uniffi::export]
impl Responder {
    /// Answers. The first answer counts.
    pub fn reply(&self, body: Vec<u8>) {
        self.answer(Ok(body.into()));
    }

    /// Says no. The first answer counts.
    pub fn fail(&self, code: FailureCode, text: String) {
        self.answer(Err(RequestError { code, text }));
    }
}

impl Responder {
    /// Also the number that stands for it.
    fn new(answer: oneshot::Sender<Answer>) -> (Arc<Self>, u64) {
        let responder = Arc::new(Self { answer: Mutex::new(Some(answer)), number: OnceLock::new() });
        let number = lane::RESPONDERS.add(&responder);
        // It is the first.
        let _ = responder.number.set(number);
        (responder, number)
    }

    fn answer(&self, answer: Answer) {
        let waiting = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            // A caller that gave up does not wait any more.
            let _ = waiting.send(answer);
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(number) = self.number.get() {
            lane::RESPONDERS.remove(*number);
        }
    }
}

/// Hands the core's requests to the app.
pub(crate) struct Bridge(Arc<dyn RequestHandler>);

impl Bridge {
    pub(crate) fn new(handler: Arc<dyn RequestHandler>) -> Self {
        Self(handler)
    }
}

#[async_trait]
impl peers::RequestHandler for Bridge {
    async fn handle(&self, request: peers::InboundRequest) -> Answer {
        let (answer, answered) = oneshot::channel();
        let (responder, number) = Responder::new(answer);
        let handover = Arc::new(Handover::new(self.0.clone(), number));
        let wanted = Wanted(handover.clone());
        let request = InboundRequest {
            number,
            device: request.device,
            service: request.service,
            method: request.method,
            group: request.group,
            body: request.body.into(),
        };
        Tasks::run_blocking(move || handover.hand_over(request, responder)).await.map_err(|_| failed())?;
        let answer = answered.await.unwrap_or_else(|_| Err(failed()));
        wanted.no_more();
        answer
    }
}

/// A request on its way to the app.
struct Handover {
    handler: Arc<dyn RequestHandler>,
    number: u64,
    stage: Mutex<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The app does not have it yet.
    Coming,
    /// The app has it and has not answered.
    Handled,
    /// No answer is wanted any more.
    Over,
}

impl Handover {
    fn new(handler: Arc<dyn RequestHandler>, number: u64) -> Self {
        Self { handler, number, stage: Mutex::new(Stage::Coming) }
    }

    fn hand_over(&self, request: InboundRequest, responder: Arc<Responder>) -> Result<(), PeersError> {
        // The caller left while the request waited for a thread.
        if *self.stage() == Stage::Over {
            return Ok(());
        }
        self.handler
            .handle(request, responder)
            .map_err(|error| PeersError::Internal { reason: error.to_string() })?;
        let mut stage = self.stage();
        if *stage == Stage::Coming {
            *stage = Stage::Handled;
            return Ok(());
        }
        drop(stage);
        self.give_up();
        Ok(())
    }

    fn give_up(&self) {
        if let Err(error) = self.handler.give_up(self.number) {
            tracing::warn!(%error, "handler failed to give up a call");
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held while an answer is wanted. Dropped before, it lets the app know, which does not hear of a request that is over before
/// it came.
struct Wanted(Arc<Handover>);

impl Wanted {
    fn no_more(self) {
        *self.0.stage() = Stage::Over;
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.0.stage(), Stage::Over);
        // Without a runtime the client is gone, and the app's handlers with it.
        if before == Stage::Handled
            && let Ok(runtime) = Handle::try_current()
        {
            let handover = self.0.clone();
            drop(runtime.spawn_blocking(move || handover.give_up()));
        }
    }
}

/// The app's own words may say more than the caller should know.
fn failed() -> RequestError {
    RequestError { code: FailureCode::Application, text: "the handler failed".into() }
}

#[cfg(test)]
mod tests {
    use peers::RequestHandler as _;
    use tokio::sync::mpsc;

    use super::*;

    /// Lets the test see what an app would.
    struct App(mpsc::UnboundedSender<Seen>);

    enum Seen {
        Request(InboundRequest, Arc<Responder>),
        GivenUp(u64),
    }

    impl RequestHandler for App {
        fn handle(&self, request: InboundRequest, responder: Arc<Responder>) -> Result<(), CallbackError> {
            self.0.send(Seen::Request(request, responder)).unwrap();
            Ok(())
        }

        fn give_up(&self, number: u64) -> Result<(), CallbackError> {
            self.0.send(Seen::GivenUp(number)).unwrap();
            Ok(())
        }
    }

    fn bridge() -> (Arc<Bridge>, mpsc::UnboundedReceiver<Seen>) {
        let (seen, seeing) = mpsc::unbounded_channel();
        (Arc::new(Bridge::new(Arc::new(App(seen)))), seeing)
    }

    fn request(body: &'static [u8]) -> peers::InboundRequest {
        peers::InboundRequest {
            device: peers::Identity::generate().device_id(),
            service: "math".into(),
            method: "add".into(),
            group: None,
            body: Bytes::from_static(body),
        }
    }

    async fn next_request(seeing: &mut mpsc::UnboundedReceiver<Seen>) -> (InboundRequest, Arc<Responder>) {
        match seeing.recv().await {
            Some(Seen::Request(request, responder)) => (request, responder),
            _ => panic!("no request"),
        }
    }

    #[tokio::test]
    async fn the_first_answer_counts() {
        let (bridge, mut seeing) = bridge();
        let call = tokio::spawn({
            let bridge = bridge.clone();
            async move { bridge.handle(request(b"1+1")).await }
        });
        let (request, responder) = next_request(&mut seeing).await;
        assert_eq!((request.method.as_str(), request.body.as_slice()), ("add", &b"1+1"[..]));
        responder.reply(b"2".to_vec());
        responder.fail(FailureCode::Denied, "too late".into());
        assert_eq!(call.await.unwrap(), Ok(Bytes::from_static(b"2")));
        drop(bridge);
        assert!(seeing.recv().await.is_none(), "a call that was answered is not given up");
    }

    #[tokio::test]
    async fn a_plain_call_answers_as_well() {
        let (bridge, mut seeing) = bridge();
        let call = tokio::spawn(async move { bridge.handle(request(b"")).await });
        let (request, responder) = next_request(&mut seeing).await;
        // SAFETY: a static's own pointer and length.
        let reply = || unsafe { lane::peers_lane_reply(request.number, b"2".as_ptr(), 1) };
        assert_eq!(reply(), 0);
        assert_eq!(call.await.unwrap(), Ok(Bytes::from_static(b"2")));
        drop(responder);
        assert_eq!(reply(), -3);
    }

    #[tokio::test]
    async fn a_responder_that_is_dropped_fails_the_call() {
        let (bridge, mut seeing) = bridge();
        let call = tokio::spawn(async move { bridge.handle(request(b"")).await });
        drop(next_request(&mut seeing).await);
        assert_eq!(call.await.unwrap(), Err(failed()));
        assert!(seeing.recv().await.is_none());
    }

    #[test]
    fn a_call_that_is_over_before_a_thread_is_free_does_not_reach_the_app() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (bridge, mut seeing) = bridge();
            let (free, busy) = std::sync::mpsc::channel();
            let thread = tokio::task::spawn_blocking(move || busy.recv());
            let call = tokio::spawn(async move { bridge.handle(request(b"")).await });
            // The call runs until it waits for the thread.
            tokio::task::yield_now().await;
            call.abort();
            assert!(call.await.unwrap_err().is_cancelled());
            free.send(()).unwrap();
            thread.await.unwrap().unwrap();
            // The thread takes one after the other: the call's turn has been.
            tokio::task::spawn_blocking(|| ()).await.unwrap();
            assert!(seeing.try_recv().is_err());
        });
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_is_told_once_by_its_number() {
        let (bridge, mut seeing) = bridge();
        let mut numbers = Vec::new();
        for _ in 0..2 {
            let bridge = bridge.clone();
            let call = tokio::spawn(async move { bridge.handle(request(b"")).await });
            let (request, _responder) = next_request(&mut seeing).await;
            call.abort();
            let Some(Seen::GivenUp(number)) = seeing.recv().await else { panic!("not given up") };
            assert_eq!(number, request.number);
            numbers.push(number);
        }
        assert_ne!(numbers[0], numbers[1]);
        drop(bridge);
        assert!(seeing.recv().await.is_none());
    }
}
