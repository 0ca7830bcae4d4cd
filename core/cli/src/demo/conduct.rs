//! The conductor: a relay, its devices, and what each pair measured.

use std::fmt::Write as _;

use peers_relay::{Relay, RelayConfig};
use serde_json::{Value, json};
use tokio::process::Command;

use super::DemoArgs;
use super::process::Process;
use crate::error::Error;

pub(super) async fn run(args: &DemoArgs) -> Result<(), Error> {
    let relay =
        Relay::start(RelayConfig { bind: ([127, 0, 0, 1], 0).into(), ..RelayConfig::default() }).await?;
    let url = format!("ws://{}", relay.local_addr());
    println!("relay at {url}");
    let mut devices = start(args)?;
    for device in &mut devices {
        let answer = device.ask(json!({ "do": "start", "relay": url, "name": device.name.clone() })).await?;
        device.device = text(&answer, "device")?;
        println!("{:<8} {}", device.name, device.device);
    }
    introduce(&mut devices).await?;
    let rows = every_pair(&mut devices, args.mb).await?;
    println!("\n{}", table(&rows));
    if let Some(path) = &args.json {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(path, lines).map_err(Error::io(path.display()))?;
    }
    for device in devices {
        device.stop().await?;
    }
    relay.shutdown().await;
    rows.iter().try_for_each(check)
}

fn start(args: &DemoArgs) -> Result<Vec<Process>, Error> {
    let mut own = Command::new(std::env::current_exe().map_err(Error::io("this command"))?);
    own.args(["demo", "--device"]);
    let mut devices = vec![Process::start("rust", own)?];
    for with in &args.with {
        let (name, command) = with
            .split_once('=')
            .ok_or_else(|| Error::Failed(format!("--with {with}: expected NAME=COMMAND")))?;
        let mut shell = Command::new("sh");
        shell.args(["-c", command]);
        devices.push(Process::start(name, shell)?);
    }
    if devices.len() == 1 {
        let mut second = Command::new(std::env::current_exe().map_err(Error::io("this command"))?);
        second.args(["demo", "--device"]);
        devices.push(Process::start("rust-2", second)?);
    }
    Ok(devices)
}

/// Every device trusts every other: nobody else gets in.
async fn introduce(devices: &mut [Process]) -> Result<(), Error> {
    let ids: Vec<_> = devices.iter().map(|d| d.device.clone()).collect();
    for device in devices {
        let own = device.device.clone();
        for id in ids.iter().filter(|id| **id != own) {
            device.ask(json!({ "do": "trust", "device": id })).await?;
        }
    }
    Ok(())
}

/// Each pair connects once, and then both sides take their turn.
async fn every_pair(devices: &mut [Process], mb: u64) -> Result<Vec<Value>, Error> {
    let everybody: Vec<_> = devices.iter().map(|d| (d.name.clone(), d.device.clone())).collect();
    let mut rows = Vec::new();
    for device in devices {
        let own = device.device.clone();
        for (to, id) in everybody.iter().filter(|(_, id)| *id != own) {
            let connected = device.ask(json!({ "do": "connect", "device": id })).await?;
            let ran = device.ask(json!({ "do": "run", "device": id, "mb": mb })).await?;
            println!("{} -> {to} done", device.name);
            rows.push(json!({
                "from": device.name, "to": to, "path": connected["path"], "setup_ms": connected["setup_ms"],
                "rtt_us": ran["rtt_us"], "mbps": ran["mbps"], "sha256_ok": ran["sha256_ok"], "mb": mb,
            }));
        }
    }
    Ok(rows)
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

fn check(row: &Value) -> Result<(), Error> {
    let pair = format!("{} -> {}", row["from"], row["to"]);
    if row["path"] != "webrtc" {
        return Err(Error::Failed(format!("{pair}: the path is {}, not webrtc", row["path"])));
    }
    if row["sha256_ok"] != true {
        return Err(Error::Failed(format!("{pair}: the file arrived changed")));
    }
    Ok(())
}

fn text(answer: &Value, key: &str) -> Result<String, Error> {
    let found = answer[key].as_str().map(str::to_owned);
    found.ok_or_else(|| Error::Failed(format!("expected {key:?} in {answer}")))
}
