//! The first messages on a socket.

use futures_util::{SinkExt, StreamExt};
use peers_proto::signaling::{
    Challenge, ClientMessage, IceServers, MessageError, Registration, ServerMessage, close_code,
};
use tokio_tungstenite::tungstenite::{self, Message};

use super::RelayClientConfig;
use super::state::Disconnect;
use crate::transport::websocket::Socket;

/// Waits for the relay's challenge: what sends one is a relay.
pub(super) async fn challenge(socket: &mut Socket) -> Result<Challenge, Disconnect> {
    loop {
        match next(socket).await? {
            Some(ServerMessage::Challenge(challenge)) => return Ok(challenge),
            Some(ServerMessage::Error { code, .. }) => return Err(Disconnect::Refused(code)),
            Some(_) => return Err(Disconnect::Protocol("no challenge first".into())),
            None => {}
        }
    }
}

/// Answers the challenge and waits until the relay accepts.
pub(super) async fn register(
    socket: &mut Socket,
    challenge: &Challenge,
    config: &RelayClientConfig,
    server_name: &str,
) -> Result<IceServers, Disconnect> {
    let registration = challenge.answer(server_name, &config.keys, &config.certificate);
    let registration = Registration { token: config.token.clone(), ..registration };
    let text = ClientMessage::DeviceRegistered(registration).to_json();
    let text = text.map_err(|error| Disconnect::Protocol(error.to_string()))?;
    socket.send(Message::text(text)).await.map_err(|error| broken(&error))?;
    loop {
        match next(socket).await? {
            Some(ServerMessage::Registered(ice)) => return Ok(ice),
            Some(ServerMessage::Error { code, .. }) => return Err(Disconnect::Refused(code)),
            Some(_) => return Err(Disconnect::Protocol("neither accepted nor refused".into())),
            None => {}
        }
    }
}

/// The next message, or nothing for what does not matter here.
async fn next(socket: &mut Socket) -> Result<Option<ServerMessage>, Disconnect> {
    match socket.next().await {
        Some(Ok(Message::Text(text))) => parse(&text),
        Some(Ok(message)) => not_text(&message).map_or(Ok(None), Err),
        Some(Err(error)) => Err(broken(&error)),
        None => Err(Disconnect::Closed(close_code::NORMAL)),
    }
}

/// Nothing for an event of a newer relay.
pub(super) fn parse(text: &str) -> Result<Option<ServerMessage>, Disconnect> {
    match ServerMessage::from_json(text) {
        Ok(message) => Ok(Some(message)),
        Err(MessageError::UnknownEvent(event)) => {
            tracing::debug!(event, "unknown event ignored");
            Ok(None)
        }
        Err(error) => Err(Disconnect::Protocol(error.to_string())),
    }
}

/// The error that a message stands for which is neither text nor, where expected, binary.
pub(super) fn not_text(message: &Message) -> Option<Disconnect> {
    match message {
        Message::Close(frame) => {
            Some(Disconnect::Closed(frame.as_ref().map_or(close_code::NORMAL, |f| f.code.into())))
        }
        Message::Ping(_) | Message::Pong(_) => None,
        _ => Some(Disconnect::Protocol("a binary message before registration".into())),
    }
}

pub(super) fn broken(error: &tungstenite::Error) -> Disconnect {
    match error {
        tungstenite::Error::Capacity(_) => Disconnect::Protocol("a message above the limit".into()),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            Disconnect::Broken("ended without a close".into())
        }
        tungstenite::Error::Protocol(error) => Disconnect::Protocol(error.to_string()),
        tungstenite::Error::Utf8(_) => Disconnect::Protocol("text that is not UTF-8".into()),
        tungstenite::Error::Io(error) => Disconnect::Broken(error.kind().to_string()),
        error => Disconnect::Broken(error.to_string()),
    }
}
