//! The handshake on a transport.

use bytes::BytesMut;
use peers_proto::handshake::{Authenticated, Established, Handshake, HandshakeError, HandshakeEvent};
use peers_proto::session::Resume;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::transport::{CloseReason, Transport};

/// The reason for which a transport did not become a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Transport(#[from] CloseReason),
}

impl Failure {
    /// True for a refusal by this side's policy, or by the peer in a frame that only it can have written.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Handshake(HandshakeError::Denied | HandshakeError::Rejected))
    }
}

/// The next step of a handshake, as the engine has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeCommand {
    /// Exchange the messages.
    Begin,
    /// Tell the peer that a person is asked here.
    Ask,
    /// Consent, with this READY.
    Consent(Resume),
    /// Refuse the peer.
    Refuse,
    /// Close the transport without a word.
    Leave,
}

/// The parts of the driver that a handshake reports to.
pub(crate) struct HandshakeReports<'a, A, P> {
    /// The steps after the peer has proven who it is.
    pub(crate) commands: &'a mut mpsc::Receiver<HandshakeCommand>,
    /// The peer has proven who it is.
    pub(crate) authenticated: A,
    /// The peer asks a person, who sees the same digits.
    pub(crate) peer_asks: P,
}

/// Runs a handshake. The transport is closed if it fails; frames after the handshake are left in it.
pub(crate) async fn run(
    transport: &mut Transport,
    mut handshake: Handshake,
    clock: &Clock,
    reports: HandshakeReports<'_, impl AsyncFnOnce(Authenticated), impl FnMut(Authenticated)>,
) -> Result<Established, Failure> {
    let outcome = drive(transport, &mut handshake, clock, reports).await;
    if outcome.is_err() {
        // The reason is left to send, as far as the peer may know it.
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
    reports: HandshakeReports<'_, impl AsyncFnOnce(Authenticated), impl FnMut(Authenticated)>,
) -> Result<(), Failure> {
    let HandshakeReports { commands, authenticated, mut peer_asks } = reports;
    let (mut authenticated, mut asks) = (Some(authenticated), false);
    loop {
        if let Err(reason) = send_output(transport, handshake).await {
            return Err(last_words(transport, handshake, clock).unwrap_or(reason.into()));
        }
        let deadline = handshake.poll_timeout();
        let mut event = tokio::select! {
            frame = transport.source.recv() => handshake.handle_frame(&frame?, clock.now())?,
            () = clock.sleep_until_any(deadline) => {
                handshake.handle_timeout(clock.now())?;
                None
            }
        };
        while let Some(happened) = event.take() {
            match happened {
                HandshakeEvent::Established => {
                    send_output(transport, handshake).await?;
                    return Ok(());
                }
                // A person who is asked here has the digits already.
                HandshakeEvent::Asking(peer) if !asks => peer_asks(peer),
                HandshakeEvent::Asking(_) => {}
                HandshakeEvent::Authenticated(peer) => {
                    let Some(report) = authenticated.take() else { return Err(HandshakeError::State.into()) };
                    report(peer).await;
                    event = loop {
                        match commands.recv().await {
                            Some(HandshakeCommand::Begin) => {}
                            Some(HandshakeCommand::Ask) => {
                                asks = true;
                                handshake.ask()?;
                                send_output(transport, handshake).await?;
                            }
                            Some(HandshakeCommand::Consent(ready)) => {
                                break handshake.accept(&ready.encode())?;
                            }
                            Some(HandshakeCommand::Leave) => return Err(CloseReason::Local.into()),
                            Some(HandshakeCommand::Refuse) | None => {
                                handshake.reject();
                                return Err(HandshakeError::Rejected.into());
                            }
                        }
                    };
                }
            }
        }
    }
}

/// The last frame of the peer before it closed, while this side was still speaking: a refusal says more than the end itself.
fn last_words(transport: &mut Transport, handshake: &mut Handshake, clock: &Clock) -> Option<Failure> {
    while let Some(frame) = transport.source.try_recv() {
        if let Err(error) = handshake.handle_frame(&frame, clock.now()) {
            return Some(error.into());
        }
    }
    None
}

async fn send_output(transport: &mut Transport, handshake: &mut Handshake) -> Result<(), CloseReason> {
    while let Some(frame) = handshake.poll_output() {
        transport.sink.send(BytesMut::from(&frame[..])).await?;
    }
    transport.sink.flush().await
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use bytes::Bytes;
    use peers_proto::certificate::DeviceCertificate;
    use peers_proto::handshake::{Config, Expected};
    use peers_proto::id::ConnectionId;
    use peers_proto::keys::{DeviceKeys, UserKeys};
    use peers_proto::time::UnixTime;
    use peers_proto::trust::KnownKeys;

    use super::*;
    use crate::transport::{FrameSink, FrameSource, TransportKind, memory};

    /// A peer that refuses and closes as soon as it knows who calls.
    struct Refuser {
        handshake: Handshake,
        clock: Clock,
        said: VecDeque<Bytes>,
        closed: bool,
    }

    struct Half(Arc<Mutex<Refuser>>);

    #[async_trait]
    impl FrameSink for Half {
        async fn send(&mut self, frame: BytesMut) -> Result<(), CloseReason> {
            let mut guard = self.0.lock().unwrap();
            let peer = &mut *guard;
            if peer.closed {
                return Err(CloseReason::Remote);
            }
            if let Some(HandshakeEvent::Authenticated(_)) =
                peer.handshake.handle_frame(&frame, peer.clock.now()).unwrap()
            {
                peer.handshake.reject();
                peer.closed = true;
            }
            while let Some(frame) = peer.handshake.poll_output() {
                peer.said.push_back(frame.into());
            }
            Ok(())
        }

        async fn close(&mut self) {}
    }

    #[async_trait]
    impl FrameSource for Half {
        async fn recv(&mut self) -> Result<Bytes, CloseReason> {
            self.try_recv().ok_or(CloseReason::Remote)
        }

        fn try_recv(&mut self) -> Option<Bytes> {
            self.0.lock().unwrap().said.pop_front()
        }
    }

    /// Runs a handshake whose peer is accepted.
    async fn run_to_end(
        transport: &mut Transport,
        handshake: Handshake,
        clock: &Clock,
    ) -> Result<Established, Failure> {
        let (sender, mut commands) = mpsc::channel(1);
        sender.try_send(HandshakeCommand::Consent(Resume { epoch: 1, with: 0, next: 0 })).unwrap();
        let reports =
            HandshakeReports { commands: &mut commands, authenticated: async |_| (), peer_asks: |_| () };
        run(transport, handshake, clock, reports).await
    }

    fn config(seed: u8) -> Config {
        let keys = DeviceKeys::from_seed([seed; 32]);
        let user = UserKeys::from_seed([seed; 32]);
        Config {
            certificate: DeviceCertificate::issue(&user, &keys, UnixTime(1), "phone").unwrap(),
            keys,
            kind: TransportKind::Relay,
            connection_id: ConnectionId::from_bytes([7; 16]),
            binding: Vec::new(),
            require_sealing: false,
            pairing: false,
            entropy: [seed; 32],
        }
    }

    // proves S132
    #[tokio::test]
    async fn a_refusal_that_anybody_can_write_is_a_failure_of_this_connection() {
        for forged in [&[0xf4][..], &[0xf5, 1], &[0xf6; 17]] {
            let clock = Clock::manual();
            let (caller, callee) = (config(1), config(2));
            let expected = Expected { device: callee.certificate.device_id(), keys: None };
            let handshake = Handshake::initiator(caller, expected, clock.now()).unwrap();
            let (mut here, mut there) = memory::pair(TransportKind::Relay);
            there.sink.send(BytesMut::from(forged)).await.unwrap();
            there.sink.flush().await.unwrap();
            let outcome = run_to_end(&mut here, handshake, &clock).await;
            assert!(!outcome.unwrap_err().is_refusal());
        }
    }

    // proves S127
    #[tokio::test]
    async fn a_refusal_is_heard_by_a_caller_that_was_still_speaking() {
        let clock = Clock::manual();
        let (caller, callee) = (config(1), config(2));
        let expected = Expected {
            device: callee.certificate.device_id(),
            keys: Some(KnownKeys::of(&callee.certificate)),
        };
        let handshake = Handshake::initiator(caller, expected, clock.now()).unwrap();
        let refuser = Arc::new(Mutex::new(Refuser {
            handshake: Handshake::responder(callee, clock.now()).unwrap(),
            clock: clock.clone(),
            said: VecDeque::new(),
            closed: false,
        }));
        let mut transport = Transport {
            route: TransportKind::Relay.into(),
            binding: Vec::new(),
            sink: Box::new(Half(refuser.clone())),
            source: Box::new(Half(refuser)),
        };
        let outcome = run_to_end(&mut transport, handshake, &clock).await;
        assert_eq!(outcome.unwrap_err(), Failure::Handshake(HandshakeError::Denied));
    }
}
