//! A small Internet of network namespaces.
//!
//! ```text
//!  a  wlan0 10.1.0.2 ── lan 10.1.0.1 g1 wan 203.0.113.11 ──┐
//!                                                          net 203.0.113.1 (relay), .2 (coturn), .3 (probed)
//!  b  wlan0 10.2.0.2 ── lan 10.2.0.1 g2 wan 203.0.113.12 ──┘
//! ```
//!
//! Each world has its own; nothing leaves it, and nothing of it is left when it is dropped.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command as Blocking;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use peers_tests::process::Process;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::Outcome;
use crate::nat::{Carrier, Nat};

const RELAY: &str = "203.0.113.1:8443";
pub(crate) const TURN_ADDRESS: &str = "203.0.113.2";
const TURN: &str = "203.0.113.2:3478";
/// Two addresses with a port in common, and another port, as RFC 5780 wants them.
pub(crate) const PROBED: [&str; 3] = ["203.0.113.1:7000", "203.0.113.1:7001", "203.0.113.3:7000"];
pub(crate) const PROBED_ON_TURN: &str = "203.0.113.2:7000";
pub(crate) const SECRET: &str = "lab-secret";
/// Files that `ip netns exec` shows to a namespace's processes in place of the machine's `/etc`.
const NETNS: &str = "/etc/netns";
/// Packets, more than any window here.
const TUN_QUEUE: usize = 20_000;
const UDP_HEADER: u16 = 8;
const READY: Duration = Duration::from_secs(20);

/// The link between a router and the Internet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wire {
    /// One way.
    pub(crate) delay: Duration,
    /// Percent, in each direction.
    pub(crate) loss: u64,
}

/// 50 ms there and back.
pub(crate) const FAR: Wire = Wire { delay: Duration::from_millis(25), loss: 0 };
pub(crate) const NEAR: Wire = Wire { delay: Duration::ZERO, loss: 0 };

/// The relay's answer to devices about STUN and TURN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ice {
    Stun,
    Turn,
    Both,
}

pub(crate) struct World {
    name: String,
    folder: PathBuf,
    namespaces: Vec<String>,
    nats: HashMap<u8, Nat>,
    links: Vec<Process>,
    relay: Option<Process>,
    turn: Option<Child>,
    /// Addresses given out on each router's side.
    hosts: HashMap<u8, u8>,
    /// Router and host number of each device's interface.
    places: HashMap<String, (u8, u8)>,
}

