//! A device that obeys commands: a line of JSON each way.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use peers::{AppState, Client, ClientState, DeviceId, Event, Events, PathKind, Session, Status, Transports};
use peers_tests::device::{Echo, Everybody};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Outcome;
use crate::bulk::Bulk;
use crate::flow::{self, Amount, Received};
use crate::nat::Carrier;

/// A relay on the same machine answers at once; the rest is a machine under load.
const ONLINE: Duration = Duration::from_secs(15);
/// Longer than the longest outage.
const RESUME: Duration = Duration::from_secs(180);

#[derive(Args)]
pub(crate) struct Device {
    /// The relay's URL.
    #[arg(long)]
    relay: String,
    /// Use TURN candidates only.
    #[arg(long)]
    relay_only: bool,
    /// No frames through the relay.
    #[arg(long)]
    webrtc_only: bool,
}

/// A command to a device. Each command has one answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Command {
    /// Gets a session and makes a call: `{usable_ms}`.
    Dial { to: DeviceId },
    /// Calls that together carry some 160 kB; several of them at once.
    Load { with: DeviceId },
    /// Waits for the session to run over this: `{path_ms}`.
    Settle { with: DeviceId, over: Carrier, within_ms: u64 },
    /// The carrier of the session: `{carrier}`.
    Path { with: DeviceId },
    /// Begins to send numbered messages and a stream.
    Flow { with: DeviceId, every_ms: u64 },
    /// Ends it and waits until all is acknowledged: `{messages, stream}`.
    Stop,
    /// Counts of what has arrived: `{messages, stream, faults, longest_gap_ms}`.
    Received,
    /// Waits for a message that was sent at this Unix time or later: `{arrived_us}`.
    Since { at_us: u64 },
    /// Tells the client that the app goes to sleep or wakes up.
    Suspend { yes: bool },
    /// `{sessions, online}`.
    Count,
    /// Paths that sessions got, one after the other: `{moves}`.
    Moves,
    /// Its wall clock, in seconds of Unix time: `{unix_s}`.
    Clock,
    /// Sends as much as the path carries, on a stream.
    Bulk { with: DeviceId },
    /// Bytes that arrived by [`Command::Bulk`] or [`Command::Raw`]: `{bytes}`.
    Bytes,
    /// Offers a raw channel: `{sdp}`.
    RawOffer,
    /// Answers the offer of one: `{sdp}`.
    RawAnswer { offer: String },
    /// Waits until it is open.
    RawOpen { answer: Option<String> },
    /// Sends as much as the path carries, or takes it.
    Raw { sends: bool },
}

/// Says its device id once it is online; then obeys.
pub(crate) async fn run(device: &Device) -> Outcome<()> {
    let (client, events) = start(device).await?;
    println!("{}", client.device_id());
    let bulk = Bulk::default();
    let received = Arc::new(Received::new(bulk.counter()));
    let shim = tokio::spawn({
        let client = client.clone();
        async move { crate::shim::report(client).await.map_err(|e| eprintln!("shim: {e}")) }
    });
    let moves = Arc::<AtomicU64>::default();
    let listening = tokio::spawn(listen(events, received.clone(), moves.clone()));
    let mut agent = Agent { client, received, flows: HashMap::new(), bulk, moves };
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = commands.next_line().await? {
        let command = serde_json::from_str(&line)?;
        tracing::debug!(?command, "command received");
        let answer = match agent.obey(command).await {
            Ok(answer) => answer,
            Err(e) => json!({ "error": e.to_string() }),
        };
        tracing::debug!(%answer, "command answered");
        println!("{answer}");
    }
    shim.abort();
    listening.abort();
    agent.bulk.stop().await;
    agent.client.shutdown().await;
    Ok(())
}

/// Many devices that dial one, in this process. Says how many have been served after the first minute, then stays.
pub(crate) async fn crowd(device: &Device, count: usize, to: Option<DeviceId>) -> Outcome<()> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(start(device).await?);
    }
    println!("ready");
    if let Some(to) = to {
        let dials: Vec<JoinHandle<bool>> = clients
            .iter()
            .map(|(client, _)| {
                let client = client.clone();
                tokio::spawn(async move {
                    let Ok(session) = client.session(to).await else { return false };
                    exchange(&session).await.is_ok()
                })
            })
            .collect();
        let mut served = 0;
        for dial in dials {
            served += usize::from(dial.await?);
        }
        println!("{}", json!({ "served": served }));
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await?.is_some() {
        let online = clients.iter().filter(|(client, _)| client.state() == ClientState::Online).count();
        let sessions: usize = clients.iter().map(|(client, _)| usable(client)).sum();
        println!("{}", json!({ "online": online, "sessions": sessions }));
    }
    Ok(())
}

fn usable(client: &Client) -> usize {
    client.sessions().iter().filter(|session| session.status() == Status::Usable).count()
}

async fn start(device: &Device) -> Outcome<(Client, Events)> {
    let (client, events) = Client::builder()
        .relay(&device.relay)
        .relay_only(device.relay_only)
        .transports(Transports { webrtc: true, relay: !device.webrtc_only })
        .trust_policy(Arc::new(Everybody))
        .handler("echo", Arc::new(Echo))
        .resume_window(RESUME)
        .start()
        .await?;
    let mut state = client.watch_state();
    let online = tokio::time::timeout(ONLINE, state.wait_for(|s| *s == ClientState::Online)).await;
    online.map_err(|_| format!("not online within {ONLINE:?}"))??;
    Ok((client, events))
}

