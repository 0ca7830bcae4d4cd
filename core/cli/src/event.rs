//! Occurrences that the command reports: a line for people, or an object for programs.

use std::fmt::{self, Display, Formatter};

use peers::{Client, ClientState, DeviceId, EndReason, PathKind};
use serde::{Serialize, Serializer};

/// One occurrence. Its serialised form is what `--json` prints, and [`Display`] is the line for people. core/docs/command.md has
/// the list; a name is not changed.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum CommandEvent {
    /// The id of an identity file.
    Identity {
        #[serde(serialize_with = "text")]
        device: DeviceId,
    },
    /// This device waits for others.
    Listening {
        #[serde(serialize_with = "text")]
        device: DeviceId,
        /// The URL at which it is reached without a relay, with `--at`.
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
    /// The client's state is another one.
    State {
        #[serde(serialize_with = "state_name")]
        state: ClientState,
    },
    /// A relay is not reached. The message has the flag that helps.
    RelayProblem { relay: String, code: &'static str, message: String },
    /// A device has not answered within seconds.
    Waiting {
        #[serde(serialize_with = "text")]
        device: DeviceId,
    },
    /// The other device asks its owner. Both show the digits.
    Comparing {
        #[serde(serialize_with = "text")]
        device: DeviceId,
        digits: String,
    },
    /// A session has begun. `ms` is the time that it took this device to get it.
    Connected {
        #[serde(serialize_with = "text")]
        device: DeviceId,
        name: String,
        #[serde(serialize_with = "path_name")]
        path: Option<PathKind>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ms: Option<f64>,
    },
    /// The median of calls.
    Measured {
        #[serde(serialize_with = "text")]
        device: DeviceId,
        #[serde(serialize_with = "path_name")]
        path: Option<PathKind>,
        call_us: u64,
    },
    /// A session has moved to another path, or has none.
    PathChanged {
        #[serde(serialize_with = "text")]
        device: DeviceId,
        #[serde(serialize_with = "path_name")]
        path: Option<PathKind>,
    },
    /// A session has ended.
    Disconnected {
        #[serde(serialize_with = "text")]
        device: DeviceId,
        #[serde(serialize_with = "text")]
        reason: EndReason,
    },
    /// A device that is not trusted has asked, and is refused.
    Refused {
        #[serde(serialize_with = "text")]
        device: DeviceId,
    },
    /// A file was sent, and the receiver has all of it.
    Sent {
        #[serde(serialize_with = "text")]
        device: DeviceId,
        name: String,
        bytes: u64,
        sha256: String,
    },
    /// A file has come.
    Received {
        #[serde(serialize_with = "text")]
        device: DeviceId,
        name: String,
        bytes: u64,
        sha256: String,
    },
    /// A file was not taken.
    NotReceived {
        #[serde(serialize_with = "text")]
        device: DeviceId,
        name: String,
        code: &'static str,
        message: String,
    },
    /// The command fails.
    Error { code: &'static str, message: String },
}

impl CommandEvent {
    /// True for what the command was asked for, as opposed to what happens beside it.
    pub(crate) fn is_result(&self) -> bool {
        match self {
            Self::Connected { ms, .. } => ms.is_some(),
            Self::Identity { .. } | Self::Listening { .. } | Self::Measured { .. } | Self::Sent { .. } => {
                true
            }
            _ => false,
        }
    }
}

impl CommandEvent {
    /// This client waits for others.
    pub(crate) fn listening(client: &Client) -> Self {
        let at = client.listening().map(|address| format!("ws://{address}"));
        Self::Listening { device: client.device_id(), at }
    }
}

impl Display for CommandEvent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity { device } => write!(f, "{device}"),
            Self::Listening { device, at: None } => write!(f, "device {device}"),
            Self::Listening { device, at: Some(at) } => write!(f, "device {device} at {at}"),
            Self::State { state } => write!(f, "{state:?}"),
            Self::RelayProblem { message, .. } | Self::Error { message, .. } => f.write_str(message),
            Self::Waiting { device } => write!(f, "waiting for {device}"),
            Self::Comparing { device, digits } => {
                write!(f, "{device} asks its owner: both see {digits}, or somebody sits in between")
            }
            Self::Connected { name, ms: Some(ms), .. } => write!(f, "connected to {name} in {ms:.1} ms"),
            Self::Connected { device, path, .. } => write!(f, "{device} connected by {}", PathLabel(*path)),
            Self::Measured { path, call_us, .. } => {
                write!(f, "path {}, a call takes {call_us} µs", PathLabel(*path))
            }
            Self::PathChanged { device, path: None } => write!(f, "{device} has no path now"),
            Self::PathChanged { device, path } => write!(f, "{device} now by {}", PathLabel(*path)),
            Self::Disconnected { device, reason } => write!(f, "{device} left: {reason}"),
            Self::Refused { device } => write!(f, "refused {device}: trust it with --trust {device}"),
            Self::Sent { bytes, .. } => write!(f, "sent {bytes} bytes, verified by SHA-256"),
            Self::Received { name, bytes, .. } => write!(f, "received {name:?}: {bytes} bytes"),
            Self::NotReceived { name, message, .. } => write!(f, "did not take {name:?}: {message}"),
        }
    }
}

/// A path for people.
struct PathLabel(Option<PathKind>);

impl Display for PathLabel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(kind) => write!(f, "{kind:?}"),
            None => f.write_str("none"),
        }
    }
}

fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn path_name<S: Serializer>(path: &Option<PathKind>, serializer: S) -> Result<S::Ok, S::Error> {
    let name = path.map(|kind| match kind {
        PathKind::Lan => "lan",
        PathKind::WebRtc => "webrtc",
        PathKind::Internet => "internet",
        PathKind::Relay => "relay",
        PathKind::Custom => "custom",
    });
    name.serialize(serializer)
}

fn state_name<S: Serializer>(state: &ClientState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match state {
        ClientState::Connecting => "connecting",
        ClientState::Online => "online",
        ClientState::Offline => "offline",
        ClientState::NotAdmitted => "not-admitted",
        ClientState::Verifying => "verifying",
        ClientState::Suspended => "suspended",
        ClientState::Superseded => "superseded",
        ClientState::Closed => "closed",
    })
}
