//! One path of a session: a reader and a writer around its transport, in one task.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use peers_proto::path::{Beat, PathId};
use peers_proto::seal::{Opener, Sealer};
use peers_proto::session::SessionError;
use peers_proto::session::wire::{FrameKind, Header};
use peers_proto::time::Instant;
use peers_proto::timing::GOODBYE;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::shared::{Shared, State};
use crate::transport::{CloseReason, FrameSink, FrameSource, Transport};

/// Frames taken from the transport under one lock.
const BATCH: usize = 64;

/// What others may ask of a path.
pub(crate) struct PathHandle {
    pub(crate) id: PathId,
    wake: Notify,
    farewell: OnceLock<Farewell>,
    /// The peer does not answer: there is nobody to say goodbye to.
    dead: CancellationToken,
    /// Microseconds; when the writer looks again by itself.
    writer_wakes: AtomicU64,
}

/// The last word on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The session goes on elsewhere.
    Leave,
    /// The session is over.
    Bye,
    /// This device will be away; the peer shall wait this long.
    Away(Duration),
}

impl PathHandle {
    pub(crate) fn new(id: PathId) -> Self {
        Self {
            id,
            wake: Notify::new(),
            farewell: OnceLock::new(),
            dead: CancellationToken::new(),
            writer_wakes: AtomicU64::new(u64::MAX),
        }
    }

    /// Something may be there to send.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Whether the writer, if it sleeps, sleeps longer than until `due`. To be asked under the session's lock.
    pub(crate) fn sleeps_beyond(&self, due: Instant) -> bool {
        self.writer_wakes.load(Ordering::Relaxed) > due.as_micros()
    }

    /// Closes without a word, whatever the writer waits for.
    pub(crate) fn kill(&self) {
        self.dead.cancel();
    }

    /// Says goodbye and closes. The first word counts.
    pub(crate) fn leave(&self, farewell: Farewell) {
        let _ = self.farewell.set(farewell);
        self.wake();
    }
}

/// How a path ended.
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
                let patience = if handle.farewell.get().is_none() { GOODBYE } else { Duration::ZERO };
                shared.clock.timeout(patience, reader).await.unwrap_or(PathEnd::Closed(reason))
            }
            () = handle.dead.cancelled() => PathEnd::Closed(CloseReason::TimedOut),
        }
    };
    sink.close().await;
    end
}

enum Step {
    Send(Bytes),
    Wait(Option<Instant>),
    Leave(Bytes),
}

async fn write(
    shared: &Shared,
    handle: &PathHandle,
    sink: &mut dyn FrameSink,
    mut sealer: Option<Sealer>,
) -> CloseReason {
    loop {
        let now = shared.clock.now();
        let (frame, leave) = match next_step(shared, handle, now) {
            Step::Send(frame) => (frame, false),
            Step::Leave(frame) => (frame, true),
            Step::Wait(deadline) => {
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
        if leave {
            return match sink.flush().await {
                Ok(()) => CloseReason::Local,
                Err(reason) => reason,
            };
        }
    }
}

fn next_step(shared: &Shared, handle: &PathHandle, now: Instant) -> Step {
    let mut state = shared.lock();
    let State { machine, paths, .. } = &mut *state;
    match handle.farewell.get() {
        Some(Farewell::Leave) => return Step::Leave(machine.header_frame(FrameKind::Leave, 0)),
        Some(Farewell::Bye) => return Step::Leave(machine.header_frame(FrameKind::Bye, 0)),
        Some(Farewell::Away(patience)) => {
            return Step::Leave(machine.header_frame(FrameKind::Away, patience.as_secs()));
        }
        None => {}
    }
    let beat = paths.poll_beat(handle.id, now).map(|beat| match beat {
        Beat::Ping { number, full } => machine.ping(number, full),
        Beat::Pong(number) => machine.header_frame(FrameKind::Pong, number),
    });
    if let Some(frame) = beat {
        paths.sent(handle.id, frame.len(), false, now);
        return Step::Send(frame);
    }
    let mut deadline = None;
    if paths.current() == Some(handle.id) {
        if let Some(frame) = machine.poll_frame(now) {
            paths.sent(handle.id, frame.len(), true, now);
            // Making a frame may have made room for those who wait, and its acknowledgement is awaited.
            shared.deliver(&mut state);
            shared.wake_driver(&mut state);
            return Step::Send(frame);
        }
        deadline = machine.ack_timeout();
    }
    handle.writer_wakes.store(deadline.map_or(u64::MAX, Instant::as_micros), Ordering::Relaxed);
    Step::Wait(deadline)
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
            Ok(Taken::Bye) => return PathEnd::Bye,
            Ok(Taken::All) => {}
            Ok(Taken::TooMuch(until)) => shared.clock.sleep_until(until).await,
            Err(end) => return end,
        }
        batch.clear();
    }
}

