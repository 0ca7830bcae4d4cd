//! Speed of the codec on this machine: `cargo run --release -p peers-proto --example codec_speed`.
#![expect(clippy::unwrap_used, reason = "an example that fails should say where")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use peers_proto::codec::{self, Encoding};
use peers_proto::limits::MAX_MESSAGE;
use serde::{Deserialize, Serialize};

/// About a hundred bytes, flat: a typical call.
#[derive(Serialize, Deserialize)]
struct Note {
    id: u64,
    author: String,
    title: String,
    body: String,
    created: u64,
    edited: bool,
    rank: f64,
}

impl Note {
    fn about(&self, n: u32) -> Self {
        Self {
            id: u64::from(n),
            author: format!("user {}", n % 50),
            title: self.title.clone(),
            body: format!("{} loaves of bread", n >> 12),
            created: self.created + u64::from(n % 100_000),
            edited: n & 1 == 1,
            rank: f64::from(n >> 8),
        }
    }
}

fn main() {
    let note = Note {
        id: 1 << 40,
        author: "alice".into(),
        title: "shopping".into(),
        body: "two loaves of bread".into(),
        created: 1_700_000_000,
        edited: false,
        rank: 0.5,
    };
    let flat = codec::encode(&note).unwrap();
    let many: Vec<Note> = (0..4000u32).map(|i| note.about(i.wrapping_mul(2_654_435_761))).collect();
    let many = codec::encode(&many).unwrap();
    let keys: BTreeMap<String, u32> =
        (0..32_000).map(|i| (format!("{:08x}", i * 2_654_435_761u64 as u32), i)).collect();
    let keys = codec::encode(&keys).unwrap();
    let blob = codec::encode(&vec![7u8; MAX_MESSAGE - 8]).unwrap();
    let words: Vec<String> = (0..60_000u32)
        .map(|i| format!("word {} of {}", i.wrapping_mul(2_654_435_761) >> 12, i % 97))
        .collect();
    let text = codec::encode(&words).unwrap();

    for (name, object) in
        [("flat", &flat), ("notes", &many), ("keys", &keys), ("blob", &blob), ("text", &text)]
    {
        report("validate", name, object.len(), || codec::validate(black_box(object)).unwrap());
    }
    report("encode", "flat", flat.len(), || codec::encode(black_box(&note)).unwrap());
    report("decode", "flat", flat.len(), || codec::decode::<Note>(black_box(&flat)).unwrap());

    let small = Bytes::copy_from_slice(&many[..2048]);
    let many = Bytes::from(many);
    let text = Bytes::from(text);
    let noise = Bytes::from(noise(MAX_MESSAGE));
    let small_noise = noise.slice(..2048);
    let middle_noise = noise.slice(..32 * 1024);
    for (name, body) in [
        ("small", &small),
        ("notes", &many),
        ("text", &text),
        ("noise 2k", &small_noise),
        ("noise 32k", &middle_noise),
        ("noise 4M", &noise),
    ] {
        report("compress", name, body.len(), || codec::compress(black_box(body.clone())));
        let (encoding, content) = codec::compress(body.clone());
        println!("{:>42} {:.3}", "ratio", content.len() as f64 / body.len() as f64);
        if encoding == Encoding::Brotli {
            report("decompress", name, body.len(), || {
                codec::decompress(encoding, body.len(), black_box(content.clone())).unwrap()
            });
        }
    }
}

/// Prints the best of many runs: the others were disturbed.
fn report<T>(verb: &str, name: &str, bytes: usize, mut work: impl FnMut() -> T) {
    let end = Instant::now() + Duration::from_millis(300);
    let mut best = f64::MAX;
    while Instant::now() < end {
        let rounds = if bytes < 1024 { 256 } else { 1 };
        let start = Instant::now();
        for _ in 0..rounds {
            black_box(work());
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(rounds));
    }
    println!(
        "{verb:>10} {name:<10} {bytes:>8} B {:>11.2} us {:>9.0} MB/s",
        best * 1e6,
        bytes as f64 / best / 1e6
    );
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}