async fn listen(mut events: Events, received: Arc<Received>, moves: Arc<AtomicU64>) {
    while let Some(event) = events.next().await {
        tracing::debug!(?event, "event received");
        match event {
            Event::Connected { session, .. } => {
                tokio::spawn(received.clone().take_messages(session.clone()));
                tokio::spawn(received.clone().take_streams(session));
            }
            Event::PathChanged { path: Some(_), .. } => drop(moves.fetch_add(1, Ordering::Relaxed)),
            Event::Disconnected { reason, .. } => received.fault(format!("the session ended: {reason}")),
            _ => {}
        }
    }
}

struct Agent {
    client: Client,
    received: Arc<Received>,
    flows: HashMap<DeviceId, Flow>,
    bulk: Bulk,
    moves: Arc<AtomicU64>,
}

/// The flow to one peer.
struct Flow {
    task: JoinHandle<Result<Amount, peers::Error>>,
    stop: CancellationToken,
}

impl Agent {
    async fn obey(&mut self, command: Command) -> Outcome<Value> {
        match command {
            Command::Dial { to } => {
                let began = Instant::now();
                let session = match self.client.session(to).await {
                    Ok(session) => session,
                    Err(e) => {
                        let (refused, why) = (e.code(), e.to_string());
                        return Ok(json!({ "refused": refused, "why": why, "refused_ms": millis(began) }));
                    }
                };
                exchange(&session).await?;
                Ok(json!({ "usable_ms": millis(began) }))
            }
            Command::Load { with } => {
                let session = self.session(with)?;
                let calls: Vec<_> = (0..16)
                    .map(|_| {
                        let session = session.clone();
                        tokio::spawn(async move { exchange(&session).await.is_ok() })
                    })
                    .collect();
                for call in calls {
                    if !call.await? {
                        return Err("a call failed".into());
                    }
                }
                Ok(json!({}))
            }
            Command::Settle { with, over, within_ms } => self.settle(with, over, within_ms).await,
            Command::Path { with } => Ok(json!({ "carrier": carrier(&self.session(with)?) })),
            Command::Flow { with, every_ms } => {
                let (session, stop) = (self.session(with)?, CancellationToken::new());
                let task = tokio::spawn(flow::send(session, Duration::from_millis(every_ms), stop.clone()));
                self.flows.insert(with, Flow { task, stop });
                Ok(json!({}))
            }
            Command::Stop => {
                let mut sum = Amount::default();
                for (_, flow) in self.flows.drain() {
                    flow.stop.cancel();
                    let amount = flow.task.await??;
                    sum = Amount {
                        messages: sum.messages + amount.messages,
                        stream: sum.stream + amount.stream,
                    };
                }
                Ok(json!({ "messages": sum.messages, "stream": sum.stream }))
            }
            Command::Received => {
                let Amount { messages, stream } = self.received.amount();
                let (faults, gap) = (self.received.faults(), self.received.longest_gap());
                Ok(json!({ "messages": messages, "stream": stream, "faults": faults, "longest_gap_ms": gap }))
            }
            Command::Since { at_us } => Ok(json!({ "arrived_us": self.received.first_since(at_us).await })),
            Command::Suspend { yes } => {
                self.client.set_app_state(if yes { AppState::Suspended } else { AppState::Foreground }).await;
                Ok(json!({}))
            }
            Command::Bulk { with } => {
                let session = self.session(with)?;
                self.bulk.send(&session)?;
                Ok(json!({}))
            }
            Command::Bytes => Ok(json!({ "bytes": self.bulk.received() })),
            Command::RawOffer => Ok(json!({ "sdp": self.bulk.offer().await? })),
            Command::RawAnswer { offer } => Ok(json!({ "sdp": self.bulk.answer(&offer).await? })),
            Command::RawOpen { answer } => {
                self.bulk.open(answer.as_deref()).await?;
                Ok(json!({}))
            }
            Command::Raw { sends } => {
                self.bulk.run_raw(sends)?;
                Ok(json!({}))
            }
            Command::Moves => Ok(json!({ "moves": self.moves.load(Ordering::Relaxed) })),
            Command::Clock => Ok(json!({ "unix_s": flow::unix_micros() / 1_000_000 })),
            Command::Count => {
                let online = self.client.state() == ClientState::Online;
                Ok(json!({ "sessions": usable(&self.client), "online": online }))
            }
        }
    }

    fn session(&self, with: DeviceId) -> Outcome<Session> {
        let session = self.client.sessions().into_iter().find(|session| session.device() == with);
        Ok(session.ok_or("there is no session")?)
    }

    async fn settle(&self, with: DeviceId, over: Carrier, within_ms: u64) -> Outcome<Value> {
        let began = Instant::now();
        let session = self.session(with)?;
        // The watch tells kinds of transport, not whether TURN is below: the rest is looked up.
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while carrier(&session) != Some(over) {
            if began.elapsed() > Duration::from_millis(within_ms) {
                return Err(format!(
                    "the path is {:?} after {within_ms} ms, not {over:?}",
                    carrier(&session)
                )
                .into());
            }
            tick.tick().await;
        }
        Ok(json!({ "path_ms": millis(began) }))
    }
}

fn carrier(session: &Session) -> Option<Carrier> {
    let route = session.path_info()?.route;
    match route.kind {
        PathKind::WebRtc if route.relayed => Some(Carrier::Turn),
        PathKind::Relay => Some(Carrier::Relay),
        _ => Some(Carrier::Direct),
    }
}

/// A call there and back. Its bytes do not compress.
async fn exchange(session: &Session) -> Outcome<()> {
    let question: Bytes = (0..5000).map(flow::noise).collect();
    let answer = session.request("echo", "echo").send(question.clone()).await?;
    if answer == question { Ok(()) } else { Err("the peer sent something else back".into()) }
}

fn millis(since: Instant) -> u128 {
    since.elapsed().as_millis()
}
