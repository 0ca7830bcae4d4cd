//! The quality of a path and its measurements.

use std::time::Duration;

use crate::{PathKind, QualityLevel};

/// The quality of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Quality {
    /// 0 is useless, 100 perfect.
    pub score: u8,
    /// The level the score is in, with hysteresis.
    pub level: QualityLevel,
}

impl From<peers::Quality> for Quality {
    fn from(quality: peers::Quality) -> Self {
        Self { score: quality.score(), level: quality.level() }
    }
}

/// Measurements of the path that carries a session.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct PathInfo {
    /// The transport of the path.
    pub kind: PathKind,
    /// True if a TURN server forwards it.
    pub relayed: bool,
    /// Moving average of the round trip, in microseconds, once measured.
    pub rtt_us: Option<u64>,
    /// Moving average of the difference between round trips, in microseconds.
    pub jitter_us: u64,
    /// Percent of the last ten pings that were not answered in time.
    pub loss: u8,
    /// Bytes per second in both directions over the last second.
    pub throughput: u64,
    /// Bytes sent in all.
    pub sent: u64,
    /// Bytes received in all.
    pub received: u64,
    /// All of this as one number.
    pub quality: Quality,
}

impl From<peers::PathInfo> for PathInfo {
    fn from(info: peers::PathInfo) -> Self {
        let peers::PathInfo { route, rtt, jitter, loss, throughput, sent, received, quality } = info;
        let peers::Route { kind, relayed } = route;
        Self {
            kind,
            relayed,
            rtt_us: rtt.map(micros),
            jitter_us: micros(jitter),
            loss,
            throughput,
            sent,
            received,
            quality: quality.into(),
        }
    }
}

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
