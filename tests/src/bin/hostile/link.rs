//! A registered device of the attacker: its messages, and transports through the relay.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use peers::random;
use peers::transport::{CloseReason, FrameSink, FrameSource, Transport};
use peers_proto::envelope::{self, Content};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::{
    Body, ClientMessage, Exchange, ExchangeKind, MessageId, RelayCloseReason, RelayFrame, ServerMessage,
    base64,
};
use peers_proto::transport_kind::TransportKind;
use peers_proto::trust::KnownKeys;
use peers_tests::bench::Outcome;
use peers_tests::party::Party;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::socket::Socket;

/// Messages between two flushes.
const BATCH: usize = 64;
/// Messages on their way to the relay. A sender of more waits.
const OUT: usize = 256;
/// Frames of one transport not yet read. A reader that stops stops the whole socket.
const FRAMES: usize = 1024;
/// Events not yet taken. Further ones are dropped.
const EVENTS: usize = 1024;
/// An answer of the relay or of the victim that takes longer does not come.
const ANSWER: Duration = Duration::from_secs(5);

/// Instance that devices of the attacker name when they offer.
const INSTANCE: u64 = 1;

type Pipes = Arc<Mutex<HashMap<ConnectionId, mpsc::Sender<Bytes>>>>;

/// A message through a device's socket.
#[derive(Clone)]
pub(crate) struct Speaker(mpsc::Sender<Message>);

/// One registered device.
pub(crate) struct Link {
    pub(crate) party: Arc<Party>,
    pub(crate) speaker: Speaker,
    events: mpsc::Receiver<ServerMessage>,
    pipes: Pipes,
    offers: u32,
    _tasks: JoinSet<()>,
}

impl Link {
    pub(crate) async fn register(address: SocketAddr, party: &Arc<Party>, from: Ipv4Addr) -> Outcome<Self> {
        let mut socket = Socket::dial(address, from).await?;
        socket.register(party).await?;
        let (mut sink, mut stream) = socket.ws.split();
        let (out, mut outgoing) = mpsc::channel(OUT);
        let (tell, events) = mpsc::channel(EVENTS);
        let pipes = Pipes::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Some(message) = outgoing.recv().await {
                let mut fed = sink.feed(message).await;
                for _ in 0..BATCH {
                    let Ok(message) = outgoing.try_recv() else { break };
                    fed = fed.and(sink.feed(message).await);
                }
                if fed.is_err() || sink.flush().await.is_err() {
                    return;
                }
            }
        });
        let incoming = pipes.clone();
        tasks.spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                match message {
                    Message::Text(text) => {
                        let Ok(event) = ServerMessage::from_json(&text) else { continue };
                        let _ = tell.try_send(event);
                    }
                    Message::Binary(bytes) => hear(&incoming, &bytes).await,
                    _ => {}
                }
            }
            lock(&incoming).clear();
        });
        Ok(Self { party: party.clone(), speaker: Speaker(out), events, pipes, offers: 0, _tasks: tasks })
    }

    /// Consents to `devices`, and to them alone.
    pub(crate) async fn watch(&self, devices: &[DeviceId]) -> Outcome<()> {
        self.speaker.say(&ClientMessage::Watch { device_ids: devices.to_vec(), open: false }).await
    }

    /// The next event of the relay.
    pub(crate) async fn event(&mut self) -> Outcome<ServerMessage> {
        let event = tokio::time::timeout(ANSWER, self.events.recv()).await;
        Ok(event.map_err(|_| "the relay says nothing")?.ok_or("the socket ended")?)
    }

    /// An event that has arrived already.
    pub(crate) fn try_event(&mut self) -> Option<ServerMessage> {
        self.events.try_recv().ok()
    }

    /// A transport through the relay.
    pub(crate) fn transport(&self, peer: DeviceId, connection: ConnectionId) -> Transport {
        let (tell, frames) = mpsc::channel(FRAMES);
        lock(&self.pipes).insert(connection, tell);
        Transport {
            route: TransportKind::Relay.into(),
            binding: Vec::new(),
            sink: Box::new(RelaySink { speaker: self.speaker.clone(), peer, connection }),
            source: Box::new(RelaySource(frames)),
        }
    }

    /// The number of this device's next offer.
    pub(crate) fn count(&mut self) -> u32 {
        self.offers += 1;
        self.offers
    }

    /// The victim's answer to an offer.
    pub(crate) async fn offer(&mut self, victim: &Party, offer: &Offer) -> Outcome<String> {
        self.speaker.offer(&self.party, victim, offer, None).await?;
        loop {
            match self.reply(offer.connection).await? {
                Body::Answer { sdp, .. } => return Ok(sdp),
                // To what it calls itself: it may have been restarted.
                Body::Retry { instance } => {
                    self.speaker.offer(&self.party, victim, offer, Some(instance)).await?;
                }
                _ => {}
            }
        }
    }

    /// The victim's instance towards this device: it ignores offers for another instance.
    pub(crate) async fn instance(&mut self, victim: &Party) -> Outcome<u64> {
        let connection = ConnectionId::from_bytes(random::array());
        let offer = Offer { connection, number: self.count(), fingerprint: [1; 32], sdp: String::new() };
        self.speaker.offer(&self.party, victim, &offer, None).await?;
        loop {
            if let Body::Retry { instance } = self.reply(connection).await? {
                return Ok(instance);
            }
        }
    }

    /// The victim's next message about an attempt.
    async fn reply(&mut self, connection: ConnectionId) -> Outcome<Body> {
        loop {
            let exchange = match self.event().await? {
                ServerMessage::Answer(exchange) | ServerMessage::IceCandidate(exchange) => exchange,
                _ => continue,
            };
            let Some(sealed) = exchange.envelopes().next().and_then(base64::decode) else { continue };
            if exchange.connection_id == connection {
                let opened = envelope::open(&sealed, &self.party.keys)?;
                return Ok(Body::decode(&opened.content.body)?);
            }
        }
    }
}

