//! The processes of one behaviour, and the verdict about it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peers::{DeviceId, random};
use peers_tests::bench::Outcome;
use peers_tests::hostile_relay::HostileRelay;
use peers_tests::party::Party;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::behaviours::{Behaviour, Setting, Side};
use crate::honest::{self, HonestProcess, Report};
use crate::measure::{self, GROWTH, Meter};
use crate::relay::RelayProcess;
use crate::scene::{Carrier, Scene, Second};
use crate::victim::{self, VictimProcess};

/// Devices of the attacker that the victim trusts.
const ATTACKERS: usize = 8;
/// An attack that takes longer hangs.
const ATTACK: Duration = Duration::from_secs(25);
/// Shorter attacks are followed by silence, so that there are calls enough to speak of a hundredth of them.
const MEASURED: Duration = Duration::from_millis(500);
/// Time after an attack in which its remains show themselves.
const AFTERMATH: Duration = Duration::from_millis(150);

/// The result of a behaviour.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Bytes the victim or the relay has grown by.
    pub(crate) growth: u64,
    /// Of the honest device's calls.
    pub(crate) p99: Duration,
    pub(crate) slowest_dial: Duration,
    pub(crate) faults: Vec<String>,
    /// Measures that took longer than they may.
    pub(crate) late: Vec<String>,
}

struct World {
    scene: Scene,
    relay: RelayProcess,
    honest: HonestProcess,
    _link: JoinSet<()>,
}

/// Runs one behaviour. The attacker's own work is done by `attacker`.
pub(crate) async fn judge(behaviour: &Behaviour, log: &Path, attacker: &Handle) -> Verdict {
    let world = World::start(behaviour, log, attacker).await;
    match world {
        Ok(mut world) => match world.attack(behaviour, attacker).await {
            Ok(verdict) => verdict,
            Err(e) => Verdict { faults: vec![e.to_string()], ..Verdict::default() },
        },
        Err(e) => Verdict { faults: vec![format!("the world did not begin: {e}")], ..Verdict::default() },
    }
}

impl World {
    async fn start(behaviour: &Behaviour, log: &Path, attacker: &Handle) -> Outcome<Self> {
        let Setting { app, open, relay: ref settings, second, slow_link, dials, .. } = behaviour.setting;
        let mut link = JoinSet::new();
        let front = TcpListener::bind("127.0.0.1:0").await?;
        let mut settings = settings.clone();
        if slow_link.is_some() {
            // A relay that is given names has no other, and its own has to be known before it starts.
            let own = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
            settings.push(("bind", own.to_string()));
            settings.push(("names", format!("[\"{own}\", \"{}\"]", front.local_addr()?)));
        }
        let relay = RelayProcess::start(&settings, log).await?;
        measure::limit_memory(relay.id()?)?;
        let second = match second {
            Side::None => Second::None,
            Side::Listener => Second::Listener(Arc::new(TcpListener::bind("127.0.0.1:0").await?)),
            Side::Middleman => Second::Middleman(Arc::new(attacker.spawn(HostileRelay::start()).await?)),
        };
        let url = match slow_link {
            None => format!("ws://{}", relay.address),
            Some(bytes_per_second) => {
                let url = format!("ws://{}", front.local_addr()?);
                link.spawn(slow(front, relay.address, bytes_per_second));
                url
            }
        };
        let mut relays = vec![url];
        match &second {
            Second::None => {}
            Second::Middleman(relay) => relays.push(relay.url()),
            Second::Listener(listener) => relays.push(format!("ws://{}", listener.local_addr()?)),
        }

        let [caller_seed, dialer_seed]: [[u8; peers::SEED_LEN]; 2] = [random::array(), random::array()];
        // The victim dials those it trusts as well. The attempt of the greater device goes on: the attacker's.
        let victim_seed = seed_of(|id| id.as_bytes()[0] < 0x80)?;
        let victim = Arc::new(Party::from_seed(&victim_seed, "victim")?);
        let caller = Party::from_seed(&caller_seed, "honest")?.id();
        let dialer = Party::from_seed(&dialer_seed, "honest")?.id();
        let seeds = (0..ATTACKERS).map(|_| seed_of(|id| id > victim.id()));
        let seeds: Arc<[_]> = seeds.collect::<Outcome<Vec<_>>>()?.into();
        let attackers = seeds.iter().map(|seed| Party::from_seed(seed, "attacker").map(Arc::new));
        let attackers = attackers.collect::<Result<Vec<_>, _>>()?;
        let trusted = attackers.iter().map(|party| party.id()).chain([caller, dialer]).collect();
        let settings =
            victim::Settings { seed: victim_seed.to_vec(), relays, trusted, groups: vec![GROUP], app, open };
        let victim_process = VictimProcess::start(&settings, log).await?;
        let webrtc = behaviour.carrier == Carrier::WebRtc;
        let settings = honest::Settings {
            relay: format!("ws://{}", relay.address),
            victim: victim.id(),
            caller: caller_seed.to_vec(),
            dialer: dialer_seed.to_vec(),
            webrtc,
            dials_webrtc: dials.unwrap_or(behaviour.carrier) == Carrier::WebRtc,
        };
        let honest = HonestProcess::start(&settings, log).await?;
        let scene = Scene {
            carrier: behaviour.carrier,
            relay: relay.address,
            relay_process: relay.id()?,
            victim,
            victim_process: victim_process.id()?,
            victim_orders: Arc::new(Mutex::new(victim_process)),
            attackers: attackers.into(),
            seeds,
            caller,
            second,
            log: log.to_owned(),
        };
        Ok(Self { scene, relay, honest, _link: link })
    }

