//! Settings of a client, made before it starts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use peers_proto::engine::Ways;
use peers_proto::id::{DeviceId, GroupId};
use peers_proto::path::{Preference, Tier};
use peers_proto::signaling::IceServer;
use peers_proto::timing::{MAX_AWAY, RESUME_WINDOW};
use peers_proto::trust::TrustLevel;
use peers_store::PeerStore;

use crate::client::Client;
use crate::clock::Clock;
use crate::error::Error;
use crate::event::Events;
use crate::identity::Identity;
use crate::incoming::TrustPolicy;
use crate::relay_address::RelayAddress;
use crate::session::{Handlers, RequestHandler};
use crate::transport::websocket::Endpoint;

/// The ways to a peer that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transports {
    /// WebRTC data channels.
    pub webrtc: bool,
    /// Frames through the relay, sealed.
    pub relay: bool,
}

impl Default for Transports {
    fn default() -> Self {
        Self { webrtc: true, relay: true }
    }
}

/// Settings, as the engine uses them.
pub(crate) struct Settings {
    pub(crate) transports: Transports,
    pub(crate) open: bool,
    pub(crate) relay_only: bool,
    pub(crate) loopback: bool,
    pub(crate) bulk_on_metered: bool,
    pub(crate) require_sealing: bool,
    pub(crate) ice_servers: Vec<IceServer>,
    pub(crate) groups: HashSet<GroupId>,
    pub(crate) members: HashMap<DeviceId, HashSet<GroupId>>,
    pub(crate) addresses: HashMap<DeviceId, Vec<String>>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) handlers: Handlers,
    pub(crate) preference: Preference,
    pub(crate) resume_window: Duration,
}

impl Settings {
    /// The ways to devices that the settings allow.
    pub(crate) fn ways(&self) -> Ways {
        let tier = |url: &String| match Endpoint::parse(url) {
            Ok(endpoint) if endpoint.is_local() => Tier::Lan,
            _ => Tier::Forwarded,
        };
        let with_tiers = |urls: &Vec<String>| urls.iter().map(|url| (url.clone(), tier(url))).collect();
        Ways {
            webrtc: self.transports.webrtc,
            relay: self.transports.relay,
            relay_only: self.relay_only,
            turn: false,
            addresses: self.addresses.iter().map(|(device, urls)| (*device, with_tiers(urls))).collect(),
            preference: self.preference,
        }
    }
}

/// Builds a [`Client`]. Nothing connects before [`ClientBuilder::start`].
#[must_use = "a client begins with `start`"]
pub struct ClientBuilder {
    pub(crate) relays: Vec<RelayAddress>,
    pub(crate) identity: Option<Identity>,
    pub(crate) name: String,
    pub(crate) levels: BTreeMap<DeviceId, TrustLevel>,
    pub(crate) policy: Option<Arc<dyn TrustPolicy>>,
    pub(crate) handlers: HashMap<String, Arc<dyn RequestHandler>>,
    pub(crate) store: Option<Arc<dyn PeerStore>>,
    pub(crate) settings: Settings,
}

impl ClientBuilder {
    pub(crate) fn new() -> Self {
        Self {
            relays: Vec::new(),
            identity: None,
            name: String::new(),
            levels: BTreeMap::new(),
            policy: None,
            handlers: HashMap::new(),
            store: None,
            settings: Settings {
                transports: Transports::default(),
                open: false,
                relay_only: false,
                loopback: false,
                bulk_on_metered: false,
                require_sealing: false,
                ice_servers: Vec::new(),
                groups: HashSet::new(),
                members: HashMap::new(),
                addresses: HashMap::new(),
                listen: None,
                handlers: Handlers::default(),
                preference: Preference::default(),
                resume_window: RESUME_WINDOW,
            },
        }
    }

    /// A relay, as `wss://host` or `ws://host:port`; [`RelayAddress`] says more about one. Several are used at once.
    pub fn relay(mut self, relay: impl Into<RelayAddress>) -> Self {
        self.relays.push(relay.into());
        self
    }

    /// Lets every device reach this one through its relays, as a service for the public does. Without it a device that is
    /// not trusted can knock, and nothing else.
    pub fn open(mut self, yes: bool) -> Self {
        self.settings.open = yes;
        self
    }

