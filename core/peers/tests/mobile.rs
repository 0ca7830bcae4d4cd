//! What happens to a phone: its network changes, its app is suspended and comes back.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use peers::clock::Clock;
use peers::{
    AppState, ClientBuilder, ClientState, Error, Event, Medium, NetworkSnapshot, PathKind, RelayState,
    RelayStatus, Session, Status, Transports, TrustLevel,
};
use support::{Device, World, everybody};

/// Only a guard: nothing here takes as long unless it is broken.
const GUARD: Duration = Duration::from_secs(30);

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, what).await.unwrap()
}

fn wifi(last: u8) -> NetworkSnapshot {
    let address = IpAddr::from([192, 168, 0, last]);
    NetworkSnapshot {
        online: true,
        medium: Medium::Wifi,
        addresses: vec![address],
        ..NetworkSnapshot::OFFLINE
    }
}

/// Numbers both ways: each arrives once and in order.
async fn talk(here: &Session, there: &Session, numbers: std::ops::Range<u32>) {
    for (from, to) in [(here, there), (there, here)] {
        for n in numbers.clone() {
            from.send(&n).await.unwrap();
        }
        for n in numbers.clone() {
            assert_eq!(to.recv().await.unwrap().decode::<u32>().unwrap(), n);
        }
    }
}

async fn met(world: &World, transports: Transports) -> (Device, Device, Session, Session) {
    let (a, b) = world.pair(transports).await;
    let here = within(a.client.session(b.client.device_id())).await.unwrap();
    let there = within(b.connected()).await;
    if transports.webrtc {
        for session in [&here, &there] {
            within(session.watch_path().wait_for(|p| *p == Some(PathKind::WebRtc))).await.unwrap();
        }
    }
    (a, b, here, there)
}

