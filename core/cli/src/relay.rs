//! `peers relay`

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use peers_relay::{Relay, RelayConfig};

use crate::error::Error;

/// Settings come from the file, then from `PEERS_RELAY_*`, then from these flags; later wins, key by key.
#[derive(Args)]
pub(crate) struct RelayArgs {
    /// A TOML file: see core/docs/relay.md.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where to listen; port 0 picks one.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Any setting of the file, as `limits.max_sockets=1000`. May be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

pub(crate) async fn run(args: RelayArgs) -> Result<(), Error> {
    let relay = Relay::start(config(args)?).await?;
    println!("listening on {}", relay.local_addr());
    stopped().await?;
    relay.shutdown().await;
    Ok(())
}

fn config(args: RelayArgs) -> Result<RelayConfig, Error> {
    let mut overrides = Vec::new();
    for pair in &args.set {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| Error::Failed(format!("--set {pair}: expected KEY=VALUE")))?;
        overrides.push((key.to_owned(), value.to_owned()));
    }
    overrides.extend(args.listen.map(|addr| ("bind".to_owned(), addr.to_string())));
    Ok(RelayConfig::from_sources(args.config.as_deref(), std::env::vars(), overrides)?)
}

/// Waits for an interrupt, or what an init system sends.
pub(crate) async fn stopped() -> Result<(), Error> {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let kind = tokio::signal::unix::SignalKind::terminate();
        let mut terminated = tokio::signal::unix::signal(kind).map_err(Error::io("signals"))?;
        tokio::select! {
            result = interrupted => result.map_err(Error::io("signals")),
            _ = terminated.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    interrupted.await.map_err(Error::io("signals"))
}
