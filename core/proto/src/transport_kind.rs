//! The kinds of transport, as the handshake binds them and the path policy ranks them.

/// The kind of transport that carries the frames. Declared best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// WebSocket on a private address.
    Lan,
    /// WebRTC data channel.
    WebRtc,
    /// WebSocket over TLS to a device that listens publicly.
    Internet,
    /// WebSocket through the relay.
    Relay,
    /// Supplied by the app, or a pair in memory.
    Custom,
}

impl TransportKind {
    /// The byte that names the kind in the handshake's prologue. Never reused for another kind.
    pub const fn wire(self) -> u8 {
        match self {
            Self::Lan => 1,
            Self::WebRtc => 2,
            Self::Internet => 3,
            Self::Relay => 4,
            Self::Custom => 5,
        }
    }
}
