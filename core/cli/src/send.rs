//! `peers send`

use std::io::{self, ErrorKind};
use std::path::Path;

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use peers::{DeviceId, RecvStream, SendStream, Session};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::device::{self, DeviceArgs};
use crate::error::CommandError;
use crate::event::CommandEvent;
use crate::print::Printer;
use crate::receive::FileRefusal;
use crate::tally::Tally;

const CHUNK: usize = 64 * 1024;

pub(crate) async fn run(
    args: &DeviceArgs,
    printer: Printer,
    to: DeviceId,
    path: &Path,
) -> Result<(), CommandError> {
    let (mut file, length) = open(path).await.map_err(CommandError::io(path.display()))?;
    let sent = device::run(args, false, async |client, events| {
        tokio::spawn(device::show_digits(events, printer));
        let session = device::session(client, printer, to).await?;
        transfer(&session, path, &mut file, length).await
    });
    printer.print(&sent.await?)
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
    path: &Path,
    file: &mut File,
    length: u64,
) -> Result<CommandEvent, CommandError> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let (mut send, recv) = session.open_stream(&name).map_err(|error| match error {
        peers::Error::NameTooLong => CommandError::NameTooLong { name: name.clone() },
        error => error.into(),
    })?;
    let bar = ProgressBar::new(length).with_style(style());
    let sent = match upload(&mut send, path, file, &bar).await {
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
    send: &mut SendStream,
    path: &Path,
    file: &mut File,
    bar: &ProgressBar,
) -> Result<Tally, CommandError> {
    let mut sent = Tally::default();
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await.map_err(CommandError::io(path.display()))?;
        if read == 0 {
            send.finish().await?;
            return Ok(sent);
        }
        chunk.truncate(read);
        sent.add(&chunk);
        send.write(Bytes::from(chunk)).await?;
        bar.inc(read as u64);
    }
}

async fn read(mut recv: RecvStream) -> Result<Vec<u8>, CommandError> {
    let mut answer = Vec::new();
    while let Some(part) = recv.read().await? {
        answer.extend_from_slice(&part);
    }
    Ok(answer)
}

fn style() -> ProgressStyle {
    let template = "{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
