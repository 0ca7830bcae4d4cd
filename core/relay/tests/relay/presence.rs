//! Presence: only between devices that both asked for it.

use peers_proto::signaling::{ClientMessage, ServerMessage};

use crate::device::{Device, relay};

fn watch(others: &[&Device]) -> ClientMessage {
    ClientMessage::Watch { device_ids: others.iter().map(|d| d.id).collect(), open: false }
}

fn online(device: &Device) -> ServerMessage {
    ServerMessage::DeviceOnline { device_id: device.id }
}

fn offline(device: &Device) -> ServerMessage {
    ServerMessage::DeviceOffline { device_id: device.id }
}

// proves S025 S030 S100
#[tokio::test]
async fn devices_that_watch_each_other_see_each_other_come_and_go() {
    let relay = relay().await;
    let (mut a, mut b) = (Device::register(&relay, 1).await, Device::register(&relay, 2).await);
    a.socket.send(watch(&[&b])).await;
    a.socket.settle().await; // nothing: B did not consent
    b.socket.send(watch(&[&a])).await;
    assert_eq!(b.socket.event().await, online(&a));
    assert_eq!(a.socket.event().await, online(&b));

    drop(b.socket);
    assert_eq!(a.socket.event().await, ServerMessage::DeviceOffline { device_id: b.id });

    let mut b = Device::register(&relay, 2).await;
    b.socket.send(watch(&[&a])).await;
    assert_eq!(b.socket.event().await, online(&a));
    assert_eq!(a.socket.event().await, online(&b));
}

#[tokio::test]
async fn a_stranger_learns_nothing() {
    let relay = relay().await;
    let mut stranger = Device::register(&relay, 1).await;
    let mut victim = Device::register(&relay, 2).await;
    stranger.socket.send(watch(&[&victim])).await;
    stranger.socket.settle().await;
    victim.socket.settle().await;
    let id = victim.id;
    drop(victim.socket);
    let back = Device::register(&relay, 2).await;
    assert_eq!(back.id, id);
    stranger.socket.settle().await;
}

#[tokio::test]
async fn who_withdraws_consent_looks_offline() {
    let relay = relay().await;
    let (mut a, mut b) = (Device::register(&relay, 1).await, Device::register(&relay, 2).await);
    a.socket.send(watch(&[&b])).await;
    a.socket.settle().await;
    b.socket.send(watch(&[&a])).await;
    assert_eq!(a.socket.event().await, online(&b));
    b.socket.send(watch(&[])).await;
    assert_eq!(a.socket.event().await, offline(&b));
    drop(b.socket);
    a.socket.settle().await;
}

#[tokio::test]
async fn a_second_registration_of_a_device_is_not_a_departure() {
    let relay = relay().await;
    let (mut a, mut b) = (Device::register(&relay, 1).await, Device::register(&relay, 2).await);
    a.socket.send(watch(&[&b])).await;
    a.socket.settle().await;
    b.socket.send(watch(&[&a])).await;
    assert_eq!(a.socket.event().await, online(&b));

    let mut newer = Device::register(&relay, 2).await;
    newer.socket.send(watch(&[&a])).await;
    assert_eq!(newer.socket.event().await, online(&a));
    a.socket.settle().await; // A saw no change
}
