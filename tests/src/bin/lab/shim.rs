//! The platform's part on Linux: watches interfaces, addresses and routes, and reports facts.

use std::net::IpAddr;
use std::process::Stdio;

use peers::{Client, Medium, NetworkSnapshot};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::Outcome;

/// Tells the client what there is, and whatever changes, until it is dropped.
pub(crate) async fn report(client: Client) -> Outcome<()> {
    let mut monitor = Command::new("ip")
        .args(["-o", "monitor", "link", "address", "route"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut changes = BufReader::new(monitor.stdout.take().ok_or("no output")?).lines();
    tell(&client).await?;
    while changes.next_line().await?.is_some() {
        tell(&client).await?;
    }
    Err("ip monitor ended".into())
}

async fn tell(client: &Client) -> Outcome<()> {
    let snapshot = look().await?;
    tracing::debug!(online = snapshot.online, medium = ?snapshot.medium, "network reported");
    client.network_changed(snapshot);
    Ok(())
}

async fn look() -> Outcome<NetworkSnapshot> {
    let routes = ip(&["-j", "-4", "route", "show", "default"]).await?;
    let route =
        routes.as_array().and_then(|all| all.iter().find(|r| !r["flags"].to_string().contains("linkdown")));
    let Some(name) = route.and_then(|route| route["dev"].as_str()) else {
        return Ok(NetworkSnapshot::OFFLINE);
    };
    let device = ip(&["-j", "-4", "address", "show", "dev", name]).await?;
    let addresses = device[0]["addr_info"].as_array().into_iter().flatten();
    let addresses = addresses.filter_map(|info| info["local"].as_str()?.parse::<IpAddr>().ok()).collect();
    let medium = match name {
        "wlan0" => Medium::Wifi,
        "rmnet0" => Medium::Cellular,
        _ => Medium::Wired,
    };
    let metered = medium == Medium::Cellular;
    Ok(NetworkSnapshot { online: true, medium, metered, addresses, ..NetworkSnapshot::OFFLINE })
}

async fn ip(arguments: &[&str]) -> Outcome<Value> {
    let output = Command::new("ip").args(arguments).output().await?;
    // Nothing at all is printed for no route.
    if output.stdout.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Array(Vec::new()));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
