//! Old registrations on new sockets.

use futures_util::{SinkExt, StreamExt};
use peers::{ClientState, Transports};
use peers_proto::signaling::{Challenge, ClientMessage, ErrorCode, Registration, ServerMessage};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::world::{Device, within};
use peers_tests::hostile_relay::HostileRelay;

// proves S131: what one relay has seen of a device is worth nothing at another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_registration_does_not_register_again() {
    let relay = HostileRelay::start().await;
    let device = Device::start(&relay, "a", Transports::default()).await;
    let recorded = relay.registration(device.id());
    let as_it_was = |_: &Challenge| recorded.clone();
    let with_the_new_nonce =
        |challenge: &Challenge| Registration { nonce: challenge.nonce, ..recorded.clone() };
    for replay in [&as_it_was as &dyn Fn(&Challenge) -> Registration, &with_the_new_nonce] {
        let mut socket = relay.socket().await;
        let ServerMessage::Challenge(challenge) = next(&mut socket).await else { panic!("no challenge") };
        assert_ne!(challenge.nonce, recorded.nonce);
        let registration = ClientMessage::DeviceRegistered(replay(&challenge)).to_json().unwrap();
        socket.send(Message::text(registration)).await.unwrap();
        let refusal = next(&mut socket).await;
        assert!(matches!(refusal, ServerMessage::Error { code: ErrorCode::Denied, .. }), "{refusal:?}");
    }

    // The device itself is still there: no other took its place.
    assert_eq!(device.client.state(), ClientState::Online);
    let mut other = Device::start(&relay, "b", Transports::default()).await;
    let session = within(device.client.session(other.id())).await.unwrap();
    session.send("still here").await.unwrap();
    let there = other.connected().await;
    assert_eq!(within(there.recv()).await.unwrap().decode::<String>().unwrap(), "still here");
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> ServerMessage {
    loop {
        if let Message::Text(text) = within(socket.next()).await.unwrap().unwrap() {
            return ServerMessage::from_json(&text).unwrap();
        }
    }
}
