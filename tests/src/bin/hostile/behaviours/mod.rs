//! The behaviours: each is an async function and a line in a table.

mod client;
mod neighbour;
mod peer;
mod relay;
mod signaling;
mod stranger;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use peers_tests::bench::Outcome;

use crate::scene::{Carrier, Scene};
use crate::victim::App;

type Attack = Box<dyn Fn(Scene) -> Pin<Box<dyn Future<Output = Outcome<()>> + Send>> + Send + Sync>;

/// Something an attacker does.
pub(crate) struct Behaviour {
    name: &'static str,
    pub(crate) carrier: Carrier,
    pub(crate) setting: Setting,
    pub(crate) attack: Attack,
}

/// The victim's second relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    None,
    Middleman,
    Listener,
}

/// The world a behaviour needs, and what is asked of it where that is not the usual.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) app: App,
    /// The victim is an open device.
    pub(crate) open: bool,
    /// Settings of the relay.
    pub(crate) relay: Vec<(&'static str, String)>,
    pub(crate) second: Side,
    /// Bytes a second that reach the victim from its relay.
    pub(crate) slow_link: Option<u64>,
    /// The transport of the dials, if not that of the rest.
    pub(crate) dials: Option<Carrier>,
    /// The honest calls' p99.
    pub(crate) p99: Duration,
    /// A trusted device connects within this.
    pub(crate) dial: Duration,
}

impl Behaviour {
    fn new<F>(
        name: &'static str,
        carrier: Carrier,
        attack: impl Fn(Scene) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Outcome<()>> + Send + 'static,
    {
        let setting = Setting {
            app: App::Prompt,
            open: false,
            relay: Vec::new(),
            second: Side::None,
            slow_link: None,
            dials: None,
            p99: Duration::from_millis(100),
            dial: Duration::from_secs(2),
        };
        Self { name, carrier, setting, attack: Box::new(move |scene| Box::pin(attack(scene))) }
    }

    fn relay<F>(name: &'static str, attack: impl Fn(Scene) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Outcome<()>> + Send + 'static,
    {
        Self::new(name, Carrier::Relay, attack)
    }

    fn webrtc<F>(name: &'static str, attack: impl Fn(Scene) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Outcome<()>> + Send + 'static,
    {
        Self::new(name, Carrier::WebRtc, attack)
    }

    fn stalled(mut self) -> Self {
        self.setting.app = App::Stalled;
        self
    }

    fn open(mut self) -> Self {
        self.setting.open = true;
        self
    }

    pub(crate) fn name(&self) -> String {
        let carrier = match self.carrier {
            Carrier::Relay => "relay",
            Carrier::WebRtc => "webrtc",
        };
        let open = if self.setting.open { ", open" } else { "" };
        format!("{} ({carrier}{open})", self.name)
    }
}

/// The same over the relay and over WebRTC.
fn over_both<F>(
    name: &'static str,
    attack: impl Fn(Scene) -> F + Copy + Send + Sync + 'static,
) -> [Behaviour; 2]
where
    F: Future<Output = Outcome<()>> + Send + 'static,
{
    [Behaviour::relay(name, attack), Behaviour::webrtc(name, attack)]
}

/// True if `doing` succeeds before `end`. A sender whose victim takes no more stops with it.
async fn before<T, E>(end: Instant, doing: impl Future<Output = Result<T, E>>) -> bool {
    let left = end.saturating_duration_since(Instant::now());
    !left.is_zero() && matches!(tokio::time::timeout(left, doing).await, Ok(Ok(_)))
}

/// All there are.
pub(crate) fn all() -> Vec<Behaviour> {
    [peer::all(), signaling::all(), neighbour::all(), stranger::all(), client::all(), relay::all()]
        .into_iter()
        .flatten()
        .collect()
}
