//! Does anything stay behind? Two devices connect and part thousands of times, then keep one session through hundreds of
//! changes of network. Resources that the process holds afterwards are compared with those after the first of them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use peers::{Client, Event, Events, Medium, NetworkSnapshot, PathKind, Session, Status};
use peers_proto::limits;

use super::report::{Bound, Figure, Report};
use super::world::{BOTH, World};
use super::{Outcome, block_on, usage};

/// Connections before it counts. Each has a message in each direction at least, so that the memory of messages seen is full,
/// and its table as large as it gets.
const WARM_UP: u32 = limits::MAX_SEEN_MESSAGES as u32 * 5 / 4;
/// Bytes that one cycle may leave: less than any object of ours.
const LEFT: f64 = 64.0;
/// Longer than anything here takes.
const GUARD: Duration = Duration::from_secs(30);

/// The number of repetitions.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file for one JSON object a line.
    pub json: Option<PathBuf>,
    /// Connections made and closed.
    pub cycles: u32,
    /// Changes of network under one session.
    pub switches: u32,
}

/// Measures, prints, and says whether everything stayed flat.
///
/// # Errors
/// When a connection failed, or a message was lost.
pub fn run(options: Options) -> Outcome<bool> {
    usage::count_allocations();
    block_on(async move {
        let mut report = Report::new(options.json.as_deref())?;
        let world = World::start().await?;
        let mut pair = Pair::start(&world).await?;
        let grown = cycles(&mut pair, options.cycles).await?;
        grown.report(&mut report, "cycle", options.cycles)?;
        let grown = switches(&mut pair, options.switches).await?;
        grown.report(&mut report, "switch", options.switches)?;
        pair.stop().await;
        world.stop().await;
        Ok(report.close())
    })
}

/// Two devices, of which the first asks.
struct Pair {
    a: Client,
    a_events: Events,
    b: Client,
    b_events: Events,
}

impl Pair {
    async fn start(world: &World) -> Outcome<Self> {
        let ((a, a_events), (b, b_events)) = (world.device(BOTH).await?, world.device(BOTH).await?);
        Ok(Self { a, a_events, b, b_events })
    }

    /// Both ends, on WebRTC.
    async fn connect(&mut self) -> Outcome<(Session, Session)> {
        let here = self.a.session(self.b.device_id()).await?;
        let there = loop {
            match self.b_events.next().await {
                Some(Event::Connected { session, .. }) => break session,
                Some(_) => {}
                None => return Err("a client ended".into()),
            }
        };
        here.watch_path().wait_for(|path| *path == Some(PathKind::WebRtc)).await?;
        Ok((here, there))
    }

    async fn cycle(&mut self) -> Outcome<()> {
        let (here, there) = self.connect().await?;
        exchange(&here, &there, 0).await?;
        tokio::join!(here.close(), there.close());
        parted(&mut self.a_events).await?;
        parted(&mut self.b_events).await
    }

    async fn stop(self) {
        tokio::join!(self.a.shutdown(), self.b.shutdown());
    }
}

async fn parted(events: &mut Events) -> Outcome<()> {
    while let Some(event) = events.next().await {
        if let Event::Disconnected { .. } = event {
            return Ok(());
        }
    }
    Err("a client ended".into())
}

/// A number each way: it arrives next, so none before it was lost or repeated.
async fn exchange(here: &Session, there: &Session, number: u32) -> Outcome<()> {
    for (from, to) in [(here, there), (there, here)] {
        from.send(&number).await?;
        let arrived: u32 = to.recv().await?.decode()?;
        if arrived != number {
            return Err(format!("{arrived} arrived instead of {number}").into());
        }
    }
    here.call("echo", "echo", Bytes::new()).await?;
    Ok(())
}

async fn cycles(pair: &mut Pair, count: u32) -> Outcome<Growth> {
    let mut before = None;
    for n in 0..WARM_UP + count {
        if n == WARM_UP {
            before = Some(Held::at_rest().await?);
        }
        tokio::time::timeout(GUARD, pair.cycle())
            .await
            .map_err(|_| format!("cycle {n} takes too long"))??;
    }
    Growth::since(before).await
}

async fn switches(pair: &mut Pair, count: u32) -> Outcome<Growth> {
    let (here, there) = pair.connect().await?;
    let warm_up = count / 5;
    let mut before = None;
    for n in 0..warm_up + count {
        if n == warm_up {
            before = Some(Held::at_rest().await?);
        }
        let switch = switch(pair, &here, &there, n);
        tokio::time::timeout(GUARD, switch).await.map_err(|_| format!("switch {n} takes too long"))??;
    }
    let growth = Growth::since(before).await;
    tokio::join!(here.close(), there.close());
    growth
}

/// The device finds itself in another network; the session leaves its paths for new ones, of which WebRTC is one.
async fn switch(pair: &mut Pair, here: &Session, there: &Session, n: u32) -> Outcome<()> {
    let address = IpAddr::from([10, 0, (n / 250) as u8, (n % 250) as u8 + 1]);
    let medium = if n.is_multiple_of(2) { Medium::Wifi } else { Medium::Cellular };
    pair.a.network_changed(NetworkSnapshot {
        online: true,
        medium,
        addresses: vec![address],
        ..NetworkSnapshot::OFFLINE
    });
    // The first fact is what everything was made on already.
    if n > 0 {
        while let Some(event) = pair.a_events.next().await {
            if matches!(event, Event::StatusChanged { status: Status::Verifying, .. }) {
                break;
            }
        }
        here.watch_status().wait_for(|status| *status == Status::Usable).await?;
        here.watch_path().wait_for(|path| *path == Some(PathKind::WebRtc)).await?;
    }
    exchange(here, there, n).await?;
    // Those that wait would be counted.
    while let Ok(Some(_)) = tokio::time::timeout(Duration::ZERO, pair.b_events.next()).await {}
    Ok(())
}

/// Resources that the process holds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Held {
    bytes: isize,
    tasks: usize,
    descriptors: usize,
}

impl Held {
    fn now() -> Outcome<Self> {
        Ok(Self {
            bytes: usage::allocated(),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            descriptors: std::fs::read_dir("/proc/self/fd")?.count(),
        })
    }

    /// Waits until tasks and descriptors have not changed for a second.
    async fn at_rest() -> Outcome<Self> {
        let mut last = Self::now()?;
        let mut unchanged = 0;
        while unchanged < 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = Self::now()?;
            let same = (now.tasks, now.descriptors) == (last.tasks, last.descriptors);
            unchanged = if same { unchanged + 1 } else { 0 };
            last = now;
        }
        Ok(last)
    }
}

struct Growth {
    before: Held,
    after: Held,
}

impl Growth {
    async fn since(before: Option<Held>) -> Outcome<Self> {
        Ok(Self { before: before.ok_or("nothing was counted")?, after: Held::at_rest().await? })
    }

    fn report(&self, report: &mut Report, what: &str, count: u32) -> Outcome<()> {
        let Self { before, after } = self;
        let n = count as usize;
        let grown = (after.bytes as f64 - before.bytes as f64) / f64::from(count.max(1));
        let bytes = Figure::new(&format!("{what}_leaves_bytes"), "B", grown, n);
        report.add(&bytes, Bound::AtMost(LEFT))?;
        for (name, before, after) in
            [("tasks", before.tasks, after.tasks), ("descriptors", before.descriptors, after.descriptors)]
        {
            let figure = Figure::new(&format!("{name}_after_every_{what}"), "", after as f64, n);
            report.add(&figure.against(before as f64), Bound::AtMost(before as f64))?;
        }
        Ok(())
    }
}
