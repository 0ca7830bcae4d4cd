//! `peers relay`

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use peers_relay::{Relay, RelayConfig};

use crate::error::CommandError;
use crate::pair::pair;
use crate::print;
use crate::signals::StopSignals;

/// The sources of settings; the latest wins, key by key.
#[derive(Args)]
pub(crate) struct RelayArgs {
    /// A TOML file: see core/docs/relay.md.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The address to listen at; port 0 picks one.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Any setting of the file, as `limits.max_sockets=1000`. May be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

pub(crate) async fn run(args: RelayArgs) -> Result<(), CommandError> {
    let mut signals = StopSignals::new()?;
    let relay = Relay::start(config(args)?).await?;
    print::result(format!("listening on {}", relay.local_addr()))?;
    // Of a server a signal is the ordinary end.
    signals.next().await;
    relay.shutdown().await;
    Ok(())
}

fn config(args: RelayArgs) -> Result<RelayConfig, CommandError> {
    let mut overrides = args.set;
    overrides.extend(args.listen.map(|addr| ("bind".to_owned(), addr.to_string())));
    Ok(RelayConfig::from_sources(args.config.as_deref(), std::env::vars(), overrides)?)
}
