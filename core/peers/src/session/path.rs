//! One path of a session: a reader and a writer around its transport, in one task.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use peers_proto::multipath::{Received, Transmit};
use peers_proto::path::PathId;
use peers_proto::seal::{Opener, Sealer};
use peers_proto::time::Instant;
use peers_proto::timing::GOODBYE;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::transport::{CloseReason, FrameSink, FrameSource, Transport};

/// Frames taken from the transport under one lock.
const BATCH: usize = 64;

/// The driver's hold on a path.
pub(crate) struct PathHandle {
    pub(crate) id: PathId,
    wake: Notify,
    /// The peer does not answer: there is no last frame to send.
    dead: CancellationToken,
    /// Microseconds; when the writer looks again by itself.
    writer_wakes: AtomicU64,
}

impl PathHandle {
    pub(crate) fn new(id: PathId) -> Self {
        Self {
            id,
            wake: Notify::new(),
            dead: CancellationToken::new(),
            writer_wakes: AtomicU64::new(u64::MAX),
        }
    }

    /// Something may be there to send.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// True if the writer sleeps longer than until `due`. To be asked under the session's lock.
    pub(crate) fn sleeps_beyond(&self, due: Instant) -> bool {
        self.writer_wakes.load(Ordering::Relaxed) > due.as_micros()
    }

    /// Closes the path at once, whatever the writer waits for.
    pub(crate) fn kill(&self) {
        self.dead.cancel();
    }
}

/// The end of a path.
pub(crate) enum PathEnd {
    /// The transport ended, or this side left.
    Closed(CloseReason),
    /// The peer ended the session.
    Bye,
}

/// Runs a path until it ends. The transport is closed on every way out.
pub(crate) async fn run(
    shared: Arc<Shared>,
    handle: Arc<PathHandle>,
    transport: Transport,
    seal: Option<(Sealer, Opener)>,
) -> PathEnd {
    let Transport { mut sink, source, .. } = transport;
    let (sealer, opener) = seal.unzip();
    let end = {
        let writer = write(&shared, &handle, sink.as_mut(), sealer);
        let mut reader = pin!(read(&shared, &handle, source, opener));
        tokio::select! {
            end = &mut reader => end,
            reason = writer => {
                // The writer may be the first to learn that the transport has ended: the peer's last word is still to be read.
                let closing = shared.lock().multipath.is_closing(handle.id);
                let patience = if closing { Duration::ZERO } else { GOODBYE };
                shared.clock.timeout(patience, reader).await.unwrap_or(PathEnd::Closed(reason))
            }
            () = handle.dead.cancelled() => PathEnd::Closed(CloseReason::TimedOut),
        }
    };
    sink.close().await;
    end
}

async fn write(
    shared: &Shared,
    handle: &PathHandle,
    sink: &mut dyn FrameSink,
    mut sealer: Option<Sealer>,
) -> CloseReason {
    loop {
        let now = shared.clock.now();
        let (frame, is_last) = match next_frame(shared, handle, now) {
            Transmit::Frame(frame) => (frame, false),
            Transmit::Last(frame) => (frame, true),
            Transmit::Idle(deadline) => {
                if let Err(reason) = sink.flush().await {
                    return reason;
                }
                tokio::select! {
                    () = handle.wake.notified() => {}
                    () = shared.clock.sleep_until_any(deadline) => {}
                }
                continue;
            }
        };
        let mut frame = BytesMut::from(&frame[..]);
        if let Some(sealer) = &mut sealer
            && sealer.seal(&mut frame, now).is_err()
        {
            return CloseReason::Protocol("frame numbers are used up");
        }
        if let Err(reason) = sink.send(frame).await {
            return reason;
        }
        if is_last {
            return match sink.flush().await {
                Ok(()) => CloseReason::Local,
                Err(reason) => reason,
            };
        }
    }
}

fn next_frame(shared: &Shared, handle: &PathHandle, now: Instant) -> Transmit {
    let mut state = shared.lock();
    let transmit = state.multipath.poll_frame(handle.id, now);
    match &transmit {
        Transmit::Frame(_) => {
            // A frame makes room for those who wait, and its acknowledgement is awaited.
            shared.deliver(&mut state);
            shared.wake_driver(&state);
        }
        Transmit::Idle(deadline) => {
            handle.writer_wakes.store(deadline.map_or(u64::MAX, Instant::as_micros), Ordering::Relaxed);
        }
        Transmit::Last(_) => {}
    }
    transmit
}

