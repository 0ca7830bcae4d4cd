//! The relay's memory for silent devices, seen from outside: its resident memory while they are registered and after they
//! left, and how fast they register. The relay and the devices are processes of their own.
//!
//! `cargo run --release -p peers-relay --example idle -- [--devices N]`
//!
//! One JSON object a line: metric, value, unit, n, bound. Status 1 if a bound was missed. Each process raises its limit of
//! descriptors as far as it may; that bounds N.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has nothing to say")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::DeviceId;
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::signaling::{ClientMessage, ServerMessage, server_name};
use peers_proto::time::UnixTime;
use peers_relay::{Limits, Relay, RelayConfig};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

const DEVICES: usize = 20_000;
/// Of one process.
const SHARE: usize = 5_000;
/// Of one address: fewer than the relay allows.
const PER_ADDRESS: usize = 400;
/// Descriptors of the relay that are no devices, generously.
const OTHERS: usize = 64;
/// Whom each device watches.
const FRIENDS: u8 = 16;
/// Registrations under way at once in one process.
const AT_ONCE: usize = 64;
/// The relay looks every five seconds what it can give back.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes per idle device.
const MOST_PER_DEVICE: f64 = 10_000.0;
/// Of the memory before they came.
const MOST_LEFT: f64 = 1.1;
/// Seconds in which 10 000 devices register.
const SLOWEST: f64 = 10.0;

fn main() -> ExitCode {
    let most = raise_descriptors();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["relay"] => relay(most),
        ["devices", relay, first, count] => {
            devices(relay.parse().unwrap(), first.parse().unwrap(), count.parse().unwrap());
        }
        [] => return measure(DEVICES.min(most - OTHERS)),
        ["--devices", count] => return measure(count.parse().unwrap()),
        _ => panic!("usage: idle [--devices N]"),
    }
    ExitCode::SUCCESS
}

fn measure(count: usize) -> ExitCode {
    let mut relay = Role::start(&["relay"]);
    let addr: SocketAddr = relay.line().parse().unwrap();
    let fresh = memory(relay.child.id());
    // What the first devices make resident for good is no cost of the later ones: code, and the allocator's caches.
    drop(Role::devices(addr, 0, PER_ADDRESS));
    wait_for(addr, 0);
    let before = memory(relay.child.id());

    let (began, busy) = (Instant::now(), processor(relay.child.id()));
    let shares = (0..count).step_by(SHARE).map(|first| (first, SHARE.min(count - first)));
    let mut devices: Vec<_> = shares.map(|(first, share)| Role::start_devices(addr, first, share)).collect();
    for share in &mut devices {
        assert_eq!(share.line(), "registered");
    }
    let registered = began.elapsed().as_secs_f64();
    wait_for(addr, count);
    let busy = processor(relay.child.id()) - busy;
    let full = memory(relay.child.id());

    drop(devices);
    wait_for(addr, 0);
    let left = Instant::now();
    let mut after = memory(relay.child.id());
    while after.rss > before.rss * MOST_LEFT && left.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(250));
        after = memory(relay.child.id());
    }
    let given_back = left.elapsed().as_secs_f64();

    let per_device = |full: f64, before: f64| (full - before) / count as f64;
    let mut held = true;
    let mut tell = |metric: &str, value: f64, unit: &str, bound: Option<f64>| {
        held &= bound.is_none_or(|bound| value <= bound);
        let bound = bound.map_or("null".to_owned(), |bound| bound.to_string());
        println!(
            "{{\"metric\":\"{metric}\",\"value\":{value:.3},\"unit\":\"{unit}\",\"n\":{count},\"bound\":{bound}}}"
        );
    };
    tell("relay_idle_rss", per_device(full.rss, before.rss), "B/device", Some(MOST_PER_DEVICE));
    tell("relay_idle_pss", per_device(full.pss, before.pss), "B/device", None);
    tell("relay_rss_fresh", fresh.rss, "B", None);
    tell("relay_rss_before", before.rss, "B", None);
    tell("relay_rss_full", full.rss, "B", None);
    tell("relay_rss_after", after.rss, "B", None);
    tell("relay_rss_after_to_before", after.rss / before.rss, "", Some(MOST_LEFT));
    tell("relay_given_back", given_back, "s", None);
    tell("relay_10000_registered", registered * 10_000.0 / count as f64, "s", Some(SLOWEST));
    tell("relay_registration_processor", busy / count as f64 * 1e6, "us/device", None);
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Resident bytes: all, and with what is shared divided by those who share it.
struct Memory {
    rss: f64,
    pss: f64,
}