/// What became of a batch.
enum Taken {
    All,
    /// It asked for so much in vain that the next one waits.
    TooMuch(Instant),
    /// The peer said goodbye for good.
    Bye,
}

/// Feeds a batch to the session.
fn take(shared: &Shared, handle: &PathHandle, batch: &[Bytes], now: Instant) -> Result<Taken, PathEnd> {
    let mut state = shared.lock();
    let id = handle.id;
    let outcome = batch.iter().try_fold(false, |bye, frame| {
        let State { machine, paths, .. } = &mut *state;
        let header = Header::read(&mut &frame[..]).map_err(SessionError::from)?;
        let data = matches!(header.kind, FrameKind::Data | FrameKind::Ack);
        paths.received(id, frame.len(), data, now);
        match header.kind {
            FrameKind::Ping => paths.handle_ping(id, header.seq),
            FrameKind::Pong => paths.handle_pong(id, header.seq, now),
            FrameKind::Away => paths.handle_away(Duration::from_secs(header.seq), now),
            FrameKind::Leave | FrameKind::Bye | FrameKind::Data | FrameKind::Ack => {}
        }
        machine.handle_frame(frame, now)?;
        // Frame by frame, so that events never pile up.
        shared.deliver(&mut state);
        match header.kind {
            FrameKind::Leave | FrameKind::Away => Err(Goodbye::Leaves),
            kind => Ok(bye || kind == FrameKind::Bye),
        }
    });
    shared.settle(&mut state);
    if state.machine.is_drained() {
        shared.signals.acknowledged.notify_waiters();
    }
    let rests = state.machine.rests_until(now);
    drop(state);
    outcome.map(|bye| if bye { Taken::Bye } else { rests.map_or(Taken::All, Taken::TooMuch) }).map_err(
        |goodbye| match goodbye {
            Goodbye::Leaves => PathEnd::Closed(CloseReason::Remote),
            Goodbye::Broken(e) => {
                tracing::warn!(device = %shared.peer.device, error = %e, "session broken");
                shared.end(e.into());
                PathEnd::Closed(CloseReason::Protocol("the peer broke the protocol"))
            }
        },
    )
}

/// Why nothing more is taken from a path.
enum Goodbye {
    Leaves,
    Broken(SessionError),
}

impl From<SessionError> for Goodbye {
    fn from(e: SessionError) -> Self {
        Self::Broken(e)
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
    use peers_proto::path::{Paths, Preference, Route};
    use peers_proto::session::{MemoryBudget, Session, SessionConfig};
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
            Session::new(SessionConfig { local, remote, groups: Default::default(), ungrouped: true, budget })
        };
        let clock = Clock::manual();
        let peer = PeerInfo { device: there, user: UserId::derive(b"user"), name: String::new() };
        let paths = Paths::new(true, Preference::default(), RESUME_WINDOW, clock.now());
        let runtime = Runtime::current().unwrap();
        let machine_here = machine(here, there);
        let shared = Shared::new(peer, clock.clone(), runtime, Default::default(), machine_here, paths);
        let route = Route::new(TransportKind::Relay);
        // A new path asks at once, so that the writer has something to write.
        shared.inspect(|s| s.paths.add(PathId(0), route, clock.now()));
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
