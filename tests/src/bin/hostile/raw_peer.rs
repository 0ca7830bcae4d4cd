//! A peer after READY whose frames are made by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use peers::clock::Clock;
use peers::random;
use peers::transport::webrtc::{WebRtcAttempt, WebRtcConfig};
use peers::transport::{FrameSink, FrameSource, Transport};
use peers_proto::handshake::Established;
use peers_proto::id::ConnectionId;
use peers_proto::limits::{MAX_FRAME, OBJECT_COST, RECEIVE_BUDGET};
use peers_proto::seal::{Opener, Sealer};
use peers_proto::session::Resume;
use peers_proto::session::wire::{FrameKind, Header, Segment};
use peers_tests::bench::Outcome;
use peers_tests::party::{Party, shake_hands};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::link::{Link, Offer};

/// Bytes of a frame after which no further segment is put into it.
const FRAME_FULL: usize = 14_000;
/// A violation has ended a session within this.
const END: Duration = Duration::from_secs(2);
/// Interval between looks for credit.
const CREDIT: Duration = Duration::from_millis(1);

/// State of the victim's side.
#[derive(Debug, Default)]
struct Heard {
    /// First DATA frame not received.
    next: AtomicU64,
    /// Bytes of objects the victim lets us send in all: of messages or of calls, whichever this peer sends.
    credit: AtomicU64,
    /// Answers to calls, refusals among them.
    answers: AtomicU64,
}

/// The peer.
pub(crate) struct RawPeer {
    sink: Box<dyn FrameSink>,
    sealer: Option<Sealer>,
    clock: Clock,
    seq: u64,
    /// Bytes of objects sent within the credit.
    spent: u64,
    /// True if the victim's frames are acknowledged.
    pub(crate) acknowledges: bool,
    heard: Arc<Heard>,
    ended: watch::Receiver<bool>,
    reader: JoinHandle<()>,
}

/// The victim has ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the victim ended the connection")]
pub(crate) struct Gone;

impl RawPeer {
    /// A session through the relay.
    pub(crate) async fn over_relay(link: &Link, victim: &Party) -> Outcome<Self> {
        let connection = ConnectionId::from_bytes(random::array());
        Self::begin(link.transport(victim.id(), connection), connection, &link.party, victim, true).await
    }

    /// The same, but what the victim says is never read.
    pub(crate) async fn deaf_over_relay(link: &Link, victim: &Party) -> Outcome<Self> {
        let connection = ConnectionId::from_bytes(random::array());
        Self::begin(link.transport(victim.id(), connection), connection, &link.party, victim, false).await
    }

    /// A session over WebRTC, negotiated through `link`.
    pub(crate) async fn over_webrtc(link: &mut Link, victim: &Party, reads: bool) -> Outcome<Self> {
        let config = WebRtcConfig { include_loopback: true, ..WebRtcConfig::default() };
        let attempt = WebRtcAttempt::offer(&config).await?;
        let connection = ConnectionId::from_bytes(random::array());
        let fingerprint = attempt.negotiation.local_fingerprint();
        let offer = Offer { connection, number: link.count(), fingerprint, sdp: attempt.sdp.clone() };
        let answer = link.offer(victim, &offer).await?;
        attempt.negotiation.set_remote_answer(&answer).await?;
        let transport = attempt.connecting.connected().await?;
        Self::begin(transport, connection, &link.party, victim, reads).await
    }

    /// A session over any transport.
    pub(crate) async fn begin(
        mut transport: Transport,
        connection: ConnectionId,
        party: &Party,
        victim: &Party,
        reads: bool,
    ) -> Outcome<Self> {
        let handshake = party.dials(&victim.certificate, &transport, connection, false)?;
        let epoch = u64::from_be_bytes(random::array()).max(1);
        let ready = Resume { epoch, with: 0, next: 0 }.encode();
        let Established { seal, .. } = shake_hands(&mut transport, handshake, &ready).await?;
        let (sealer, opener) = seal.unzip();
        let heard = Arc::<Heard>::default();
        heard.credit.store(RECEIVE_BUDGET as u64, Ordering::Relaxed);
        let (tell, ended) = watch::channel(false);
        let Transport { sink, source, .. } = transport;
        let reader = tokio::spawn(read(source, opener, heard.clone(), tell, reads));
        Ok(Self {
            sink,
            sealer,
            clock: Clock::system(),
            seq: 0,
            spent: 0,
            acknowledges: true,
            heard,
            ended,
            reader,
        })
    }

    /// Sends a frame of any bytes.
    pub(crate) async fn send(&mut self, frame: &[u8]) -> Result<(), Gone> {
        let mut frame = BytesMut::from(frame);
        if let Some(sealer) = &mut self.sealer {
            sealer.seal(&mut frame, self.clock.now()).map_err(|_| Gone)?;
        }
        self.send_unsealed(frame).await
    }

