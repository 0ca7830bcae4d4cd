//! Costs of a façade: devices in Rust, Kotlin and Swift do the same work, each in a process of its own, with one
//! counterpart in this process, over WebRTC.
//!
//! A device reads commands and writes answers, one JSON object a line; only this side looks at a clock.
//!
//! | command | answers |
//! |---|---|
//! | `{"do":"connect","relay":URL,"to":ID}` | `{"device":ID}` once WebRTC carries the session |
//! | `{"do":"send_messages","count":N}` | `{"done":true}` once N messages of 100 bytes are acknowledged |
//! | `{"do":"take_messages","count":N}` | `{"ready":true}`, then `{"done":true}` once N were taken |
//! | `{"do":"send_stream","count":N}` | `{"done":true}` once N × 64 KiB are acknowledged |
//! | `{"do":"take_stream"}` | `{"ready":true}`, then `{"done":true}` at the stream's end |
//!
//! A device whose language collects garbage answers `{"done":true,"allocated":BYTES}` for messages: what they took of its
//! heap. Its service `echo` answers calls with what they bring. `{"error":TEXT}` is the answer to what fails; the end of input
//! ends the device.

mod device;
mod process;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use peers::{Client, Session};
use serde_json::{Value, json};

use super::Outcome;
use super::calls::calls;
use super::report::{Bound, Figure, Report, percentile};
use super::world::{BOTH, World};
use process::Process;

pub use device::run as be_device;

/// The side that others are compared to.
const BASELINE: &str = "rust";
const BODY: Bytes = Bytes::from_static(&[7; 100]);
/// Bytes an app hands to a stream at once, as the façades recommend.
const WRITE: usize = 64 * 1024;
/// Messages an app takes at once.
const TAKE: usize = 256;
/// Calls of one run.
const CALLS: usize = 2000;
/// Bytes that a message may leave to a garbage collector.
const GARBAGE: f64 = 300.0;

/// The figures to measure, and the number of runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file for one JSON object a line.
    pub json: Option<PathBuf>,
    /// Devices besides Rust's, as `NAME=COMMAND`.
    pub with: Vec<String>,
    /// Runs of each side, after one that does not count.
    pub rounds: u32,
    /// Messages of one run.
    pub messages: u32,
    /// Mebibytes of one stream.
    pub mebibytes: u32,
}

/// Measures everything and prints it.
///
/// # Errors
/// When a device could not be measured.
pub fn run(options: Options) -> Outcome<bool> {
    super::block_on(measure(options))
}

async fn measure(options: Options) -> Outcome<bool> {
    let mut report = Report::new(options.json.as_deref())?;
    let world = World::start().await?;
    let (counterpart, _events) = world.device(BOTH).await?;
    let mut sides = vec![Side::start(BASELINE, Process::own()?, &world, &counterpart).await?];
    for with in &options.with {
        let (name, command) = with.split_once('=').ok_or("--with wants NAME=COMMAND")?;
        sides.push(Side::start(name, Process::of_shell(command)?, &world, &counterpart).await?);
    }
    for work in Work::ALL {
        let count = match work {
            Work::SendMessages | Work::TakeMessages => options.messages as usize,
            Work::SendStream | Work::TakeStream => options.mebibytes as usize * (1024 * 1024 / WRITE),
            Work::AnswerCalls => CALLS,
        };
        for (figure, bound) in compare(work, count, options.rounds, &mut sides).await? {
            report.add(&figure, bound)?;
        }
    }
    for side in sides {
        side.process.end().await?;
    }
    counterpart.shutdown().await;
    world.stop().await;
    Ok(report.close())
}

/// The sides take turns; the first turn of each warms up compilers and buffers.
async fn compare(work: Work, count: usize, rounds: u32, sides: &mut [Side]) -> Outcome<Vec<(Figure, Bound)>> {
    let mut runs = vec![Vec::new(); sides.len()];
    for round in 0..=rounds {
        for (side, runs) in sides.iter_mut().zip(&mut runs) {
            let run = side.run(work, count).await.map_err(|e| format!("{}: {e}", side.name))?;
            if round > 0 {
                runs.push(run);
            }
        }
    }
    let values = |runs: &[Run]| runs.iter().map(|run| run.value).collect::<Vec<_>>();
    let baseline = values(&runs[0]);
    let mut figures = Vec::new();
    for (side, runs) in sides.iter().zip(&runs) {
        let metric = format!("{}_{}", side.name, work.metric());
        let ours = values(runs);
        figures.push(match side.name.as_str() {
            BASELINE => (Figure::median(&metric, work.unit(), &ours), Bound::Free),
            _ => (Figure::compared(&metric, work.unit(), &ours, &baseline), work.bound()),
        });
        let garbage: Vec<_> =
            runs.iter().filter_map(|run| run.allocated).map(|all| all / count as f64).collect();
        if !garbage.is_empty() {
            let figure = Figure::median(&format!("{metric}_garbage"), "B", &garbage);
            figures.push((figure, Bound::AtMost(GARBAGE)));
        }
    }
    Ok(figures)
}

/// The outcome of one run.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// In the unit of the work.
    value: f64,
    /// Bytes of a heap that is collected.
    allocated: Option<f64>,
}

