//! `peers send`

use std::path::Path;

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use peers::DeviceId;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::device::{self, DeviceArgs};
use crate::error::Error;

const CHUNK: usize = 64 * 1024;

pub(crate) async fn run(args: &DeviceArgs, to: DeviceId, path: &Path) -> Result<(), Error> {
    let mut file = File::open(path).await.map_err(Error::io(path.display()))?;
    let length = file.metadata().await.map_err(Error::io(path.display()))?.len();
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let (client, _events) = device::start(args, false).await?;
    let session = device::session(&client, to).await?;
    let (mut send, mut recv) = session.open_stream(&name)?;
    let bar = ProgressBar::new(length).with_style(style());
    let mut hash = Sha256::new();
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await.map_err(Error::io(path.display()))?;
        if read == 0 {
            break;
        }
        chunk.truncate(read);
        hash.update(&chunk);
        send.write(Bytes::from(chunk)).await?;
        bar.inc(read as u64);
    }
    send.finish().await?;
    bar.finish();
    let mut answer = Vec::new();
    while let Some(part) = recv.read().await? {
        answer.extend_from_slice(&part);
    }
    client.shutdown().await;
    let expected = [&bar.position().to_be_bytes()[..], &hash.finalize()].concat();
    if answer != expected {
        return Err(Error::Failed("the other side received something else".into()));
    }
    println!("sent {length} bytes, verified by SHA-256");
    Ok(())
}

fn style() -> ProgressStyle {
    let template = "{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
