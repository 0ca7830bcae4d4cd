//! Writes `corpus/` anew: a few valid inputs for every target, from which libFuzzer finds the rest.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::path::Path;
use std::{fs, io};

use bytes::{Bytes, BytesMut};
use peers_fuzz::{Person, join, transcript};
use peers_proto::certificate::RevocationList;
use peers_proto::codec::{self, varint};
use peers_proto::envelope::{self, Content};
use peers_proto::id::{ConnectionId, DeviceId, GroupId};
use peers_proto::keys::UserKeys;
use peers_proto::session::wire::Header;
use peers_proto::session::{MemoryBudget, Object, SessionMachine, SessionConfig};
use peers_proto::signaling::{Body, Challenge, Contents, NONCE_LEN, RelayFrame};
use peers_proto::time::Instant;
use peers_proto::trust::KnownKeys;
use serde::Serialize;

/// As many inputs as their number.
type Seeds = Vec<Vec<u8>>;

fn main() -> io::Result<()> {
    for (target, seeds) in [
        ("brotli", brotli()),
        ("certificate", certificate()),
        ("envelope", envelope()),
        ("handshake", handshake()),
        ("id_text", id_text()),
        ("msgpack", msgpack()),
        ("negotiation", negotiation()),
        ("relay_frame", relay_frame()),
        ("segment", segment()),
        ("session", session()),
        ("signaling", signaling()),
        ("varint", vec![varints()]),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        for (n, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{n}")), seed)?;
        }
    }
    Ok(())
}

fn brotli() -> Seeds {
    let text: String =
        (0..600u32).map(|n| format!("{} of {n}, ", n.wrapping_mul(2_654_435_761) >> 20)).collect();
    let bodies = [text.as_bytes()[..1200].to_vec(), text.clone().into_bytes(), vec![0; 2000]];
    let seed = |body: Vec<u8>| {
        let (_, content) = codec::compress(Bytes::from(body.clone()));
        [&(body.len() as u32).to_be_bytes()[1..], &content].concat()
    };
    bodies.into_iter().map(seed).collect()
}

fn certificate() -> Seeds {
    let person = Person::new(1);
    let devices = [Person::new(2).certificate.device_id(), Person::new(3).certificate.device_id()];
    let list = RevocationList::issue(&UserKeys::from_seed([1; 32]), 7, devices).expect("a list of two");
    vec![person.certificate.as_bytes().to_vec(), list.as_bytes().to_vec()]
}

fn contents() -> Vec<Contents> {
    let bodies = [
        // The target's instance is 1, and its peer's as it pleases.
        Body::Offer { instance: 5, to: Some(1), sdp: "v=0\r\n".into() },
        Body::Offer { instance: 5, to: None, sdp: "v=0\r\n".into() },
        Body::Retry { instance: 5 },
        Body::Answer { instance: 5, sdp: "v=0\r\n".into() },
        Body::Welcome,
        Body::Hello,
        Body::Candidates(vec!["candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host".into()]),
    ];
    let contents = |body| Contents {
        connection_id: ConnectionId::from_bytes([1; 16]),
        attempt: 1,
        fingerprint: Some([2; 32]),
        body,
    };
    bodies.into_iter().map(contents).collect()
}

fn bodies() -> Seeds {
    contents().iter().map(|contents| contents.body.encode().expect("a small body")).collect()
}

fn envelope() -> Seeds {
    let (from, to) = (Person::new(1), Person::new(2));
    let seed = |body: Vec<u8>| {
        let content = Content {
            connection_id: ConnectionId::from_bytes([1; 16]),
            attempt: 1,
            fingerprint: None,
            body: body.clone(),
        };
        let sealed =
            envelope::seal(&content, &from.keys, &from.certificate, &KnownKeys::of(&to.certificate), [3; 32]);
        join([sealed.expect("a small body"), body])
    };
    bodies().into_iter().map(seed).collect()
}

fn handshake() -> Seeds {
    let [m1, m2, m3] = transcript();
    let after = |start: u8, frames: &[&Vec<u8>]| [vec![start], join(frames)].concat();
    vec![
        after(0, &[&m1, &m3]),
        after(2, &[&m3]),
        after(5, &[&m2]),
        after(3, &[&vec![0xf3; 17]]),
        after(5, &[&vec![0xf5, 1]]),
        after(7, &[&vec![0xf6; 17]]),
    ]
}

fn id_text() -> Seeds {
    vec![
        DeviceId::from_bytes([0x5a; 20]).to_string().into_bytes(),
        ConnectionId::from_bytes([0x5a; 16]).to_string().into_bytes(),
    ]
}

