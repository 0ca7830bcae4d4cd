//! The relay of a world.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use peers_relay::RelayConfig;
use peers_tests::bench::Outcome;
use peers_tests::process::Process;
use tokio::process::Command;

/// A process starts and listens within this.
const START: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Relay {
    /// Any setting, as `limits.max_sockets=1000`. May be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Says where it listens and runs until its input ends.
pub(crate) async fn run(relay: Relay) -> Outcome<()> {
    let pairs = relay.set.iter().filter_map(|pair| pair.split_once('='));
    let overrides = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let relay = peers_relay::Relay::start(RelayConfig::from_sources(None, [], overrides)?).await?;
    println!("{}", relay.local_addr());
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    Ok(())
}

/// The process.
#[derive(Debug)]
pub(crate) struct RelayProcess {
    process: Process,
    pub(crate) address: SocketAddr,
}

impl RelayProcess {
    /// Starts one with these settings beside those of every world.
    pub(crate) async fn start(settings: &[(&str, String)], log: &Path) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("relay");
        for (key, value) in COMMON.iter().map(|(k, v)| (*k, (*v).to_owned())).chain(settings.iter().cloned())
        {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let mut process = Process::start(command, log)?;
        let address = process.line(START).await?.parse()?;
        Ok(Self { process, address })
    }

    pub(crate) fn id(&self) -> Outcome<u32> {
        self.process.id()
    }
}

/// Strangers have addresses of their own, as behind a proxy; what waits for devices fits the growth that is allowed.
const COMMON: [(&str, &str); 4] = [
    ("bind", "127.0.0.1:0"),
    ("trust_forwarded_for", "true"),
    ("limits.relay_queue_total", "33554432"),
    ("limits.message_memory_total", "8388608"),
];
