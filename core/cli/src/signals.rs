//! Requests to end.

use tokio::signal::unix::{self, SignalKind, signal};

use crate::error::CommandError;

/// A request to end, with time for a proper end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// Of an init system, or `kill`.
    Terminate,
}

impl Signal {
    /// The status that a shell reports of a command which such a signal has ended.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 128 + 2,
            Self::Terminate => 128 + 15,
        }
    }
}

/// Signals from now on. Before, they end the process.
pub(crate) struct StopSignals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl StopSignals {
    pub(crate) fn new() -> Result<Self, CommandError> {
        let listen = |kind| signal(kind).map_err(CommandError::io("signals"));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}
