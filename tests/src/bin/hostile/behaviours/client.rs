//! Clients of the relay that are none.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::future::join_all;
use peers::{DeviceId, random};
use peers_proto::id::ConnectionId;
use peers_proto::limits::{MAX_SIGNALING, MAX_WATCHED};
use peers_proto::signaling::{ClientMessage, ExchangeKind, RelayFrame, ServerMessage};
use peers_tests::bench::Outcome;
use peers_tests::party::Party;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{Behaviour, before};
use crate::link::Link;
use crate::measure;
use crate::scene::Scene;
use crate::socket::Socket;

/// At full speed, as long as a fault needs to show.
const FLOOD: Duration = Duration::from_millis(1200);
/// As long as it takes to fill what waits for devices that never read.
const FILL: Duration = Duration::from_millis(2200);
/// Requests that are never completed.
const HALVES: usize = 5000;
/// They are closed within this.
const HALF: Duration = Duration::from_secs(15);

pub(super) fn all() -> Vec<Behaviour> {
    vec![
        Behaviour::relay("five thousand half requests", halves),
        Behaviour::relay("upgrades of a byte a second", slowloris),
        Behaviour::relay("sockets that never register", unregistered),
        Behaviour::relay("sockets opened and dropped", opened_and_dropped),
        Behaviour::relay("registrations with a wrong signature", wrong_signatures),
        Behaviour::relay("eighty devices that never read", |s| never_read(s, 80)),
        Behaviour::relay("a thousand devices that never read", |s| never_read(s, 1000)),
        Behaviour::relay("relayed data for eighty devices that never read", |s| never_read_data(s, 80)),
        Behaviour::relay("relayed data for a thousand devices that never read", |s| never_read_data(s, 1000)),
        Behaviour::relay("texts beyond the limit", |s| {
            spoken(s, Message::text("x".repeat(MAX_SIGNALING + 1)), true)
        }),
        Behaviour::relay("frames beyond the limit", |s| {
            spoken(s, Message::binary(vec![1; MAX_SIGNALING + 1]), true)
        }),
        Behaviour::relay("messages far beyond the limit", |s| {
            spoken(s, Message::binary(vec![1; 4 << 20]), true)
        }),
        Behaviour::relay("texts that are no messages", |s| spoken(s, Message::text("{\"event\":"), true)),
        Behaviour::relay("texts nested without end", |s| spoken(s, Message::text("[".repeat(60_000)), true)),
        Behaviour::relay("unknown events without end", |s| {
            spoken(s, Message::text("{\"event\":\"nothing\"}"), false)
        }),
        Behaviour::relay("pings of the socket without end", |s| {
            spoken(s, Message::Ping(Bytes::from_static(&[0; 125])), false)
        }),
        Behaviour::relay("questions for certificates without end", |s| {
            asked(s, |_| ClientMessage::GetCertificate { device_id: DeviceId::from_bytes(random::array()) })
        }),
        Behaviour::relay("questions for servers without end", |s| asked(s, |_| ClientMessage::GetIceServers)),
        Behaviour::relay("watch lists changed without end", |s| asked(s, watch_many)),
        Behaviour::relay("frames to absent devices without end", to_the_absent),
        Behaviour::relay("a message whose pieces never end", never_ending),
        Behaviour::relay("frames of the socket that break its protocol", broken_frames),
        Behaviour::relay("requests that are no upgrade", requests),
    ]
}

