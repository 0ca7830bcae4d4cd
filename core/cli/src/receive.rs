//! The receiving side of `peers send`.
//!
//! The sender streams a file under its name. The answer is [`Tally::receipt`]: 40 bytes, whose first is never `{`. Or it is a
//! [`FileRefusal`] in JSON.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use peers::{InboundStream, NewFile, RecvStream, Session};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::error::CommandError;
use crate::event::CommandEvent;
use crate::print::Printer;
use crate::tally::Tally;

/// A transfer whose sender was killed ends, and gives its file up, when the sender comes back: at the same time as the next
/// transfer begins.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);
const BUSY_RETRY: Duration = Duration::from_millis(50);

/// The answer of a receiver that does not take a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRefusal {
    /// The reason.
    pub(crate) refused: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    #[error("a file of this name is there already: move it away, or rename the new one")]
    Exists,
    #[error("another transfer is writing a file of this name")]
    Busy,
    #[error("no space is left for it")]
    NoSpace,
    #[error("it cannot have this name there")]
    BadName,
    #[error("the folder for received files cannot be written to")]
    Folder,
    /// Also what a newer receiver says.
    #[error("it could not be written")]
    #[serde(other)]
    Failed,
}

impl From<ErrorKind> for Reason {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::AlreadyExists => Self::Exists,
            ErrorKind::ResourceBusy => Self::Busy,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::NoSpace,
            ErrorKind::InvalidFilename => Self::BadName,
            ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Folder,
            _ => Self::Failed,
        }
    }
}

/// Reads every stream to its end and answers it.
pub(crate) async fn receive_files(session: Session, save: Option<PathBuf>, printer: Printer) {
    while let Ok(stream) = session.accept_stream().await {
        let (save, device) = (save.clone(), session.device());
        tokio::spawn(async move {
            let name = stream.name.clone();
            printer.note(&match receive(stream, save.as_deref()).await {
                Ok(taken) => {
                    CommandEvent::Received { device, name, bytes: taken.bytes(), sha256: taken.sha256() }
                }
                Err(e) => CommandEvent::NotReceived { device, name, code: e.code(), message: explain(&e) },
            });
        });
    }
}

async fn receive(stream: InboundStream, save: Option<&Path>) -> Result<Tally, CommandError> {
    let InboundStream { name, mut send, mut recv, .. } = stream;
    let taken = match save {
        Some(folder) => store(&mut recv, folder, &name).await,
        None => count(&mut recv).await,
    };
    match taken {
        Ok(taken) => {
            send.write(taken.receipt()).await?;
            send.finish().await?;
            Ok(taken)
        }
        Err(CommandError::Io { what, source }) => {
            let refusal = FileRefusal { refused: source.kind().into() };
            // The words first: a sender that is stopped looks for them.
            send.write(serde_json::to_vec(&refusal).unwrap_or_default()).await?;
            drop(recv);
            send.finish().await?;
            Err(CommandError::Io { what, source })
        }
        Err(e) => Err(e),
    }
}

/// The reason with its place. The kind of an error alone ("entity already exists") says little.
fn explain(error: &CommandError) -> String {
    match error {
        CommandError::Io { what, source }
            if source.get_ref().is_none() && source.raw_os_error().is_none() =>
        {
            format!("{what}: {}", Reason::from(source.kind()))
        }
        error => error.to_string(),
    }
}

async fn count(recv: &mut RecvStream) -> Result<Tally, CommandError> {
    let mut taken = Tally::default();
    while let Some(chunk) = recv.read().await? {
        taken.add(&chunk);
    }
    Ok(taken)
}

/// Writes a new file in the folder, which appears under its name when all of it is there. The name comes from the peer: only
/// its last part counts, and nothing is overwritten.
async fn store(recv: &mut RecvStream, folder: &Path, name: &str) -> Result<Tally, CommandError> {
    let path = Path::new(name).file_name().map(|name| folder.join(name));
    let path = path
        .ok_or_else(|| ErrorKind::InvalidFilename.into())
        .map_err(CommandError::io(format!("{name:?}")))?;
    let failed = |e| CommandError::io(path.display())(e);
    let mut file = create(&path).await.map_err(failed)?;
    let mut taken = Tally::default();
    while let Some(chunk) = recv.read().await? {
        taken.add(&chunk);
        let written = blocking(move || file.write_all(&chunk).map(|()| file));
        file = written.await.map_err(failed)?;
    }
    blocking(move || file.finish()).await.map_err(failed)?;
    Ok(taken)
}

async fn create(path: &Path) -> io::Result<NewFile> {
    let waiting = async {
        loop {
            let path = path.to_owned();
            match blocking(move || NewFile::create(path)).await {
                Err(e) if e.kind() == ErrorKind::ResourceBusy => tokio::time::sleep(BUSY_RETRY).await,
                outcome => return outcome,
            }
        }
    };
    tokio::time::timeout(BUSY_PATIENCE, waiting).await.unwrap_or_else(|_| Err(ErrorKind::ResourceBusy.into()))
}

/// Runs what may wait for a disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
