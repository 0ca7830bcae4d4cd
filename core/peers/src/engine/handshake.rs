//! The handshake on a transport.

use peers_proto::handshake::{Authenticated, Established, Event, Handshake, HandshakeError};

use crate::clock::Clock;
use crate::transport::{CloseReason, Transport};
use bytes::BytesMut;

/// Why a transport did not become a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Transport(#[from] CloseReason),
}

impl Failure {
    /// Whether the other side, or this one's policy, said no.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Handshake(HandshakeError::Denied | HandshakeError::Rejected))
    }
}

/// What this side says once it knows who the peer is: READY's bytes, or no.
pub(crate) type Verdict = Option<Vec<u8>>;

/// Runs a handshake. The transport is closed if it fails; frames after the handshake are left in it.
pub(crate) async fn run(
    transport: &mut Transport,
    mut handshake: Handshake,
    clock: &Clock,
    decide: impl AsyncFnOnce(Authenticated) -> Verdict,
) -> Result<Established, Failure> {
    let outcome = drive(transport, &mut handshake, clock, decide).await;
    if outcome.is_err() {
        // What is left to say is why, as far as the peer may know.
        let _ = send_output(transport, &mut handshake).await;
        transport.sink.close().await;
    }
    outcome?;
    Ok(handshake.finish()?)
}

async fn drive(
    transport: &mut Transport,
    handshake: &mut Handshake,
    clock: &Clock,
    decide: impl AsyncFnOnce(Authenticated) -> Verdict,
) -> Result<(), Failure> {
    let mut decide = Some(decide);
    loop {
        send_output(transport, handshake).await?;
        let deadline = handshake.poll_timeout();
        let mut event = tokio::select! {
            frame = transport.source.recv() => handshake.handle_frame(&frame?, clock.now())?,
            () = async { match deadline {
                Some(deadline) => clock.sleep_until(deadline).await,
                None => std::future::pending().await,
            } } => {
                handshake.handle_timeout(clock.now())?;
                None
            }
        };
        while let Some(happened) = event.take() {
            match happened {
                Event::Established => {
                    send_output(transport, handshake).await?;
                    return Ok(());
                }
                Event::Authenticated(peer) => {
                    let verdict = match decide.take() {
                        Some(decide) => decide(peer).await,
                        None => None,
                    };
                    match verdict {
                        Some(ready) => event = handshake.accept(&ready)?,
                        None => {
                            handshake.reject();
                            return Err(HandshakeError::Rejected.into());
                        }
                    }
                }
            }
        }
    }
}

async fn send_output(transport: &mut Transport, handshake: &mut Handshake) -> Result<(), CloseReason> {
    while let Some(frame) = handshake.poll_output() {
        transport.sink.send(BytesMut::from(&frame[..])).await?;
    }
    transport.sink.flush().await
}
