//! `peers listen`

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use peers::{ClientState, Event, Events, Session};
use tokio::sync::mpsc;

use crate::device::{self, DeviceArgs};
use crate::error::CommandError;
use crate::event::CommandEvent;
use crate::pipe::{self, PipeOffer};
use crate::print::Printer;
use crate::receive::receive_files;
use crate::{answer, problems};

pub(crate) async fn run(
    args: &DeviceArgs,
    printer: Printer,
    open: bool,
    save: Option<PathBuf>,
) -> Result<(), CommandError> {
    save.as_deref().map_or(Ok(()), check_folder)?;
    device::run(args, open, async |client, events| {
        printer.print(&CommandEvent::listening(client))?;
        let listener = ListeningDevice::new(printer, Service::Files(save));
        tokio::select! {
            () = problems::show(client, printer) => Ok(()),
            outcome = listener.listen(events) => outcome,
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

/// The offer of this device to others.
pub(crate) enum Service {
    /// It takes files, into the folder if there is one, and sends messages back.
    Files(Option<PathBuf>),
    /// It takes a pipe.
    Pipe(mpsc::Sender<PipeOffer>),
}

impl Service {
    fn begin(&self, session: &Session, printer: Printer) {
        match self {
            Self::Files(save) => {
                tokio::spawn(answer::echo_messages(session.clone()));
                tokio::spawn(receive_files(session.clone(), save.clone(), printer));
            }
            Self::Pipe(offers) => {
                tokio::spawn(pipe::offer(session.clone(), offers.clone()));
            }
        }
    }
}

/// A device that waits for others.
pub(crate) struct ListeningDevice {
    printer: Printer,
    service: Service,
    /// The last one shown.
    state: Option<ClientState>,
}

impl ListeningDevice {
    pub(crate) fn new(printer: Printer, service: Service) -> Self {
        Self { printer, service, state: None }
    }

    pub(crate) async fn listen(mut self, mut events: Events) -> Result<(), CommandError> {
        while let Some(event) = events.next().await {
            if let Some(event) = self.handle(event) {
                self.printer.print(&event)?;
            }
        }
        Ok(())
    }

    /// Does what an event asks for, and returns what is printed of it.
    fn handle(&mut self, event: Event) -> Option<CommandEvent> {
        Some(match event {
            Event::Connected { session, path } => {
                self.service.begin(&session, self.printer);
                CommandEvent::Connected {
                    device: session.device(),
                    name: session.peer_name().to_owned(),
                    path: Some(path),
                    ms: None,
                }
            }
            Event::PathChanged { session, path } => {
                CommandEvent::PathChanged { device: session.device(), path }
            }
            Event::Disconnected { session, reason } => {
                CommandEvent::Disconnected { device: session.device(), reason }
            }
            Event::Incoming(incoming) => {
                let device = incoming.device();
                incoming.reject();
                CommandEvent::Refused { device }
            }
            // Between two times that are alike was another one, too short to be reported.
            Event::State(state) if self.state.replace(state) != Some(state) => CommandEvent::State { state },
            _ => return None,
        })
    }
}
