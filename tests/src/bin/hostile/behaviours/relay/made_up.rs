//! A relay that is made up from the first byte.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use peers::random;
use peers_proto::signaling::{Challenge, ClientMessage, IceServers, ServerMessage};
use peers_tests::bench::Outcome;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::FLOOD;
use crate::behaviours::{Behaviour, Side};
use crate::scene::Scene;

pub(super) fn all() -> Vec<Behaviour> {
    let mut all = vec![
        Behaviour::relay("a challenge that names another relay", |s| serve(s, wrong_name)),
        Behaviour::relay("every close code in turn", |s| serve(s, close_codes)),
        Behaviour::relay("no admission, again and again", |s| serve(s, not_admitted)),
        Behaviour::relay("a message of the relay that never ends", |s| serve(s, never_ending)),
        Behaviour::relay("texts of the relay that are no messages", |s| serve(s, no_messages)),
        Behaviour::relay("challenges without end", |s| serve(s, challenges)),
        Behaviour::relay("registered without being asked", |s| serve(s, unasked)),
        Behaviour::relay("errors with long texts", |s| serve(s, long_errors)),
        Behaviour::relay("sockets of the relay that say nothing", |s| serve(s, silence)),
        Behaviour::relay("a relay that hangs up at once", hang_up),
    ];
    all.iter_mut().for_each(|behaviour| behaviour.setting.second = Side::Listener);
    all
}

type Socket = WebSocketStream<TcpStream>;

/// Runs `script` on every socket that the victim opens, for a while.
async fn serve<F>(scene: Scene, script: fn(Socket, SocketAddr) -> F) -> Outcome<()>
where
    F: Future<Output = Outcome<()>> + Send + 'static,
{
    let listener = scene.listener()?.clone();
    let name = listener.local_addr()?;
    let serving = async {
        loop {
            let (tcp, _) = listener.accept().await?;
            let socket = tokio_tungstenite::accept_async(tcp).await?;
            // It ends as the victim likes.
            let _ = script(socket, name).await;
        }
    };
    let outcome: Result<Outcome<()>, _> = tokio::time::timeout(FLOOD, serving).await;
    // One that does not come again within the time has been sent away for good.
    let _ = outcome;
    Ok(())
}

async fn say(socket: &mut Socket, message: &ServerMessage) -> Outcome<()> {
    Ok(socket.send(Message::text(message.to_json()?)).await?)
}

fn challenge(name: &str) -> ServerMessage {
    ServerMessage::Challenge(Challenge { nonce: random::array(), server_name: name.to_owned() })
}

/// Lets the victim register, whatever it says.
async fn register(socket: &mut Socket, name: SocketAddr) -> Outcome<()> {
    say(socket, &challenge(&name.to_string())).await?;
    socket.next().await.ok_or("it left")??;
    say(socket, &ServerMessage::Registered(IceServers::default())).await
}

async fn wrong_name(mut socket: Socket, name: SocketAddr) -> Outcome<()> {
    say(&mut socket, &challenge("relay.example.com")).await?;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message
            && let ClientMessage::DeviceRegistered(registration) = ClientMessage::from_json(&text)?
            && registration.server_name != name.to_string()
        {
            return Err(format!("it signed for {}", registration.server_name).into());
        }
    }
    Ok(())
}

async fn close_codes(mut socket: Socket, name: SocketAddr) -> Outcome<()> {
    register(&mut socket, name).await?;
    let code =
        [1000, 1001, 1002, 1008, 1009, 1011, 1013, 3000, 4999][usize::from(random::array::<1>()[0]) % 9];
    let frame = CloseFrame { code: code.into(), reason: "so".into() };
    Ok(socket.close(Some(frame)).await?)
}

async fn not_admitted(mut socket: Socket, name: SocketAddr) -> Outcome<()> {
    say(&mut socket, &challenge(&name.to_string())).await?;
    socket.next().await.ok_or("it left")??;
    let error = "{\"event\":\"error\",\"code\":\"not-admitted\",\"text\":\"no\"}";
    socket.send(Message::text(error)).await?;
    Ok(socket.close(None).await?)
}

async fn never_ending(mut socket: Socket, name: SocketAddr) -> Outcome<()> {
    register(&mut socket, name).await?;
    let mut code = OpCode::Data(Data::Text);
    loop {
        let piece = Frame::message(Bytes::from(vec![b'x'; 16_000]), code, false);
        code = OpCode::Data(Data::Continue);
        socket.send(Message::Frame(piece)).await?;
    }
}

async fn no_messages(mut socket: Socket, name: SocketAddr) -> Outcome<()> {
    register(&mut socket, name).await?;
    loop {
        for text in ["", "{}", "[[[[", "{\"event\":\"offer\"}", "{\"event\":\"nothing\"}"] {
            socket.send(Message::text(text)).await?;
        }
    }
}

async fn challenges(mut socket: Socket, name: SocketAddr) -> Outcome<()> {
    loop {
        say(&mut socket, &challenge(&name.to_string())).await?;
    }
}

async fn unasked(mut socket: Socket, _: SocketAddr) -> Outcome<()> {
    loop {
        say(&mut socket, &ServerMessage::Registered(IceServers::default())).await?;
    }
}

async fn long_errors(mut socket: Socket, name: SocketAddr) -> Outcome<()> {
    register(&mut socket, name).await?;
    let error = format!("{{\"event\":\"error\",\"code\":\"malformed\",\"text\":\"{}\"}}", "x".repeat(60_000));
    loop {
        socket.send(Message::text(error.clone())).await?;
    }
}

async fn silence(mut socket: Socket, _: SocketAddr) -> Outcome<()> {
    socket.next().await.ok_or("it left")??;
    Ok(())
}

async fn hang_up(scene: Scene) -> Outcome<()> {
    let listener = scene.listener()?.clone();
    let accepting = async { while listener.accept().await.is_ok() {} };
    let _ = tokio::time::timeout(FLOOD, accepting).await;
    Ok(())
}