async fn read(
    shared: &Shared,
    handle: &PathHandle,
    mut source: Box<dyn FrameSource>,
    mut opener: Option<Opener>,
) -> PathEnd {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        match source.recv().await {
            Ok(frame) => batch.push(frame),
            Err(reason) => return PathEnd::Closed(reason),
        }
        while batch.len() < BATCH
            && let Some(frame) = source.try_recv()
        {
            batch.push(frame);
        }
        if let Some(opener) = &mut opener {
            for frame in &mut batch {
                match opener.open(frame) {
                    Ok(opened) => *frame = opened,
                    Err(e) => {
                        tracing::warn!(error = %e, "a frame did not open");
                        return PathEnd::Closed(CloseReason::Protocol("a frame is not authentic"));
                    }
                }
            }
        }
        let now = shared.clock.now();
        match take(shared, handle, &batch, now) {
            Ok(None) => {}
            // It asked for so much in vain that the next one waits.
            Ok(Some(until)) => shared.clock.sleep_until(until).await,
            Err(end) => return end,
        }
        batch.clear();
    }
}

/// Feeds a batch to the session. Returns the time before which nothing more is taken from this path.
///
/// # Errors
/// The path ends with this batch.
fn take(
    shared: &Shared,
    handle: &PathHandle,
    batch: &[Bytes],
    now: Instant,
) -> Result<Option<Instant>, PathEnd> {
    let mut state = shared.lock();
    let mut outcome = Ok(Received::More);
    for frame in batch {
        outcome = state.multipath.handle_frame(handle.id, frame, now);
        // Frame by frame, so that events never pile up.
        shared.deliver(&mut state);
        if outcome != Ok(Received::More) {
            break;
        }
    }
    shared.settle(&mut state);
    if state.multipath.session.is_drained() {
        shared.signals.acknowledged.notify_waiters();
    }
    let rests = state.multipath.session.rests_until(now);
    drop(state);
    match outcome {
        Ok(Received::More) => Ok(rests),
        Ok(Received::Left) => Err(PathEnd::Closed(CloseReason::Remote)),
        Ok(Received::Closed) => Err(PathEnd::Bye),
        Err(e) => {
            tracing::warn!(device = %shared.peer.device, error = %e, "session broken");
            shared.end(e.into());
            Err(PathEnd::Closed(CloseReason::Protocol("the peer broke the protocol")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::runtime::Runtime;
    use crate::session::PeerInfo;
    use async_trait::async_trait;
    use peers_proto::id::{DeviceId, UserId};
    use peers_proto::multipath::Multipath;
    use peers_proto::path::{Paths, Preference, Route};
    use peers_proto::session::wire::FrameKind;
    use peers_proto::session::{MemoryBudget, SessionConfig, SessionMachine};
    use peers_proto::timing::RESUME_WINDOW;
    use peers_proto::transport_kind::TransportKind;

    /// The peer has said goodbye and closed the transport, which the writer notices first.
    struct Closed {
        noticed: Arc<Notify>,
        unread: Option<Bytes>,
    }

    #[async_trait]
    impl FrameSink for Closed {
        async fn send(&mut self, _: BytesMut) -> Result<(), CloseReason> {
            self.noticed.notify_one();
            Err(CloseReason::Remote)
        }
        async fn close(&mut self) {}
    }

    #[async_trait]
    impl FrameSource for Closed {
        async fn recv(&mut self) -> Result<Bytes, CloseReason> {
            self.noticed.notified().await;
            self.unread.take().ok_or(CloseReason::Remote)
        }
        fn try_recv(&mut self) -> Option<Bytes> {
            None
        }
    }

    #[tokio::test]
    async fn a_goodbye_is_read_although_nothing_can_be_written_any_more() {
        let (here, there) = (DeviceId::derive(b"here"), DeviceId::derive(b"there"));
        let machine = |local, remote| {
            let budget = MemoryBudget::default();
            SessionMachine::new(SessionConfig {
                local,
                remote,
                groups: Default::default(),
                ungrouped: true,
                budget,
            })
        };
        let clock = Clock::manual();
        let peer = PeerInfo { device: there, user: UserId::derive(b"user"), name: String::new() };
        let paths = Paths::new(true, Preference::default(), RESUME_WINDOW, clock.now());
        let runtime = Runtime::current().unwrap();
        let multipath = Multipath::new(machine(here, there), paths);
        let shared = Shared::new(peer, clock.clone(), runtime, Default::default(), multipath);
        let route = Route::new(TransportKind::Relay);
        // A new path asks at once, so that the writer has something to write.
        shared.inspect(|s| s.multipath.add_path(PathId(0), route, 0, clock.now()).unwrap());
        let noticed = Arc::<Notify>::default();
        let bye = machine(there, here).header_frame(FrameKind::Bye, 0);
        let transport = Transport {
            route,
            binding: Vec::new(),
            sink: Box::new(Closed { noticed: noticed.clone(), unread: None }),
            source: Box::new(Closed { noticed, unread: Some(bye) }),
        };
        let end = run(shared, Arc::new(PathHandle::new(PathId(0))), transport, None).await;
        assert!(matches!(end, PathEnd::Bye));
    }
}