    /// Sends bytes that are not even sealed where they should be.
    pub(crate) async fn send_unsealed(&mut self, frame: BytesMut) -> Result<(), Gone> {
        if *self.ended.borrow() {
            return Err(Gone);
        }
        self.sink.send(frame).await.map_err(|_| Gone)
    }

    /// Sends a frame without segments.
    pub(crate) async fn header(&mut self, kind: FrameKind, seq: u64, ack: u64) -> Result<(), Gone> {
        let mut frame = BytesMut::new();
        Header { kind, seq, ack }.write(&mut frame);
        self.send(&frame).await
    }

    /// Sends the next DATA frame with these segments.
    pub(crate) async fn data(&mut self, segments: &[Segment<'_>]) -> Result<(), Gone> {
        self.data_of(|frame| segments.iter().for_each(|segment| segment.write(frame))).await
    }

    /// Sends the next DATA frame with whatever `fill` puts into it.
    pub(crate) async fn data_of(&mut self, fill: impl FnOnce(&mut BytesMut)) -> Result<(), Gone> {
        let mut frame = BytesMut::with_capacity(MAX_FRAME);
        Header { kind: FrameKind::Data, seq: self.seq, ack: self.ack() }.write(&mut frame);
        fill(&mut frame);
        self.seq += 1;
        self.send(&frame).await
    }

    /// Full frames of what `segment` writes for every number from 0 on, for a while or until the victim has enough; how many.
    pub(crate) async fn flood(
        &mut self,
        during: Duration,
        mut segment: impl FnMut(u64, &mut BytesMut),
    ) -> u64 {
        let end = Instant::now() + during;
        let mut n = 0;
        while Instant::now() < end {
            let sent = self.data_of(|frame| {
                while frame.len() < FRAME_FULL {
                    segment(n, frame);
                    n += 1;
                }
            });
            // A victim that reads no more has enough.
            let left = end.saturating_duration_since(Instant::now());
            if !matches!(tokio::time::timeout(left, sent).await, Ok(Ok(()))) {
                break;
            }
        }
        n
    }

    pub(crate) async fn flush(&mut self) -> Result<(), Gone> {
        self.sink.flush().await.map_err(|_| Gone)
    }

    /// The number of the next DATA frame.
    pub(crate) fn next(&self) -> u64 {
        self.seq
    }

    /// The next DATA frame gets another number.
    pub(crate) fn skip_to(&mut self, seq: u64) {
        self.seq = seq;
    }

    /// Waits until an object of `raw_len` bytes is within the credit; false if that does not happen before `end`.
    pub(crate) async fn credit(&mut self, raw_len: usize, end: Instant) -> bool {
        let cost = (raw_len + OBJECT_COST) as u64;
        while self.spent + cost > self.heard.credit.load(Ordering::Relaxed) {
            if self.has_ended() || Instant::now() > end {
                return false;
            }
            tokio::time::sleep(CREDIT).await;
        }
        self.spent += cost;
        true
    }

    /// Calls the victim has answered.
    pub(crate) fn answers(&self) -> u64 {
        self.heard.answers.load(Ordering::Relaxed)
    }

    fn ack(&self) -> u64 {
        if self.acknowledges { self.heard.next.load(Ordering::Relaxed) } else { 0 }
    }

    /// The victim must end the session: what was sent is a violation.
    pub(crate) async fn must_end(&mut self) -> Outcome<()> {
        // One that has ended does not take the rest.
        let _ = self.flush().await;
        let ended = tokio::time::timeout(END, self.ended.wait_for(|ended| *ended)).await;
        Ok(ended.map(|_| ()).map_err(|_| format!("the session goes on {END:?} after a violation"))?)
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }
}

impl Drop for RawPeer {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(
    mut source: Box<dyn FrameSource>,
    mut opener: Option<Opener>,
    heard: Arc<Heard>,
    ended: watch::Sender<bool>,
    reads: bool,
) {
    if !reads {
        // The transport's own room fills up.
        return std::future::pending().await;
    }
    while let Ok(frame) = source.recv().await {
        let frame = match &mut opener {
            Some(opener) => match opener.open(&frame) {
                Ok(frame) => frame,
                Err(_) => break,
            },
            None => frame,
        };
        if heard.take(&frame) {
            break;
        }
    }
    ended.send_replace(true);
}

impl Heard {
    /// True if it was the last word.
    fn take(&self, frame: &Bytes) -> bool {
        let mut rest: &[u8] = frame;
        let Ok(header) = Header::read(&mut rest) else { return true };
        if header.kind == FrameKind::Data && header.seq == self.next.load(Ordering::Relaxed) {
            self.next.fetch_add(1, Ordering::Relaxed);
            while !rest.is_empty() {
                match Segment::read(&mut rest) {
                    Ok(Segment::MessageCredit { limit } | Segment::CallCredit { limit }) => {
                        self.credit.fetch_max(limit, Ordering::Relaxed);
                    }
                    Ok(Segment::Failure { .. } | Segment::Response { .. }) => {
                        self.answers.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(_) => {}
                    Err(_) => return true,
                }
            }
        }
        header.kind == FrameKind::Bye
    }
}
