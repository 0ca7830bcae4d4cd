//! What one device, one address and the whole relay may use. Defaults suit one small machine.

use serde::Deserialize;

/// See each field. Rates delay the reading of a socket; nothing is dropped because of them.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Sockets at once, registered or not.
    pub max_sockets: usize,
    /// Sockets at once from one IPv4 address or IPv6 /64. Many phones share one behind carrier-grade NAT.
    pub max_sockets_per_ip: usize,
    /// A socket that says nothing for this long is closed. Devices ping; the relay never wakes a phone to ask.
    pub idle_seconds: u64,
    /// Text messages a second from one device.
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
    /// Relayed bytes waiting for all devices together: what bounds the relay's memory.
    pub relay_queue_total: usize,
    /// Messages waiting for an offline device from one sender.
    pub queue_per_pair: usize,
    /// Messages waiting for an offline device from all senders.
    pub queue_per_device: usize,
    /// Bytes of messages waiting for offline devices, all together.
    pub queue_total_bytes: usize,
    /// Certificates remembered for devices that ask for them.
    pub max_certificates: usize,
    /// How long a certificate is remembered after its device last registered.
    pub certificate_days: u64,
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
            queue_total_bytes: 64 << 20,
            max_certificates: 100_000,
            certificate_days: 30,
        }
    }
}