/// Every descriptor they take is given back in time.
async fn halves(scene: Scene) -> Outcome<()> {
    let before = measure::descriptors(scene.relay_process)?;
    let mut sockets = Vec::new();
    for n in 0..HALVES {
        let Ok(mut socket) = TcpStream::connect(scene.relay).await else { break };
        let head = format!(
            "GET /v1 HTTP/1.1\r\nHost: {}\r\nX-Forwarded-For: {}\r\n",
            scene.relay,
            crate::socket::address(n)
        );
        let _ = socket.write_all(head.as_bytes()).await;
        sockets.push(socket);
    }
    let end = Instant::now() + HALF;
    loop {
        let open = measure::descriptors(scene.relay_process)?.saturating_sub(before);
        // Those of honest devices come and go.
        if open < 50 {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("{open} of {HALVES} half requests are open after {HALF:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn slowloris(scene: Scene) -> Outcome<()> {
    let mut sockets = Vec::new();
    for _ in 0..200 {
        sockets.push(TcpStream::connect(scene.relay).await?);
    }
    for byte in b"GET " {
        for socket in &mut sockets {
            let _ = socket.write_all(&[*byte]).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

async fn unregistered(scene: Scene) -> Outcome<()> {
    let mut sockets = Vec::new();
    for n in 0..500 {
        match scene.socket(n).await {
            Ok(socket) => sockets.push(socket),
            Err(_) => break,
        }
    }
    tokio::time::sleep(FLOOD / 2).await;
    Ok(())
}

async fn opened_and_dropped(scene: Scene) -> Outcome<()> {
    let end = Instant::now() + FLOOD;
    for n in 0.. {
        if Instant::now() > end {
            break;
        }
        let _ = scene.socket(n).await;
    }
    Ok(())
}

/// Each costs the relay the check of a signature.
async fn wrong_signatures(scene: Scene) -> Outcome<()> {
    let party = Party::new("forger")?;
    let one = async |first: usize| -> Outcome<()> {
        let end = Instant::now() + FLOOD;
        for n in 0.. {
            if Instant::now() > end {
                break;
            }
            let Ok(mut socket) = scene.socket(first * 1000 + n).await else { continue };
            let ServerMessage::Challenge(challenge) = socket.hear().await? else {
                return Err("no challenge".into());
            };
            let name = challenge.server_name.clone();
            let mut registration = challenge.answer(&name, &party.keys, &party.certificate);
            registration.signature[0] ^= 1;
            socket.say(&ClientMessage::DeviceRegistered(registration)).await?;
            // It hears of it, or the end.
            let _ = socket.hear().await;
        }
        Ok(())
    };
    join_all((0..16).map(one)).await.into_iter().collect()
}

/// Devices that never read, and for each of the `senders` some of them that know it.
async fn crowd(scene: &Scene, senders: usize, silent: usize) -> Outcome<(Vec<Sender>, Vec<Socket>)> {
    let mut links = Vec::new();
    for n in 0..senders {
        links.push(scene.stranger(5000 + n).await?);
    }
    let known: Vec<_> = links.iter().map(|link| link.party.id()).collect();
    let (mut ids, mut sockets) = (Vec::new(), Vec::new());
    for n in 0..silent {
        let party = Party::new("silent")?;
        let mut socket = scene.socket(n).await?;
        socket.register(&party).await?;
        socket.say(&ClientMessage::Watch { device_ids: known.clone(), open: false }).await?;
        ids.push(party.id());
        sockets.push(socket);
    }
    let shares = ids.chunks(MAX_WATCHED).map(<[DeviceId]>::to_vec).cycle();
    let senders: Vec<_> = links.into_iter().zip(shares).map(|(link, to)| Sender { link, to }).collect();
    for sender in &senders {
        sender.link.watch(&sender.to).await?;
    }
    Ok((senders, sockets))
}

struct Sender {
    link: Link,
    to: Vec<DeviceId>,
}

async fn never_read(scene: Scene, silent: usize) -> Outcome<()> {
    let (senders, _silent) = crowd(&scene, 8, silent).await?;
    let envelope = vec!["x".repeat(60_000)];
    let end = Instant::now() + FILL;
    let filling = senders.iter().map(|sender| async {
        for id in sender.to.iter().cycle() {
            let connection = ConnectionId::from_bytes(random::array());
            let sent = sender.link.speaker.exchange(ExchangeKind::Offer, *id, connection, envelope.clone());
            if !before(end, sent).await {
                break;
            }
        }
    });
    join_all(filling).await;
    Ok(())
}

async fn never_read_data(scene: Scene, silent: usize) -> Outcome<()> {
    let (senders, _silent) = crowd(&scene, silent.div_ceil(MAX_WATCHED), silent).await?;
    let connection = ConnectionId::from_bytes(random::array());
    let (end, frame) = (Instant::now() + FILL, Bytes::from(vec![0; 16_000]));
    let filling = senders.iter().map(|sender| async {
        for peer in sender.to.iter().cycle() {
            let message = RelayFrame::Data { peer: *peer, connection, frame: frame.clone() };
            if !before(end, sender.link.speaker.frame(&message)).await {
                break;
            }
        }
    });
    join_all(filling).await;
    Ok(())
}

/// The same message again and again, on new sockets if the relay `closes` one for it.
async fn spoken(scene: Scene, message: Message, closes: bool) -> Outcome<()> {
    let end = Instant::now() + FLOOD;
    for n in 0.. {
        let mut socket = scene.socket(n).await?;
        if !closes {
            socket.register(&Party::new("talker")?).await?;
        }
        while before(end, socket.ws.send(message.clone())).await {}
        if Instant::now() > end {
            break;
        }
    }
    Ok(())
}

async fn asked(scene: Scene, question: impl Fn(usize) -> ClientMessage) -> Outcome<()> {
    let stranger = scene.stranger(0).await?;
    let end = Instant::now() + FLOOD;
    for n in 0.. {
        if !before(end, stranger.speaker.say(&question(n))).await {
            break;
        }
    }
    Ok(())
}

fn watch_many(_: usize) -> ClientMessage {
    let ids = (0..MAX_WATCHED).map(|_| DeviceId::from_bytes(random::array()));
    ClientMessage::Watch { device_ids: ids.collect(), open: false }
}

async fn to_the_absent(scene: Scene) -> Outcome<()> {
    let stranger = scene.stranger(0).await?;
    let end = Instant::now() + FLOOD;
    while Instant::now() < end {
        let peer = DeviceId::from_bytes(random::array());
        let connection = ConnectionId::from_bytes(random::array());
        let message = RelayFrame::Data { peer, connection, frame: Bytes::from_static(&[0; 100]) };
        if !before(end, stranger.speaker.frame(&message)).await {
            break;
        }
    }
    Ok(())
}

async fn never_ending(scene: Scene) -> Outcome<()> {
    let end = Instant::now() + FLOOD;
    for n in 0.. {
        let mut socket = scene.socket(n).await?;
        let mut code = OpCode::Data(Data::Binary);
        while Instant::now() < end {
            let piece = Frame::message(Bytes::from(vec![0; 16_000]), code, false);
            code = OpCode::Data(Data::Continue);
            if !before(end, socket.ws.send(Message::Frame(piece))).await {
                break;
            }
        }
        if Instant::now() > end {
            break;
        }
    }
    Ok(())
}

/// Reserved bits, unknown codes, no mask, text that is not UTF-8, pings that are too long.
async fn broken_frames(scene: Scene) -> Outcome<()> {
    let frames: [&[u8]; 6] = [
        &[0xf1, 0x80, 0, 0, 0, 0],
        &[0x83, 0x80, 0, 0, 0, 0],
        &[0x81, 0x02, b'{', b'}'],
        &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe],
        &[0x89, 0xfe, 0xff, 0xff, 0, 0, 0, 0],
        &[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
    ];
    for n in 0..20 {
        for frame in frames {
            let mut socket = scene.socket(n).await?;
            let tcp = socket.ws.get_mut();
            let _ = tcp.write_all(frame).await;
        }
    }
    Ok(())
}

async fn requests(scene: Scene) -> Outcome<()> {
    let head = "x".repeat(60_000);
    let requests = [
        "GET /v1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n".to_owned(),
        format!("GET /{head} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET /v1 HTTP/1.1\r\nHost: a\r\nX: {head}\r\n\r\n"),
        format!("GET /v1 HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(5000)),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ];
    let end = Instant::now() + FLOOD / 2;
    while Instant::now() < end {
        for request in &requests {
            let mut socket = TcpStream::connect(scene.relay).await?;
            let _ = socket.write_all(request.as_bytes()).await;
            let mut answer = [0; 1024];
            let _ = tokio::time::timeout(Duration::from_millis(20), socket.read(&mut answer)).await;
        }
    }
    Ok(())
}
