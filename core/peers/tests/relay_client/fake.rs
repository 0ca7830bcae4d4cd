//! A relay of few words that says what a test wants.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use peers_proto::signaling::{Challenge, ClientMessage, IceServers, ServerMessage};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{any, soon};

pub(super) struct FakeRelay {
    tcp: TcpListener,
}

impl FakeRelay {
    pub(super) async fn start() -> Self {
        Self { tcp: TcpListener::bind(any()).await.unwrap() }
    }

    pub(super) fn name(&self) -> String {
        self.tcp.local_addr().unwrap().to_string()
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/v1", self.name())
    }

    pub(super) async fn accept(&self) -> FakeSocket {
        let (tcp, _) = soon(self.tcp.accept()).await.unwrap();
        FakeSocket(soon(tokio_tungstenite::accept_async(tcp)).await.unwrap())
    }

    /// Accepts any device under the id it gives. Its first message after that names the devices it lets in.
    pub(super) async fn register(&self, ice: IceServers) -> FakeSocket {
        let mut socket = self.accept().await;
        socket.say(&self.challenge(&self.name())).await;
        assert!(matches!(socket.hear().await, ClientMessage::DeviceRegistered(_)));
        socket.say(&ServerMessage::Registered(ice)).await;
        assert!(matches!(socket.hear().await, ClientMessage::Watch { .. }));
        socket
    }

    pub(super) fn challenge(&self, server_name: &str) -> ServerMessage {
        ServerMessage::Challenge(Challenge { nonce: [7; 32], server_name: server_name.to_owned() })
    }
}

pub(super) struct FakeSocket(WebSocketStream<TcpStream>);

impl FakeSocket {
    pub(super) async fn say(&mut self, message: &ServerMessage) {
        self.send(Message::text(message.to_json().unwrap())).await;
    }

    pub(super) async fn babble(&mut self, bytes: &'static [u8]) {
        self.send(Message::Binary(Bytes::from_static(bytes))).await;
    }

    pub(super) async fn send(&mut self, message: Message) {
        soon(self.0.send(message)).await.unwrap();
    }

    /// The next message of the device.
    pub(super) async fn hear(&mut self) -> ClientMessage {
        loop {
            if let Message::Text(text) = self.next().await.expect("a message") {
                return ClientMessage::from_json(&text).unwrap();
            }
        }
    }

    /// The next WebSocket message, nothing at the end.
    pub(super) async fn next(&mut self) -> Option<Message> {
        soon(self.0.next()).await.and_then(Result::ok)
    }
}
