//! A WebSocket to a relay.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use peers_proto::signaling::{self, ClientMessage, IceServers, ServerMessage, server_name};
use peers_tests::bench::Outcome;
use peers_tests::party::Party;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// A relay on the same machine that does not answer within this does not answer.
const ANSWER: Duration = Duration::from_secs(5);

/// One socket.
pub(crate) struct Socket {
    pub(crate) ws: WebSocketStream<TcpStream>,
    url: String,
}

impl Socket {
    /// Dials the relay at `address`, under the name that is its address, as if from `from`.
    pub(crate) async fn dial(address: SocketAddr, from: Ipv4Addr) -> Outcome<Self> {
        let url = format!("ws://{address}{}", signaling::PATH);
        let mut request = url.as_str().into_client_request()?;
        request.headers_mut().insert("x-forwarded-for", from.to_string().parse()?);
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let (ws, _) = tokio::time::timeout(ANSWER, tokio_tungstenite::client_async(request, tcp)).await??;
        Ok(Self { ws, url })
    }

    pub(crate) async fn say(&mut self, message: &ClientMessage) -> Outcome<()> {
        Ok(self.ws.send(Message::text(message.to_json()?)).await?)
    }

    /// The next event; relayed frames before it are dropped.
    pub(crate) async fn hear(&mut self) -> Outcome<ServerMessage> {
        loop {
            let next = tokio::time::timeout(ANSWER, self.ws.next()).await;
            match next.map_err(|_| "the relay says nothing")?.ok_or("the socket ended")?? {
                Message::Text(text) => return Ok(ServerMessage::from_json(&text)?),
                Message::Close(frame) => return Err(format!("the relay closed: {frame:?}").into()),
                _ => {}
            }
        }
    }

    /// Proves to be `party`.
    pub(crate) async fn register(&mut self, party: &Party) -> Outcome<IceServers> {
        let challenge = match self.hear().await? {
            ServerMessage::Challenge(challenge) => challenge,
            other => return Err(format!("no challenge but {other:?}").into()),
        };
        let dialed = server_name(&self.url).ok_or("a relay without a name")?;
        let registration = challenge.answer(&dialed, &party.keys, &party.certificate);
        self.say(&ClientMessage::DeviceRegistered(registration)).await?;
        match self.hear().await? {
            ServerMessage::Registered(ice) => Ok(ice),
            other => Err(format!("not registered but {other:?}").into()),
        }
    }
}

/// The `n`th address of a network that is not in use (RFC 2544).
pub(crate) fn address(n: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0xC612_0000 + u32::try_from(n).unwrap_or(0) % (1 << 17))
}