fn memory(process: u32) -> Memory {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
    };
    Memory { rss: field("Rss:"), pss: field("Pss:") }
}

/// Seconds that the process has had a processor.
fn processor(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // Fields 14 and 15, counted from the end of the name: hundredths of a second in user mode and in the kernel.
    let fields = text.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// Until the relay says that it has so many devices, and no connection that is not one of theirs.
fn wait_for(relay: SocketAddr, devices: usize) {
    let expected = ["sockets", "devices"].map(|name| format!("\npeers_relay_{name} {devices}\n"));
    let mut text = String::new();
    for _ in 0..1000 {
        let mut tcp = TcpStream::connect(relay).unwrap();
        tcp.write_all(b"GET /metrics HTTP/1.1\r\nhost: relay\r\n\r\n").unwrap();
        text.clear();
        tcp.read_to_string(&mut text).unwrap();
        if expected.iter().all(|line| text.contains(line)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("never {devices} devices: {text}");
}

/// A process of this program. It ends when its input does.
struct Role {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Role {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn start_devices(relay: SocketAddr, first: usize, count: usize) -> Self {
        Self::start(&["devices", &relay.to_string(), &first.to_string(), &count.to_string()])
    }

    fn devices(relay: SocketAddr, first: usize, count: usize) -> Self {
        let mut devices = Self::start_devices(relay, first, count);
        assert_eq!(devices.line(), "registered");
        devices
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

fn wait_for_end_of_input() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[tokio::main]
async fn relay(most: usize) {
    let limits = Limits { max_sockets: most, idle_seconds: 3600, ..Limits::default() };
    let config = RelayConfig { bind: ([127, 0, 0, 1], 0).into(), limits, ..RelayConfig::default() };
    let relay = Relay::start(config).await.unwrap();
    say(&relay.local_addr().to_string());
    tokio::task::spawn_blocking(wait_for_end_of_input).await.unwrap();
    relay.shutdown().await;
}

#[tokio::main(flavor = "current_thread")]
async fn devices(relay: SocketAddr, first: usize, count: usize) {
    let devices = futures_util::stream::iter(first..first + count).map(|n| register(relay, n));
    let devices: Vec<_> = devices.buffer_unordered(AT_ONCE).collect().await;
    say("registered");
    tokio::task::spawn_blocking(wait_for_end_of_input).await.unwrap();
    drop(devices);
}

async fn register(relay: SocketAddr, n: usize) -> WebSocketStream<tokio::net::TcpStream> {
    let mut seed = [1; 32];
    seed[..8].copy_from_slice(&(n as u64).to_be_bytes());
    let (keys, user) = (DeviceKeys::from_seed(seed), UserKeys::from_seed(seed));
    let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), "idle").unwrap();
    let address = u32::from(Ipv4Addr::new(127, 1, 0, 1)) + u32::try_from(n / PER_ADDRESS).unwrap();
    let tcp = TcpSocket::new_v4().unwrap();
    tcp.bind((Ipv4Addr::from(address), 0).into()).unwrap();
    let tcp = tcp.connect(relay).await.unwrap();
    let url = format!("ws://{relay}/v1");
    let small = WebSocketConfig::default().read_buffer_size(1024);
    let (mut socket, _) = client_async_with_config(&url, tcp, Some(small)).await.unwrap();
    let text = socket.next().await.unwrap().unwrap();
    let Ok(ServerMessage::Challenge(challenge)) = ServerMessage::from_json(text.to_text().unwrap()) else {
        panic!("no challenge")
    };
    let answer = challenge.answer(&server_name(&url).unwrap(), &keys, &certificate);
    let device_ids = (0..FRIENDS).map(|friend| DeviceId::derive(&[friend])).collect();
    for message in [ClientMessage::DeviceRegistered(answer), ClientMessage::Watch { device_ids, open: false }]
    {
        socket.feed(Message::text(message.to_json().unwrap())).await.unwrap();
    }
    socket.flush().await.unwrap();
    let text = socket.next().await.unwrap().unwrap();
    match ServerMessage::from_json(text.to_text().unwrap()) {
        Ok(ServerMessage::Registered(_)) => socket,
        other => panic!("not registered: {other:?}"),
    }
}

/// The limit of descriptors, as high as it goes.
fn raise_descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: Both calls read or write the structure that they are given, and nothing else.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}
