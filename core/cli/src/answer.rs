//! What a listening device does for its peers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use peers::{InboundRequest, InboundStream, RequestError, RequestHandler, Session};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::error::Error;

/// Answers `echo` with what it got, and `sleep` after the milliseconds it got (32 bits, big endian).
pub(crate) struct Echo;

#[async_trait]
impl RequestHandler for Echo {
    async fn handle(&self, request: InboundRequest) -> Result<Bytes, RequestError> {
        match request.method.as_str() {
            "echo" => Ok(request.body),
            "sleep" => {
                let millis = request.body.first_chunk().map(|b| u32::from_be_bytes(*b));
                let millis = millis.ok_or_else(|| RequestError::application("expected 4 bytes"))?;
                tokio::time::sleep(Duration::from_millis(millis.into())).await;
                Ok(request.body)
            }
            other => Err(RequestError::application(format!("no method {other}"))),
        }
    }
}

/// Sends every message back until the session ends.
pub(crate) async fn echo_messages(session: Session) {
    while let Ok(message) = session.recv().await {
        if session.send_bytes(message.body).await.is_err() {
            return;
        }
    }
}

/// Reads every stream to its end and answers with the count (64 bits, big endian) and the SHA-256 of its bytes.
pub(crate) async fn receive_files(session: Session, save: Option<PathBuf>) {
    while let Ok(stream) = session.accept_stream().await {
        let save = save.clone();
        tokio::spawn(async move {
            let name = stream.name.clone();
            match receive(stream, save.as_deref()).await {
                Ok(bytes) => eprintln!("received {name:?}: {bytes} bytes"),
                Err(e) => eprintln!("receiving {name:?}: {e}"),
            }
        });
    }
}

async fn receive(mut stream: InboundStream, save: Option<&Path>) -> Result<u64, Error> {
    let mut file = match save {
        Some(folder) => Some(create(folder, &stream.name).await?),
        None => None,
    };
    let (mut hash, mut count) = (Sha256::new(), 0u64);
    while let Some(chunk) = stream.recv.read().await? {
        hash.update(&chunk);
        count += chunk.len() as u64;
        if let Some(file) = &mut file {
            file.write_all(&chunk).await.map_err(Error::io("writing"))?;
        }
    }
    if let Some(mut file) = file {
        file.flush().await.map_err(Error::io("writing"))?;
    }
    let answer = [&count.to_be_bytes()[..], &hash.finalize()].concat();
    stream.send.write(answer).await?;
    stream.send.finish().await?;
    Ok(count)
}

/// A new file in the folder. The name comes from the peer: only its last part counts, and nothing is overwritten.
async fn create(folder: &Path, name: &str) -> Result<File, Error> {
    let name =
        Path::new(name).file_name().ok_or_else(|| Error::Failed(format!("{name:?} is no file name")))?;
    let path = folder.join(name);
    let options = tokio::fs::OpenOptions::new().write(true).create_new(true).open(&path).await;
    options.map_err(Error::io(path.display()))
}
