use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of what one peer connection refused, dropped or was nudged for, since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CounterSnapshot {
    /// DTLS datagrams that were not the peer's, malformed or beyond a limit, dropped.
    pub dtls_refused: u64,
    /// STUN messages that were not the peer's or asked for what is not served, dropped.
    pub stun_refused: u64,
    /// Datagrams of no protocol in use, dropped: neither STUN, TURN channel data nor DTLS, nor QUIC for a lane.
    pub datagrams_refused: u64,
    /// Datagrams a lane was too slow for, dropped.
    pub lane_datagrams_dropped: u64,
    /// Datagrams handed to the operating system.
    pub datagrams_sent: u64,
    /// Datagrams received, whatever became of them.
    pub datagrams_received: u64,
    /// Datagrams the operating system refused to send.
    pub send_errors: u64,
    /// Times the socket buffer was full and a batch waited for it.
    pub send_waits: u64,
    /// Remote candidates refused by the filter or the cap.
    pub candidates_refused: u64,
    /// Local candidates that were not taken in time.
    pub local_candidates_dropped: u64,
    /// Extra passes the driver was given.
    pub kicks: u64,
    /// Times the stack's driver was done and went to sleep.
    pub passes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) dtls_refused: Counter,
    pub(super) stun_refused: Counter,
    pub(super) datagrams_refused: Counter,
    pub(super) lane_datagrams_dropped: Counter,
    pub(super) datagrams_sent: Counter,
    pub(super) datagrams_received: Counter,
    pub(super) send_errors: Counter,
    pub(super) send_waits: Counter,
    pub(super) candidates_refused: Counter,
    pub(super) local_candidates_dropped: Counter,
    pub(super) kicks: Counter,
    pub(super) passes: Counter,
}

impl Counters {
    pub(super) fn snapshot(&self) -> CounterSnapshot {
        CounterSnapshot {
            dtls_refused: self.dtls_refused.get(),
            stun_refused: self.stun_refused.get(),
            datagrams_refused: self.datagrams_refused.get(),
            lane_datagrams_dropped: self.lane_datagrams_dropped.get(),
            datagrams_sent: self.datagrams_sent.get(),
            datagrams_received: self.datagrams_received.get(),
            send_errors: self.send_errors.get(),
            send_waits: self.send_waits.get(),
            candidates_refused: self.candidates_refused.get(),
            local_candidates_dropped: self.local_candidates_dropped.get(),
            kicks: self.kicks.get(),
            passes: self.passes.get(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