// proves S096, S109, S159: on another network everything is made anew, and the session does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_moves_to_another_network_in_the_middle_of_a_stream() {
    let world = World::start().await;
    let (mut a, _b, here, there) = met(&world, Transports::default()).await;
    a.client.network_changed(wifi(7));
    let body = Bytes::from((0..24_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let (mut send, _recv) = here.open_stream("file").unwrap();
    let reader = tokio::spawn({
        let there = there.clone();
        async move {
            let mut stream = there.accept_stream().await.unwrap();
            let mut all = Vec::new();
            while let Some(chunk) = stream.recv.read().await.unwrap() {
                all.extend_from_slice(&chunk);
            }
            all
        }
    });
    let changes = tokio::spawn(async move {
        for last in [8, 9, 8] {
            a.client.network_changed(wifi(last));
            for wanted in [Status::Verifying, Status::Usable] {
                while !matches!(a.events.next().await, Some(Event::StatusChanged { status, .. }) if status == wanted)
                {
                }
            }
        }
        a
    });
    let writer = tokio::spawn({
        let body = body.clone();
        async move {
            for part in body.chunks(64 * 1024) {
                send.write(body.slice_ref(part)).await.unwrap();
            }
            send.finish().await.unwrap();
        }
    });
    let _a = within(changes).await.unwrap();
    within(talk(&here, &there, 0..100)).await;
    within(writer).await.unwrap();
    assert!(within(reader).await.unwrap() == body);
    within(here.watch_path().wait_for(|p| *p == Some(PathKind::WebRtc))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_that_mean_no_change_disturb_nothing() {
    let world = World::start().await;
    let (mut a, _b, here, there) = met(&world, Transports::default()).await;
    a.client.network_changed(wifi(7));
    within(talk(&here, &there, 0..10)).await;
    while tokio::time::timeout(Duration::from_millis(600), a.events.next()).await.is_ok() {}
    a.client.network_changed(wifi(7));
    a.client.network_changed(NetworkSnapshot { metered: true, ..wifi(7) });
    let quiet = async |a: &mut Device| loop {
        match a.events.next().await.unwrap() {
            Event::QualityChanged { .. } => {}
            other => return other,
        }
    };
    // The one fact that differs is what data costs: told, and no reason to doubt a path.
    let told = within(quiet(&mut a)).await;
    assert!(matches!(told, Event::Metered(true)), "{told:?}");
    let event = tokio::time::timeout(Duration::from_millis(1000), quiet(&mut a)).await;
    assert!(event.is_err(), "{event:?}");
    within(talk(&here, &there, 10..20)).await;
    assert_eq!(here.status(), Status::Usable);
}

async fn cost(device: &mut Device) -> bool {
    loop {
        if let Event::Metered(metered) = within(device.events.next()).await.unwrap() {
            return metered;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_waits_while_data_costs_money_and_nothing_else_does() {
    let world = World::start().await;
    let (mut a, _b, here, there) = met(&world, Transports { webrtc: false, relay: true }).await;
    let metered = NetworkSnapshot { metered: true, ..wifi(7) };
    a.client.network_changed(metered.clone());
    assert!(cost(&mut a).await);
    let (mut bulk, _recv) = here.open_stream("bulk").unwrap();
    bulk.bulk().set(true);
    let mut writing = Box::pin(bulk.write("later"));
    assert!(writing.as_mut().now_or_never().is_none());
    // Everything else goes on, and what the peer is told of the stream is there before.
    let mut arrived = within(there.accept_stream()).await.unwrap();
    within(talk(&here, &there, 0..10)).await;
    let mut reading = Box::pin(arrived.recv.read());
    assert!(reading.as_mut().now_or_never().is_none());
    a.client.network_changed(wifi(7));
    assert!(!cost(&mut a).await);
    within(&mut writing).await.unwrap();
    assert_eq!(within(&mut reading).await.unwrap().unwrap(), "later");
    drop((writing, reading));
    // A person may not want to wait.
    a.client.network_changed(metered);
    assert!(cost(&mut a).await);
    let mark = bulk.bulk();
    let mut writing = Box::pin(bulk.write("now"));
    assert!(writing.as_mut().now_or_never().is_none());
    mark.set(false);
    within(writing).await.unwrap();
    assert_eq!(within(arrived.recv.read()).await.unwrap().unwrap(), "now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_marks_a_stream_takes_nothing_while_data_costs_money_unless_that_is_allowed() {
    let world = World::start().await;
    for allowed in [false, true] {
        let trusting = |b: ClientBuilder| b.trust_policy(everybody()).bulk_on_metered(allowed);
        let relay = Transports { webrtc: false, relay: true };
        let (mut a, b) = (world.client("a", relay, trusting).await, world.client("b", relay, trusting).await);
        a.client.network_changed(NetworkSnapshot { metered: true, ..wifi(7) });
        assert!(cost(&mut a).await);
        // A session that begins later goes by it as well.
        let here = within(a.client.session(b.client.device_id())).await.unwrap();
        let there = within(b.connected()).await;
        let (mut send, _recv) = there.open_stream("bulk").unwrap();
        within(send.write("news")).await.unwrap();
        let mut arrived = within(here.accept_stream()).await.unwrap();
        arrived.recv.bulk().set(true);
        within(there.drain()).await.unwrap();
        let taken = arrived.recv.read().now_or_never();
        assert_eq!(taken.is_some(), allowed, "{taken:?}");
    }
}

// proves S022, S031, S120: a suspended app says goodbye, loses nothing, and is usable soon after it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_app_comes_back_to_the_same_session() {
    let world = World::start().await;
    for transports in [Transports { webrtc: false, relay: true }, Transports::default()] {
        let (mut a, mut b, here, there) = met(&world, transports).await;
        within(talk(&here, &there, 0..10)).await;
        within(a.client.set_app_state(AppState::Suspended)).await;
        assert_eq!(a.client.state(), ClientState::Suspended);
        assert_eq!((here.path(), here.status()), (None, Status::Away));
        within(there.watch_status().wait_for(|s| *s == Status::Away)).await.unwrap();
        let error = a.client.session(b.client.device_id()).await.unwrap_err();
        assert!(matches!(error, Error::Offline(_)), "{error:?}");
        // What is said to a device that is away waits for it.
        there.send("welcome back").await.unwrap();
        here.send("back again").await.unwrap();
        let mut state = a.client.watch_state();
        let back = Instant::now();
        within(a.client.set_app_state(AppState::Foreground)).await;
        assert_eq!(*state.borrow_and_update(), ClientState::Verifying);
        assert_eq!(within(here.recv()).await.unwrap().decode::<String>().unwrap(), "welcome back");
        assert_eq!(within(there.recv()).await.unwrap().decode::<String>().unwrap(), "back again");
        assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());
        within(state.wait_for(|s| *s == ClientState::Online)).await.unwrap();
        within(talk(&here, &there, 10..20)).await;
        for device in [&mut a, &mut b] {
            device.client.shutdown().await;
            while let Some(event) = device.events.next().await {
                if let Event::Disconnected { reason, .. } = event {
                    assert!(reason.is_close(), "{reason}");
                }
            }
        }
    }
}

// proves S120: suspended means nothing runs; coming back twice or for nothing harms nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_order_of_app_states_leaves_a_client_that_works() {
    use AppState::{Background, Foreground, Suspended};
    let world = World::start().await;
    let (a, _b, here, there) = met(&world, Transports::default()).await;
    for state in [Background, Foreground, Suspended, Suspended, Background, Suspended, Foreground, Foreground]
    {
        within(a.client.set_app_state(state)).await;
        if state != Suspended {
            within(talk(&here, &there, 0..5)).await;
        }
    }
}

// proves S120
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_that_still_says_goodbye_does_not_act_on_an_app_that_is_back() {
    let world = World::start().await;
    let (a, _b, here, there) = met(&world, Transports { webrtc: false, relay: true }).await;
    within(async {
        tokio::join!(
            a.client.set_app_state(AppState::Suspended),
            a.client.set_app_state(AppState::Foreground)
        )
    })
    .await;
    let registered = |relays: &Vec<RelayStatus>| relays[0].state == RelayState::Registered;
    within(a.client.watch_relays().wait_for(registered)).await.unwrap();
    within(talk(&here, &there, 0..10)).await;
}

// proves S120
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_goes_on_when_the_app_does_not_wait_for_it() {
    let world = World::start().await;
    let (a, _b, _here, there) = met(&world, Transports { webrtc: false, relay: true }).await;
    assert_eq!(a.client.set_app_state(AppState::Suspended).now_or_never(), None);
    let asleep = |relays: &Vec<RelayStatus>| relays[0].state == RelayState::Suspended;
    within(a.client.watch_relays().wait_for(asleep)).await.unwrap();
    within(there.watch_status().wait_for(|status| *status == Status::Away)).await.unwrap();
}

/// The app is suspended while its session still looks for a better path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_suspended_in_the_middle_of_an_upgrade_comes_back() {
    let world = World::start().await;
    let b = world.client("b", Transports::default(), |b| b.trust_policy(everybody())).await;
    let id = b.client.device_id();
    let a = world.client("a", Transports::default(), |b| b.trust(id, TrustLevel::Trusted)).await;
    let here = within(a.client.session(id)).await.unwrap();
    let there = within(b.connected()).await;
    for _ in 0..8 {
        within(a.client.set_app_state(AppState::Suspended)).await;
        assert_eq!((here.path(), here.status()), (None, Status::Away));
        here.send("said while away").await.unwrap();
        within(a.client.set_app_state(AppState::Background)).await;
        within(a.client.set_app_state(AppState::Foreground)).await;
        assert_eq!(within(there.recv()).await.unwrap().decode::<String>().unwrap(), "said while away");
        within(talk(&here, &there, 0..5)).await;
    }
}

// proves S022, S096: what takes a phone ten minutes takes a test less than a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_minutes_of_suspension_and_another_network_pass_in_virtual_time() {
    let (world, clock) = (World::start().await, Clock::manual());
    let relay = Transports { webrtc: false, relay: true };
    let device = async |name| {
        let builder = world.builder(name, relay).trust_policy(everybody());
        let (client, events) = builder.start_with(clock.clone()).await.unwrap();
        within(client.watch_state().wait_for(|state| *state == ClientState::Online)).await.unwrap();
        Device { client, events }
    };
    let (a, b) = (device("a").await, device("b").await);
    let here = within(a.client.session(b.client.device_id())).await.unwrap();
    let there = within(b.connected()).await;
    a.client.network_changed(wifi(7));
    within(talk(&here, &there, 0..10)).await;
    let began = Instant::now();
    within(a.client.set_app_state(AppState::Suspended)).await;
    within(there.watch_status().wait_for(|s| *s == Status::Away)).await.unwrap();
    there.send("welcome back").await.unwrap();
    for _ in 0..120 {
        clock.advance(Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!here.has_ended() && !there.has_ended());
    within(a.client.set_app_state(AppState::Foreground)).await;
    a.client.network_changed(wifi(8));
    clock.advance(Duration::from_millis(500));
    // A dial may wait for a moment, by a clock that stands still unless it is moved.
    let arrived = async {
        let mut message = Box::pin(here.recv());
        loop {
            tokio::select! {
                message = &mut message => return message.unwrap(),
                () = tokio::time::sleep(Duration::from_millis(5)) => clock.advance(Duration::from_millis(50)),
            }
        }
    };
    assert_eq!(within(arrived).await.decode::<String>().unwrap(), "welcome back");
    within(talk(&here, &there, 10..20)).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_changes_of_the_apps_state_at_once_the_later_one_counts() {
    let world = World::start().await;
    let (a, b, here, there) = met(&world, Transports { webrtc: false, relay: true }).await;
    for round in 0..50 {
        let client = a.client.clone();
        let suspending = tokio::spawn(async move { client.set_app_state(AppState::Suspended).await });
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        within(a.client.set_app_state(AppState::Foreground)).await;
        within(suspending).await.unwrap();
        // The state that is shown is the state that holds.
        let suspended = a.client.state() == ClientState::Suspended;
        let session = within(a.client.session(b.client.device_id())).await;
        assert_eq!(matches!(session, Err(Error::Offline(_))), suspended, "{session:?}");
    }
    within(a.client.set_app_state(AppState::Foreground)).await;
    within(talk(&here, &there, 0..10)).await;
}
