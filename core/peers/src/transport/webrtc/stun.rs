//! STUN messages (RFC 8489) and TURN's wrapping (RFC 8656), read as far as they tell the sender of a datagram.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rtc::crypto::{self, HmacAlgorithm, Mac};

/// A STUN message with a header that fits it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    header: &'a [u8; HEADER],
    attributes: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn read(datagram: &'a [u8]) -> Option<Self> {
        let (header, attributes) = datagram.split_first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let whole = length == attributes.len() && length.is_multiple_of(4) && header[4..8] == COOKIE;
        whole.then(|| Self { kind: u16::from_be_bytes([header[0], header[1]]), header, attributes })
    }

    /// The datagram a TURN server wrapped into this indication, and where it came from.
    pub(super) fn wrapped(&self) -> Option<(SocketAddr, &'a [u8])> {
        let from = self.attribute(XOR_PEER_ADDRESS).and_then(|value| self.address(value))?;
        Some((from, self.attribute(DATA)?))
    }

    /// The channel this request binds, and the address it leads to.
    pub(super) fn channel(&self) -> Option<(u16, SocketAddr)> {
        let number = self.attribute(CHANNEL_NUMBER)?.first_chunk::<2>()?;
        let peer = self.attribute(XOR_PEER_ADDRESS).and_then(|value| self.address(value))?;
        Some((u16::from_be_bytes(*number), peer))
    }

    fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> {
        let all = self.attributes;
        let mut at = 0;
        std::iter::from_fn(move || {
            let (header, rest) = all.get(at..)?.split_first_chunk::<4>()?;
            let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let attribute = Attribute {
                kind: u16::from_be_bytes([header[0], header[1]]),
                at,
                value: rest.get(..length)?,
            };
            at += 4 + length.next_multiple_of(4);
            Some(attribute)
        })
    }

    /// XOR-MAPPED-ADDRESS and its like (RFC 8489 section 14.2).
    fn address(&self, value: &[u8]) -> Option<SocketAddr> {
        let (head, address) = value.split_first_chunk::<4>()?;
        let port = u16::from_be_bytes([head[2] ^ COOKIE[0], head[3] ^ COOKIE[1]]);
        let mask = &self.header[4..];
        let ip = match (head[1], address.len()) {
            (1, 4) => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(xor(address, mask)).ok()?)),
            (2, 16) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(xor(address, mask)).ok()?)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }
}

struct Attribute<'a> {
    kind: u16,
    /// Where it begins among the attributes.
    at: usize,
    value: &'a [u8],
}

