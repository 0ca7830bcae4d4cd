//! Counts for operators. Plain numbers; the server renders them.

/// Counters since the start, and gauges of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Gauge: open sockets.
    pub sockets: u64,
    /// Gauge: connections that are no sockets yet.
    pub half_open: u64,
    /// Gauge: registered devices.
    pub devices: u64,
    /// Gauge: messages of other devices that a device has not read: it is away or slow.
    pub queued_messages: u64,
    /// Gauge: bytes of them.
    pub queued_bytes: u64,
    /// Gauge: bytes of all messages held, the relay's own and those being written included.
    pub message_bytes: u64,
    /// Gauge: relayed bytes waiting for slow devices.
    pub relay_queued_bytes: u64,
    /// Gauge: relayed connections.
    pub relay_connections: u64,
    /// Proven registrations.
    pub registrations: u64,
    /// Registrations that were not proven.
    pub registrations_denied: u64,
    /// Registrations for a name that the relay does not have.
    pub wrong_name: u64,
    /// Proven registrations that the access rule did not admit.
    pub not_admitted: u64,
    /// Registrations that a newer one replaced.
    pub superseded: u64,
    /// Offers, answers and candidates delivered at once.
    pub relayed_messages: u64,
    /// Those put into the offline queue.
    pub enqueued: u64,
    /// Those taken out of it by their recipient.
    pub dequeued: u64,
    /// Messages dropped while they waited: expired, replaced, not consented to or beyond the bounds.
    pub queue_dropped: u64,
    /// Of those, dropped because their sender held most of what was full.
    pub share_dropped: u64,
    /// Offers, answers and candidates dropped at once: one of the two devices does not accept the other.
    pub unconsented: u64,
    /// Knocks taken.
    pub knocks: u64,
    /// Knocks dropped because their sender sent too many.
    pub knocks_dropped: u64,
    /// Relayed frames passed on.
    pub relay_frames: u64,
    /// Bytes of them.
    pub relay_bytes: u64,
    /// Relayed connections closed because a queue was full.
    pub relay_overflows: u64,
    /// Sockets refused at the door.
    pub refused: u64,
    /// Connections cut before they became sockets, because there were too many.
    pub half_open_dropped: u64,
    /// Sockets closed for breaking a rule.
    pub violations: u64,
    /// Sockets closed because they did not read.
    pub too_slow: u64,
    /// Sockets closed because they were silent.
    pub idle: u64,
}
