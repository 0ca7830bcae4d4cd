//! The layers as data: edit these tables (and `core/ARCHITECTURE.md`) to change the architecture.

/// Crates of ours that each crate may depend on, apart from its tests.
pub(super) const EDGES: &[(&str, &[&str])] = &[
    ("peers-proto", &[]),
    ("peers-store", &["peers-proto"]),
    ("peers", &["peers-proto", "peers-store"]),
    ("peers-relay", &["peers-proto"]),
    ("peers-cli", &["peers", "peers-relay"]),
    ("peers-ffi", &["peers"]),
    ("peers-bindgen", &[]),
    ("peers-tests", &["peers-proto", "peers", "peers-relay", "peers-cli", "peers-ffi"]),
    // Not a part of peers-tests: worlds in virtual time must not reach for sockets and tasks.
    ("peers-sim", &["peers-proto"]),
    ("peers-vectors", &["peers-proto"]),
    ("xtask", &[]),
];

/// Crates of others that only some of ours may depend on, tests included.
pub(super) const RESERVED: &[(&str, &[&str])] = &[
    ("uniffi", &["peers-ffi", "peers-bindgen"]),
    ("webrtc", &["peers", "peers-tests"]),
    ("redb", &["peers-store"]),
];

/// Crates of others that a sans-IO crate must never see, not even in its tests.
pub(super) const NOT_SANS_IO: &[(&str, &[&str])] = &[(
    "peers-proto",
    &["tokio", "tokio-util", "futures-util", "getrandom", "socket2", "mio", "async-trait"],
)];

/// Names that the sources of one crate may use.
pub(super) struct SourceRules {
    /// The crate's sources, from the top of the checkout.
    pub(super) folder: &'static str,
    /// The crate's name in paths.
    pub(super) name: &'static str,
    /// Top-level modules; each may import only those before it. Empty: any order.
    pub(super) order: &'static [&'static str],
    /// Paths nothing may name, each with what to do instead.
    pub(super) forbidden: &'static [(&'static str, &'static str)],
}

/// Every crate whose sources are checked.
pub(super) const SOURCES: &[SourceRules] = &[
    SourceRules { folder: "core/proto/src", name: "peers_proto", order: PROTO_ORDER, forbidden: SANS_IO },
    SourceRules { folder: "core/store/src", name: "peers_store", order: &[], forbidden: NO_TASKS },
    SourceRules { folder: "core/peers/src", name: "peers", order: &[], forbidden: NO_UNIFFI },
    SourceRules { folder: "core/relay/src", name: "peers_relay", order: &[], forbidden: NO_UNIFFI },
    SourceRules { folder: "core/cli/src", name: "peers_cli", order: &[], forbidden: NO_UNIFFI },
];

/// The modules of peers-proto from left to right.
const PROTO_ORDER: &[&str] = &[
    // Numbers and names.
    "limits",
    "timing",
    "random",
    "time",
    "bucket",
    "id",
    "transport_kind",
    "reader",
    // Who is who.
    "keys",
    "certificate",
    "trust",
    // Bytes.
    "codec",
    // Secrecy.
    "seal",
    "noise",
    "handshake",
    "envelope",
    // Finding each other.
    "signaling",
    // What two devices share.
    "network",
    "end_reason",
    "path",
    "dial",
    "session",
    "multipath",
    "engine",
];

const NO_UNIFFI: &[(&str, &str)] = &[("uniffi", "only bindings/ knows UniFFI")];

const NO_TASKS: &[(&str, &str)] = &[
    ("uniffi", "only bindings/ knows UniFFI"),
    ("tokio", "tasks live in core/peers"),
    ("std::thread", "tasks live in core/peers"),
    ("std::time::Instant", "time is an argument: peers_proto::time::UnixTime"),
    ("std::time::SystemTime", "time is an argument: peers_proto::time::UnixTime"),
];

const SANS_IO: &[(&str, &str)] = &[
    ("uniffi", "only bindings/ knows UniFFI"),
    ("tokio", "tasks live in core/peers"),
    ("std::net", "sockets live in core/peers; addresses are in core::net"),
    ("std::time::Instant", "time is an argument: crate::time::Instant"),
    ("std::time::SystemTime", "time is an argument"),
    ("std::thread", "tasks live in core/peers"),
    ("std::fs", "files belong to the caller"),
    ("std::env", "configuration is an argument"),
    ("std::process", "processes belong to the caller"),
    ("rand::thread_rng", "randomness is an argument"),
    ("rand::rng", "randomness is an argument"),
    ("rand::random", "randomness is an argument"),
    ("getrandom", "randomness is an argument"),
];

/// Type names that mean randomness of the operating system, wherever they are imported from.
pub(super) const OS_RANDOMNESS: &[&str] = &["OsRng", "ThreadRng", "SysRng"];
