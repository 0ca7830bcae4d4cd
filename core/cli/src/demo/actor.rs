//! The Rust device of the demo.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use peers::{
    Client, DeviceId, Event, Events, InboundRequest, PathKind, RequestError, RequestHandler, Session,
    TrustLevel,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use crate::device::round_trip;
use crate::error::CommandError;

pub(super) async fn run() -> Result<(), CommandError> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut output = tokio::io::stdout();
    let mut actor = Actor::default();
    while let Some(line) = lines.next_line().await.map_err(CommandError::io("standard input"))? {
        let answer = match serde_json::from_str::<Value>(&line) {
            Ok(command) if command["do"] == "stop" => break,
            Ok(command) => actor.obey(&command).await.unwrap_or_else(|e| json!({ "error": e.to_string() })),
            Err(e) => json!({ "error": e.to_string() }),
        };
        let written = output.write_all(format!("{answer}\n").as_bytes()).await;
        written.map_err(CommandError::io("standard output"))?;
        output.flush().await.map_err(CommandError::io("standard output"))?;
    }
    if let Some(client) = actor.client {
        client.shutdown().await;
    }
    Ok(())
}

#[derive(Default)]
struct Actor {
    client: Option<Client>,
    echoes: Option<mpsc::Receiver<Value>>,
}

struct Demo;

#[async_trait]
impl RequestHandler for Demo {
    async fn handle(&self, request: InboundRequest) -> Result<Bytes, RequestError> {
        Ok(request.body)
    }
}

impl Actor {
    async fn obey(&mut self, command: &Value) -> Result<Value, CommandError> {
        let device = || -> Result<DeviceId, CommandError> {
            let id = command["device"].as_str().unwrap_or_default();
            id.parse().map_err(|e| CommandError::Failed(format!("device: {e}")))
        };
        match command["do"].as_str() {
            Some("start") => self.start(command).await,
            Some("trust") => {
                self.client()?.trust(device()?, TrustLevel::Trusted)?;
                Ok(json!({ "trusted": device()?.to_string() }))
            }
            Some("connect") => connect(self.client()?, device()?).await,
            Some("run") => self.run(device()?, command["mb"].as_u64().unwrap_or(64)).await,
            Some("close") => {
                for session in self.client()?.sessions() {
                    if session.device() == device()? {
                        session.close().await;
                    }
                }
                Ok(json!({ "closed": device()?.to_string() }))
            }
            _ => Err(CommandError::Failed("unknown command".into())),
        }
    }

    async fn start(&mut self, command: &Value) -> Result<Value, CommandError> {
        let word = |key: &str| command[key].as_str().unwrap_or_default();
        let builder = Client::builder().relay(word("relay")).name(word("name")).loopback(true);
        let (client, events) = builder.handler("demo", Arc::new(Demo)).start().await?;
        let (tell, echoes) = mpsc::channel(16);
        tokio::spawn(attend(events, tell));
        let device = client.device_id().to_string();
        self.client = Some(client);
        self.echoes = Some(echoes);
        Ok(json!({ "device": device }))
    }

    fn client(&self) -> Result<&Client, CommandError> {
        self.client.as_ref().ok_or_else(|| CommandError::Failed("not started".into()))
    }

    async fn run(&mut self, device: DeviceId, mb: u64) -> Result<Value, CommandError> {
        let session = self.client()?.session(device).await?;
        let sent = json!({ "hello": device.to_string(), "list": [1, 2.5, true] });
        session.send(&sent).await?;
        let echoes = self.echoes.as_mut().ok_or_else(|| CommandError::Failed("not started".into()))?;
        let echoed = tokio::time::timeout(Duration::from_secs(10), echoes.recv()).await;
        if !matches!(&echoed, Ok(Some(value)) if *value == sent) {
            return Err(CommandError::Failed(format!("the object came back as {echoed:?}")));
        }
        let rtt = round_trip(&session, "demo").await?;
        let (seconds, sha256_ok) = transfer(&session, mb).await?;
        Ok(json!({
            "ran": device.to_string(), "rtt_us": rtt * 1e6, "sha256_ok": sha256_ok,
            "mbps": mb as f64 * 1.048576 / seconds,
        }))
    }
}

async fn connect(client: &Client, device: DeviceId) -> Result<Value, CommandError> {
    let begun = Instant::now();
    let session = client.session(device).await?;
    let setup_ms = begun.elapsed().as_secs_f64() * 1e3;
    // The relay may carry the session until WebRTC is there.
    let mut path = session.watch_path();
    let webrtc = path.wait_for(|path| *path == Some(PathKind::WebRtc));
    let _ = tokio::time::timeout(Duration::from_secs(20), webrtc).await;
    let path = session.path().map_or("none".into(), |path| format!("{path:?}").to_lowercase());
    Ok(json!({
        "connected": session.device().to_string(), "peer": session.peer_name(), "path": path, "setup_ms": setup_ms,
    }))
}

async fn transfer(session: &Session, mb: u64) -> Result<(f64, bool), CommandError> {
    let mut hash = Sha256::new();
    let chunks: HashMap<u64, Bytes> = (0..16)
        .map(|n| (n, Bytes::from((0..65_536u64).map(|i| (i * 31 + n * 7) as u8).collect::<Vec<_>>())))
        .collect();
    let chunk = |n: u64| chunks[&(n % 16)].clone();
    (0..mb * 16).for_each(|n| hash.update(chunk(n)));
    let begun = Instant::now();
    let (mut send, mut recv) = session.open_stream("file")?;
    for n in 0..mb * 16 {
        send.write(chunk(n)).await?;
    }
    send.finish().await?;
    let mut answer = Vec::new();
    while let Some(part) = recv.read().await? {
        answer.extend_from_slice(&part);
    }
    Ok((begun.elapsed().as_secs_f64(), answer == hash.finalize().to_vec()))
}

/// Answers peers: objects with their echo, files with their SHA-256.
async fn attend(mut events: Events, echoes: mpsc::Sender<Value>) {
    while let Some(event) = events.next().await {
        if let Event::Connected { session, .. } = event {
            tokio::spawn(answer_objects(session.clone(), echoes.clone()));
            tokio::spawn(answer_files(session));
        }
    }
}

async fn answer_objects(session: Session, echoes: mpsc::Sender<Value>) {
    while let Ok(message) = session.recv().await {
        let Ok(value) = message.decode::<Value>() else { continue };
        let answered = match value.get("echo") {
            Some(echo) => echoes.send(echo.clone()).await.is_ok(),
            None => session.send(&json!({ "echo": value })).await.is_ok(),
        };
        if !answered {
            return;
        }
    }
}

async fn answer_files(session: Session) {
    while let Ok(mut stream) = session.accept_stream().await {
        tokio::spawn(async move {
            let mut hash = Sha256::new();
            while let Some(chunk) = stream.recv.read().await? {
                hash.update(&chunk);
            }
            stream.send.write(hash.finalize().to_vec()).await?;
            stream.send.finish().await
        });
    }
}
