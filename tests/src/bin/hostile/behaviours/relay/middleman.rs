//! A relay that passes on what it likes, and invents the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use peers::{Client, DeviceId, Identity, Transports, random};
use peers_proto::envelope;
use peers_proto::id::ConnectionId;
use peers_proto::limits::MAX_DECISIONS;
use peers_proto::signaling::{
    Body, ClientMessage, Exchange, ExchangeKind, IceServer, IceServers, Knock, MessageId, RelayFrame,
    ServerMessage, base64, knock,
};
use peers_tests::bench::Outcome;
use peers_tests::device::{Echo, Everybody};
use peers_tests::hostile_relay::{HostileRelay, Parcel, Said, Told};
use peers_tests::party::Party;

use super::{DIAL, FLOOD};
use crate::behaviours::{Behaviour, Side, before};
use crate::scene::{Carrier, Scene};
use crate::victim::{App, Settings, VictimProcess};

pub(super) fn all() -> Vec<Behaviour> {
    let mut all = vec![
        Behaviour::relay("a refusal in the name of the dialed device", |s| forged(s, &[0xf4])),
        Behaviour::relay("an alert in the name of the dialed device", |s| forged(s, &[0xf5, 1])),
        Behaviour::relay("every frame twice", |s| meddle(s, |_, parcel| vec![parcel.clone(), parcel])),
        Behaviour::relay("every fifth frame lost", |s| {
            meddle(s, |n, parcel| if n % 5 == 4 { Vec::new() } else { vec![parcel] })
        }),
        Behaviour::relay("every seventh frame altered", |s| meddle(s, alter)),
        Behaviour::webrtc("old offers to a device that was restarted", replayed),
        Behaviour::relay("offers in the name of others", misattributed),
        Behaviour::relay("another certificate than the one asked for", wrong_certificate),
        Behaviour::webrtc("random envelopes in the name of a trusted device", random_envelopes),
        Behaviour::relay("ten thousand comings and goings a second", flapping),
        Behaviour::relay("connections in the name of ten thousand devices", made_up_peers),
        Behaviour::relay("certificates without a question", certificates),
        Behaviour::relay("knocks of ten thousand devices", knocks),
    ];
    let mut servers = Behaviour::webrtc("a thousand STUN servers", absurd_servers);
    servers.setting.dials = Some(Carrier::WebRtc);
    all.push(servers);
    all.iter_mut().for_each(|behaviour| behaviour.setting.second = Side::Middleman);
    all
}

fn fresh() -> ConnectionId {
    ConnectionId::from_bytes(random::array())
}

/// A real device that the victim trusts, at the hostile relay.
async fn friend(scene: &Scene, relay: &HostileRelay, transports: Transports) -> Outcome<Client> {
    let builder = Client::builder()
        .relay(relay.url())
        .identity(Identity::from_seed(&scene.seeds[0]))
        .name("friend")
        .loopback(true)
        .transports(transports)
        .trust_policy(Arc::new(Everybody))
        .handler("echo", Arc::new(Echo));
    let (client, mut events) = builder.start().await?;
    tokio::spawn(async move { while events.next().await.is_some() {} });
    let mut state = client.watch_state();
    tokio::time::timeout(DIAL, state.wait_for(|s| *s == peers::ClientState::Online)).await??;
    Ok(client)
}

const RELAY: Transports = Transports { webrtc: false, relay: true };
const WEBRTC: Transports = Transports { webrtc: true, relay: false };
const BOTH: Transports = Transports { webrtc: true, relay: true };

/// An unproven refusal is not the peer's word.
async fn forged(scene: Scene, says: &'static [u8]) -> Outcome<()> {
    let relay = scene.middleman()?.clone();
    let friend = friend(&scene, &relay, BOTH).await?;
    let victim = scene.victim.id();
    relay.attack(move |mut parcel| {
        if let Told::Frame(RelayFrame::Data { frame, .. }) = &mut parcel.told
            && parcel.to == victim
            && frame.first() == Some(&0xf1)
        {
            *frame = Bytes::from_static(says);
        }
        vec![parcel]
    });
    // Other ways to try may take longer.
    let outcome = scene.victim_dials(friend.device_id(), DIAL / 4).await?;
    match outcome.as_str() {
        "denied" => Err("the victim takes the relay's word for the peer's refusal".into()),
        _ => Ok(()),
    }
}

fn alter(n: usize, mut parcel: Parcel) -> Vec<Parcel> {
    if let Told::Frame(RelayFrame::Data { frame, .. }) = &mut parcel.told
        && n % 7 == 6
    {
        let mut bytes = frame.to_vec();
        if let Some(byte) = bytes.last_mut() {
            *byte ^= 1;
        }
        *frame = bytes.into();
    }
    vec![parcel]
}

