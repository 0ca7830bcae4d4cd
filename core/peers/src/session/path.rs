//! One path of a session: a reader and a writer around its transport, in one task.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use peers_proto::liveness::{Beat, Liveness};
use peers_proto::seal::{Opener, Sealer};
use peers_proto::session::wire::{FrameKind, Header};
use peers_proto::time::{Instant, earliest};
use peers_proto::transport_kind::TransportKind;
use tokio::sync::Notify;

use super::driver::Ended;
use super::shared::Shared;
use crate::transport::{CloseReason, FrameSink, FrameSource, Transport};

/// Frames taken from the transport under one lock.
const BATCH: usize = 64;

/// What others may ask of a path.
pub(crate) struct PathHandle {
    pub(crate) id: u64,
    pub(crate) kind: TransportKind,
    wake: Notify,
    liveness: Mutex<Liveness>,
    /// The peer has sent something here, so it uses this path too.
    heard: AtomicBool,
    farewell: AtomicU8,
    /// Microseconds; when the writer looks again by itself.
    writer_wakes: AtomicU64,
}

impl PathHandle {
    pub(crate) fn new(id: u64, kind: TransportKind, now: Instant) -> Self {
        Self {
            id,
            kind,
            wake: Notify::new(),
            liveness: Mutex::new(Liveness::new(now)),
            heard: AtomicBool::new(false),
            farewell: AtomicU8::new(0),
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

    /// Says goodbye and closes.
    pub(crate) fn leave(&self, farewell: FrameKind) {
        self.farewell.store(farewell as u8, Ordering::Release);
        self.wake();
    }

    /// Whether the peer uses this path.
    pub(crate) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    fn farewell(&self) -> Option<FrameKind> {
        FrameKind::try_from(self.farewell.load(Ordering::Acquire)).ok()
    }

    fn liveness(&self) -> MutexGuard<'_, Liveness> {
        self.liveness.lock().unwrap_or_else(PoisonError::into_inner)
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
        let reader = read(&shared, &handle, source, opener);
        tokio::select! {
            end = reader => end,
            reason = writer => PathEnd::Closed(reason),
        }
    };
    sink.close().await;
    end
}

enum Step {
    Send(Bytes),
    Wait(Option<Instant>),
    Leave(Bytes),
    Dead,
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
            Step::Dead => return CloseReason::TimedOut,
            Step::Wait(deadline) => {
                if let Err(reason) = sink.flush().await {
                    return reason;
                }
                tokio::select! {
                    () = handle.wake.notified() => {}
                    () = sleep_until(shared, deadline) => {}
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
    let machine = &mut state.machine;
    if let Some(farewell) = handle.farewell() {
        return Step::Leave(machine.header_frame(farewell, 0));
    }
    let outstanding = machine.has_outstanding();
    let mut liveness = handle.liveness();
    if liveness.handle_timeout(outstanding, now).is_err() {
        return Step::Dead;
    }
    match liveness.poll_output(now) {
        Some(Beat::Ping(number)) => return Step::Send(machine.header_frame(FrameKind::Ping, number)),
        Some(Beat::Pong(number)) => return Step::Send(machine.header_frame(FrameKind::Pong, number)),
        None => {}
    }
    let mut deadline = Some(liveness.poll_timeout(outstanding));
    drop(liveness);
    if state.current.as_ref().is_some_and(|current| current.id == handle.id) {
        if let Some(frame) = state.machine.poll_frame(now) {
            // Making a frame may have made room for those who wait.
            shared.deliver(&mut state);
            return Step::Send(frame);
        }
        deadline = earliest(deadline, state.machine.ack_timeout());
    }
    handle.writer_wakes.store(deadline.map_or(u64::MAX, Instant::as_micros), Ordering::Relaxed);
    Step::Wait(deadline)
}

async fn sleep_until(shared: &Shared, deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => shared.clock.sleep_until(deadline).await,
        None => std::future::pending().await,
    }
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
        handle.liveness().heard(now);
        if !handle.heard.swap(true, Ordering::AcqRel) {
            shared.signals.driver.notify_one();
        }
        match take(shared, handle, &batch, now) {
            Ok(true) => return PathEnd::Bye,
            Ok(false) => {}
            Err(end) => return end,
        }
        batch.clear();
    }
}

/// Feeds a batch to the session; true if the peer said goodbye for good.
fn take(shared: &Shared, handle: &PathHandle, batch: &[Bytes], now: Instant) -> Result<bool, PathEnd> {
    let mut state = shared.lock();
    let mut bye = false;
    for frame in batch {
        let result = Header::read(&mut &frame[..]).map_err(Into::into).and_then(|header| {
            match header.kind {
                FrameKind::Ping => {
                    handle.liveness().handle_ping(header.seq);
                    handle.wake();
                }
                FrameKind::Pong => {
                    let mut liveness = handle.liveness();
                    liveness.handle_pong(header.seq, now);
                    shared.set_rtt(liveness.rtt());
                }
                FrameKind::Leave => return Ok(true),
                FrameKind::Bye => bye = true,
                FrameKind::Data | FrameKind::Ack => {}
            }
            state.machine.handle_frame(frame, now).map(|()| false)
        });
        match result {
            Ok(false) => {}
            Ok(true) => return Err(PathEnd::Closed(CloseReason::Remote)),
            Err(e) => {
                drop(state);
                shared.end(Ended::Protocol(e.to_string()));
                return Err(PathEnd::Closed(CloseReason::Protocol("the peer broke the protocol")));
            }
        }
    }
    shared.settle(&mut state);
    if state.machine.is_drained() {
        shared.signals.acknowledged.notify_waiters();
    }
    Ok(bye)
}
