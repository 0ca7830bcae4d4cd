//! Nothing of a client outlives its shutdown. Alone in its process: it counts what the whole process allocates.
#![expect(clippy::unwrap_used, reason = "tests")]
#![cfg(target_os = "linux")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use peers::{
    Client, ClientState, Event, Events, InboundRequest, PathKind, RequestError, RequestHandler, TrustLevel,
};
use peers_ffi::{ClientConfig, PeersClient, RelayEndpoint};
use peers_relay::{Relay, RelayConfig};
use tokio::runtime::Builder;

/// Bytes that were allocated and not freed, exactly: no allocator's caches, no fragmentation.
struct Counting;

static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Echo;

#[async_trait]
impl RequestHandler for Echo {
    async fn handle(&self, request: InboundRequest) -> Result<Bytes, RequestError> {
        Ok(request.body)
    }
}

async fn device(relay: &str) -> (Client, Events) {
    let builder = Client::builder().relay(relay).loopback(true).handler("echo", Arc::new(Echo));
    let (client, events) = builder.start().await.unwrap();
    client.watch_state().wait_for(|state| *state == ClientState::Online).await.unwrap();
    (client, events)
}

/// Two devices meet, talk by every means, and are shut down.
async fn cycle() {
    let relay = Relay::start(RelayConfig { bind: ([127, 0, 0, 1], 0).into(), ..RelayConfig::default() });
    let relay = relay.await.unwrap();
    let url = format!("ws://{}", relay.local_addr());
    let ((first, _first_events), (second, mut second_events)) = tokio::join!(device(&url), device(&url));
    second.trust(first.device_id(), TrustLevel::Trusted).unwrap();
    let session = first.session(second.device_id()).await.unwrap();
    let accepted = loop {
        if let Event::Connected { session, .. } = second_events.next().await.unwrap() {
            break session;
        }
    };
    session.watch_path().wait_for(|path| *path == Some(PathKind::WebRtc)).await.unwrap();
    session.call("echo", "echo", vec![0; 1000]).await.unwrap();
    session.send_bytes(vec![0; 1000]).await.unwrap();
    accepted.recv().await.unwrap();
    let (mut send, _recv) = session.open_stream("bytes").unwrap();
    send.write(vec![0; 200_000]).await.unwrap();
    let mut stream = accepted.accept_stream().await.unwrap();
    stream.recv.read().await.unwrap();
    tokio::join!(first.shutdown(), second.shutdown());
    relay.shutdown().await;
}

/// Bytes that fifty cycles of four clients leave when each client leaves no more than one small allocation.
const LEAK: i64 = 50 * 4 * 32;

/// The same through what Kotlin and Swift call, which brings its own threads.
async fn binding_cycle() {
    let relay = Relay::start(RelayConfig { bind: ([127, 0, 0, 1], 0).into(), ..RelayConfig::default() });
    let relay = relay.await.unwrap();
    let url = format!("ws://{}", relay.local_addr());
    let (first, second) = (binding(&url).await, binding(&url).await);
    let (here, there) = (first.device_id().unwrap(), second.device_id().unwrap());
    second.trust(here, peers_ffi::TrustLevel::Trusted).unwrap();
    let session = first.session(there, None).await.unwrap();
    assert!(second.events_ready(None).await.unwrap());
    let request = peers_ffi::CallRequest {
        service: "echo".into(),
        method: "echo".into(),
        body: vec![0; 1000],
        group: None,
        timeout_ms: None,
    };
    session.call(request, None).await.unwrap();
    first.shutdown().await;
    second.shutdown().await;
    relay.shutdown().await;
}

async fn binding(relay: &str) -> Arc<PeersClient> {
    let client = PeersClient::new(ClientConfig {
        relays: vec![RelayEndpoint { url: relay.into(), token: None, authorities: vec![], pins: vec![] }],
        services: vec!["echo".into()],
        handler: Some(Arc::new(Echo)),
        loopback: true,
        log_level: Some(peers_ffi::LogLevel::Debug),
        ..ClientConfig::default()
    });
    let client = client.unwrap();
    client.start(None).await.unwrap();
    let mut state = client.state();
    while state != peers_ffi::ClientState::Online {
        state = client.state_after(state, None).await;
    }
    client
}

impl peers_ffi::RequestHandler for Echo {
    fn handle(
        &self,
        request: peers_ffi::InboundRequest,
        responder: Arc<peers_ffi::Responder>,
    ) -> Result<(), peers_ffi::CallbackError> {
        responder.reply(request.body);
        Ok(())
    }

    fn give_up(&self, _: u64) -> Result<(), peers_ffi::CallbackError> {
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
struct Usage {
    bytes: i64,
    descriptors: usize,
    threads: usize,
}

impl Usage {
    fn now() -> Self {
        let count = |folder: &str| fs::read_dir(folder).unwrap().count();
        Self {
            bytes: LIVE_BYTES.load(Ordering::Relaxed),
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
        }
    }

    fn within(self, bound: Self) -> bool {
        self.bytes < bound.bytes + LEAK
            && self.descriptors <= bound.descriptors
            && self.threads <= bound.threads
    }
}

/// Each in a runtime of its own, which waits for every task when it is dropped.
fn cycles(count: usize) {
    for _ in 0..count {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { tokio::spawn(cycle()).await.unwrap() });
        runtime.block_on(async { tokio::spawn(binding_cycle()).await.unwrap() });
    }
}

// proves S035
#[test]
fn two_hundred_clients_leave_no_byte_descriptor_or_thread() {
    // What the process keeps for good, such as a table of log statements, is there after a few.
    cycles(10);
    let before = Usage::now();
    cycles(50);
    // A thread that has ended lets go of its runtime a moment after those who waited for it go on.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !Usage::now().within(before) {
        assert!(Instant::now() < deadline, "{before:?} {:?}", Usage::now());
        std::thread::sleep(Duration::from_millis(10));
    }
}
