//! Calls from peers, answered by the app.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use peers::RequestError;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::runtime::Tasks;
use crate::{CallbackError, FailureCode, PeersError};

/// Answers the calls of peers.
#[uniffi::export(with_foreign)]
pub trait RequestHandler: Send + Sync {
    /// Takes the request and returns at once; the answer comes by the request's `reply` or `fail`, from any thread.
    fn handle(&self, request: Arc<InboundRequest>) -> Result<(), CallbackError>;
}

type Answer = Result<Bytes, RequestError>;

/// A call that waits for its answer. Dropping it unanswered fails the call.
#[derive(Debug, uniffi::Object)]
pub struct InboundRequest {
    request: peers::InboundRequest,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
    over: CancellationToken,
}

#[uniffi::export]
impl InboundRequest {
    /// Who calls, proven.
    pub fn device(&self) -> String {
        self.request.device.to_string()
    }

    /// The service called.
    pub fn service(&self) -> String {
        self.request.service.clone()
    }

    /// The method called.
    pub fn method(&self) -> String {
        self.request.method.clone()
    }

    /// The group it is about; both devices are members.
    pub fn group(&self) -> Option<String> {
        self.request.group.map(|group| group.to_string())
    }

    /// What was sent.
    pub fn body(&self) -> Vec<u8> {
        self.request.body.to_vec()
    }

    /// Answers. The first answer counts.
    pub fn reply(&self, body: Vec<u8>) {
        self.answer(Ok(body.into()));
    }

    /// Says no. The first answer counts.
    pub fn fail(&self, code: FailureCode, text: String) {
        self.answer(Err(RequestError { code: code.into(), text }));
    }

    /// Returns when the call is over: answered, given up by the caller, or its session is gone.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }
}

impl InboundRequest {
    fn answer(&self, answer: Answer) {
        let waiting = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            // Nobody waits any more when the caller gave up.
            let _ = waiting.send(answer);
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
        let over = CancellationToken::new();
        let _over = over.clone().drop_guard();
        let request = Arc::new(InboundRequest { request, answer: Mutex::new(Some(answer)), over });
        let handler = self.0.clone();
        Tasks::run_blocking(move || {
            handler.handle(request).map_err(|error| PeersError::Internal { reason: error.to_string() })
        })
        .await
        .map_err(|_| failed())?;
        answered.await.unwrap_or_else(|_| Err(failed()))
    }
}

/// The app's own words may say more than the caller should know.
fn failed() -> RequestError {
    RequestError { code: peers::FailureCode::Application, text: "the handler failed".into() }
}
