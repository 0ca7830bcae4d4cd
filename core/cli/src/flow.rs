//! Bytes between streams and what may block: files, standard input and output.

use std::io::{self, Write};

use bytes::Bytes;
use peers::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::spawn_blocking;

use crate::error::CommandError;
use crate::tally::Tally;

const CHUNK: usize = 64 * 1024;

/// Writes an input to a stream, all but its end. A chunk is read when the stream has taken the one before.
pub(crate) async fn upload(
    input: &mut (impl AsyncRead + Unpin),
    place: &str,
    send: &mut SendStream,
    progress: impl Fn(u64),
) -> Result<Tally, CommandError> {
    let mut sent = Tally::default();
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = input.read(&mut chunk).await.map_err(CommandError::io(place))?;
        if read == 0 {
            return Ok(sent);
        }
        chunk.truncate(read);
        sent.add(&chunk);
        send.write(Bytes::from(chunk)).await?;
        progress(sent.bytes());
    }
}

/// Writes a stream to an output, to its end. A chunk is taken when the output has the one before.
pub(crate) async fn download<W: Write + Send + 'static>(
    recv: &mut RecvStream,
    mut output: W,
    failed: impl Fn(io::Error) -> CommandError,
) -> Result<(W, Tally), CommandError> {
    let mut taken = Tally::default();
    while let Some(chunk) = recv.read().await? {
        taken.add(&chunk);
        let written = blocking(move || output.write_all(&chunk).map(|()| output));
        output = written.await.map_err(&failed)?;
    }
    Ok((output, taken))
}

/// Runs what may wait for a disk, or for another process.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
