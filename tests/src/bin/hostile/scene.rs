//! The scene of an attack: the victim, its relay, and the attacker's own devices.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use peers::DeviceId;
use peers_tests::bench::Outcome;
use peers_tests::hostile_relay::HostileRelay;
use peers_tests::party::Party;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::link::Link;
use crate::raw_peer::RawPeer;
use crate::socket::{Socket, address};
use crate::victim::{Counts, Order, VictimProcess};

/// The transport of the attacker's frames, and of the honest device's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Relay,
    WebRtc,
}

/// The relay that the victim uses beside the honest one.
#[derive(Clone)]
pub(crate) enum Second {
    None,
    /// All between the devices and a real relay passes through its hands.
    Middleman(Arc<HostileRelay>),
    /// The attack itself answers.
    Listener(Arc<TcpListener>),
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) carrier: Carrier,
    pub(crate) relay: SocketAddr,
    pub(crate) relay_process: u32,
    pub(crate) victim: Arc<Party>,
    pub(crate) victim_process: u32,
    pub(crate) victim_orders: Arc<Mutex<VictimProcess>>,
    /// The victim trusts them.
    pub(crate) attackers: Arc<[Arc<Party>]>,
    /// Their identities at rest.
    pub(crate) seeds: Arc<[[u8; peers::SEED_LEN]]>,
    /// Its session is the one that must stay.
    pub(crate) caller: DeviceId,
    pub(crate) second: Second,
    pub(crate) log: PathBuf,
}

impl Scene {
    /// The `n`th device of the attacker, at the relay.
    pub(crate) async fn link(&self, n: usize) -> Outcome<Link> {
        let link = Link::register(self.relay, &self.attackers[n % self.attackers.len()], address(n)).await?;
        link.watch(&[self.victim.id()]).await?;
        Ok(link)
    }

    /// A device that is unknown to all others, at the relay.
    pub(crate) async fn stranger(&self, n: usize) -> Outcome<Link> {
        let stranger = Arc::new(Party::new("stranger")?);
        let link = Link::register(self.relay, &stranger, address(1000 + n)).await?;
        link.watch(&[self.victim.id()]).await?;
        Ok(link)
    }

    /// A socket to the relay that has said nothing.
    pub(crate) async fn socket(&self, n: usize) -> Outcome<Socket> {
        Socket::dial(self.relay, address(1000 + n)).await
    }

    /// A session of a trusted device, and its link, which has to be kept.
    pub(crate) async fn peer(&self) -> Outcome<(RawPeer, Link)> {
        let mut link = self.link(0).await?;
        let peer = match self.carrier {
            Carrier::Relay => RawPeer::over_relay(&link, &self.victim).await?,
            Carrier::WebRtc => RawPeer::over_webrtc(&mut link, &self.victim, true).await?,
        };
        Ok((peer, link))
    }

    /// The same, but it never reads.
    pub(crate) async fn deaf_peer(&self) -> Outcome<(RawPeer, Link)> {
        let mut link = self.link(0).await?;
        let peer = match self.carrier {
            Carrier::Relay => RawPeer::deaf_over_relay(&link, &self.victim).await?,
            Carrier::WebRtc => RawPeer::over_webrtc(&mut link, &self.victim, false).await?,
        };
        Ok((peer, link))
    }

    pub(crate) async fn count(&self) -> Outcome<Counts> {
        self.victim_orders.lock().await.count().await
    }

    /// The victim dials a device: `ok`, or the code of its error.
    pub(crate) async fn victim_dials(&self, to: DeviceId, within: Duration) -> Outcome<String> {
        let order = Order::Dial { to, within_ms: u64::try_from(within.as_millis())? };
        let said = self.victim_orders.lock().await.order(&order).await?;
        Ok(said["outcome"].as_str().unwrap_or_default().to_owned())
    }

    /// The hostile relay in the middle.
    pub(crate) fn middleman(&self) -> Outcome<&Arc<HostileRelay>> {
        match &self.second {
            Second::Middleman(relay) => Ok(relay),
            _ => Err("this world has no hostile relay".into()),
        }
    }

    /// The address of the victim's second relay.
    pub(crate) fn listener(&self) -> Outcome<&Arc<TcpListener>> {
        match &self.second {
            Second::Listener(listener) => Ok(listener),
            _ => Err("this world has no second relay".into()),
        }
    }
}
