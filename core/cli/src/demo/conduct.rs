//! The conductor: a relay, its devices, and what each pair measured.

use std::fmt::Write as _;
use std::time::Duration;

use peers_relay::{Relay, RelayConfig};
use serde_json::{Value, json};
use tokio::process::Command;

use super::DemoArgs;
use super::process::Process;
use crate::error::CommandError;
use crate::print;

/// Several times what the slowest machine that ran it took.
const DEADLINE: Duration = Duration::from_secs(300);

pub(super) async fn run(args: &DemoArgs) -> Result<(), CommandError> {
    let relay =
        Relay::start(RelayConfig { bind: ([127, 0, 0, 1], 0).into(), ..RelayConfig::default() }).await?;
    let url = format!("ws://{}", relay.local_addr());
    print::result(format!("relay at {url}"))?;
    let mut devices = start(args)?;
    let mut rows = Vec::new();
    let met = tokio::time::timeout(DEADLINE, meet(&mut devices, &url, args.mb, &mut rows)).await;
    // The measurements are printed also when a later step failed.
    print::result("")?;
    table(&rows).lines().try_for_each(print::result)?;
    if let Some(path) = &args.json {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(path, lines).map_err(CommandError::io(path.display()))?;
    }
    met.map_err(|_| CommandError::Failed(format!("not done after {} s", DEADLINE.as_secs())))??;
    for device in devices {
        device.stop().await?;
    }
    relay.shutdown().await;
    rows.iter().try_for_each(check)
}

async fn meet(
    devices: &mut [Process],
    relay: &str,
    mb: u64,
    rows: &mut Vec<Value>,
) -> Result<(), CommandError> {
    for device in &mut *devices {
        let answer =
            device.ask(json!({ "do": "start", "relay": relay, "name": device.name.clone() })).await?;
        device.device = text(&answer, "device")?;
        print::result(format!("{:<8} {}", device.name, device.device))?;
    }
    introduce(devices).await?;
    every_pair(devices, mb, rows).await
}

fn start(args: &DemoArgs) -> Result<Vec<Process>, CommandError> {
    let mut own = Command::new(std::env::current_exe().map_err(CommandError::io("this command"))?);
    own.args(["demo", "--device"]);
    let mut devices = vec![Process::start("rust", own)?];
    for (name, command) in &args.with {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]);
        devices.push(Process::start(name, shell)?);
    }
    if devices.len() == 1 {
        let mut second = Command::new(std::env::current_exe().map_err(CommandError::io("this command"))?);
        second.args(["demo", "--device"]);
        devices.push(Process::start("rust-2", second)?);
    }
    Ok(devices)
}

/// Every device trusts every other: no other device gets in. Devices that trust each other connect by themselves; they part
/// again, so that what is measured later begins without a session.
async fn introduce(devices: &mut [Process]) -> Result<(), CommandError> {
    let ids: Vec<_> = devices.iter().map(|d| d.device.clone()).collect();
    for device in &mut *devices {
        let own = device.device.clone();
        for id in ids.iter().filter(|id| **id != own) {
            device.ask(json!({ "do": "trust", "device": id })).await?;
        }
    }
    for from in 0..devices.len() {
        for (to, id) in ids.iter().enumerate().skip(from + 1) {
            devices[from].ask(json!({ "do": "connect", "device": id })).await?;
            part(devices, from, to).await?;
        }
    }
    Ok(())
}

/// Every device connects to every other, and leaves it, so that the other has to connect on its turn.
async fn every_pair(devices: &mut [Process], mb: u64, rows: &mut Vec<Value>) -> Result<(), CommandError> {
    for from in 0..devices.len() {
        for to in (0..devices.len()).filter(|to| *to != from) {
            let (name, id) = (devices[to].name.clone(), devices[to].device.clone());
            let device = &mut devices[from];
            let connected = device.ask(json!({ "do": "connect", "device": id })).await?;
            if connected["connected"] != *id || connected["peer"] != *name {
                return Err(CommandError::Failed(format!(
                    "{}: asked for {name} {id}: {connected}",
                    device.name
                )));
            }
            let ran = device.ask(json!({ "do": "run", "device": id, "mb": mb })).await?;
            print::result(format!("{} -> {name} done", device.name))?;
            rows.push(json!({
                "from": device.name, "to": name, "path": connected["path"], "setup_ms": connected["setup_ms"],
                "rtt_us": ran["rtt_us"], "mbps": ran["mbps"], "sha256_ok": ran["sha256_ok"], "mb": mb,
            }));
            part(devices, from, to).await?;
        }
    }
    Ok(())
}

/// Both ends close: neither comes back by itself.
async fn part(devices: &mut [Process], one: usize, other: usize) -> Result<(), CommandError> {
    for (here, there) in [(one, other), (other, one)] {
        let id = devices[there].device.clone();
        devices[here].ask(json!({ "do": "close", "device": id })).await?;
    }
    Ok(())
}

fn table(rows: &[Value]) -> String {
    let mut out =
        format!("{:<18} {:<8} {:>9} {:>8} {:>8}  sha-256\n", "pair", "path", "setup ms", "rtt µs", "MB/s");
    for row in rows {
        let pair =
            format!("{} -> {}", row["from"].as_str().unwrap_or("?"), row["to"].as_str().unwrap_or("?"));
        let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        let verified = if row["sha256_ok"] == true { "ok" } else { "WRONG" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{pair:<18} {:<8} {:>9.1} {:>8.0} {:>8.0}  {verified}",
            row["path"].as_str().unwrap_or("?"),
            number("setup_ms"),
            number("rtt_us"),
            number("mbps"),
        );
    }
    out
}

fn check(row: &Value) -> Result<(), CommandError> {
    let pair = format!("{} -> {}", row["from"], row["to"]);
    if row["path"] != "webrtc" {
        return Err(CommandError::Failed(format!("{pair}: the path is {}, not webrtc", row["path"])));
    }
    if row["sha256_ok"] != true {
        return Err(CommandError::Failed(format!("{pair}: the file arrived changed")));
    }
    for measured in ["setup_ms", "rtt_us", "mbps"] {
        if !row[measured].as_f64().is_some_and(|number| number > 0.0) {
            return Err(CommandError::Failed(format!("{pair}: {measured} is {}", row[measured])));
        }
    }
    Ok(())
}

fn text(answer: &Value, key: &str) -> Result<String, CommandError> {
    let found = answer[key].as_str().map(str::to_owned);
    found.ok_or_else(|| CommandError::Failed(format!("expected {key:?} in {answer}")))
}
