//! Golden bytes that other implementations made or read: see `codec.mjs` and `check.mjs`.

use bytes::Bytes;
use peers_proto::codec::{CodecError, Encoding, compress, decode, decompress, encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files::{hex, stored, unhex};

#[derive(Serialize, Deserialize)]
struct Vectors {
    about: String,
    messagepack: Vec<Object>,
    brotli: Vec<Stream>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
}

/// Bytes are written as `{"bytes": hex}`.
#[derive(Serialize, Deserialize)]
struct Object {
    value: Value,
    messagepack: String,
}

/// The body is `unit`, repeated to `length` bytes.
#[derive(Serialize, Deserialize)]
struct Stream {
    name: String,
    unit: String,
    length: usize,
    brotli: String,
}

#[derive(Serialize, Deserialize)]
struct Refused {
    name: String,
    length: usize,
    brotli: String,
}

impl Stream {
    fn body(&self) -> Vec<u8> {
        self.unit.bytes().cycle().take(self.length).collect()
    }
}

fn read(text: &str) -> Vectors {
    serde_json::from_str(text).unwrap()
}

fn byte_string(value: &Value) -> Option<Vec<u8>> {
    Some(unhex(value.get("bytes")?.as_str()?))
}

// proves S012
#[cfg_attr(test, test)]
pub(crate) fn messagepack_of_javascript_is_understood() {
    for Object { value, messagepack } in read(stored!("codec.json").text).messagepack {
        let object = unhex(&messagepack);
        match byte_string(&value) {
            Some(bytes) => assert_eq!(decode(&object), Ok(bytes)),
            None => assert_eq!(decode(&object), Ok(value)),
        }
    }
}

// proves S013, S015, S033, S116, S118
#[cfg_attr(test, test)]
pub(crate) fn brotli_of_node_is_understood_whatever_its_settings() {
    for stream in read(stored!("codec.json").text).brotli {
        let content = Bytes::from(unhex(&stream.brotli));
        let body = decompress(Encoding::Brotli, stream.length, content);
        assert_eq!(body.as_deref(), Ok(&stream.body()[..]), "{}", stream.name);
    }
}

#[cfg_attr(test, test)]
pub(crate) fn window_that_rfc_7932_allows_but_no_object_needs_is_refused() {
    for Refused { name, length, brotli } in read(stored!("codec.json").text).refused {
        let content = Bytes::from(unhex(&brotli));
        assert_eq!(decompress(Encoding::Brotli, length, content), Err(CodecError::WindowTooLarge), "{name}");
    }
}

/// Node reads the same file. Brotli's bytes may change with the library; that they can be read may not.
#[cfg_attr(test, test)]
pub(crate) fn stored_bytes_of_this_implementation_are_still_understood() {
    let ours = stored!("codec-rust.json").blessed(|| serde_json::to_string_pretty(&made_here()).unwrap());
    let Vectors { messagepack, brotli, .. } = read(&ours);
    for Object { value, messagepack } in messagepack {
        assert_eq!(hex(&encoded(&value)), messagepack, "{value}");
    }
    for stream in brotli {
        let content = Bytes::from(unhex(&stream.brotli));
        let body = decompress(Encoding::Brotli, stream.length, content);
        assert_eq!(body.as_deref(), Ok(&stream.body()[..]), "{}", stream.name);
    }
}

fn made_here() -> Vectors {
    let theirs = read(stored!("codec.json").text);
    let objects = theirs.messagepack.into_iter();
    let streams = theirs.brotli.into_iter().filter_map(|stream| {
        let (encoding, content) = compress(stream.body().into());
        (encoding == Encoding::Brotli).then(|| Stream { brotli: hex(&content), ..stream })
    });
    Vectors {
        about: "The values and bodies of codec.json, written by peers-proto.".into(),
        messagepack: objects.map(|o| Object { messagepack: hex(&encoded(&o.value)), ..o }).collect(),
        brotli: streams.collect(),
        refused: Vec::new(),
    }
}

fn encoded(value: &Value) -> Vec<u8> {
    match byte_string(value) {
        Some(bytes) => encode(&bytes).unwrap(),
        None => encode(value).unwrap(),
    }
}
