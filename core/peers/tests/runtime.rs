//! The Rust API and the runtime below it: threads that have none, and runtimes that end.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use peers::{
    AppState, Client, ClientState, Error, Event, Medium, NetworkSnapshot, Status, Transports, TrustLevel,
};
use support::{Device, World};
use tokio::runtime::{Builder, Runtime};

/// Only a guard: nothing here takes as long unless it is broken.
const GUARD: Duration = Duration::from_secs(60);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What an executor that is not tokio's does.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// What a thread without a runtime returns.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (tell, outcome) = mpsc::channel();
    thread::spawn(move || tell.send(work()));
    outcome
}

/// A world and its second device on one runtime, the first device on another.
fn meet(transports: Transports) -> (Runtime, World, Device, Runtime, Device) {
    let (rest, own) = (runtime(), runtime());
    let (world, b) = rest.block_on(async {
        let world = World::start().await;
        let b = world.client("b", transports, support::answering).await;
        (world, b)
    });
    let a = own.block_on(world.client("a", transports, support::answering));
    (rest, world, b, own, a)
}

#[test]
fn a_client_needs_a_runtime_to_start() {
    let error = block_on(Client::builder().relay("ws://127.0.0.1:1").start()).map(|_| ()).unwrap_err();
    assert_eq!((&error, error.code()), (&Error::NoRuntime, "no-runtime"));
}

#[test]
fn a_thread_without_a_runtime_uses_a_client_as_any_other() {
    let (_rest, _world, b, _own, a) = meet(Transports::default());
    let id = b.client.device_id();
    let uses = on_a_thread(move || {
        a.client.trust(id, TrustLevel::Trusted).unwrap();
        let session = block_on(a.client.session(id)).unwrap();
        assert_eq!(block_on(session.call("echo", "echo", "hello")).unwrap(), "hello");
        // Large enough to be decompressed apart, and often enough to be paced.
        let text = "the same words again and again ".repeat(100_000);
        for _ in 0..6 {
            assert_eq!(block_on(session.call("echo", "echo", text.clone())).unwrap(), text);
        }
        let late = block_on(session.request("echo", "never").timeout(Duration::from_millis(50)).send(""));
        assert_eq!(late, Err(Error::TimedOut));
        let (mut send, _recv) = session.open_stream("s").unwrap();
        block_on(send.write("bytes")).unwrap();
        a.client.network_changed(NetworkSnapshot {
            online: true,
            medium: Medium::Wifi,
            addresses: vec!["192.168.0.7".parse().unwrap()],
            ..NetworkSnapshot::OFFLINE
        });
        for state in [AppState::Suspended, AppState::Foreground] {
            block_on(a.client.set_app_state(state));
        }
        assert_eq!(block_on(session.call("echo", "echo", "back")).unwrap(), "back");
        block_on(session.close());
        block_on(a.client.shutdown());
    });
    uses.recv_timeout(GUARD).unwrap();
}

// proves S019, S070
#[test]
fn a_dropped_runtime_ends_everything_with_a_reason() {
    for transports in [Transports { webrtc: false, relay: true }, Transports::default()] {
        let (_rest, _world, b, own, a) = meet(transports);
        let Device { client, mut events } = a;
        let session = own.block_on(client.session(b.client.device_id())).unwrap();
        let (mut send, mut recv) = session.open_stream("s").unwrap();
        let waiting: Vec<mpsc::Receiver<Error>> = [
            {
                let session = session.clone();
                on_a_thread(move || block_on(session.recv()).unwrap_err())
            },
            {
                let session = session.clone();
                on_a_thread(move || block_on(session.call("echo", "never", "")).unwrap_err())
            },
            {
                let session = session.clone();
                on_a_thread(move || block_on(session.accept_stream()).map(|_| ()).unwrap_err())
            },
            on_a_thread(move || block_on(recv.read()).unwrap_err()),
            on_a_thread(move || {
                loop {
                    if let Err(error) = block_on(send.write(vec![0; 100_000])) {
                        return error;
                    }
                }
            }),
        ]
        .into();
        drop(own);
        for outcome in waiting {
            assert_eq!(outcome.recv_timeout(GUARD).unwrap(), Error::NoRuntime);
        }
        assert_eq!(client.state(), ClientState::Closed);
        assert_eq!((session.status(), session.path(), session.has_ended()), (Status::Down, None, true));
        assert!(client.sessions().is_empty());
        let ends = on_a_thread(move || {
            assert_eq!(block_on(session.send("late")), Err(Error::NoRuntime));
            assert_eq!(block_on(session.drain()), Err(Error::NoRuntime));
            block_on(session.close());
            let mut told = Vec::new();
            while let Some(event) = block_on(events.next()) {
                match event {
                    Event::Disconnected { session: about, reason } => {
                        assert!(about == session);
                        told.push(reason.to_string());
                    }
                    Event::State(state) => told.push(format!("{state:?}")),
                    _ => {}
                }
            }
            assert!(told.ends_with(&["Closed".into(), "no-runtime".into()]), "{told:?}");
            let again = block_on(client.session(b.client.device_id())).map(|_| ());
            assert_eq!(again, Err(Error::NoRuntime));
            for state in [AppState::Suspended, AppState::Foreground] {
                block_on(client.set_app_state(state));
            }
            block_on(client.shutdown());
            assert_eq!(client.state(), ClientState::Closed);
        });
        ends.recv_timeout(GUARD).unwrap();
    }
}

// What had arrived is the app's, whatever became of the runtime.
#[test]
fn messages_that_had_arrived_outlive_the_runtime() {
    let (rest, _world, b, own, a) = meet(Transports { webrtc: false, relay: true });
    let session = own.block_on(a.client.session(b.client.device_id())).unwrap();
    let text = "the same words again and again ".repeat(10_000);
    rest.block_on(async {
        let there = b.connected().await;
        there.send("short").await.unwrap();
        there.send(&text).await.unwrap();
        there.drain().await.unwrap();
    });
    drop(own);
    let takes = on_a_thread(move || {
        assert_eq!(block_on(session.recv()).unwrap().decode::<String>().unwrap(), "short");
        assert_eq!(block_on(session.recv()).unwrap().decode::<String>().unwrap(), text);
        assert_eq!(block_on(session.recv()).unwrap_err(), Error::NoRuntime);
    });
    takes.recv_timeout(GUARD).unwrap();
}
