//! Costs of a session, measured on loopback against the parts it is made of.
//!
//! | side | is |
//! |---|---|
//! | session | two `Client`s that met through a relay in this process; WebRTC is the only path they may use |
//! | raw | the tuned data channel below it: a pair of `peers::transport::webrtc::WebRtcAttempt`, 16 KiB frames, nothing above |
//! | simple-peer | npm `simple-peer` on `@roamhq/wrtc`, both ends in one Node process, 16 KiB messages |
//!
//! Both ends of each side share a process, so CPU and memory count both. The sides take turns, each run on a connection of
//! its own, and the median counts: what else the machine does hits all alike. [`ffi`] compares the façades with the Rust API;
//! [`soak`] looks for what stays behind.

mod bulk;
mod calls;
mod connect;
pub mod ffi;
mod messages;
mod raw;
mod report;
mod simple_peer;
pub mod soak;
mod usage;
mod world;

pub use usage::Counting;

use std::error::Error;
use std::path::PathBuf;

use report::Report;
use simple_peer::SimplePeer;

/// The figures to measure, and the number of runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file for one JSON object a line.
    pub json: Option<PathBuf>,
    /// The program that measures simple-peer.
    pub simple_peer: Option<PathBuf>,
    /// Runs of each side.
    pub rounds: u32,
    /// Megabytes (10^6) of one bulk transfer.
    pub megabytes: u32,
    /// Connections for the setup times.
    pub connects: u32,
}

/// The result, or the error.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Measures everything, prints it, and says whether every bound held.
///
/// # Errors
/// When a side could not be measured at all.
pub fn run(options: Options) -> Outcome<bool> {
    block_on(measure(options))
}

fn block_on<T: Send + 'static>(work: impl Future<Output = Outcome<T>> + Send + 'static) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // In a task: the thread that blocks is not one of the runtime's workers, and every wake-up would cross over to it.
    runtime.block_on(async { tokio::spawn(work).await? })
}

async fn measure(options: Options) -> Outcome<bool> {
    let simple_peer = options.simple_peer.map(SimplePeer::new);
    let mut report = Report::new(options.json.as_deref())?;
    let bytes = options.megabytes as usize * 1_000_000;
    connect::measure(&mut report, simple_peer.as_ref(), options.connects).await?;
    bulk::measure(&mut report, simple_peer.as_ref(), options.rounds, bytes).await?;
    calls::measure(&mut report, options.rounds).await?;
    messages::measure(&mut report, options.rounds).await?;
    if simple_peer.is_none() {
        println!("simple-peer was not measured");
    }
    Ok(report.close())
}
