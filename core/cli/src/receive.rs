//! The receiving side of `peers send`.
//!
//! The sender streams a file under its name. The answer is [`Tally::receipt`]: 40 bytes, whose first is never `{`. Or it is a
//! [`FileRefusal`] in JSON.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use peers::{InboundStream, NewFile, RecvStream, SendStream, Session};
use serde::{Deserialize, Serialize};

use crate::error::CommandError;
use crate::event::CommandEvent;
use crate::flow::{blocking, download};
use crate::pipe;
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
    #[error("it runs `peers pipe`, which takes no files")]
    Pipe,
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
        if stream.name == pipe::NAME {
            pipe::refuse(stream, pipe::NO_PIPE);
            let message = "it is a pipe, which `peers pipe --listen` takes".to_owned();
            let (name, code) = (pipe::NAME.to_owned(), "not-taken");
            printer.note(&CommandEvent::NotReceived { device, name, code, message });
            continue;
        }
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
            refuse(send, recv, source.kind().into()).await?;
            Err(CommandError::Io { what, source })
        }
        Err(e) => Err(e),
    }
}

/// Answers a file that is not taken.
pub(crate) async fn refuse(
    mut send: SendStream,
    recv: RecvStream,
    reason: Reason,
) -> Result<(), peers::Error> {
    // The words first: a sender that is stopped looks for them.
    send.write(serde_json::to_vec(&FileRefusal { refused: reason }).unwrap_or_default()).await?;
    drop(recv);
    send.finish().await
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
    let file = create(&path).await.map_err(failed)?;
    let (file, taken) = download(recv, file, failed).await?;
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
