//! Devices whose wall clocks are wrong.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Outcome;
use crate::agent::Command;
use crate::flow::unix_micros;
use crate::nat::{Carrier, Nat};
use crate::process::Peer;
use crate::runner::Scenario;
use crate::world::{FAR, Ice, World};

const SETTLED: Duration = Duration::from_secs(15);
const DAY: i64 = 24 * 3600;
/// Seconds that a device may take to say what its clock shows, on a machine under load.
const SAID: u64 = 60;

/// Days that a clock is ahead.
#[derive(Clone, Copy)]
struct Off(i64);

const RIGHT: Off = Off(0);

pub(crate) fn all(_: bool) -> Vec<Scenario> {
    // They are strangers to each other, so that the first word of all is a knock.
    let mut all: Vec<_> = [3, -3, 3650, -3650]
        .into_iter()
        .map(|days| {
            Scenario::new(format!("clock off by {days:+} days"), move |folder| {
                one_is_wrong(folder, Off(days))
            })
        })
        .collect();
    all.push(Scenario::new("clocks twenty years apart", apart));
    all
}

async fn one_is_wrong(folder: PathBuf, off: Off) -> Outcome<Value> {
    let first = direct(&folder, off, RIGHT).await?;
    let second = direct(&folder, RIGHT, off).await?;
    Ok(json!({ "wrong_dials": first, "right_dials": second }))
}

async fn apart(folder: PathBuf) -> Outcome<Value> {
    direct(&folder, Off(-3650), Off(3650)).await
}

/// One dials the other, and both are on a direct path soon, whatever their clocks show.
async fn direct(folder: &std::path::Path, from: Off, to: Off) -> Outcome<Value> {
    let world = World::of_two(folder, Nat::PortRestricted, Nat::PortRestricted, Ice::Both, FAR).await?;
    let mut b = start(&world, "b", to).await?;
    let mut a = start(&world, "a", from).await?;
    let usable_ms = a.dial(b.id).await?;
    let settled_ms = a.settle(b.id, Carrier::Direct, SETTLED).await?;
    b.settle(a.id, Carrier::Direct, SETTLED).await?;
    Ok(json!({ "usable_ms": usable_ms, "settled_ms": settled_ms }))
}

/// A device whose clock is off, and shows it.
async fn start(world: &World, host: &str, Off(days): Off) -> Outcome<Peer> {
    let process = match days {
        0 => world.device(host, &[])?,
        days => world.device_with_clock(host, &format!("{days:+}d"))?,
    };
    let mut peer = Peer::new(process).await?;
    let shown = i64::try_from(peer.ask(&Command::Clock, "unix_s", SETTLED).await?)?;
    let expected = i64::try_from(unix_micros() / 1_000_000)? + days * DAY;
    match shown.abs_diff(expected) {
        0..=SAID => Ok(peer),
        off => Err(format!("the clock of {host} is {off} s from where it should be").into()),
    }
}