fn msgpack() -> Seeds {
    #[derive(Serialize)]
    enum Choice {
        Nothing,
        One(u32),
        Many { all: Vec<String> },
    }
    #[derive(Serialize)]
    struct Everything {
        number: Option<i64>,
        text: String,
        bytes: Vec<u8>,
        choice: Vec<Choice>,
        named: BTreeMap<String, (bool, u16)>,
    }
    let everything = Everything {
        number: Some(-70_000),
        text: "Grüezi".into(),
        bytes: vec![0; 20],
        choice: vec![Choice::Nothing, Choice::One(70_000), Choice::Many { all: vec!["a".into()] }],
        named: (0..12).map(|n| (format!("key {n}"), (n % 2 == 0, n))).collect(),
    };
    let forms: &[u8] = b"\xdc\x00\x08\xcb\x40\x09\x21\xfb\x54\x44\x2d\x18\xca\x3f\x80\x00\x00\xd3\xff\xff\xff\xff\xff\xff\xff\xff\
        \xcf\x00\x00\x00\x00\x00\x00\x00\x01\xc7\x01\x05x\xd6\xff\x00\x00\x00\x00\xd9\x01a\xde\x00\x01\xda\x00\x01k\xc0";
    codec::validate(forms).expect("eight values in long forms");
    vec![codec::encode(&everything).expect("small"), forms.to_vec(), [vec![0x91; 32], vec![0xc0]].concat()]
}

fn negotiation() -> Seeds {
    let remote = |what: u8, body: &Vec<u8>| [&[what, 1, 1][..], body].concat();
    let [offer, stale, retry, answer, _, _, candidates] = bodies().try_into().expect("seven bodies");
    let dial = vec![0, 1, 0];
    let connected = vec![2, 1, 0];
    let signaling_up = vec![12, 0, 0];
    let story = |first: u8, chunks: &[&Vec<u8>]| [vec![first], join(chunks)].concat();
    vec![
        story(2, &[&remote(5, &stale), &remote(5, &candidates), &remote(5, &offer), &connected]),
        story(0, &[&dial, &remote(5, &retry), &remote(5, &answer), &connected]),
        story(0, &[&dial, &remote(5, &answer), &remote(5, &candidates), &connected]),
        story(0, &[&remote(5, &candidates), &remote(5, &offer), &connected]),
        story(1, &[&dial, &remote(6, &offer), &signaling_up]),
        story(3, &[&dial, &remote(7, &offer), &signaling_up]),
    ]
}

fn relay_frame() -> Seeds {
    let (peer, connection) = (DeviceId::from_bytes([1; 20]), ConnectionId::from_bytes([2; 16]));
    let data = RelayFrame::Data { peer, connection, frame: Bytes::from_static(b"sealed") };
    let close = [&[2][..], peer.as_bytes(), connection.as_bytes(), &[1]].concat();
    vec![data.encode().to_vec(), close]
}

/// The frames of a session that sends a message, a call and a stream.
fn frames() -> Vec<Bytes> {
    let now = Instant::from_micros(1);
    let group = GroupId::from_bytes([0; 20]);
    let mut session = SessionMachine::new(SessionConfig {
        local: DeviceId::from_bytes([2; 20]),
        remote: DeviceId::from_bytes([1; 20]),
        groups: HashSet::from([group]),
        ungrouped: true,
        budget: MemoryBudget::default(),
    });
    session.attach(0).expect("a new session attaches");
    session.send_message(Some(group), Object::plain("hello")).expect("there is room");
    session.send_message(None, Object::plain(vec![1; 5000])).expect("there is room");
    let stream = session.open_stream("photo", Some(group)).expect("there is room");
    session.write(stream, &mut Bytes::from_static(b"pixels")).expect("there is room");
    session.finish(stream).expect("the stream is open");
    std::iter::from_fn(|| session.poll_frame(now)).collect()
}

fn segment() -> Seeds {
    frames().iter().map(|frame| frame.to_vec()).collect()
}

fn session() -> Seeds {
    let segments = |frame: &Bytes| {
        let mut input = &frame[..];
        Header::read(&mut input).expect("a frame begins with its header");
        [&[0], input].concat()
    };
    let raw = |frame: &Bytes| [&[1], &frame[..]].concat();
    vec![join(frames().iter().map(segments)), join(frames().iter().map(raw))]
}

fn signaling() -> Seeds {
    let vectors = include_str!("../../vectors/signaling.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).expect("the vectors are JSON");
    let messages = ["client", "server"].iter().filter_map(|side| vectors[side].as_array()).flatten();
    let challenge = Challenge { nonce: [1; NONCE_LEN], server_name: "relay.example.com".into() };
    let person = Person::new(1);
    let registration = challenge.answer("relay.example.com", &person.keys, &person.certificate);
    let registration = peers_proto::signaling::ClientMessage::DeviceRegistered(registration);
    let registration = registration.to_json().expect("a message within its limits");
    messages.map(|message| message.to_string().into_bytes()).chain([registration.into_bytes()]).collect()
}

fn varints() -> Vec<u8> {
    let mut out = BytesMut::new();
    for value in [0, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30, varint::MAX] {
        varint::write(value, &mut out);
    }
    out.to_vec()
}
