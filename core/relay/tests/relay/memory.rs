//! Heap memory of sockets, counted by the allocator on the relay's own threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use peers_proto::limits::MAX_FRAME;
use peers_proto::signaling::{RelayCloseReason, RelayFrame};
use tokio::runtime::Builder;

use crate::device::{Device, connection_id, relay_with};

const DEVICES: u16 = 500;
/// Bytes of the heap for one idle device: half of what may be resident, since the allocator adds its own.
const MOST: isize = 5_000;
/// The relay looks every five seconds what it can give back.
const PATIENCE: Duration = Duration::from_secs(20);

static LIVE: AtomicIsize = AtomicIsize::new(0);
thread_local!(static COUNTED: Cell<bool> = const { Cell::new(false) });

/// Counts on threads that ask for it.
pub(crate) struct Counting;

// SAFETY: `System` does all that is asked.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED.get() {
            LIVE.fetch_add(layout.size().cast_signed(), Relaxed);
        }
        // SAFETY: The caller keeps to the rules of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if COUNTED.get() {
            LIVE.fetch_sub(layout.size().cast_signed(), Relaxed);
        }
        // SAFETY: The caller keeps to the rules of `System`.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// The live bytes once they are at most `bytes`, or after a while.
async fn settled(bytes: isize) -> isize {
    let began = Instant::now();
    while LIVE.load(Relaxed) > bytes && began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    LIVE.load(Relaxed)
}

#[test]
fn idle_sockets_are_small_and_give_back_what_they_took() {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().on_thread_start(|| COUNTED.set(true));
    let counted = builder.build().unwrap();
    let limits = peers_relay::Limits { max_sockets_per_ip: 1000, ..peers_relay::Limits::default() };
    let relay = counted.block_on(counted.spawn(relay_with(limits))).unwrap();
    let devices = Builder::new_current_thread().enable_all().build().unwrap();
    devices.block_on(async {
        let _first = Device::arrive(&relay, 0).await;
        let before = LIVE.load(Relaxed);
        let most = before + isize::try_from(DEVICES).unwrap() * MOST;
        let mut devices = Vec::new();
        for seed in 1..=DEVICES {
            devices.push(Device::arrive(&relay, seed).await);
        }
        let idle = settled(most).await;
        println!("idle: {} bytes a device", (idle - before) / isize::try_from(DEVICES).unwrap());
        assert!(idle <= most);

        for pair in devices.chunks_mut(2) {
            let [a, b] = pair else { panic!("an even number") };
            let (peer, connection, frame) = (b.id, connection_id(1), Bytes::from(vec![7; MAX_FRAME]));
            for _ in 0..32 {
                let data = RelayFrame::Data { peer, connection, frame: frame.clone() };
                a.socket.feed_bytes(data.encode()).await;
            }
            let reason = RelayCloseReason::Closed;
            a.socket.send_bytes(RelayFrame::Close { peer, connection, reason }.encode()).await;
            while !matches!(b.socket.frame().await, RelayFrame::Close { .. }) {}
        }
        let relayed = settled(most).await;
        println!("after relaying: {} bytes a device", (relayed - before) / isize::try_from(DEVICES).unwrap());
        assert!(relayed <= most);

        drop(devices);
        let left = settled(before + 64 * 1024).await - before;
        assert!(left <= 64 * 1024, "{left} bytes stay");
    });
}