impl Run {
    fn messages(count: usize, time: Duration, done: &Value) -> Self {
        Self { value: count as f64 / time.as_secs_f64(), allocated: done["allocated"].as_f64() }
    }

    fn stream(writes: usize, time: Duration) -> Self {
        Self { value: (writes * WRITE) as f64 / 1e6 / time.as_secs_f64(), allocated: None }
    }
}

/// A command to a device.
#[derive(Debug, Clone, Copy)]
enum Work {
    SendMessages,
    TakeMessages,
    SendStream,
    TakeStream,
    AnswerCalls,
}

impl Work {
    const ALL: [Self; 5] =
        [Self::SendMessages, Self::TakeMessages, Self::SendStream, Self::TakeStream, Self::AnswerCalls];

    fn metric(self) -> &'static str {
        match self {
            Self::SendMessages => "messages_out",
            Self::TakeMessages => "messages_in",
            Self::SendStream => "bulk_out",
            Self::TakeStream => "bulk_in",
            Self::AnswerCalls => "call_handled_p50",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::SendMessages | Self::TakeMessages => "1/s",
            Self::SendStream | Self::TakeStream => "MB/s",
            Self::AnswerCalls => "us",
        }
    }

    /// The most that another language may cost.
    fn bound(self) -> Bound {
        match self {
            Self::SendMessages | Self::TakeMessages => Bound::RatioAtLeast(0.6),
            Self::SendStream | Self::TakeStream => Bound::RatioAtLeast(0.8),
            Self::AnswerCalls => Bound::RatioAtMost(2.0),
        }
    }
}

/// A device and this process's end of the session with it.
struct Side {
    name: String,
    process: Process,
    session: Session,
}

impl Side {
    async fn start(name: &str, mut process: Process, world: &World, counterpart: &Client) -> Outcome<Self> {
        let to = counterpart.device_id().to_string();
        process.tell(&json!({ "do": "connect", "relay": world.url(), "to": to })).await?;
        let answer = process.answer("device").await.map_err(|e| format!("{name}: {e}"))?;
        let device = answer["device"].as_str().ok_or("a device without an id")?.parse()?;
        Ok(Self { name: name.to_owned(), process, session: counterpart.session(device).await? })
    }

    async fn run(&mut self, work: Work, count: usize) -> Outcome<Run> {
        match work {
            Work::SendMessages => {
                let begun = self.begin("send_messages", count).await?;
                take_messages(&self.session, count).await?;
                let arrived = begun.elapsed();
                Ok(Run::messages(count, arrived, &self.done().await?))
            }
            Work::TakeMessages => {
                let begun = self.begin_ready("take_messages", count).await?;
                send_messages(&self.session, count).await?;
                let done = self.done().await?;
                Ok(Run::messages(count, begun.elapsed(), &done))
            }
            Work::SendStream => {
                let begun = self.begin("send_stream", count).await?;
                let taken = take_stream(&self.session).await?;
                let arrived = begun.elapsed();
                if taken != count * WRITE {
                    return Err(format!("{taken} of {} bytes arrived", count * WRITE).into());
                }
                self.done().await?;
                Ok(Run::stream(count, arrived))
            }
            Work::TakeStream => {
                let begun = self.begin_ready("take_stream", count).await?;
                send_stream(&self.session, count).await?;
                self.done().await?;
                Ok(Run::stream(count, begun.elapsed()))
            }
            Work::AnswerCalls => {
                let times = calls(&self.session, count).await?;
                Ok(Run { value: percentile(&times, 50), allocated: None })
            }
        }
    }

    async fn begin(&mut self, command: &str, count: usize) -> Outcome<Instant> {
        let begun = Instant::now();
        self.process.tell(&json!({ "do": command, "count": count })).await?;
        Ok(begun)
    }

    /// For what the device takes: begins when it waits for it.
    async fn begin_ready(&mut self, command: &str, count: usize) -> Outcome<Instant> {
        self.begin(command, count).await?;
        self.process.answer("ready").await?;
        Ok(Instant::now())
    }

    async fn done(&mut self) -> Outcome<Value> {
        self.process.answer("done").await
    }
}

async fn send_messages(session: &Session, count: usize) -> Outcome<()> {
    for _ in 0..count {
        match session.try_send_bytes(BODY) {
            Err(peers::Error::Full) => session.send_bytes(BODY).await?,
            sent => sent?,
        }
    }
    Ok(session.drain().await?)
}

async fn take_messages(session: &Session, count: usize) -> Outcome<()> {
    let mut taken = 0;
    while taken < count {
        taken += session.recv_many(TAKE.min(count - taken)).await?.len();
    }
    Ok(())
}

async fn send_stream(session: &Session, writes: usize) -> Outcome<()> {
    let chunk = Bytes::from(vec![0x5a; WRITE]);
    let (mut send, _unused) = session.open_stream("bench")?;
    for _ in 0..writes {
        send.write(chunk.clone()).await?;
    }
    send.finish().await?;
    Ok(session.drain().await?)
}

/// The bytes that came.
async fn take_stream(session: &Session) -> Outcome<usize> {
    let mut stream = session.accept_stream().await?;
    let mut taken = 0;
    while let Some(chunk) = stream.recv.read().await? {
        taken += chunk.len();
    }
    Ok(taken)
}
