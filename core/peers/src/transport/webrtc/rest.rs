//! Lets the stack's driver rest.
//!
//! ICE asks to be called five times a second for as long as a connection lives. Once the channel is open nothing comes of
//! it: its checks are off ([`timing::ICE_KEEP_ALIVE`]), and a phone would wake up each time, for every connection. So the
//! driver of a connection on which nothing moves and nothing waits for acknowledgement looks again when the device
//! wakes anyway. TURN's refreshes may be late by that much: what they keep lasts three minutes longer.

use std::sync::{Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use peers_proto::time::Instant;
use peers_proto::timing;
use webrtc::data_channel::DataChannel;

use super::counters::Counters;
use crate::clock::Clock;

#[derive(Default)]
pub(super) struct Rest {
    /// The data channel, once it is open.
    channel: OnceLock<Weak<dyn DataChannel>>,
    last: Mutex<Option<Last>>,
}

/// The last time datagrams were seen to move.
#[derive(Clone, Copy)]
struct Last {
    datagrams: u64,
    at: Instant,
}

impl Rest {
    /// The channel is open.
    pub(super) fn allow(&self, channel: Weak<dyn DataChannel>) {
        let _ = self.channel.set(channel);
    }

    /// The sleep of a driver that asks for `wanted`.
    pub(super) async fn stretched(&self, wanted: Duration, counters: &Counters) -> Duration {
        let quiet = self.is_quiet(counters.datagrams_sent.get() + counters.datagrams_received.get());
        let Some(channel) = self.channel.get().filter(|_| quiet).and_then(Weak::upgrade) else {
            return wanted;
        };
        // A lost packet is repeated by the clock.
        match channel.outstanding_bytes().await {
            Ok(0) => {
                let now = Clock::system().now();
                wanted.max((now + timing::BEAT).next_beat() - now)
            }
            _ => wanted,
        }
    }

    /// True if no datagram moved for a while, of which there were so many until now.
    fn is_quiet(&self, datagrams: u64) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Clock::system().now();
        match *last {
            Some(last) if last.datagrams == datagrams => now - last.at >= QUIET,
            _ => {
                *last = Some(Last { datagrams, at: now });
                false
            }
        }
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").finish_non_exhaustive()
    }
}

/// SCTP acknowledges after 200 ms at the latest (RFC 9260 section 6.2).
const QUIET: Duration = Duration::from_millis(500);