    async fn attack(&mut self, behaviour: &Behaviour, attacker: &Handle) -> Outcome<Verdict> {
        let mut faults = Vec::new();
        let (victim, relay) = (Meter::start(self.scene.victim_process)?, Meter::start(self.relay.id()?)?);
        self.honest.begin().await?;
        let began = Instant::now();
        let task = attacker.spawn((behaviour.attack)(self.scene.clone()));
        let abort = task.abort_handle();
        tokio::select! {
            // A dead victim is not attacked any longer.
            () = victim.ended() => {}
            outcome = tokio::time::timeout(ATTACK, task) => match outcome {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(e))) => faults.push(e.to_string()),
                Ok(Err(e)) => faults.push(format!("the attack broke: {e}")),
                Err(_) => faults.push(format!("the attack is not over within {ATTACK:?}")),
            },
        }
        abort.abort();
        tokio::time::sleep(AFTERMATH.max(MEASURED.saturating_sub(began.elapsed()))).await;
        let report = self.honest.end().await;
        let counts = self.scene.count().await;
        if let Some(status) = self.scene.victim_orders.lock().await.death()? {
            faults.insert(0, format!("the victim died: {status}"));
        } else if let Err(e) = counts {
            faults.insert(0, format!("the victim does not answer: {e}"));
        }
        let growth = victim.grown().max(relay.grown());
        for (who, meter) in [("victim", &victim), ("relay", &relay)] {
            if meter.grown() > GROWTH {
                faults.push(format!("the {who} grew by {:.0} MB", megabytes(meter.grown())));
            }
        }
        let mut verdict = Verdict { growth, faults, ..Verdict::default() };
        match report {
            Ok(report) => verdict.hear(&report, &behaviour.setting),
            Err(e) => verdict.faults.push(e.to_string()),
        }
        Ok(verdict)
    }
}

impl Verdict {
    pub(crate) fn holds(&self) -> bool {
        self.faults.is_empty() && self.late.is_empty()
    }

    /// Nothing is wrong but a time, which a machine that others use too may be the reason of.
    pub(crate) fn is_only_late(&self) -> bool {
        self.faults.is_empty() && !self.late.is_empty()
    }

    fn hear(&mut self, report: &Report, setting: &Setting) {
        self.p99 = Duration::from_micros(report.p99_us);
        self.slowest_dial = Duration::from_millis(report.slowest_dial_ms);
        if report.calls == 0 || report.failed_calls > 0 {
            self.faults.push(format!("{} of the honest calls failed", report.failed_calls));
        }
        if !report.same_session {
            self.faults.push("the honest session is gone".to_owned());
        }
        if self.p99 > setting.p99 {
            self.late.push(format!("the honest calls' p99 is {:.0} ms", millis(self.p99)));
        }
        if report.dials == 0 || self.slowest_dial > setting.dial {
            self.late.push(format!("a trusted device needed {:.1} s", self.slowest_dial.as_secs_f64()));
        }
    }
}

/// An identity at rest whose device has a certain id.
fn seed_of(wanted: impl Fn(DeviceId) -> bool) -> Outcome<[u8; peers::SEED_LEN]> {
    loop {
        let seed = random::array();
        if wanted(Party::from_seed(&seed, "")?.id()) {
            return Ok(seed);
        }
    }
}

/// A link to the relay that brings no more than this to the device.
async fn slow(front: TcpListener, relay: std::net::SocketAddr, bytes_per_second: u64) {
    let mut sockets = JoinSet::new();
    while let Ok((device, _)) = front.accept().await {
        sockets.spawn(async move {
            let Ok(relay) = TcpStream::connect(relay).await else { return };
            let (mut from_device, to_device) = device.into_split();
            let (from_relay, mut to_relay) = relay.into_split();
            tokio::select! {
                _ = tokio::io::copy(&mut from_device, &mut to_relay) => {}
                () = trickle(from_relay, to_device, bytes_per_second) => {}
            }
        });
    }
}

async fn trickle(
    from: tokio::net::tcp::OwnedReadHalf,
    to: tokio::net::tcp::OwnedWriteHalf,
    bytes_per_second: u64,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut from, mut to) = (from, to);
    let mut buffer = [0; 1500];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        tokio::time::sleep(
            Duration::from_secs(1) * u32::try_from(n).unwrap_or(1)
                / u32::try_from(bytes_per_second).unwrap_or(1),
        )
        .await;
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

/// The group the victim is in; no attacker is.
pub(crate) const GROUP: peers::GroupId = peers::GroupId::from_bytes([7; 20]);

pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