impl World {
    /// The Internet without devices. `folder` takes logs.
    pub(crate) async fn new(folder: &Path) -> Outcome<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("lab{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        std::fs::create_dir_all(folder)?;
        let mut world = Self {
            name,
            folder: folder.to_owned(),
            namespaces: Vec::new(),
            nats: HashMap::new(),
            links: Vec::new(),
            relay: None,
            turn: None,
            hosts: HashMap::new(),
            places: HashMap::new(),
        };
        world.add("net").await?;
        for address in 1..=3 {
            world.ip("net", &format!("address add 203.0.113.{address}/32 dev lo")).await?;
        }
        // Towards a device's private address the public side is a hole, as the Internet is, not an error: coturn ends the
        // session of who makes it send to where there is no route.
        world.ip("net", "link add void type veth peer name nowhere").await?;
        world.ip("net", "link set nowhere up").await?;
        world.ip("net", "link set void arp off up").await?;
        world.ip("net", "route add default dev void").await?;
        let count = format!(
            "table ip count {{
                counter direct {{ }}
                counter turn {{ }}
                counter relay {{ }}
                chain forward {{ type filter hook forward priority filter; meta l4proto udp counter name direct; }}
                chain input {{
                    type filter hook input priority filter
                    ip daddr {TURN_ADDRESS} meta l4proto udp counter name turn
                    tcp dport 8443 counter name relay
                }}
            }}\n"
        );
        world.nft("net", &count).await?;
        Ok(world)
    }

    /// The usual one: a far device's router 1 and a near one's router 2, a relay, and a STUN and TURN server.
    pub(crate) async fn of_two(folder: &Path, far: Nat, near: Nat, ice: Ice, wire: Wire) -> Outcome<Self> {
        let mut world = Self::new(folder).await?;
        world.add_router(1, far, wire).await?;
        world.add_router(2, near, NEAR).await?;
        world.add_device("a", "wlan0", 1).await?;
        world.add_device("b", "wlan0", 2).await?;
        world.start_turn().await?;
        world.start_relay(ice).await?;
        Ok(world)
    }

    /// A router, `g` and its number.
    pub(crate) async fn add_router(&mut self, number: u8, nat: Nat, wire: Wire) -> Outcome<()> {
        let router = format!("g{number}");
        self.add(&router).await?;
        self.nats.insert(number, nat);
        if wire.delay.is_zero() && wire.loss == 0 {
            let (outer, inner) = (self.namespace("net"), self.namespace(&router));
            ip(&format!("link add wan netns {inner} type veth peer name {router} netns {outer}")).await?;
        } else {
            let ends = [format!("{router}-near"), router.clone()];
            let (delay, loss) = (wire.delay.as_micros().to_string(), wire.loss.to_string());
            let arguments = ["link", &ends[0], &ends[1], "--delay-us", &delay, "--loss", &loss];
            let mut link = self.spawn("net", &format!("link-{router}"), &arguments)?;
            link.line(READY).await?;
            self.links.push(link);
            let inner = self.namespace(&router);
            self.ip("net", &format!("link set {} netns {inner} name wan", ends[0])).await?;
            // A burst of a device on this machine must not be lost in the link's queue.
            self.ip("net", &format!("link set {router} txqueuelen {TUN_QUEUE}")).await?;
            self.ip(&router, &format!("link set wan txqueuelen {TUN_QUEUE}")).await?;
        }
        self.ip(&router, &format!("address add 203.0.113.{}/32 dev wan", 10 + number)).await?;
        self.ip(&router, "link set wan up").await?;
        self.ip("net", &format!("link set {router} up")).await?;
        self.ip("net", &format!("route add 203.0.113.{}/32 dev {router}", 10 + number)).await?;
        self.ip(&router, "route add default dev wan via 203.0.113.1 onlink").await?;
        self.ip(&router, "link add lan type bridge").await?;
        self.ip(&router, "link set lan up").await?;
        self.ip(&router, &format!("address add {}/24 dev lan", address(nat, number, 1))).await?;
        if nat == Nat::None {
            let subnet = address(nat, number, 0);
            self.ip(
                "net",
                &format!("route add {subnet}/24 via 203.0.113.{} dev {router} onlink", 10 + number),
            )
            .await?;
        }
        self.nft(&router, &nat.rules()).await
    }

    /// A device on a router's network; on several if called again.
    pub(crate) async fn add_device(&mut self, name: &str, interface: &str, router: u8) -> Outcome<()> {
        if !self.namespaces.contains(&self.namespace(name)) {
            self.add(name).await?;
        }
        let (inner, outer) = (self.namespace(name), self.namespace(&format!("g{router}")));
        ip(&format!("link add {interface} netns {inner} type veth peer name p-{name} netns {outer}")).await?;
        self.ip(&format!("g{router}"), &format!("link set p-{name} master lan up")).await?;
        self.ip(name, &format!("link set {interface} up")).await?;
        let host = self.hosts.entry(router).or_insert(1);
        *host += 1;
        self.places.insert(format!("{name} {interface}"), (router, *host));
        self.connect(name, interface).await
    }

    /// The interface gets its address: what a phone does when it joins a network.
    pub(crate) async fn connect(&self, name: &str, interface: &str) -> Outcome<()> {
        let (router, host) = *self.places.get(&format!("{name} {interface}")).ok_or("no such interface")?;
        let (address, gateway) = (self.address(router, host), self.address(router, 1));
        self.ip(name, &format!("address add {address}/24 dev {interface}")).await?;
        self.ip(name, &format!("route replace default via {gateway} dev {interface}")).await
    }

    /// The interface loses its address and its routes. The link itself stays: the kernel takes up to a second, at times, before
    /// it sends on one that came up, and that is not what is measured here.
    pub(crate) async fn disconnect(&self, name: &str, interface: &str) -> Outcome<()> {
        self.ip(name, &format!("address flush dev {interface}")).await
    }

    fn address(&self, router: u8, host: u8) -> String {
        address(self.nats.get(&router).copied().unwrap_or(Nat::PortRestricted), router, host)
    }

    pub(crate) async fn start_relay(&mut self, ice: Ice) -> Outcome<()> {
        let mut text = format!("bind = \"{RELAY}\"\n[ice]\n");
        if ice != Ice::Turn {
            text += &format!("stun = [\"stun:{TURN}\"]\n");
        }
        if ice != Ice::Stun {
            text += &format!("[[ice.turn]]\nurls = [\"turn:{TURN}?transport=udp\"]\nsecret = \"{SECRET}\"\n");
        }
        self.start_relay_with(&text).await
    }

    /// A relay that names these servers: the `[ice]` part of its configuration.
    pub(crate) async fn start_relay_naming(&mut self, ice: &str) -> Outcome<()> {
        self.start_relay_with(&format!("bind = \"{RELAY}\"\n[ice]\n{ice}")).await
    }

    async fn start_relay_with(&mut self, configuration: &str) -> Outcome<()> {
        std::fs::write(self.folder.join("relay.toml"), configuration)?;
        self.restart_relay().await
    }

    /// With the configuration it had.
    pub(crate) async fn restart_relay(&mut self) -> Outcome<()> {
        let file = self.folder.join("relay.toml").to_string_lossy().into_owned();
        let mut relay = self.spawn("net", "relay", &["relay", "--config", &file])?;
        relay.line(READY).await?;
        self.relay = Some(relay);
        Ok(())
    }

    pub(crate) fn kill_relay(&mut self) {
        self.relay = None;
    }

    pub(crate) async fn start_turn(&mut self) -> Outcome<()> {
        self.start_turn_at("net", TURN_ADDRESS, SECRET, &[]).await
    }

    /// coturn in a namespace, at an address of it, with more options.
    pub(crate) async fn start_turn_at(
        &mut self,
        host: &str,
        address: &str,
        secret: &str,
        more: &[&str],
    ) -> Outcome<()> {
        let (userdb, pid) = (self.folder.join("turndb"), self.folder.join("pid"));
        let mut command = self.inside(host, "turnserver");
        command
            .args([
                "-n",
                "--no-tls",
                "--no-dtls",
                "--no-cli",
                "--log-file=stdout",
                "--use-auth-secret",
                "--realm=lab",
            ])
            .args(["--listening-port=3478".to_owned(), format!("--listening-ip={address}")])
            .args([format!("--relay-ip={address}"), format!("--static-auth-secret={secret}")])
            .args([format!("--userdb={}", userdb.display()), format!("--pidfile={}", pid.display())])
            .args(more);
        let log = std::fs::File::create(self.folder.join("coturn.log"))?;
        self.turn = Some(command.stdout(log.try_clone()?).stderr(log).spawn()?);
        for _ in 0..200 {
            let listening = self.inside(host, "ss").args(["-Hlun", "sport", "=", ":3478"]).output().await?;
            if !listening.stdout.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err("coturn does not listen".into())
    }

    /// Lines of coturn's log with these words.
    pub(crate) fn turn_said(&self, words: &str) -> Outcome<usize> {
        let log = std::fs::read_to_string(self.folder.join("coturn.log"))?;
        Ok(log.lines().filter(|line| line.contains(words)).count())
    }

    /// A namespace asks for names at `server`.
    pub(crate) fn resolve_at(&self, host: &str, server: &str) -> Outcome<()> {
        let folder = Path::new(NETNS).join(self.namespace(host));
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(folder.join("resolv.conf"), format!("nameserver {server}\n"))?)
    }

    /// IPv6, which is off elsewhere, with an address on an interface.
    pub(crate) async fn add_ipv6(&self, host: &str, interface: &str, address: &str) -> Outcome<()> {
        self.shell(host, &format!("echo 0 >/proc/sys/net/ipv6/conf/{interface}/disable_ipv6")).await?;
        self.ip(host, &format!("address add {address} dev {interface} nodad")).await
    }

    /// Interfaces beside the real ones, as containers and VPNs make them: `count` more addresses.
    pub(crate) async fn add_addresses(&self, host: &str, count: usize) -> Outcome<()> {
        for n in 1..=count {
            self.ip(host, &format!("link add extra{n} type bridge")).await?;
            self.ip(host, &format!("address add 10.77.{n}.1/24 dev extra{n}")).await?;
            self.ip(host, &format!("link set extra{n} up")).await?;
        }
        Ok(())
    }

    pub(crate) fn kill_turn(&mut self) {
        self.turn = None;
    }

    /// A device's process; the answer's first line is its id.
    pub(crate) fn device(&self, host: &str, flags: &[&str]) -> Outcome<Process> {
        let relay = format!("ws://{RELAY}");
        self.spawn(host, host, &[["device", "--relay", &relay].as_slice(), flags].concat())
    }

    /// A device whose wall clock is off by this much, as faketime(1) writes it; nothing else about it differs.
    pub(crate) fn device_with_clock(&self, host: &str, off: &str) -> Outcome<Process> {
        let relay = format!("ws://{RELAY}");
        let clock = [
            ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1"),
            ("FAKETIME", off),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        self.spawn_with(host, host, &["device", "--relay", &relay], &clock)
    }

    /// Many devices in one process.
    pub(crate) fn crowd(&self, host: &str, flags: &[&str]) -> Outcome<Process> {
        let relay = format!("ws://{RELAY}");
        self.spawn(host, "crowd", &[["crowd", "--relay", &relay].as_slice(), flags].concat())
    }

    /// One of this program's roles inside a namespace.
    pub(crate) fn spawn(&self, host: &str, log: &str, arguments: &[&str]) -> Outcome<Process> {
        self.spawn_with(host, log, arguments, &[])
    }

    fn spawn_with(
        &self,
        host: &str,
        log: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Outcome<Process> {
        let own = std::env::current_exe()?.to_string_lossy().into_owned();
        let mut command = self.inside(host, &own);
        command.args(arguments).envs(variables.iter().copied());
        Process::start(command, &self.folder.join(format!("{log}.log")))
    }

    /// From now on a router loses UDP datagrams with more than this many bytes of content, in both directions and without a
    /// message. A tunnel behind it has a small MTU, and a firewall drops the message about it.
    pub(crate) async fn lose_above(&self, router: &str, bytes: u16) -> Outcome<()> {
        let length = bytes + UDP_HEADER;
        let rules = format!(
            "table ip large {{
                chain forward {{ type filter hook forward priority -10; udp length > {length} drop; }}
            }}\n"
        );
        self.nft(router, &rules).await
    }

    /// Packets that cross a router, either way.
    pub(crate) async fn forwarded_by(&self, router: &str) -> Outcome<u64> {
        self.counter(router, "lab", "forwarded").await
    }

    /// Bytes that each carrier has moved.
    pub(crate) async fn carried(&self) -> Outcome<[(Carrier, u64); 3]> {
        Ok([
            (Carrier::Direct, self.counter("net", "count", "direct").await?),
            (Carrier::Turn, self.counter("net", "count", "turn").await?),
            (Carrier::Relay, self.counter("net", "count", "relay").await?),
        ])
    }

    async fn counter(&self, host: &str, table: &str, name: &str) -> Outcome<u64> {
        let output =
            self.inside(host, "nft").args(["-j", "list", "counter", "ip", table, name]).output().await?;
        let value: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let entries = value["nftables"].as_array().into_iter().flatten();
        let bytes = entries.filter_map(|entry| entry["counter"]["bytes"].as_u64()).next();
        Ok(bytes.ok_or_else(|| format!("no counter {name}"))?)
    }

    /// Of a metric that the relay publishes.
    pub(crate) async fn relay_metric(&self, name: &str) -> Outcome<u64> {
        let url = format!("http://{RELAY}/metrics");
        let output = self.inside("net", "curl").args(["--silent", "--max-time", "2", &url]).output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Ok(line.ok_or_else(|| format!("no metric {name}"))?)
    }

    /// `ip` inside a namespace.
    pub(crate) async fn ip(&self, host: &str, arguments: &str) -> Outcome<()> {
        ip(&format!("-n {} {arguments}", self.namespace(host))).await
    }

    async fn nft(&self, host: &str, rules: &str) -> Outcome<()> {
        let mut command = self.inside(host, "nft");
        let mut nft = command.args(["-f", "-"]).stdin(std::process::Stdio::piped()).spawn()?;
        let mut input = nft.stdin.take().ok_or("no input")?;
        input.write_all(rules.as_bytes()).await?;
        drop(input);
        if nft.wait().await?.success() {
            Ok(())
        } else {
            Err(format!("nft refuses the rules of {host}").into())
        }
    }

    /// A name that the devices of a namespace know.
    pub(crate) fn resolve(&self, host: &str, name: &str, address: &str) -> Outcome<()> {
        // `ip netns exec` lays the files of this folder over those in /etc.
        let folder = Path::new(NETNS).join(self.namespace(host));
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(folder.join("hosts"), format!("127.0.0.1 localhost\n{address} {name}\n"))?)
    }

    /// A program inside a namespace.
    pub(crate) fn inside(&self, host: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host), program]).kill_on_drop(true);
        command
    }

    async fn add(&mut self, host: &str) -> Outcome<()> {
        let name = self.namespace(host);
        ip(&format!("netns add {name}")).await?;
        self.namespaces.push(name);
        self.ip(host, "link set lo up").await?;
        // IPv6 has no NATs to get through: with it the lab would prove nothing. Frames that a router's own network switches do
        // not pass its firewall.
        let settings = "echo 1 >/proc/sys/net/ipv4/ip_forward
            if [ -d /proc/sys/net/bridge ]; then echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi
            if [ -d /proc/sys/net/ipv6 ]; then echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; fi
            for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done";
        self.shell(host, settings).await
    }

    async fn shell(&self, host: &str, script: &str) -> Outcome<()> {
        let status = self.inside(host, "sh").args(["-c", script]).status().await?;
        if status.success() { Ok(()) } else { Err("a namespace takes no settings".into()) }
    }

    fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.name)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            // Processes that are left; all of them began in this world.
            if let Ok(pids) = Blocking::new("ip").args(["netns", "pids", namespace]).output() {
                let pids = String::from_utf8_lossy(&pids.stdout).into_owned();
                for pid in pids.split_whitespace() {
                    let _ = Blocking::new("kill").args(["-KILL", pid]).output();
                }
            }
            let _ = Blocking::new("ip").args(["netns", "delete", namespace]).output();
            let _ = std::fs::remove_dir_all(Path::new(NETNS).join(namespace));
        }
    }
}

fn address(nat: Nat, router: u8, host: u8) -> String {
    match nat {
        // Public, and routed. The range for benchmarks: no filter of addresses takes it for a private one.
        Nat::None => format!("198.18.{router}.{host}"),
        _ => format!("10.{router}.0.{host}"),
    }
}

async fn ip(arguments: &str) -> Outcome<()> {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}
