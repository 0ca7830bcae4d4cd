//! The device under attack: a real client with an app above it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use peers::{
    Client, ClientState, DeviceId, Event, Events, GroupId, Identity, InboundRequest, Incoming, RequestError,
    RequestHandler, Session, TrustLevel,
};
use peers_tests::bench::Outcome;
use peers_tests::device::Echo;
use peers_tests::process::Process;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::measure;

/// A process starts and is online within this.
const START: Duration = Duration::from_secs(10);
/// An order is obeyed within this; a dial has its own time.
const ANSWER: Duration = Duration::from_secs(5);

/// The way in which the victim's app treats messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum App {
    /// Takes every message and stream at once, and reads messages as MessagePack.
    Prompt,
    /// Takes nothing, ever.
    Stalled,
}

/// Settings of the victim: the first line it reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) seed: Vec<u8>,
    pub(crate) relays: Vec<String>,
    pub(crate) trusted: Vec<DeviceId>,
    pub(crate) groups: Vec<GroupId>,
    pub(crate) app: App,
    /// Strangers may begin a handshake without a knock.
    pub(crate) open: bool,
}

/// An order to a victim. Each has one answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Order {
    /// `{messages, connected, incoming, ends}`
    Count,
    /// Dials and calls: `{outcome}`, a code or `ok`.
    Dial { to: DeviceId, within_ms: u64 },
    /// Gives a device a level: trusted, or malicious.
    Trust { device: DeviceId, yes: bool },
}

/// Events of a victim.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Messages its app took.
    pub(crate) messages: u64,
    /// Sessions that began.
    pub(crate) connected: u64,
    /// Strangers its app was asked about.
    pub(crate) incoming: u64,
    /// Sessions that ended, by reason.
    pub(crate) ends: BTreeMap<String, u64>,
    /// The devices that it has sessions with.
    #[serde(default)]
    pub(crate) sessions: Vec<DeviceId>,
}

/// Says `ready` when it is online; then obeys.
pub(crate) async fn run() -> Outcome<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let settings: Settings = serde_json::from_str(&lines.next_line().await?.ok_or("no settings")?)?;
    let (client, events) = start(&settings).await?;
    println!("ready");
    let counts = Arc::<Mutex<Counts>>::default();
    let listening = tokio::spawn(listen(events, settings.app, counts.clone()));
    while let Some(line) = lines.next_line().await? {
        println!("{}", obey(&client, &counts, serde_json::from_str(&line)?).await?);
    }
    listening.abort();
    Ok(())
}

async fn start(settings: &Settings) -> Outcome<(Client, Events)> {
    let seed = settings.seed.as_slice().try_into()?;
    let mut builder = Client::builder().identity(Identity::from_seed(seed)).name("victim").loopback(true);
    builder = builder.open(settings.open);
    for relay in &settings.relays {
        builder = builder.relay(relay);
    }
    for device in &settings.trusted {
        builder = builder.trust(*device, TrustLevel::Trusted);
    }
    for group in &settings.groups {
        builder = builder.group(*group);
    }
    let builder = builder.handler("echo", Arc::new(Echo)).handler("never", Arc::new(Never));
    let (client, events) = builder.start().await?;
    let mut state = client.watch_state();
    tokio::time::timeout(START, state.wait_for(|s| *s == ClientState::Online)).await??;
    Ok((client, events))
}

async fn obey(client: &Client, counts: &Mutex<Counts>, order: Order) -> Outcome<Value> {
    Ok(match order {
        Order::Count => {
            let mut counts = lock(counts).clone();
            counts.sessions = client.sessions().iter().map(Session::device).collect();
            serde_json::to_value(counts)?
        }
        Order::Trust { device, yes } => {
            client.trust(device, if yes { TrustLevel::Trusted } else { TrustLevel::Malicious })?;
            json!({})
        }
        Order::Dial { to, within_ms } => {
            let dial = async {
                let session = client.session(to).await?;
                session.call("echo", "echo", &b"?"[..]).await
            };
            let outcome = tokio::time::timeout(Duration::from_millis(within_ms), dial).await;
            let outcome = match &outcome {
                Ok(Ok(_)) => "ok",
                Ok(Err(e)) => e.code(),
                Err(_) => "nothing in time",
            };
            json!({ "outcome": outcome })
        }
    })
}

async fn listen(mut events: Events, app: App, counts: Arc<Mutex<Counts>>) {
    let mut undecided: Vec<Incoming> = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Event::Connected { session, .. } => {
                lock(&counts).connected += 1;
                if app == App::Prompt {
                    tokio::spawn(take_messages(session.clone(), counts.clone()));
                    tokio::spawn(take_streams(session));
                }
            }
            Event::Disconnected { reason, .. } => {
                *lock(&counts).ends.entry(reason.to_string()).or_default() += 1;
            }
            Event::Incoming(incoming) => {
                // The app never decides: strangers wait as long as the client lets them.
                lock(&counts).incoming += 1;
                undecided.push(incoming);
            }
            _ => {}
        }
    }
}

async fn take_messages(session: Session, counts: Arc<Mutex<Counts>>) {
    loop {
        match session.recv().await {
            Ok(message) => {
                lock(&counts).messages += 1;
                // Whether it is a message at all is what is asked.
                let _ = message.decode::<Value>();
            }
            // One that does not decompress is the sender's fault; others follow.
            Err(peers::Error::Codec(_)) => {}
            Err(_) => return,
        }
    }
}

async fn take_streams(session: Session) {
    while let Ok(mut stream) = session.accept_stream().await {
        tokio::spawn(async move { while let Ok(Some(_)) = stream.recv.read().await {} });
    }
}

/// Never answers.
struct Never;

#[async_trait]
impl RequestHandler for Never {
    async fn handle(&self, _: InboundRequest) -> Result<Bytes, RequestError> {
        std::future::pending().await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process.
#[derive(Debug)]
pub(crate) struct VictimProcess {
    process: Process,
}

impl VictimProcess {
    pub(crate) async fn start(settings: &Settings, log: &Path) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("victim");
        let mut process = Process::start(command, log)?;
        process.tell(&serde_json::to_string(settings)?).await?;
        process.line(START).await?;
        measure::limit_memory(process.id()?)?;
        Ok(Self { process })
    }

    pub(crate) fn id(&self) -> Outcome<u32> {
        self.process.id()
    }

    pub(crate) async fn order(&mut self, order: &Order) -> Outcome<Value> {
        let within = match order {
            Order::Dial { within_ms, .. } => ANSWER + Duration::from_millis(*within_ms),
            _ => ANSWER,
        };
        let ordered = Instant::now();
        self.process.tell(&serde_json::to_string(order)?).await?;
        let said =
            self.process.line(within).await.map_err(|e| format!("victim: {e} ({:?})", ordered.elapsed()))?;
        Ok(serde_json::from_str(&said)?)
    }

    pub(crate) async fn count(&mut self) -> Outcome<Counts> {
        Ok(serde_json::from_value(self.order(&Order::Count).await?)?)
    }

    /// The death of the process, if it died.
    pub(crate) fn death(&mut self) -> Outcome<Option<String>> {
        Ok(self.process.ended()?.map(|status| status.to_string()))
    }
}
