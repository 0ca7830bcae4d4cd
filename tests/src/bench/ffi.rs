//! What a façade costs: devices in Rust, Kotlin and Swift do the same work, each in a process of its own, with one
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
//! `{"error":TEXT}` is the answer to what fails; the end of input ends the device.

mod device;
mod process;

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use peers::{Client, Session};
use serde_json::json;

use super::Outcome;
use super::report::{Bound, Figure, Report};
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

/// What to measure, and how often.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where one JSON object a line goes.
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
pub fn run(options: Options) -> Outcome<()> {
    super::block_on(measure(options))
}

async fn measure(options: Options) -> Outcome<()> {
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
        };
        let figures = compare(work, count, options.rounds, &mut sides).await?;
        for figure in figures {
            report.add(&figure, Bound::Free)?;
        }
    }
    for side in sides {
        side.process.end().await?;
    }
    counterpart.shutdown().await;
    world.stop().await;
    Ok(())
}

/// The sides take turns; the first turn of each warms up compilers and buffers.
async fn compare(work: Work, count: usize, rounds: u32, sides: &mut [Side]) -> Outcome<Vec<Figure>> {
    let mut samples = vec![Vec::new(); sides.len()];
    for round in 0..=rounds {
        for (side, samples) in sides.iter_mut().zip(&mut samples) {
            let seconds = side.run(work, count).await.map_err(|e| format!("{}: {e}", side.name))?;
            if round > 0 {
                samples.push(work.amount(count) / seconds);
            }
        }
    }
    let baseline = samples[0].clone();
    let figure = |(side, samples): (&Side, &Vec<f64>)| {
        let metric = format!("{}_{}", side.name, work.metric());
        if side.name == BASELINE {
            Figure::median(&metric, work.unit(), samples)
        } else {
            Figure::compared(&metric, work.unit(), samples, &baseline)
        }
    };
    Ok(sides.iter().zip(&samples).map(figure).collect())
}

/// What a device is told to do.
#[derive(Debug, Clone, Copy)]
enum Work {
    SendMessages,
    TakeMessages,
    SendStream,
    TakeStream,
}

impl Work {
    const ALL: [Self; 4] = [Self::SendMessages, Self::TakeMessages, Self::SendStream, Self::TakeStream];

    fn command(self) -> &'static str {
        match self {
            Self::SendMessages => "send_messages",
            Self::TakeMessages => "take_messages",
            Self::SendStream => "send_stream",
            Self::TakeStream => "take_stream",
        }
    }

    fn metric(self) -> &'static str {
        match self {
            Self::SendMessages => "messages_out",
            Self::TakeMessages => "messages_in",
            Self::SendStream => "bulk_out",
            Self::TakeStream => "bulk_in",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::SendMessages | Self::TakeMessages => "1/s",
            Self::SendStream | Self::TakeStream => "MB/s",
        }
    }

    /// What `count` messages or writes are in the unit.
    fn amount(self, count: usize) -> f64 {
        match self {
            Self::SendMessages | Self::TakeMessages => count as f64,
            Self::SendStream | Self::TakeStream => (count * WRITE) as f64 / 1e6,
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
        let device = answer.as_str().ok_or("a device without an id")?.parse()?;
        Ok(Self { name: name.to_owned(), process, session: counterpart.session(device).await? })
    }

    /// Seconds from the first to the last byte or message.
    async fn run(&mut self, work: Work, count: usize) -> Outcome<f64> {
        let command = json!({ "do": work.command(), "count": count });
        let begun = match work {
            Work::SendMessages | Work::SendStream => Instant::now(),
            Work::TakeMessages | Work::TakeStream => {
                self.process.tell(&command).await?;
                self.process.answer("ready").await?;
                Instant::now()
            }
        };
        match work {
            Work::SendMessages => {
                self.process.tell(&command).await?;
                take_messages(&self.session, count).await?;
            }
            Work::SendStream => {
                self.process.tell(&command).await?;
                let taken = take_stream(&self.session).await?;
                if taken != count * WRITE {
                    return Err(format!("{taken} of {} bytes arrived", count * WRITE).into());
                }
            }
            Work::TakeMessages => send_messages(&self.session, count).await?,
            Work::TakeStream => send_stream(&self.session, count).await?,
        }
        // What a device sends has arrived here; what it takes has arrived when it says so.
        let arrived = begun.elapsed();
        self.process.answer("done").await?;
        Ok(match work {
            Work::SendMessages | Work::SendStream => arrived,
            Work::TakeMessages | Work::TakeStream => begun.elapsed(),
        }
        .as_secs_f64())
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
