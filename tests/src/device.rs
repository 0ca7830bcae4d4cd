//! Parts that devices of the benchmark and of the lab share.

use async_trait::async_trait;
use bytes::Bytes;
use peers::{DeviceId, InboundRequest, RequestError, RequestHandler, TrustLevel, TrustPolicy, UserId};

/// Lets everybody in.
#[derive(Debug)]
pub struct Everybody;

impl TrustPolicy for Everybody {
    fn trust(&self, _: DeviceId, _: UserId) -> Option<TrustLevel> {
        Some(TrustLevel::Trusted)
    }
}

/// Answers with what it was asked.
#[derive(Debug)]
pub struct Echo;

#[async_trait]
impl RequestHandler for Echo {
    async fn handle(&self, request: InboundRequest) -> Result<Bytes, RequestError> {
        Ok(request.body)
    }
}
