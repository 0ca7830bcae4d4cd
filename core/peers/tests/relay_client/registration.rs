use std::time::Duration;

use peers::clock::Clock;
use peers::relay_client::{Disconnect, RelayError, RelayEvent, RelayState};
use peers_proto::dial::Presence;
use peers_proto::signaling::{ClientMessage, ErrorCode, IceServers, ServerMessage};
use peers_proto::timing;
use peers_relay::{IceConfig, Relay};
use tokio_tungstenite::tungstenite::Message;

use super::fake::{FakeRelay, FakeSocket};
use super::{Device, free_address, relay, relay_config, soon};

fn waiting(state: &RelayState) -> Option<Disconnect> {
    match state {
        RelayState::Waiting { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}

// proves S019 S024 S055 S056
#[tokio::test]
async fn a_device_registers_and_learns_the_ice_servers() {
    let ice = IceConfig { stun: vec!["stun:stun.example.com:3478".into()], turn: vec![] };
    let relay = Relay::start(peers_relay::RelayConfig { ice, ..relay_config() }).await.unwrap();
    let device = Device::new(1).register(&relay.url()).await;
    assert_eq!(relay.stats().devices, 1);
    assert_eq!(device.client.ice_servers()[0].urls, ["stun:stun.example.com:3478"]);
}

#[tokio::test]
async fn a_relay_that_passes_on_anothers_challenge_gets_a_signature_for_itself() {
    let fake = FakeRelay::start().await;
    let device = Device::new(1).start(&fake.url(), &Clock::manual());
    let mut socket = fake.accept().await;
    socket.say(&fake.challenge("relay.example.com")).await;
    let ClientMessage::DeviceRegistered(registration) = socket.hear().await else {
        panic!("no registration")
    };
    assert_eq!(registration.server_name, fake.name());
    let (code, text) = (ErrorCode::WrongName, "another name was dialed".to_owned());
    socket.say(&ServerMessage::Error { code, text, about: None }).await;
    let reason = waiting(&device.until(|s| waiting(s).is_some()).await);
    assert_eq!(reason, Some(Disconnect::Refused(ErrorCode::WrongName)));
}

// proves S022 S103
#[tokio::test]
async fn a_restarted_relay_is_found_again() {
    let relay = relay().await;
    let (url, bind) = (relay.url(), relay.local_addr());
    let device = Device::new(1).register(&url).await;
    relay.shutdown().await;
    device.until(|s| *s != RelayState::Registered).await;
    assert_eq!(
        device.client.open(Device::new(2).id(), super::connection(1)).err(),
        Some(RelayError::NotRegistered)
    );

    let relay = Relay::start(peers_relay::RelayConfig { bind, ..relay_config() }).await.unwrap();
    device.until(|s| *s == RelayState::Registered).await;
    assert_eq!(relay.stats().devices, 1);
}

// proves S022
#[tokio::test]
async fn a_change_of_network_ends_the_wait_for_the_next_try() {
    let bind = free_address().await;
    // This clock stands still: nothing but the change can end the wait.
    let device = Device::new(1).start(&format!("ws://{bind}"), &Clock::manual());
    device.until(|s| waiting(s).is_some()).await;
    let _relay = Relay::start(peers_relay::RelayConfig { bind, ..relay_config() }).await.unwrap();
    device.client.network_changed(false);
    device.until(|s| *s == RelayState::Registered).await;
}

#[tokio::test]
async fn the_newest_registration_wins_and_the_loser_stays_away() {
    let relay = relay().await;
    let mut first = Device::new(1).register(&relay.url()).await;
    let second = Device::new(1).register(&relay.url()).await;
    first.until(|s| *s == RelayState::Superseded).await;
    assert_eq!(first.client.certificate(Device::new(2).id()).await, Err(RelayError::Superseded));
    assert_eq!(*second.client.state().borrow(), RelayState::Registered);
    assert_eq!(relay.stats().registrations, 2);
    first.task.shutdown().await;
    assert_eq!(*first.client.state().borrow(), RelayState::Stopped);
    assert!(soon(first.events.recv()).await.is_none());
}

#[tokio::test]
async fn a_superseded_registration_is_taken_back_when_asked_for() {
    let relay = relay().await;
    let first = Device::new(1).register(&relay.url()).await;
    let second = Device::new(1).register(&relay.url()).await;
    first.until(|s| *s == RelayState::Superseded).await;
    first.client.reclaim();
    first.until(|s| *s == RelayState::Registered).await;
    second.until(|s| *s == RelayState::Superseded).await;
    let unknown = first.client.certificate(Device::new(2).id()).await;
    assert_eq!(unknown, Err(RelayError::UnknownDevice));
}

// proves S054
#[tokio::test]
async fn shutdown_says_goodbye_and_everything_after_it_is_a_typed_error() {
    let relay = relay().await;
    let mut device = Device::new(1).register(&relay.url()).await;
    soon(device.task.shutdown()).await;
    assert_eq!(*device.client.state().borrow(), RelayState::Stopped);
    assert!(soon(device.events.recv()).await.is_none());
    let other = Device::new(2).id();
    assert_eq!(device.client.open(other, super::connection(1)).err(), Some(RelayError::Stopped));
    assert_eq!(device.client.certificate(other).await, Err(RelayError::Stopped));
}

#[tokio::test]
async fn dropping_the_task_ends_the_client() {
    let relay = relay().await;
    let device = Device::new(1).register(&relay.url()).await;
    drop(device.task);
    soon(device.client.state().wait_for(|s| *s == RelayState::Stopped)).await.unwrap();
}

#[tokio::test]
async fn garbage_ends_the_socket_with_a_typed_reason_and_is_tried_again() {
    let fake = FakeRelay::start().await;
    let device = Device::new(1).start(&fake.url(), &Clock::system());
    let broken = |s: &RelayState| matches!(waiting(s), Some(Disconnect::Protocol(_)));

    fake.accept().await.send(Message::text("who are you?")).await;
    device.until(broken).await;
    fake.accept().await.babble(b"\x01").await;
    device.until(broken).await;
    let mut socket = fake.register(IceServers::default()).await;
    device.until(|s| *s == RelayState::Registered).await;
    socket.babble(b"\x09 no such kind of frame, however long it may be").await;
    device.until(broken).await;
    let mut socket = fake.register(IceServers::default()).await;
    device.until(|s| *s == RelayState::Registered).await;
    socket.send(Message::text(r#"{"event":"offer"}"#)).await;
    device.until(broken).await;
}

#[tokio::test]
async fn events_of_a_newer_relay_are_ignored() {
    let fake = FakeRelay::start().await;
    let mut device = Device::new(1).start(&fake.url(), &Clock::system());
    let other = Device::new(2).id();
    device.client.watch_devices(vec![other]);
    let mut socket = fake.register(IceServers::default()).await;
    socket.send(Message::text(r#"{"event":"weather","sunny":true}"#)).await;
    socket.say(&ServerMessage::DeviceOnline { device_id: other }).await;
    assert!(
        matches!(device.event().await, peers::relay_client::RelayEvent::Presence(d, Presence::Online) if d == other)
    );
    assert_eq!(*device.client.state().borrow(), RelayState::Registered);
}

#[tokio::test]
async fn a_relay_that_never_speaks_is_given_up() {
    let fake = FakeRelay::start().await;
    let clock = Clock::manual();
    let device = Device::new(1).start(&fake.url(), &clock);
    let _mute = fake.accept().await;
    assert_eq!(advance_until_lost(&device, &clock).await, Disconnect::Silent);
}

// proves S019
#[tokio::test]
async fn a_dead_socket_is_noticed_by_a_missing_pong() {
    let fake = FakeRelay::start().await;
    let clock = Clock::manual();
    let device = Device::new(1).start(&fake.url(), &clock);
    // Held, but never read again: no pong comes.
    let _dead = fake.register(IceServers::default()).await;
    device.until(|s| *s == RelayState::Registered).await;
    let before = clock.now();
    assert_eq!(advance_until_lost(&device, &clock).await, Disconnect::Silent);
    let took = clock.now() - before;
    assert!(took >= timing::PING_IDLE + timing::RELAY_PONG, "{took:?}");
}

#[tokio::test]
async fn an_idle_relay_is_pinged_and_stays_registered_if_it_answers() {
    let fake = FakeRelay::start().await;
    let clock = Clock::manual();
    let mut device = Device::new(1).start(&fake.url(), &clock);
    let other = Device::new(2).id();
    device.client.watch_devices(vec![other]);
    let mut socket = fake.register(IceServers::default()).await;
    for _ in 0..3 {
        clock.advance(timing::BEAT);
        assert!(matches!(socket.next().await, Some(Message::Ping(_))));
        // The pong is written with this message, and read before it.
        socket.say(&ServerMessage::DeviceOnline { device_id: other }).await;
        device.event().await;
        clock.advance(timing::RELAY_PONG);
    }
    assert_eq!(*device.client.state().borrow(), RelayState::Registered);
}

#[tokio::test]
async fn a_relay_behind_something_that_closes_idle_connections_is_pinged_more_often() {
    let fake = FakeRelay::start().await;
    let clock = Clock::manual();
    let mut device = Device::new(1).start(&fake.url(), &clock);
    let other = Device::new(2).id();
    device.client.watch_devices(vec![other]);
    let mut socket = fake.register(IceServers::default()).await;
    let hear = async |device: &mut super::Online, socket: &mut FakeSocket| {
        socket.say(&ServerMessage::DeviceOnline { device_id: other }).await;
        while !matches!(device.event().await, RelayEvent::Presence(_, Presence::Online)) {}
    };
    // The longest silence there is: pings go out on beats, and not before two thirds of one have passed.
    clock.advance(timing::BEAT / 3 + Duration::from_secs(1));
    hear(&mut device, &mut socket).await;
    clock.advance(timing::BEAT);
    drop(socket);
    device.until(|s| waiting(s).is_some()).await;
    let mut socket = accept_after_waiting(&fake, &clock).await;
    device.until(|s| *s == RelayState::Registered).await;
    // Silence begins right after a moment for a ping.
    let to_beat = clock.now().next_beat() - clock.now();
    clock.advance(to_beat + timing::BEAT / 3 + Duration::from_secs(1));
    assert!(matches!(socket.next().await, Some(Message::Ping(_))));
    hear(&mut device, &mut socket).await;
    clock.advance(timing::BEAT - Duration::from_secs(5));
    assert!(matches!(socket.next().await, Some(Message::Ping(_))), "before it is closed again");
}

/// Accepts the next registration, which comes when the client has waited.
async fn accept_after_waiting(fake: &FakeRelay, clock: &Clock) -> FakeSocket {
    let passes = async {
        loop {
            clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        socket = fake.register(IceServers::default()) => socket,
        () = passes => unreachable!(),
    }
}

#[tokio::test]
async fn a_change_of_network_probes_the_socket_at_once() {
    let fake = FakeRelay::start().await;
    let clock = Clock::manual();
    let device = Device::new(1).start(&fake.url(), &clock);
    let mut socket = fake.register(IceServers::default()).await;
    device.until(|s| *s == RelayState::Registered).await;
    device.client.network_changed(false);
    // Reading the ping queues the pong; it is never written.
    assert!(matches!(socket.next().await, Some(Message::Ping(_))));
    let before = clock.now();
    assert_eq!(advance_until_lost(&device, &clock).await, Disconnect::Silent);
    let took = clock.now() - before;
    assert!(took >= timing::RELAY_PROBE && took < timing::RELAY_PONG, "{took:?}");
}

/// Lets time pass until the client gives up.
async fn advance_until_lost(device: &super::Online, clock: &Clock) -> Disconnect {
    let mut state = device.client.state();
    let passes = async {
        loop {
            clock.advance(Duration::from_secs(1));
            // The client's tasks are on this thread: they run now.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        state = soon(state.wait_for(|s| waiting(s).is_some())) => waiting(&state.unwrap()).unwrap(),
        () = passes => unreachable!(),
    }
}