fn xor(bytes: &[u8], mask: &[u8]) -> Vec<u8> {
    bytes.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// The channel's number and the datagram inside TURN channel data.
pub(super) fn channel_data(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let (header, data) = datagram.split_first_chunk::<4>()?;
    let data = data.get(..usize::from(u16::from_be_bytes([header[2], header[3]])))?;
    Some((u16::from_be_bytes([header[0], header[1]]), data))
}

/// This side's ICE credentials: a check that knows them comes from the peer (RFC 8445 section 7.3).
pub(super) struct Credentials {
    /// The user name of a check begins with it.
    user: String,
    password: Box<dyn Mac>,
}

impl Credentials {
    pub(super) fn new(ufrag: &str, password: &str) -> Result<Self, crypto::CryptoError> {
        let provider = crypto::default_provider()?;
        let password = provider.crypto().new_hmac(HmacAlgorithm::Sha1, password.as_bytes())?;
        Ok(Self { user: format!("{ufrag}:"), password })
    }

    /// `true` if `message` is authentic (RFC 8489 section 14.5), and nothing in it is not covered.
    pub(super) fn verify(&mut self, message: &Message<'_>) -> bool {
        let named = message.attribute(USERNAME).is_some_and(|user| user.starts_with(self.user.as_bytes()));
        // Strangers are told from the peer before anything is computed for them.
        let Some(tag) = message.attributes().find(|a| a.kind == MESSAGE_INTEGRITY).filter(|_| named) else {
            return false;
        };
        if message.attributes().any(|a| a.at > tag.at && !MAY_FOLLOW.contains(&a.kind)) {
            return false;
        }
        let covered = message.attributes.get(..tag.at).unwrap_or_default();
        let mut header = *message.header;
        let Ok(length) = u16::try_from(tag.at + 4 + TAG) else { return false };
        header[2..4].copy_from_slice(&length.to_be_bytes());
        tag.value.len() == TAG && self.password.verify(&[&header, covered], tag.value).is_ok()
    }
}

impl std::fmt::Debug for Credentials {
    // The password stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

pub(super) const BINDING_REQUEST: u16 = 0x0001;
pub(super) const ALLOCATE_REQUEST: u16 = 0x0003;
pub(super) const CHANNEL_BIND_REQUEST: u16 = 0x0009;
pub(super) const SEND_INDICATION: u16 = 0x0016;
pub(super) const DATA_INDICATION: u16 = 0x0017;

/// `true` if `kind` answers a request. The stack compares the request's random number.
pub(super) fn is_response(kind: u16) -> bool {
    kind & 0x0100 != 0
}

const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const TAG: usize = 20;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const CHANNEL_NUMBER: u16 = 0x000C;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
/// MESSAGE-INTEGRITY-SHA256 and FINGERPRINT.
const MAY_FOLLOW: [u16; 2] = [0x001C, 0x8028];

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn message(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&kind.to_be_bytes()[..], &length, &COOKIE, &[9; 12], &body].concat()
    }

    /// A check as a peer that knows `password` sends it.
    pub(in super::super) fn check(user: &str, password: &str) -> Vec<u8> {
        signed(&[(USERNAME, user.as_bytes()), (0x0025, &[])], password)
    }

    fn signed(attributes: &[(u16, &[u8])], password: &str) -> Vec<u8> {
        let unsigned = message(BINDING_REQUEST, &[attributes, &[(MESSAGE_INTEGRITY, &[0; TAG])]].concat());
        let provider = crypto::default_provider().unwrap();
        let mut mac = provider.crypto().new_hmac(HmacAlgorithm::Sha1, password.as_bytes()).unwrap();
        let mut tag = [0; TAG];
        mac.sign(&[&unsigned[..unsigned.len() - TAG - 4]], &mut tag).unwrap();
        message(BINDING_REQUEST, &[attributes, &[(MESSAGE_INTEGRITY, &tag)]].concat())
    }

    /// `inner` as a TURN server passes it on.
    pub(in super::super) fn indication(from: SocketAddr, inner: &[u8]) -> Vec<u8> {
        message(DATA_INDICATION, &[(XOR_PEER_ADDRESS, &xored(from)), (DATA, inner)])
    }

    /// Asks a TURN server for a channel.
    pub(in super::super) fn bind(channel: u16, to: SocketAddr) -> Vec<u8> {
        let [high, low] = channel.to_be_bytes();
        message(CHANNEL_BIND_REQUEST, &[(CHANNEL_NUMBER, &[high, low, 0, 0]), (XOR_PEER_ADDRESS, &xored(to))])
    }

    fn xored(address: SocketAddr) -> Vec<u8> {
        let SocketAddr::V4(address) = address else { panic!("IPv4 only") };
        let port = (address.port() ^ 0x2112).to_be_bytes();
        [&[0, 1][..], &port, &xor(&address.ip().octets(), &COOKIE)].concat()
    }

    fn verifies(datagram: &[u8]) -> bool {
        let mut ours = Credentials::new("ours", "a password of ours").unwrap();
        ours.verify(&Message::read(datagram).unwrap())
    }

    #[test]
    fn a_check_is_the_peers_if_it_knows_the_password() {
        assert!(verifies(&check("ours:theirs", "a password of ours")));
        assert!(!verifies(&check("ours:theirs", "another password")));
        assert!(!verifies(&check("other:theirs", "a password of ours")));
        assert!(!verifies(&message(BINDING_REQUEST, &[(USERNAME, b"ours:theirs")])));
    }

    #[test]
    fn what_the_signature_does_not_cover_spoils_it() {
        let good = check("ours:theirs", "a password of ours");
        let extended = |kind: u16, value: &[u8]| {
            let (attribute, mut all) = (message(0, &[(kind, value)]), good.clone());
            all.extend(&attribute[HEADER..]);
            let length = u16::try_from(all.len() - HEADER).unwrap().to_be_bytes();
            all[2..4].copy_from_slice(&length);
            all
        };
        assert!(verifies(&extended(0x8028, &[0; 4])), "a fingerprint");
        assert!(!verifies(&extended(0x0025, &[])), "a nomination");
        let mut changed = good.clone();
        changed[HEADER + 8] ^= 1;
        assert!(!verifies(&changed));
    }

    #[test]
    fn only_whole_messages_are_read() {
        let good = check("ours:theirs", "p");
        assert!(Message::read(&good).is_some());
        assert!(Message::read(&good[..good.len() - 4]).is_none());
        assert!(Message::read(&good[..HEADER - 1]).is_none());
        let mut other = good.clone();
        other[4] = 0;
        assert!(Message::read(&other).is_none());
        // Attributes that lie about their length end the walk.
        let mut lying = good;
        lying[HEADER + 3] = 255;
        assert!(Message::read(&lying).unwrap().attribute(MESSAGE_INTEGRITY).is_none());
    }

    #[test]
    fn what_turn_wraps_is_unwrapped() {
        let from = "192.0.2.7:4000".parse().unwrap();
        assert_eq!(Message::read(&bind(0x4001, from)).unwrap().channel(), Some((0x4001, from)));
        let wrapped = indication(from, b"inner");
        assert_eq!(Message::read(&wrapped).unwrap().wrapped(), Some((from, &b"inner"[..])));
        assert_eq!(
            channel_data(&[64, 0, 0, 5, b'i', b'n', b'n', b'e', b'r', 0, 0, 0]),
            Some((0x4000, &b"inner"[..]))
        );
        assert_eq!(channel_data(&[64, 0, 0, 9, b'i']), None);
    }
}
