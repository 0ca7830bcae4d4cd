//! Answers of a listening device to its peers.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use peers::{InboundRequest, RequestError, RequestHandler, Session};

/// Answers `echo` with what it got, and `sleep` after the milliseconds it got (32 bits, big endian).
pub(crate) struct Echo;

#[async_trait]
impl RequestHandler for Echo {
    async fn handle(&self, request: InboundRequest) -> Result<Bytes, RequestError> {
        match request.method.as_str() {
            "echo" => Ok(request.body),
            "sleep" => {
                let millis = request.body.first_chunk().map(|b| u32::from_be_bytes(*b));
                let millis = millis.ok_or_else(|| RequestError::application("expected 4 bytes"))?;
                tokio::time::sleep(Duration::from_millis(millis.into())).await;
                Ok(request.body)
            }
            other => Err(RequestError::application(format!("no method {other}"))),
        }
    }
}

/// Sends every message back until the session ends.
pub(crate) async fn echo_messages(session: Session) {
    while let Ok(message) = session.recv().await {
        if session.send_bytes(message.body).await.is_err() {
            return;
        }
    }
}