/// Something happens to the frames of a session with a friend; nothing wrong may come of it.
async fn meddle(
    scene: Scene,
    mut with: impl FnMut(usize, Parcel) -> Vec<Parcel> + Send + 'static,
) -> Outcome<()> {
    let relay = scene.middleman()?.clone();
    let friend = friend(&scene, &relay, RELAY).await?;
    let session = tokio::time::timeout(DIAL, friend.session(scene.victim.id())).await??;
    session.call("echo", "echo", &b"before"[..]).await?;
    let mut count = 0;
    relay.attack(move |parcel| {
        if !matches!(parcel.told, Told::Frame(_)) {
            return vec![parcel];
        }
        count += 1;
        with(count - 1, parcel)
    });
    let end = Instant::now() + FLOOD;
    while Instant::now() < end {
        let body = random::array::<200>();
        let call = session.call("echo", "echo", body.to_vec());
        match tokio::time::timeout(Duration::from_millis(300), call).await {
            Ok(Ok(answer)) if answer[..] != body[..] => return Err("an altered answer came through".into()),
            _ => {}
        }
    }
    friend.shutdown().await;
    Ok(())
}

/// A message to an instance of a device that is gone is not for the next one.
async fn replayed(scene: Scene) -> Outcome<()> {
    let relay = scene.middleman()?.clone();
    let seed: [u8; peers::SEED_LEN] = random::array();
    let phone = Party::from_seed(&seed, "phone")?.id();
    let friend = friend(&scene, &relay, WEBRTC).await?;
    let settings = Settings {
        seed: seed.to_vec(),
        relays: vec![relay.url()],
        trusted: vec![friend.device_id()],
        groups: Vec::new(),
        app: App::Prompt,
        open: false,
    };
    let first = VictimProcess::start(&settings, &scene.log).await?;
    tokio::time::timeout(DIAL, friend.session(phone)).await??;
    let old: Vec<_> = relay.heard(friend.device_id()).into_iter().filter_map(offer).collect();
    friend.shutdown().await;
    drop(first);
    let answered = answers(&relay, phone, &scene.attackers[0]);
    let _second = VictimProcess::start(&settings, &scene.log).await?;
    for exchange in old {
        let message_id = MessageId::from_bytes(random::array());
        let told = Told::Text(ServerMessage::Offer(Exchange { message_id, ..exchange }));
        relay.tell(Parcel { to: phone, told }).await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    match answers(&relay, phone, &scene.attackers[0]) - answered {
        0 => Ok(()),
        _ => Err("a restarted device has answered an offer to the one before".into()),
    }
}

fn offer(said: Said) -> Option<Exchange> {
    match said {
        Said::Text(ClientMessage::Offer(exchange)) => Some(exchange),
        _ => None,
    }
}

/// Answers of `device` to offers of `friend`, which alone can distinguish them from other replies.
fn answers(relay: &HostileRelay, device: DeviceId, friend: &Party) -> usize {
    let said = relay.heard(device).into_iter();
    said.filter(|said| {
        let Said::Text(ClientMessage::Answer(exchange)) = said else { return false };
        let sealed = exchange.sdi.as_deref().and_then(base64::decode);
        let opened = sealed.and_then(|sealed| envelope::open(&sealed, &friend.keys).ok());
        opened.is_some_and(|o| matches!(Body::decode(&o.content.body), Ok(Body::Answer { .. })))
    })
    .count()
}

/// Offers a friend has made, under the names of all others, at full speed.
async fn misattributed(scene: Scene) -> Outcome<()> {
    let relay = scene.middleman()?.clone();
    let friend = friend(&scene, &relay, WEBRTC).await?;
    let _ = tokio::time::timeout(DIAL, friend.session(scene.victim.id())).await?;
    let offers: Vec<_> = relay.heard(friend.device_id()).into_iter().filter_map(offer).collect();
    let exchange = offers.first().ok_or("no offer")?.clone();
    let end = Instant::now() + FLOOD;
    for n in 0.. {
        let from_device_id = scene.attackers[1 + n % (scene.attackers.len() - 1)].id();
        let message_id = MessageId::from_bytes(random::array());
        let exchange = Exchange { from_device_id, message_id, ..exchange.clone() };
        let told = Told::Text(ServerMessage::Offer(exchange));
        if !before(end, relay.tell(Parcel { to: scene.victim.id(), told })).await {
            break;
        }
    }
    friend.shutdown().await;
    Ok(())
}

async fn wrong_certificate(scene: Scene) -> Outcome<()> {
    let relay = scene.middleman()?.clone();
    let friend = friend(&scene, &relay, RELAY).await?;
    let lie = scene.attackers[1].certificate.as_bytes().to_vec();
    relay.attack(move |mut parcel| {
        if let Told::Text(ServerMessage::Certificate { certificate, .. }) = &mut parcel.told {
            *certificate = Some(lie.clone());
        }
        vec![parcel]
    });
    match scene.victim_dials(friend.device_id(), DIAL).await?.as_str() {
        "nothing in time" => Err("the dial hangs".into()),
        _ => Ok(()),
    }
}

async fn tell_all(scene: &Scene, mut told: impl FnMut(usize) -> Told) -> Outcome<()> {
    let relay = scene.middleman()?;
    let end = Instant::now() + FLOOD;
    for n in 0.. {
        let parcel = Parcel { to: scene.victim.id(), told: told(n) };
        if !before(end, relay.tell(parcel)).await {
            break;
        }
    }
    Ok(())
}

fn exchange(scene: &Scene, from: DeviceId, envelope: String) -> Exchange {
    Exchange {
        connection_id: fresh(),
        from_device_id: from,
        to_device_id: scene.victim.id(),
        message_id: MessageId::from_bytes(random::array()),
        sdi: Some(envelope),
        ice_candidates: Vec::new(),
        queued: false,
    }
}

async fn random_envelopes(scene: Scene) -> Outcome<()> {
    let mut bytes = vec![0; 2000];
    random::fill(&mut bytes);
    let envelope = base64::encode(&bytes);
    tell_all(&scene, |n| {
        let from = scene.attackers[n % scene.attackers.len()].id();
        Told::Text(ServerMessage::exchange(ExchangeKind::Offer, exchange(&scene, from, envelope.clone())))
    })
    .await
}

async fn flapping(scene: Scene) -> Outcome<()> {
    let relay = scene.middleman()?;
    let end = Instant::now() + FLOOD;
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while Instant::now() < end {
        tick.tick().await;
        for n in 0..100 {
            let device_id = scene.attackers[n % scene.attackers.len()].id();
            let told = if n % 16 < 8 {
                ServerMessage::DeviceOnline { device_id }
            } else {
                ServerMessage::DeviceOffline { device_id }
            };
            let parcel = Parcel { to: scene.victim.id(), told: Told::Text(told) };
            if !before(end, relay.tell(parcel)).await {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn made_up_peers(scene: Scene) -> Outcome<()> {
    tell_all(&scene, |_| {
        let peer = DeviceId::from_bytes(random::array());
        let frame = Bytes::from(random::array::<100>().to_vec());
        Told::Frame(RelayFrame::Data { peer, connection: fresh(), frame })
    })
    .await
}

async fn certificates(scene: Scene) -> Outcome<()> {
    let certificate = scene.attackers[0].certificate.as_bytes().to_vec();
    tell_all(&scene, |_| {
        let device_id = DeviceId::from_bytes(random::array());
        Told::Text(ServerMessage::Certificate { device_id, certificate: Some(certificate.clone()) })
    })
    .await
}

/// Each of them proves itself; the relay makes as many devices as it likes.
async fn knocks(scene: Scene) -> Outcome<()> {
    let asked = scene.count().await?.incoming;
    let recipient = scene.victim.id();
    let end = Instant::now() + FLOOD;
    loop {
        let (party, connection_id) = (Party::new("made up")?, fresh());
        let knock = Knock {
            connection_id,
            from_device_id: party.id(),
            to_device_id: recipient,
            message_id: MessageId::from_bytes(random::array()),
            knock: knock::make(&party.keys, &party.certificate, recipient, connection_id),
            queued: false,
        };
        let parcel = Parcel { to: recipient, told: Told::Text(ServerMessage::Knock(knock)) };
        if !before(end, scene.middleman()?.tell(parcel)).await {
            break;
        }
    }
    let asked = scene.count().await?.incoming - asked;
    if asked > MAX_DECISIONS as u64 {
        return Err(format!("a person was asked about {asked} devices at once").into());
    }
    Ok(())
}

async fn absurd_servers(scene: Scene) -> Outcome<()> {
    let urls = |n: usize| vec![format!("stun:127.0.0.1:{}", 20_000 + n)];
    let mut ice_servers: Vec<_> =
        (0..1000).map(|n| IceServer { urls: urls(n), username: None, credential: None }).collect();
    ice_servers.push(IceServer {
        urls: vec![format!("turn:{}", "x".repeat(4000))],
        username: Some("u".repeat(4000)),
        credential: Some("c".repeat(4000)),
    });
    let told = Told::Text(ServerMessage::IceServers(IceServers { ice_servers, expires_in: Some(1) }));
    let end = Instant::now() + 2 * FLOOD;
    while Instant::now() < end {
        let _ = scene.middleman()?.tell(Parcel { to: scene.victim.id(), told: told.clone() }).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
