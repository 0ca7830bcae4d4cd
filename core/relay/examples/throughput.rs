//! Measures the relay's data path on loopback: one sender, one receiver, 16 KiB frames.
//! `cargo run --release -p peers-relay --example throughput`

#![expect(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has nothing to say")]

use std::time::Instant;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::limits::MAX_FRAME;
use peers_proto::signaling::{ClientMessage, RelayFrame, ServerMessage, server_name};
use peers_proto::time::UnixTime;
use peers_relay::{Limits, Relay, RelayConfig};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Sent before the receiver's word is waited for: a session's window.
const WINDOW: usize = 512;
const FRAMES: usize = 256 * WINDOW;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[tokio::main]
async fn main() {
    let limits = Limits { relay_bytes_per_second: 1 << 40, relay_burst: 1 << 40, ..Limits::default() };
    let config = RelayConfig { bind: ([127, 0, 0, 1], 0).into(), limits, ..RelayConfig::default() };
    let relay = Relay::start(config).await.unwrap();
    let (mut a, a_id) = register(&relay, 1).await;
    let (mut b, b_id) = register(&relay, 2).await;
    let connection = ConnectionId::from_bytes([1; 16]);
    let data =
        move |peer, frame: Bytes| Message::Binary(RelayFrame::Data { peer, connection, frame }.encode());

    let started = Instant::now();
    let receiver = tokio::spawn(async move {
        for n in 1..=FRAMES {
            while !b.next().await.unwrap().unwrap().is_binary() {}
            if n % (WINDOW / 2) == 0 {
                b.send(data(a_id, Bytes::new())).await.unwrap();
            }
        }
    });
    let (mut sink, mut stream) = (&mut a).split();
    let mut credit = WINDOW;
    for _ in 0..FRAMES {
        while credit == 0 {
            sink.flush().await.unwrap();
            while !stream.next().await.unwrap().unwrap().is_binary() {}
            credit += WINDOW / 2;
        }
        credit -= 1;
        sink.feed(data(b_id, vec![0; MAX_FRAME].into())).await.unwrap();
    }
    sink.flush().await.unwrap();
    receiver.await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let megabytes = (FRAMES * MAX_FRAME) as f64 / 1e6;
    println!("{megabytes:.0} MB in {seconds:.2} s: {:.0} MB/s, {:?}", megabytes / seconds, relay.stats());
    relay.shutdown().await;
}

async fn register(relay: &Relay, seed: u8) -> (Socket, DeviceId) {
    let keys = DeviceKeys::from_seed([seed; 32]);
    let user = UserKeys::from_seed([9; 32]);
    let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), "bench").unwrap();
    let (mut socket, _) = connect_async(relay.url()).await.unwrap();
    let text = socket.next().await.unwrap().unwrap();
    let Ok(ServerMessage::Challenge(challenge)) = ServerMessage::from_json(text.to_text().unwrap()) else {
        panic!("no challenge")
    };
    let name = server_name(&relay.url()).unwrap();
    let answer = ClientMessage::DeviceRegistered(challenge.answer(&name, &keys, &certificate));
    socket.send(Message::text(answer.to_json().unwrap())).await.unwrap();
    socket.next().await.unwrap().unwrap();
    // Everything sent before the answer to a question is in force once the answer comes.
    for message in [ClientMessage::Watch { device_ids: vec![], open: true }, ClientMessage::GetIceServers] {
        socket.send(Message::text(message.to_json().unwrap())).await.unwrap();
    }
    socket.next().await.unwrap().unwrap();
    (socket, keys.device_id())
}