    /// This device's keys. Without them the client lives under new ones.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Remembers levels and keys of devices between two runs, in [`FileStore`] or in a store of the app's. Without one they
    /// last as long as the client. The store is let go when [`Client::shutdown`] returns.
    ///
    /// [`FileStore`]: crate::FileStore
    pub fn store(mut self, store: impl PeerStore + 'static) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets the name of this device, at most 64 bytes; peers show it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the trust in a device. It counts instead of the level in the [store](ClientBuilder::store), except that a device
    /// that was blocked there ([`TrustLevel::Untrusted`] and below) stays so. From [`TrustLevel::Known`] on the device is
    /// connected by itself whenever it can be reached and the app is in the foreground (S072–S074).
    pub fn trust(mut self, device: DeviceId, level: TrustLevel) -> Self {
        self.levels.insert(device, level);
        self
    }

    /// The app's rule for devices it did not name.
    pub fn trust_policy(mut self, policy: Arc<dyn TrustPolicy>) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Answers the calls of peers for one service.
    pub fn handler(mut self, service: impl Into<String>, handler: Arc<dyn RequestHandler>) -> Self {
        self.handlers.insert(service.into(), handler);
        self
    }

    /// A group this device carries. Its data passes to and from the devices that [`ClientBuilder::member`] names, from
    /// [`TrustLevel::NewDevice`] on, and no others. The peer checks the same on its side.
    pub fn group(mut self, group: GroupId) -> Self {
        self.settings.groups.insert(group);
        self
    }

    /// A device that is a member of a group, as far as the app knows. The last connection of a group this device carries
    /// is not given up for want of room (S115).
    pub fn member(mut self, group: GroupId, device: DeviceId) -> Self {
        self.settings.members.entry(device).or_default().insert(group);
        self
    }

    /// Adds an address of a device: `ws://192.168.1.2:7000` or `wss://host`. Not dialed with
    /// [`ClientBuilder::relay_only`], since what listens there sees this device's address.
    pub fn address(mut self, device: DeviceId, url: impl Into<String>) -> Self {
        self.settings.addresses.entry(device).or_default().push(url.into());
        self
    }

    /// Listens for devices at this address, port 0 for any: those that have it dial it without a relay
    /// ([`ClientBuilder::address`]). The port is closed while the app is suspended. A device that dials has to know the keys of
    /// this one, or it is refused and learns nothing (S080). Behind a proxy with TLS it serves the internet too.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.settings.listen = Some(address);
        self
    }

    /// Sets the ways to a peer that may be used; all by default.
    pub fn transports(mut self, transports: Transports) -> Self {
        self.settings.transports = transports;
        self
    }

    /// These kinds of path first, in this order; the others follow as they usually do (S093). A session on the first kind is
    /// not dialed for another one; what the app prefers less than the relay is dialed where the relay fails.
    pub fn prefer(mut self, tiers: impl IntoIterator<Item = Tier>) -> Self {
        self.settings.preference = Preference::first(tiers);
        self
    }

    /// Sets the time that a session without a path waits for one before it is lost: 60 s by default, a day at most. Each end has
    /// its own. What is sent meanwhile is kept in memory, up to 8 MiB a session.
    pub fn resume_window(mut self, window: Duration) -> Self {
        self.settings.resume_window = window.min(MAX_AWAY);
        self
    }

    /// Hides this device's addresses from peers: only candidates of TURN servers are used (S136).
    pub fn relay_only(mut self, yes: bool) -> Self {
        self.settings.relay_only = yes;
        self
    }

    /// Lets streams marked as bulk ([`BulkMark`]) go on while data costs money ([`Event::Metered`]). Without it they wait.
    ///
    /// [`BulkMark`]: crate::BulkMark
    /// [`Event::Metered`]: crate::Event::Metered
    pub fn bulk_on_metered(mut self, yes: bool) -> Self {
        self.settings.bulk_on_metered = yes;
        self
    }

    /// Uses loopback addresses too: for tests and demos on one machine.
    pub fn loopback(mut self, yes: bool) -> Self {
        self.settings.loopback = yes;
        self
    }

    /// Seals frames even where a verified channel already encrypts them.
    pub fn require_sealing(mut self, yes: bool) -> Self {
        self.settings.require_sealing = yes;
        self
    }

    /// A STUN or TURN server besides those the relays name (S167).
    pub fn ice_server(mut self, url: impl Into<String>, credentials: Option<(String, String)>) -> Self {
        let (username, credential) = credentials.unzip();
        self.settings.ice_servers.push(IceServer { urls: vec![url.into()], username, credential });
        self
    }

    /// Starts the client. It connects to its relays in the background.
    ///
    /// # Errors
    /// [`Error::Config`] for a URL that is not a relay's or a device's, and for an authority or a pin that is none. The same for a
    /// name that is too long, and for an address at which it cannot listen. [`Error::Store`] if the store cannot be read.
    pub async fn start(self) -> Result<(Client, Events), Error> {
        self.start_with(Clock::system()).await
    }

    /// As [`ClientBuilder::start`], with a clock of its own: a test that advances it lives through hours in a moment. Peer
    /// connections keep the system's time.
    ///
    /// # Errors
    /// As [`ClientBuilder::start`].
    pub async fn start_with(self, clock: Clock) -> Result<(Client, Events), Error> {
        for url in self.settings.addresses.values().flatten() {
            Endpoint::parse(url).map_err(|e| Error::Config(format!("address {url}: {e}")))?;
        }
        Client::start(self, clock).await
    }
}
