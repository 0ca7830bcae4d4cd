//! Detection of a relay that does not answer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use peers_proto::time::Instant;
use peers_proto::timing;

use super::RelayShared;
use super::learned::quiet;
use super::state::Disconnect;
use crate::clock::Clock;

/// State that the reader, the writer and the keep-alive of one socket share.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Messages read.
    count: AtomicU64,
    /// The time at which the last one was read.
    heard: AtomicU64,
    ping: AtomicBool,
}

impl Pulse {
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            count: AtomicU64::new(0),
            heard: AtomicU64::new(clock.now().as_micros()),
            ping: AtomicBool::new(false),
        }
    }

    pub(super) fn heard(&self, clock: &Clock) {
        self.heard.store(clock.now().as_micros(), Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// True if the writer shall ping now.
    pub(super) fn take_ping(&self) -> bool {
        self.ping.swap(false, Ordering::Relaxed)
    }

    /// For how long the relay has been silent.
    pub(super) fn silence(&self, clock: &Clock) -> Duration {
        clock.now() - Instant::from_micros(self.heard.load(Ordering::Relaxed))
    }

    /// Pings a silent relay at multiples of `every`, and at once after a change of network; returns when no answer came in
    /// time.
    pub(super) async fn watch(&self, shared: &RelayShared, every: Duration) -> Disconnect {
        let clock = shared.clock();
        loop {
            let heard = Instant::from_micros(self.heard.load(Ordering::Relaxed));
            // Together with everything else that keeps something alive.
            let idle = (heard + quiet(every)).next_multiple_of(every);
            let mut patience = tokio::select! {
                () = clock.sleep_until(idle) => timing::RELAY_PONG,
                () = shared.network_change() => timing::RELAY_PROBE,
            };
            if patience == timing::RELAY_PONG && self.silence(clock) < quiet(every) {
                continue;
            }
            let count = self.count.load(Ordering::Relaxed);
            self.ping.store(true, Ordering::Relaxed);
            shared.wake_writer();
            loop {
                tokio::select! {
                    () = clock.sleep(patience) => break,
                    () = shared.network_change() => {
                        patience = timing::RELAY_PROBE;
                        self.ping.store(true, Ordering::Relaxed);
                        shared.wake_writer();
                    }
                }
            }
            if self.count.load(Ordering::Relaxed) == count {
                return Disconnect::Silent;
            }
        }
    }
}
