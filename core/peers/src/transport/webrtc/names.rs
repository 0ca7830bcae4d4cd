//! The addresses of STUN and TURN servers.
//!
//! The stack asks for one name after the other while everything else of a connection waits. So all names are looked up at
//! once, each attempt waits for them only so long, and what was found is remembered until the network changes.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::signaling::IceServer;
use peers_proto::time::Instant;
use peers_proto::{limits, timing};
use rtc::ice::url::Url;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::resolver;

/// Names of STUN and TURN servers with the addresses they have in the present network. Clones share them.
#[derive(Clone)]
pub struct Names(Arc<NameTable>);

struct NameTable {
    look_up: fn(&str) -> io::Result<Vec<IpAddr>>,
    known: Mutex<Known>,
    changed: Notify,
}

#[derive(Default)]
struct Known {
    /// Counts the networks.
    network: u64,
    /// At most [`limits::MAX_ICE_NAMES`].
    names: BTreeMap<String, Name>,
}

struct Name {
    /// Attempts wait until then, not longer.
    patience: Instant,
    asked: Instant,
    pending: bool,
    /// Found by the last look-up that succeeded.
    addresses: Vec<IpAddr>,
}

impl Default for Names {
    fn default() -> Self {
        Self::with(resolver::system)
    }
}

impl Names {
    fn with(look_up: fn(&str) -> io::Result<Vec<IpAddr>>) -> Self {
        Self(Arc::new(NameTable { look_up, known: Mutex::default(), changed: Notify::new() }))
    }

    /// Begins to look up what is not known of `servers`, so that an attempt that comes later has not to wait.
    pub fn prepare(&self, servers: &[IceServer]) {
        for url in servers.iter().flat_map(|server| &server.urls) {
            let address = url.split('?').next().unwrap_or_default();
            if let Ok(url) = Url::parse_url(address) {
                self.ask(&url.host);
            }
        }
    }

    /// The network has changed: what was found is not true any more.
    pub fn forget(&self) {
        let mut known = self.known();
        known.network += 1;
        known.names.clear();
        drop(known);
        self.0.changed.notify_waiters();
    }

    /// The addresses of `host` (`name:port`, with or without brackets around an address), none if they are not found in
    /// [`timing::ICE_RESOLVE`].
    pub(super) async fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let (name, port) = host.rsplit_once(':').ok_or(io::ErrorKind::InvalidInput)?;
        let port = port.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
        let found = self.addresses(name.trim_start_matches('[').trim_end_matches(']')).await;
        let found: Vec<_> = found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
    }

    async fn addresses(&self, name: &str) -> Vec<IpAddr> {
        if let Ok(address) = name.parse() {
            return vec![address];
        }
        self.ask(name);
        let clock = Clock::system();
        loop {
            let changed = self.0.changed.notified();
            let patience = match self.known().names.get(name) {
                Some(known) if known.pending && known.addresses.is_empty() => known.patience,
                Some(known) => return known.addresses.clone(),
                None => return Vec::new(),
            };
            tokio::select! {
                () = changed => {}
                () = clock.sleep_until(patience) => return Vec::new(),
            }
        }
    }

    /// Looks a name up that is not known, or was looked up a while ago.
    fn ask(&self, name: &str) {
        if name.parse::<IpAddr>().is_ok() {
            return;
        }
        let now = Clock::system().now();
        let mut known = self.known();
        let network = known.network;
        let room = known.names.len() < limits::MAX_ICE_NAMES;
        let due = match known.names.get(name) {
            Some(known) => !known.pending && now - known.asked >= timing::ICE_RESOLVE_AGAIN,
            None => room,
        };
        if !due {
            return;
        }
        let patience = now + timing::ICE_RESOLVE;
        let fresh = || Name { patience, asked: now, pending: true, addresses: Vec::new() };
        let entry = known.names.entry(name.to_owned()).or_insert_with(fresh);
        (entry.asked, entry.pending) = (now, true);
        let (look_up, host) = (self.0.look_up, name.to_owned());
        let (names, name) = (self.clone(), host.clone());
        if resolver::spawn(move || look_up(&host), move |found| names.found(network, &name, found)).is_err() {
            entry.pending = false;
        }
    }

    /// Takes what a look-up has found, if it was in this network.
    fn found(&self, network: u64, name: &str, found: io::Result<Vec<IpAddr>>) {
        let mut known = self.known();
        if known.network != network {
            return;
        }
        if let Some(entry) = known.names.get_mut(name) {
            entry.pending = false;
            match found {
                Ok(addresses) => entry.addresses = addresses,
                Err(error) => tracing::debug!(kind = %error.kind(), "ICE server not found"),
            }
        }
        drop(known);
        self.0.changed.notify_waiters();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Names {
    // Names of servers say where a device is at home.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn servers(urls: &[&str]) -> Vec<IceServer> {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        vec![IceServer { urls, ..IceServer::default() }]
    }

    /// As long as a resolver that no server answers.
    fn hang(_: &str) -> io::Result<Vec<IpAddr>> {
        std::thread::sleep(Duration::from_secs(5));
        Err(io::ErrorKind::TimedOut.into())
    }

    #[tokio::test]
    async fn names_that_are_not_found_are_waited_for_side_by_side_and_once() {
        let names = Names::with(hang);
        let urls = ["stun:a.example", "stun:b.example:1", "turn:c.example?transport=udp", "turn:d.example:2"];
        names.prepare(&servers(&urls));
        for patience in [timing::ICE_RESOLVE * 2, Duration::from_millis(100)] {
            let start = std::time::Instant::now();
            for host in ["a.example:3478", "b.example:1", "c.example:3478", "d.example:2"] {
                assert!(names.resolve(host).await.is_err());
            }
            assert!(start.elapsed() < patience, "{:?}", start.elapsed());
        }
    }

    #[tokio::test]
    async fn what_was_found_is_remembered_until_the_network_changes() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let names = Names::with(|_| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            Ok(vec![[192, 0, 2, 1].into()])
        });
        for _ in 0..3 {
            let found = names.resolve("a.example:7").await.unwrap();
            assert_eq!(found, vec![SocketAddr::from(([192, 0, 2, 1], 7))]);
        }
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
        names.forget();
        assert!(names.resolve("a.example:7").await.is_ok());
        assert_eq!(ASKED.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn addresses_are_taken_as_they_are_with_and_without_brackets() {
        let names = Names::with(|_| Err(io::ErrorKind::NotFound.into()));
        for (host, address) in [
            ("2001:db8::1:3478", "[2001:db8::1]:3478"),
            ("[2001:db8::1]:3478", "[2001:db8::1]:3478"),
            ("192.0.2.1:1", "192.0.2.1:1"),
        ] {
            assert_eq!(names.resolve(host).await.unwrap(), vec![address.parse::<SocketAddr>().unwrap()]);
        }
        assert!(names.resolve("no-port").await.is_err());
    }

    #[tokio::test]
    async fn only_so_many_names_are_looked_up() {
        let names = Names::with(|_| Err(io::ErrorKind::NotFound.into()));
        for i in 0..1000 {
            assert!(names.resolve(&format!("{i}.example:1")).await.is_err());
        }
        assert_eq!(names.known().names.len(), limits::MAX_ICE_NAMES);
    }
}
