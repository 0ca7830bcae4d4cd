//! The attributes of a session description that matter (RFC 8839, RFC 8841, RFC 8842).

use super::candidate::{is_ice_char, number};
use super::sdp::{DescriptionError, Fingerprint};

/// The attributes read so far. Each has one value, however often it is there.
#[derive(Default)]
pub(super) struct Attributes {
    pub(super) ufrag: Option<String>,
    pub(super) password: Option<String>,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) setup: Option<Setup>,
    pub(super) mid: Option<String>,
    pub(super) sctp_port: Option<u16>,
    pub(super) max_message_size: Option<u32>,
    /// The text of each.
    pub(super) candidates: Vec<String>,
}

impl Attributes {
    /// Takes an attribute, `name` or `name:value`. Unknown ones are left out.
    pub(super) fn take(&mut self, attribute: &str) -> Result<(), DescriptionError> {
        use DescriptionError::Attribute;
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "ice-ufrag" => {
                once(&mut self.ufrag, word(value, 4..=256, is_ice_char)).ok_or(Attribute("ice-ufrag"))
            }
            "ice-pwd" => {
                once(&mut self.password, word(value, 22..=256, is_ice_char)).ok_or(Attribute("ice-pwd"))
            }
            "fingerprint" => {
                once(&mut self.fingerprint, parse_fingerprint(value)).ok_or(DescriptionError::Fingerprint)
            }
            "setup" => once(&mut self.setup, Setup::parse(value)).ok_or(Attribute("setup")),
            "mid" => once(&mut self.mid, word(value, 1..=32, is_token_char)).ok_or(Attribute("mid")),
            "sctp-port" => once(&mut self.sctp_port, number(value).filter(|port| *port > 0))
                .ok_or(Attribute("sctp-port")),
            "max-message-size" => {
                once(&mut self.max_message_size, message_size(value)).ok_or(Attribute("max-message-size"))
            }
            // Such a peer sends no check of its own, by which it would be known.
            "ice-lite" => Err(Attribute("ice-lite")),
            "candidate" => {
                self.candidates.push(attribute.to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Fills `slot`, unless there is another value, or none.
fn once<T: PartialEq>(slot: &mut Option<T>, value: Option<T>) -> Option<()> {
    let value = value?;
    let same = slot.as_ref().is_none_or(|before| *before == value);
    *slot = Some(value);
    same.then_some(())
}

fn word(value: &str, length: std::ops::RangeInclusive<usize>, is_allowed: fn(u8) -> bool) -> Option<String> {
    (length.contains(&value.len()) && value.bytes().all(is_allowed)).then(|| value.to_owned())
}

/// A character of a token (RFC 8866 §9).
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte)
}

/// 0 stands for any size, and so does one beyond what fits here.
fn message_size(value: &str) -> Option<u32> {
    let size: u64 = number(value)?;
    Some(u32::try_from(size).unwrap_or(u32::MAX))
}

fn parse_fingerprint(value: &str) -> Option<Fingerprint> {
    let (algorithm, hex) = value.split_once(' ')?;
    if !algorithm.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut out = [0; 32];
    let mut bytes = hex.trim().split(':');
    for slot in &mut out {
        let byte = bytes.next().filter(|b| b.len() == 2 && b.bytes().all(|c| c.is_ascii_hexdigit()))?;
        *slot = u8::from_str_radix(byte, 16).ok()?;
    }
    bytes.next().is_none().then_some(out)
}

/// The side that begins with DTLS (RFC 8842 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setup {
    Either,
    Active,
    Passive,
}

impl Setup {
    const ALL: [Self; 3] = [Self::Either, Self::Active, Self::Passive];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setup| setup.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Either => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }
}
