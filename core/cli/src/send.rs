//! `peers send`

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use peers::{DeviceId, RecvStream, SendStream, Session};
use tokio::fs::File;
use tokio::io::AsyncRead;

use crate::device::{self, DeviceArgs};
use crate::error::CommandError;
use crate::event::CommandEvent;
use crate::flow;
use crate::print::{OutputArgs, Printer};
use crate::receive::FileRefusal;
use crate::tally::Tally;

#[derive(Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// The id of the device that gets it.
    to: DeviceId,
    /// A regular file, or `-` for standard input to its end.
    file: PathBuf,
    /// The name that it gets there, in place of its own. That of standard input is `stdin`.
    #[arg(long = "as", value_name = "NAME", value_parser = file_name)]
    rename: Option<String>,
}

impl SendArgs {
    pub(crate) fn printer(&self) -> Printer {
        self.output.printer()
    }
}

/// Parses the name of a file without a folder: the receiver would drop that.
fn file_name(text: &str) -> Result<String, &'static str> {
    let name = Path::new(text).file_name().filter(|name| *name == text);
    name.map(|_| text.to_owned()).ok_or("expected the name of a file, without a folder")
}

pub(crate) async fn run(args: SendArgs) -> Result<(), CommandError> {
    let printer = args.printer();
    let mut source = SendInput::open(&args.file, args.rename).await?;
    let sent = device::run(&args.device, false, async |client, events| {
        tokio::spawn(device::show_digits(events, printer));
        let session = device::session(client, printer, args.to).await?;
        let bar = source.bar(printer);
        transfer(&session, &mut source, &bar).await
    });
    printer.print(&sent.await?)
}

/// The bytes to send.
struct SendInput {
    name: String,
    /// Of its errors.
    place: String,
    /// Unknown of standard input.
    length: Option<u64>,
    input: Box<dyn AsyncRead + Unpin>,
}

impl SendInput {
    async fn open(path: &Path, name: Option<String>) -> Result<Self, CommandError> {
        if path == Path::new("-") {
            return Ok(Self {
                name: name.unwrap_or_else(|| "stdin".into()),
                place: "standard input".into(),
                length: None,
                input: Box::new(tokio::io::stdin()),
            });
        }
        let (file, length) = open(path).await.map_err(CommandError::io(path.display()))?;
        let own = || path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self {
            name: name.unwrap_or_else(own),
            place: path.display().to_string(),
            length: Some(length),
            input: Box::new(file),
        })
    }

    fn bar(&self, printer: Printer) -> ProgressBar {
        let (template, target) = match (self.length, printer) {
            (_, Printer::Json) => ("", ProgressDrawTarget::hidden()),
            (Some(_), _) => {
                let template = "{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
                (template, ProgressDrawTarget::stderr())
            }
            (None, _) => ("{bytes} {binary_bytes_per_sec}", ProgressDrawTarget::stderr()),
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(self.length, target).with_style(style)
    }
}

/// The file and its length. Anything but a regular one has no end, no name worth keeping, or nothing to read.
async fn open(path: &Path) -> io::Result<(File, u64)> {
    // First: to open a pipe would wait for its writer.
    let found = tokio::fs::metadata(path).await?;
    if found.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !found.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((File::open(path).await?, found.len()))
}

async fn transfer(
    session: &Session,
    source: &mut SendInput,
    bar: &ProgressBar,
) -> Result<CommandEvent, CommandError> {
    let name = source.name.clone();
    let (mut send, recv) = session.open_stream(&name).map_err(|error| match error {
        peers::Error::NameTooLong => CommandError::NameTooLong { name: name.clone() },
        error => error.into(),
    })?;
    let sent = match upload(source, &mut send, bar).await {
        // The receiver wants no more of it, and says why.
        Err(CommandError::Peers(stopped @ peers::Error::Stream(_))) => Err(stopped),
        sent => Ok(sent?),
    };
    bar.finish();
    let answer = read(recv).await;
    let answer = if sent.is_ok() { answer? } else { answer.unwrap_or_default() };
    if let Ok(FileRefusal { refused }) = serde_json::from_slice(&answer) {
        return Err(CommandError::NotTaken { device: session.device(), name, reason: refused });
    }
    let sent = sent?;
    if answer != sent.receipt() {
        return Err(CommandError::Damaged("the other side received something else"));
    }
    Ok(CommandEvent::Sent { device: session.device(), name, bytes: sent.bytes(), sha256: sent.sha256() })
}

async fn upload(
    source: &mut SendInput,
    send: &mut SendStream,
    bar: &ProgressBar,
) -> Result<Tally, CommandError> {
    let sent = flow::upload(&mut source.input, &source.place, send, |bytes| bar.set_position(bytes)).await?;
    send.finish().await?;
    Ok(sent)
}

async fn read(mut recv: RecvStream) -> Result<Vec<u8>, CommandError> {
    let mut answer = Vec::new();
    while let Some(part) = recv.read().await? {
        answer.extend_from_slice(&part);
    }
    Ok(answer)
}