/// The offer of a device of the attacker.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) connection: ConnectionId,
    pub(crate) number: u32,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) sdp: String,
}

impl Speaker {
    pub(crate) async fn say(&self, message: &ClientMessage) -> Outcome<()> {
        self.send(Message::text(message.to_json()?)).await
    }

    pub(crate) async fn frame(&self, frame: &RelayFrame) -> Outcome<()> {
        self.send(Message::Binary(frame.encode())).await
    }

    pub(crate) async fn send(&self, message: Message) -> Outcome<()> {
        Ok(self.0.send(message).await.map_err(|_| "the socket ended")?)
    }

    /// Makes an offer to the instance `to` of the victim.
    pub(crate) async fn offer(
        &self,
        party: &Party,
        victim: &Party,
        offer: &Offer,
        to: Option<u64>,
    ) -> Outcome<()> {
        let Offer { connection, number, fingerprint, ref sdp } = *offer;
        let body = Body::Offer { instance: INSTANCE, to, sdp: sdp.clone() };
        let sealed = seal(party, victim, connection, number, Some(fingerprint), &body)?;
        self.exchange(ExchangeKind::Offer, victim.id(), connection, vec![sealed]).await
    }

    /// An exchange with these envelopes, whatever is in them.
    pub(crate) async fn exchange(
        &self,
        kind: ExchangeKind,
        to: DeviceId,
        connection_id: ConnectionId,
        mut envelopes: Vec<String>,
    ) -> Outcome<()> {
        let description = kind != ExchangeKind::IceCandidate;
        let exchange = Exchange {
            connection_id,
            from_device_id: to,
            to_device_id: to,
            message_id: MessageId::from_bytes(random::array()),
            sdi: if description { envelopes.pop() } else { None },
            ice_candidates: envelopes,
            queued: false,
        };
        self.say(&ClientMessage::exchange(kind, exchange)).await
    }
}

/// An envelope of `party` to `victim`, base64.
pub(crate) fn seal(
    party: &Party,
    victim: &Party,
    connection_id: ConnectionId,
    attempt: u32,
    fingerprint: Option<[u8; 32]>,
    body: &Body,
) -> Outcome<String> {
    let body = body.encode()?;
    let content = Content { connection_id, attempt, fingerprint, body };
    let sealed = envelope::seal(
        &content,
        &party.keys,
        &party.certificate,
        &KnownKeys::of(&victim.certificate),
        random::array(),
    )?;
    Ok(base64::encode(&sealed))
}

async fn hear(pipes: &Pipes, bytes: &Bytes) {
    match RelayFrame::decode(bytes) {
        Ok(RelayFrame::Data { connection, frame, .. }) => {
            let pipe = lock(pipes).get(&connection).cloned();
            if let Some(pipe) = pipe {
                // A reader that has gone wants nothing.
                let _ = pipe.send(frame).await;
            }
        }
        Ok(RelayFrame::Close { connection, .. }) => {
            lock(pipes).remove(&connection);
        }
        Err(_) => {}
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct RelaySink {
    speaker: Speaker,
    peer: DeviceId,
    connection: ConnectionId,
}

#[async_trait]
impl FrameSink for RelaySink {
    async fn send(&mut self, frame: BytesMut) -> Result<(), CloseReason> {
        let (peer, connection) = (self.peer, self.connection);
        let message = RelayFrame::Data { peer, connection, frame: frame.freeze() };
        self.speaker.frame(&message).await.map_err(|_| CloseReason::Remote)
    }

    async fn close(&mut self) {
        let (peer, connection) = (self.peer, self.connection);
        let message = RelayFrame::Close { peer, connection, reason: RelayCloseReason::Closed };
        // A socket that has ended closes everything.
        let _ = self.speaker.frame(&message).await;
    }
}

struct RelaySource(mpsc::Receiver<Bytes>);

#[async_trait]
impl FrameSource for RelaySource {
    async fn recv(&mut self) -> Result<Bytes, CloseReason> {
        self.0.recv().await.ok_or(CloseReason::Remote)
    }

    fn try_recv(&mut self) -> Option<Bytes> {
        self.0.try_recv().ok()
    }
}
