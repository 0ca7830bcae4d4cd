//! A device in a process of its own, and how often that wakes up.

use std::time::{Duration, Instant};

use peers::DeviceId;
use peers_tests::process::Process;
use serde::Serialize;
use serde_json::Value;

use crate::Outcome;
use crate::agent::Command as Order;
use crate::nat::Carrier;

/// Counts of a device's activity. Actions within a second count as one: no phone sleeps again sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Wakes {
    /// Times it sent or received.
    pub(crate) radio: u32,
    /// Times its process ran. The runtime's timers take up to three steps to a moment some seconds ahead, and each counts.
    pub(crate) processor: u32,
}

/// Times a counter moved.
struct Bursts {
    value: u64,
    last: Option<Instant>,
    count: u32,
}

impl Bursts {
    fn new(value: u64) -> Self {
        Self { value, last: None, count: 0 }
    }

    fn look(&mut self, value: u64) {
        if std::mem::replace(&mut self.value, value) != value {
            let now = Instant::now();
            let goes_on = self.last.replace(now).is_some_and(|last| now - last < Duration::from_secs(1));
            self.count += u32::from(!goes_on);
        }
    }
}

/// Interval between looks at a counter.
const LOOKS: Duration = Duration::from_millis(100);

/// Number of times that the threads of a process were given a processor.
fn times_run(id: u32) -> Outcome<u64> {
    let mut times = 0;
    for thread in std::fs::read_dir(format!("/proc/{id}/task"))? {
        let run = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        times += run.split_whitespace().nth(2).ok_or("no schedstat")?.parse::<u64>()?;
    }
    Ok(times)
}

/// IPv4 packets sent and received where a process lives: the kernel's own words about its neighbours are not among them.
fn packets(id: u32) -> Outcome<u64> {
    let snmp = std::fs::read_to_string(format!("/proc/{id}/net/snmp"))?;
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Ip: ")).map(str::split_whitespace);
    let (names, numbers) = lines.next().zip(lines.next()).ok_or("no IP")?;
    let counts = names.zip(numbers).filter(|(name, _)| ["InReceives", "OutRequests"].contains(name));
    Ok(counts.map(|(_, number)| number.parse::<u64>()).sum::<Result<_, _>>()?)
}

/// A device that obeys.
pub(crate) struct Peer {
    pub(crate) id: DeviceId,
    process: Process,
}

impl Peer {
    pub(crate) async fn new(mut process: Process) -> Outcome<Self> {
        let said = process.line(Duration::from_secs(20)).await?;
        Ok(Self { id: said.parse().map_err(|_| said)?, process })
    }

    pub(crate) async fn order(&mut self, order: &Order, within: Duration) -> Outcome<Value> {
        self.process.tell(&serde_json::to_string(order)?).await?;
        let said = self.process.line(within).await.map_err(|e| format!("{order:?}: {e}"))?;
        let answer: Value = serde_json::from_str(&said)?;
        match answer.get("error") {
            Some(error) => Err(format!("{order:?}: {error}").into()),
            None => Ok(answer),
        }
    }

    /// Number of wake-ups during this time.
    pub(crate) async fn wakes(&self, during: Duration) -> Outcome<Wakes> {
        let id = self.process.id()?;
        let end = Instant::now() + during;
        let (mut radio, mut processor) = (Bursts::new(packets(id)?), Bursts::new(times_run(id)?));
        while Instant::now() < end {
            tokio::time::sleep(LOOKS).await;
            radio.look(packets(id)?);
            processor.look(times_run(id)?);
        }
        Ok(Wakes { radio: radio.count, processor: processor.count })
    }

    /// Descriptors that it has open.
    pub(crate) fn descriptors(&self) -> Outcome<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.process.id()?))?.count())
    }

    /// From now on it can open no more than `count`.
    pub(crate) async fn limit_descriptors(&self, count: usize) -> Outcome<()> {
        let (pid, limit) = (self.process.id()?.to_string(), format!("--nofile={count}"));
        let status = tokio::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status().await?;
        if status.success() { Ok(()) } else { Err("prlimit refuses".into()) }
    }

    /// A number of the answer.
    pub(crate) async fn ask(&mut self, order: &Order, field: &str, within: Duration) -> Outcome<u64> {
        let answer = self.order(order, within).await?;
        Ok(answer[field].as_u64().ok_or_else(|| format!("{order:?}: {answer}"))?)
    }

    /// A text of the answer.
    pub(crate) async fn text(&mut self, order: &Order, field: &str, within: Duration) -> Outcome<String> {
        let answer = self.order(order, within).await?;
        Ok(answer[field].as_str().ok_or_else(|| format!("{order:?}: {answer}"))?.to_owned())
    }

    /// A session that is used once; how long it took in milliseconds.
    pub(crate) async fn dial(&mut self, to: DeviceId) -> Outcome<u64> {
        self.ask(&Order::Dial { to }, "usable_ms", Duration::from_secs(40)).await
    }

    pub(crate) async fn settle(&mut self, with: DeviceId, over: Carrier, within: Duration) -> Outcome<u64> {
        let within_ms = u64::try_from(within.as_millis())?;
        self.ask(&Order::Settle { with, over, within_ms }, "path_ms", within + Duration::from_secs(5)).await
    }
}
