//! A device for tests: keys, certificate, one WebSocket.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::signaling::{
    Challenge, ClientMessage, Exchange, ExchangeKind, IceServers, MessageId, RelayFrame, ServerMessage,
    server_name,
};
use peers_proto::time::UnixTime;
use peers_relay::{Limits, Relay, RelayConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than anything here takes, shorter than a test runner's patience.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn relay_with(limits: Limits) -> Relay {
    let config = RelayConfig { bind: ([127, 0, 0, 1], 0).into(), limits, ..RelayConfig::default() };
    Relay::start(config).await.unwrap()
}

pub(crate) async fn relay() -> Relay {
    relay_with(Limits::default()).await
}

pub(crate) fn keys(seed: u16) -> DeviceKeys {
    let mut bytes = [1; 32];
    bytes[..2].copy_from_slice(&seed.to_be_bytes());
    DeviceKeys::from_seed(bytes)
}

pub(crate) fn certificate(keys: &DeviceKeys) -> DeviceCertificate {
    let user = UserKeys::from_seed([9; 32]);
    DeviceCertificate::issue(&user, keys, UnixTime(1), "test").unwrap()
}

/// A message of a socket.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    Event(ServerMessage),
    Frame(RelayFrame),
    /// The close code, if there was a close frame.
    Closed(Option<u16>),
}

pub(crate) struct Socket {
    ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub(crate) async fn dial(relay: &Relay) -> Self {
        Self { ws: connect_async(relay.url()).await.unwrap().0 }
    }

    pub(crate) async fn send(&mut self, message: ClientMessage) {
        self.send_text(&message.to_json().unwrap()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.ws.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send_bytes(&mut self, bytes: Bytes) {
        self.ws.send(Message::Binary(bytes)).await.unwrap();
    }

    pub(crate) async fn feed_bytes(&mut self, bytes: Bytes) {
        self.ws.feed(Message::Binary(bytes)).await.unwrap();
    }

    pub(crate) async fn flush(&mut self) {
        self.ws.flush().await.unwrap();
    }

    /// Pings and takes the pong, which must come next.
    pub(crate) async fn ping(&mut self) {
        self.ws.send(Message::Ping(Bytes::from_static(b"?"))).await.unwrap();
        let pong = tokio::time::timeout(PATIENCE, self.ws.next()).await.expect("no pong");
        assert_eq!(pong.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"?")));
    }

    pub(crate) async fn close(&mut self) {
        self.ws.send(Message::Close(None)).await.unwrap();
    }

    /// Closes, and ends TCP in this direction without waiting for the answer.
    pub(crate) async fn close_and_end(&mut self) {
        self.close().await;
        self.ws.get_mut().shutdown().await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> Received {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.ws.next()).await;
            match next.expect("the relay says nothing") {
                Some(Ok(Message::Text(text))) => {
                    return Received::Event(ServerMessage::from_json(&text).unwrap());
                }
                Some(Ok(Message::Binary(bytes))) => {
                    return Received::Frame(RelayFrame::decode(&bytes).unwrap());
                }
                Some(Ok(Message::Close(frame))) => return Received::Closed(frame.map(|f| f.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Received::Closed(None),
            }
        }
    }

    pub(crate) async fn event(&mut self) -> ServerMessage {
        match self.receive().await {
            Received::Event(event) => event,
            other => panic!("expected an event, got {other:?}"),
        }
    }

    pub(crate) async fn frame(&mut self) -> RelayFrame {
        match self.receive().await {
            Received::Frame(frame) => frame,
            other => panic!("expected a relay frame, got {other:?}"),
        }
    }

    pub(crate) async fn closed(&mut self) -> Option<u16> {
        match self.receive().await {
            Received::Closed(code) => code,
            other => panic!("expected the end, got {other:?}"),
        }
    }

    pub(crate) async fn challenge(&mut self) -> Challenge {
        match self.event().await {
            ServerMessage::Challenge(challenge) => challenge,
            other => panic!("expected a challenge, got {other:?}"),
        }
    }

    /// Everything sent before has been handled when this returns, and nothing came meanwhile.
    pub(crate) async fn settle(&mut self) {
        let missing = DeviceId::derive(b"nobody");
        // Twice, since the relay's own answers overtake messages of other devices.
        for _ in 0..2 {
            self.send(ClientMessage::GetCertificate { device_id: missing }).await;
            let answer = ServerMessage::Certificate { device_id: missing, certificate: None };
            assert_eq!(self.event().await, answer, "unexpected message");
        }
    }
}

/// A registered device.
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) socket: Socket,
    pub(crate) ice: IceServers,
    next: u128,
}

impl Device {
    pub(crate) async fn register(relay: &Relay, seed: u16) -> Self {
        let keys = keys(seed);
        let mut socket = Socket::dial(relay).await;
        let challenge = socket.challenge().await;
        let dialed = server_name(&relay.url()).unwrap();
        let registration = challenge.answer(&dialed, &keys, &certificate(&keys));
        socket.send(ClientMessage::DeviceRegistered(registration)).await;
        let ServerMessage::Registered(ice) = socket.event().await else { panic!("not registered") };
        Self { id: keys.device_id(), socket, ice, next: u128::from(seed) << 64 }
    }

    /// Registers a device that anybody may reach, and for which nothing waits.
    pub(crate) async fn arrive(relay: &Relay, seed: u16) -> Self {
        let mut device = Self::register(relay, seed).await;
        device.socket.send(ClientMessage::Watch { device_ids: vec![], open: true }).await;
        device.socket.settle().await;
        device
    }

    pub(crate) async fn watch(&mut self, device_ids: &[DeviceId]) {
        self.socket.send(ClientMessage::Watch { device_ids: device_ids.to_vec(), open: false }).await;
    }

    /// An exchange message of this device, claiming to be from itself.
    pub(crate) fn exchange(
        &mut self,
        kind: ExchangeKind,
        to: DeviceId,
        connection: u8,
        envelope: &str,
    ) -> Exchange {
        self.next += 1;
        let description = kind != ExchangeKind::IceCandidate;
        Exchange {
            connection_id: connection_id(connection),
            from_device_id: self.id,
            to_device_id: to,
            message_id: MessageId::from_bytes(self.next.to_be_bytes()),
            sdi: description.then(|| envelope.to_owned()),
            ice_candidates: if description { vec![] } else { vec![envelope.to_owned()] },
            queued: false,
        }
    }

    /// Sends one and returns it.
    pub(crate) async fn say(
        &mut self,
        kind: ExchangeKind,
        to: DeviceId,
        connection: u8,
        envelope: &str,
    ) -> Exchange {
        let exchange = self.exchange(kind, to, connection, envelope);
        self.socket.send(ClientMessage::exchange(kind, exchange.clone())).await;
        exchange
    }

    pub(crate) async fn send_frame(&mut self, peer: DeviceId, connection: u8, frame: &[u8]) {
        let frame = Bytes::copy_from_slice(frame);
        let message = RelayFrame::Data { peer, connection: connection_id(connection), frame };
        self.socket.send_bytes(message.encode()).await;
    }
}

pub(crate) fn connection_id(n: u8) -> ConnectionId {
    ConnectionId::from_bytes([n; 16])
}
