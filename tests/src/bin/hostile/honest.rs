//! Two devices the victim trusts: one has a session and calls all the time, the other dials anew again and again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peers::{Client, ClientState, DeviceId, Identity, PathKind, Session, Transports, TrustLevel};
use peers_tests::bench::Outcome;
use peers_tests::device::Echo;
use peers_tests::process::Process;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::measure::p99;

/// The processes start and the session is there within this.
const START: Duration = Duration::from_secs(20);
/// Between two calls: one does not wait for the other.
const CALLS: Duration = Duration::from_millis(10);
/// Calls are awaited for this long after the last one was made.
const LAST_CALL: Duration = Duration::from_secs(3);
/// A dial that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(6);
/// Between a dial and the next one. Each is a restart of the device: the victim asks one device for its offer again about
/// once a second.
const REST: Duration = Duration::from_millis(900);
/// Between two tries of the same dial.
const RETRY: Duration = Duration::from_millis(20);

/// Settings of the honest devices: the first line of input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) relay: String,
    pub(crate) victim: DeviceId,
    pub(crate) caller: Vec<u8>,
    pub(crate) dialer: Vec<u8>,
    /// Calls go over WebRTC, not through the relay.
    pub(crate) webrtc: bool,
    /// The same of dials.
    pub(crate) dials_webrtc: bool,
}

/// Their view of the victim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) calls: usize,
    pub(crate) failed_calls: usize,
    pub(crate) p99_us: u64,
    pub(crate) same_session: bool,
    pub(crate) dials: usize,
    pub(crate) slowest_dial_ms: u64,
}

/// Says `ready`; then a line begins a measurement, and the next one ends it.
pub(crate) async fn run() -> Outcome<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let settings: Settings = serde_json::from_str(&lines.next_line().await?.ok_or("no settings")?)?;
    let settings = Arc::new(settings);
    let caller = start(&settings, &settings.caller, settings.webrtc).await?;
    let session = caller.session(settings.victim).await?;
    session.call("echo", "echo", BODY).await?;
    let wanted = if settings.webrtc { PathKind::WebRtc } else { PathKind::Relay };
    tokio::time::timeout(START, session.watch_path().wait_for(|path| *path == Some(wanted))).await??;
    // The cost of a first connection is not the attack's.
    dial(&settings).await?;
    println!("ready");
    while lines.next_line().await?.is_some() {
        let over = CancellationToken::new();
        let calling = tokio::spawn(make_calls(session.clone(), over.clone()));
        let dialing = tokio::spawn(make_dials(settings.clone(), over.clone()));
        lines.next_line().await?;
        over.cancel();
        let (mut times, failed_calls) = calling.await?;
        let mut dials = dialing.await?;
        dials.sort_unstable();
        let report = Report {
            calls: times.len(),
            failed_calls,
            p99_us: p99(&mut times),
            same_session: caller.sessions().contains(&session),
            dials: dials.len(),
            slowest_dial_ms: dials.last().copied().unwrap_or(0),
        };
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(())
}

const BODY: &[u8] = &[7; 64];

async fn start(settings: &Settings, seed: &[u8], webrtc: bool) -> Outcome<Client> {
    let builder = Client::builder()
        .relay(&settings.relay)
        .identity(Identity::from_seed(seed.try_into()?))
        .name("honest")
        .loopback(true)
        .transports(Transports { webrtc, relay: !webrtc })
        .trust(settings.victim, TrustLevel::Trusted)
        .handler("echo", Arc::new(Echo));
    let (client, mut events) = builder.start().await?;
    tokio::spawn(async move { while events.next().await.is_some() {} });
    let mut state = client.watch_state();
    tokio::time::timeout(PATIENCE, state.wait_for(|s| *s == ClientState::Online)).await??;
    Ok(client)
}

/// Microseconds each call took, and how many had no answer; those still open count with their age.
async fn make_calls(session: Session, over: CancellationToken) -> (Vec<u64>, usize) {
    let mut calls: JoinSet<Option<u64>> = JoinSet::new();
    let (mut times, mut failed) = (Vec::new(), 0);
    let mut tick = tokio::time::interval(CALLS);
    let last = loop {
        tokio::select! {
            () = over.cancelled() => break Instant::now(),
            _ = tick.tick() => {}
        }
        let session = session.clone();
        // By the plan, not when there was room for it: a victim that hangs does not hide its slowest calls.
        let began = Instant::now();
        calls.spawn(
            async move { session.call("echo", "echo", BODY).await.ok().map(|_| micros(began.elapsed())) },
        );
        while let Some(Ok(time)) = calls.try_join_next() {
            note(time, &mut times, &mut failed);
        }
    };
    while let Ok(Some(Ok(time))) =
        tokio::time::timeout(LAST_CALL.saturating_sub(last.elapsed()), calls.join_next()).await
    {
        note(time, &mut times, &mut failed);
    }
    times.extend((0..calls.len()).map(|_| micros(LAST_CALL)));
    failed += calls.len();
    (times, failed)
}

fn note(time: Option<u64>, times: &mut Vec<u64>, failed: &mut usize) {
    match time {
        Some(time) => times.push(time),
        None => *failed += 1,
    }
}

/// Milliseconds each dial took.
async fn make_dials(settings: Arc<Settings>, over: CancellationToken) -> Vec<u64> {
    let mut times = Vec::new();
    while !over.is_cancelled() {
        let began = Instant::now();
        // One that has failed took all the time there was.
        let dialed = dial(&settings).await.is_ok();
        let took = if dialed { began.elapsed() } else { PATIENCE.max(began.elapsed()) };
        times.push(micros(took) / 1000);
        tokio::select! {
            () = over.cancelled() => {}
            () = tokio::time::sleep(REST) => {}
        }
    }
    times
}

/// From a new client to the answer of a call. The end of the client is not part of it.
async fn dial(settings: &Settings) -> Outcome<()> {
    let deadline = Instant::now() + PATIENCE;
    let client = start(settings, &settings.dialer, settings.dials_webrtc).await?;
    let connect = async {
        loop {
            if let Ok(session) = client.session(settings.victim).await
                && session.call("echo", "echo", BODY).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    let connected = tokio::time::timeout(deadline.saturating_duration_since(Instant::now()), connect).await;
    let _leaving: JoinHandle<()> = tokio::spawn(async move { client.shutdown().await });
    Ok(connected?)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The process.
#[derive(Debug)]
pub(crate) struct HonestProcess(Process);

impl HonestProcess {
    pub(crate) async fn start(settings: &Settings, log: &Path) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("honest");
        let mut process = Process::start(command, log)?;
        process.tell(&serde_json::to_string(settings)?).await?;
        process.line(START).await?;
        Ok(Self(process))
    }

    pub(crate) async fn begin(&mut self) -> Outcome<()> {
        self.0.tell("begin").await
    }

    pub(crate) async fn end(&mut self) -> Outcome<Report> {
        self.0.tell("end").await?;
        let said = self.0.line(2 * PATIENCE).await.map_err(|e| format!("honest: {e}"))?;
        Ok(serde_json::from_str(&said)?)
    }
}
