//! `peers demo`: devices in processes of their own, in three languages, meet through one relay.
//!
//! Each device reads commands and writes answers, one JSON object a line:
//!
//! | command | answer |
//! |---|---|
//! | `{"do":"start","relay":URL,"name":NAME}` | `{"device":ID}` |
//! | `{"do":"trust","device":ID}` | `{"trusted":ID}` |
//! | `{"do":"connect","device":ID}` | `{"connected":ID,"peer":NAME,"path":"webrtc","setup_ms":…}` |
//! | `{"do":"run","device":ID,"mb":64}` | `{"ran":ID,"rtt_us":…,"mbps":…,"sha256_ok":true}` |
//! | `{"do":"close","device":ID}` | `{"closed":ID}` |
//! | `{"do":"stop"}` | ends |
//!
//! Anything that fails is answered by `{"error":"…"}`.

mod actor;
mod conduct;
mod process;

use std::path::PathBuf;

use clap::Args;

use crate::error::CommandError;
use crate::pair::pair;
use crate::print;

/// Without `--device` this conducts: it starts a relay, one Rust device of its own and those of the commands given.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Be a device: commands on standard input, answers on standard output.
    #[arg(long)]
    device: bool,
    /// Another device, as `NAME=COMMAND`, run by the shell. May be given several times.
    #[arg(long = "with", value_name = "NAME=COMMAND", value_parser = pair)]
    with: Vec<(String, String)>,
    /// MiB each pair streams.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    mb: u64,
    /// Keeps the results, one JSON object a line.
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(crate) async fn run(args: DemoArgs) -> Result<(), CommandError> {
    if args.device {
        return actor::run().await;
    }
    match conduct::run(&args).await {
        Ok(()) => print::result("demo: ok"),
        Err(e) => {
            print::result(format!("demo: FAILED {e}"))?;
            // The line above is the whole message; `main` would repeat it.
            std::process::exit(1);
        }
    }
}
