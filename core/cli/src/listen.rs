//! `peers listen`

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use peers::{ClientState, Event, Events};

use crate::device::{self, DeviceArgs};
use crate::error::CommandError;
use crate::receive::receive_files;
use crate::{answer, print, problems};

pub(crate) async fn run(args: &DeviceArgs, open: bool, save: Option<PathBuf>) -> Result<(), CommandError> {
    save.as_deref().map_or(Ok(()), check_folder)?;
    device::run(args, open, async |client, events| {
        print::result(format!("device {}", client.device_id()))?;
        let listener = ListeningDevice { save, state: None };
        tokio::select! {
            () = problems::show(client) => Ok(()),
            () = listener.listen(events) => Ok(()),
        }
    })
    .await
}

/// Here, and not with the first file: its sender could do nothing about it.
fn check_folder(folder: &Path) -> Result<(), CommandError> {
    let is_folder = match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(IoError::from(ErrorKind::NotADirectory)),
        Err(error) => Err(error),
    };
    is_folder.map_err(CommandError::io(format!("--save {}", folder.display())))
}

struct ListeningDevice {
    save: Option<PathBuf>,
    /// The last one shown.
    state: Option<ClientState>,
}

impl ListeningDevice {
    async fn listen(mut self, mut events: Events) {
        while let Some(event) = events.next().await {
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connected { session, path } => {
                print::note(format!("{} connected by {path:?}", session.device()));
                tokio::spawn(answer::echo_messages(session.clone()));
                tokio::spawn(receive_files(session, self.save.clone()));
            }
            Event::PathChanged { session, path: Some(path) } => {
                print::note(format!("{} now by {path:?}", session.device()));
            }
            Event::PathChanged { session, path: None } => {
                print::note(format!("{} has no path now", session.device()));
            }
            Event::Disconnected { session, reason } => {
                print::note(format!("{} left: {reason}", session.device()));
            }
            Event::Incoming(incoming) => {
                let device = incoming.device();
                print::note(format!("refused {device}: trust it with --trust {device}"));
                incoming.reject();
            }
            // Between two times that are alike was another one, too short to be reported.
            Event::State(state) if self.state.replace(state) != Some(state) => {
                print::note(format!("{state:?}"))
            }
            _ => {}
        }
    }
}
