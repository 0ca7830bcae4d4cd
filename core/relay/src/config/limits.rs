//! Shares of one device, one address and the whole relay. Defaults suit one small machine.

use peers_proto::limits::MAX_SIGNALING;
use serde::Deserialize;

/// See each field. Rates delay the reading of a socket; nothing but knocks is dropped because of them. Where something is
/// full, the address that holds most of it pays, and of its devices the one that holds most.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Sockets at once, registered or not.
    pub max_sockets: usize,
    /// Sockets at once from one IPv4 address or IPv6 /64. Many phones share one behind carrier-grade NAT.
    pub max_sockets_per_ip: usize,
    /// A socket that says nothing for this long is closed. Devices ping; the relay never wakes a phone to ask.
    pub idle_seconds: u64,
    /// Text messages a second from one device. One counts once for every 4 KiB, and the beginning of a relayed connection
    /// counts as one.
    pub messages_per_second: u64,
    /// Text messages at once after a rest.
    pub messages_burst: u64,
    /// Relayed bytes a second from one device.
    pub relay_bytes_per_second: u64,
    /// Relayed bytes at once after a rest.
    pub relay_burst: u64,
    /// Relayed connections at once per device.
    pub relay_connections: usize,
    /// Relayed bytes waiting for one device. A session has at most 8 MiB unacknowledged, so below that a
    /// well-behaved pair never overflows.
    pub relay_queue_bytes: usize,
    /// Relayed bytes held for all devices together, those being written included.
    pub relay_queue_total: usize,
    /// Messages waiting for an absent device from one sender.
    pub queue_per_pair: usize,
    /// Messages waiting for an absent device from all senders.
    pub queue_per_device: usize,
    /// Bytes of other devices' messages waiting for one device, absent or slow: forty attempts to connect fit.
    pub message_bytes_per_device: usize,
    /// Bytes of messages held for all devices together, the relay's own and those being written included.
    pub message_memory_total: usize,
    /// Knocks of one socket at once: a person adds a few devices of others at a time.
    pub knock_burst: u64,
    /// Seconds between two knocks of one socket after that.
    pub knock_seconds: u64,
    /// Knocks delivered at once to one device after a rest; more wait their turn.
    pub knocked_burst: u64,
    /// Knocks a second delivered to one device: a tenth of a percent of a slow phone's link.
    pub knocked_per_second: u64,
    /// Registrations a second verified for one address: each takes a fifth of a millisecond of a core.
    pub registrations_per_second: u64,
    /// Registrations at once from one address after a rest: all its devices after a restart of the relay.
    pub registrations_burst: u64,
    /// Connections at once that are no sockets yet, beside `max_sockets`; from one address at most
    /// `max_sockets_per_ip` of them. Beyond it the oldest of the address that has most is cut.
    pub max_half_open: usize,
}

impl Limits {
    /// The first limit that serves no device: its key, its value and the least it may be.
    pub(super) fn too_small(&self) -> Option<(&'static str, u64, u64)> {
        // By its fields, so that a new one is not forgotten here.
        let Self {
            max_sockets,
            max_sockets_per_ip,
            idle_seconds,
            messages_per_second,
            messages_burst,
            relay_bytes_per_second,
            relay_burst,
            // Without any, nothing is relayed.
            relay_connections: _,
            relay_queue_bytes,
            relay_queue_total,
            // Without any, nothing waits for an absent device.
            queue_per_pair: _,
            queue_per_device: _,
            message_bytes_per_device,
            message_memory_total,
            // Without any, every knock is dropped.
            knock_burst: _,
            knock_seconds,
            knocked_burst,
            knocked_per_second,
            registrations_per_second,
            registrations_burst,
            max_half_open,
        } = *self;
        let message = MAX_SIGNALING as u64;
        let least = [
            ("max_sockets", max_sockets as u64, 1),
            ("max_sockets_per_ip", max_sockets_per_ip as u64, 1),
            ("idle_seconds", idle_seconds, 1),
            ("messages_per_second", messages_per_second, 1),
            ("messages_burst", messages_burst, 1),
            ("relay_bytes_per_second", relay_bytes_per_second, 1),
            ("relay_burst", relay_burst, 1),
            ("relay_queue_bytes", relay_queue_bytes as u64, message),
            ("relay_queue_total", relay_queue_total as u64, message),
            ("message_bytes_per_device", message_bytes_per_device as u64, message),
            ("message_memory_total", message_memory_total as u64, message),
            ("knock_seconds", knock_seconds, 1),
            ("knocked_burst", knocked_burst, 1),
            ("knocked_per_second", knocked_per_second, 1),
            ("registrations_per_second", registrations_per_second, 1),
            ("registrations_burst", registrations_burst, 1),
            ("max_half_open", max_half_open as u64, 1),
        ];
        least.into_iter().find(|(_, value, least)| value < least)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_sockets: 20_000,
            max_sockets_per_ip: 512,
            idle_seconds: 120,
            messages_per_second: 50,
            messages_burst: 500,
            relay_bytes_per_second: 32 << 20,
            relay_burst: 8 << 20,
            relay_connections: 128,
            relay_queue_bytes: 16 << 20,
            relay_queue_total: 512 << 20,
            queue_per_pair: 64,
            queue_per_device: 512,
            message_bytes_per_device: 1 << 20,
            message_memory_total: 64 << 20,
            knock_burst: 8,
            knock_seconds: 5,
            knocked_burst: 16,
            knocked_per_second: 2,
            registrations_per_second: 50,
            registrations_burst: 512,
            max_half_open: 2048,
        }
    }
}
