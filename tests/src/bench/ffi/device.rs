//! The Rust device, to which the others are compared.

use std::io::Write;
use std::sync::Arc;

use peers::{Client, Events, PathKind, Session};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::super::{Outcome, block_on};
use super::{send_messages, send_stream, take_messages, take_stream};
use crate::device::Echo;

/// Obeys the commands on standard input until there are no more.
///
/// # Errors
/// When standard input or output breaks.
pub fn run() -> Outcome<()> {
    block_on(obey_all())
}

async fn obey_all() -> Outcome<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut device = None;
    while let Some(line) = lines.next_line().await? {
        match obey(&mut device, &serde_json::from_str(&line)?).await {
            Ok(answer) => say(&answer)?,
            Err(error) => say(&json!({ "error": error.to_string() }))?,
        }
    }
    if let Some(Device { client, .. }) = device {
        client.shutdown().await;
    }
    Ok(())
}

struct Device {
    client: Client,
    _events: Events,
    session: Session,
}

async fn obey(device: &mut Option<Device>, command: &Value) -> Outcome<Value> {
    let word = |key: &str| command[key].as_str().unwrap_or_default();
    let count = usize::try_from(command["count"].as_u64().unwrap_or_default())?;
    if word("do") == "connect" {
        let connected = connect(word("relay"), word("to")).await?;
        let id = connected.client.device_id().to_string();
        *device = Some(connected);
        return Ok(json!({ "device": id }));
    }
    let session = &device.as_ref().ok_or("not connected")?.session;
    match word("do") {
        "send_messages" => send_messages(session, count).await?,
        "take_messages" => {
            say(&json!({ "ready": true }))?;
            take_messages(session, count).await?;
        }
        "send_stream" => send_stream(session, count).await?,
        "take_stream" => {
            say(&json!({ "ready": true }))?;
            take_stream(session).await?;
        }
        other => return Err(format!("unknown command {other}").into()),
    }
    Ok(json!({ "done": true }))
}

async fn connect(relay: &str, to: &str) -> Outcome<Device> {
    let builder = Client::builder().relay(relay).loopback(true).handler("echo", Arc::new(Echo));
    let (client, events) = builder.start().await?;
    let session = client.session(to.parse()?).await?;
    session.watch_path().wait_for(|path| *path == Some(PathKind::WebRtc)).await?;
    Ok(Device { client, _events: events, session })
}

fn say(answer: &Value) -> Outcome<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{answer}")?;
    Ok(output.flush()?)
}
