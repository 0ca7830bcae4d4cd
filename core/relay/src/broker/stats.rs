//! What an operator watches. Plain numbers; the server renders them.

/// Counters since the start, and gauges of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Gauge: open sockets.
    pub sockets: u64,
    /// Gauge: registered devices.
    pub devices: u64,
    /// Gauge: messages waiting for offline devices.
    pub queued_messages: u64,
    /// Gauge: bytes of them.
    pub queued_bytes: u64,
    /// Gauge: relayed bytes waiting for slow devices.
    pub relay_queued_bytes: u64,
    /// Gauge: relayed connections.
    pub relay_connections: u64,
    /// Gauge: certificates remembered.
    pub certificates: u64,
    /// Proven registrations.
    pub registrations: u64,
    /// Registrations that were not proven.
    pub registrations_denied: u64,
    /// Registrations that a newer one replaced.
    pub superseded: u64,
    /// Offers, answers and candidates delivered at once.
    pub relayed_messages: u64,
    /// Those put into the offline queue.
    pub enqueued: u64,
    /// Those taken out of it by their recipient.
    pub dequeued: u64,
    /// Those dropped from it: expired, replaced or beyond the bounds.
    pub queue_dropped: u64,
    /// Relayed frames passed on.
    pub relay_frames: u64,
    /// Bytes of them.
    pub relay_bytes: u64,
    /// Relayed connections closed because a queue was full.
    pub relay_overflows: u64,
    /// Sockets refused at the door.
    pub refused: u64,
    /// Sockets closed for breaking a rule.
    pub violations: u64,
    /// Sockets closed because they did not read.
    pub too_slow: u64,
    /// Sockets closed because they were silent.
    pub idle: u64,
}
