//! STUN messages (RFC 8489) and TURN's wrapping (RFC 8656), read as far as they tell the sender of a datagram.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rtc::crypto::{self, HashAlgorithm, HmacAlgorithm, Mac};

use super::record::{self, RecordKind};

/// A STUN message with a header that fits it.
#[derive(Debug, Clone, Copy)]
pub(super) struct StunMessage<'a> {
    pub(super) kind: u16,
    header: &'a [u8; HEADER],
    attributes: &'a [u8],
}

impl<'a> StunMessage<'a> {
    pub(super) fn read(datagram: &'a [u8]) -> Option<Self> {
        let (header, attributes) = datagram.split_first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let whole = length == attributes.len() && length.is_multiple_of(4) && header[4..8] == COOKIE;
        whole.then(|| Self { kind: u16::from_be_bytes([header[0], header[1]]), header, attributes })
    }

    /// The random number that an answer repeats.
    pub(super) fn id(&self) -> Id {
        let mut id = Id::default();
        id.copy_from_slice(&self.header[8..]);
        id
    }

    /// The code of an error response (RFC 8489 section 14.8).
    pub(super) fn error_code(&self) -> Option<u16> {
        let value = self.attribute(ERROR_CODE)?.first_chunk::<4>()?;
        Some(u16::from(value[2] & 7) * 100 + u16::from(value[3]))
    }

    /// `true` for a connectivity check: a STUN server is asked without a name.
    pub(super) fn is_check(&self) -> bool {
        self.kind == BINDING_REQUEST && self.attribute(USERNAME).is_some()
    }

    /// `true` for a check that takes its pair into use.
    pub(super) fn nominates(&self) -> bool {
        self.attribute(USE_CANDIDATE).is_some()
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

    pub(super) fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    pub(super) fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> {
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
    pub(super) fn address(&self, value: &[u8]) -> Option<SocketAddr> {
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

pub(super) struct Attribute<'a> {
    pub(super) kind: u16,
    /// Its offset among the attributes.
    at: usize,
    pub(super) value: &'a [u8],
}

fn xor(bytes: &[u8], mask: &[u8]) -> Vec<u8> {
    bytes.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// Gives a message another random number, in which the IPv6 addresses inside are hidden (RFC 8489 section 14.2). What covers the
/// message does not hold any more.
pub(super) fn renumber(datagram: &mut [u8], id: Id) {
    let Some(message) = StunMessage::read(datagram) else { return };
    let mask = xor(&message.id(), &id);
    let hidden = message.attributes().filter(|a| XORED.contains(&a.kind) && a.value.len() == 20);
    let addresses: Vec<_> = hidden.map(|attribute| HEADER + attribute.at + 4 + 8).collect();
    for at in addresses.into_iter().chain([HEADER - id.len()]) {
        let bytes = datagram.iter_mut().skip(at);
        bytes.zip(&mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// Takes away the relayed addresses that are none: coturn names one beside the real one to a client that asked for another IP
/// version before.
pub(super) fn strike_unspecified(datagram: &mut [u8]) {
    let Some(message) = StunMessage::read(datagram) else { return };
    let none =
        |a: &Attribute<'_>| message.address(a.value).is_some_and(|address| address.ip().is_unspecified());
    let relayed = message.attributes().filter(|a| a.kind == XOR_RELAYED_ADDRESS);
    let struck: Vec<_> = relayed.filter(none).map(|attribute| HEADER + attribute.at).collect();
    for at in struck {
        datagram.iter_mut().skip(at).take(2).for_each(|byte| *byte = UNKNOWN);
    }
}

/// A message of these attributes.
pub(super) fn encode(kind: u16, id: Id, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&kind.to_be_bytes()[..], &length, &COOKIE, &id, &body].concat()
}

/// The same, signed with `key` (RFC 8489 section 14.5).
pub(super) fn encode_signed(
    kind: u16,
    id: Id,
    attributes: &[(u16, &[u8])],
    key: &[u8],
) -> Result<Vec<u8>, crypto::CryptoError> {
    let mut message = encode(kind, id, &[attributes, &[(MESSAGE_INTEGRITY, &[0; TAG])]].concat());
    let covered = message.len() - TAG - 4;
    let (covered, rest) = message.split_at_mut(covered);
    let mut mac = crypto::default_provider()?.crypto().new_hmac(HmacAlgorithm::Sha1, key)?;
    mac.sign(&[covered], &mut rest[4..])?;
    Ok(message)
}

/// The key of a TURN user's requests (RFC 8489 section 9.2.2).
pub(super) fn long_term_key(
    username: &[u8],
    realm: &[u8],
    password: &[u8],
) -> Result<Vec<u8>, crypto::CryptoError> {
    let text = [username, realm, password].join(&b':');
    crypto::default_provider()?.crypto().hash(HashAlgorithm::Md5, &text)
}

/// The channel's number and the datagram inside TURN channel data.
pub(super) fn channel_data(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let (header, data) = datagram.split_first_chunk::<4>()?;
    let data = data.get(..usize::from(u16::from_be_bytes([header[2], header[3]])))?;
    Some((u16::from_be_bytes([header[0], header[1]]), data))
}

/// The datagram inside one that a TURN server forwards, in either direction.
pub(super) fn wrapped(datagram: &[u8]) -> Option<&[u8]> {
    match record::classify(datagram) {
        RecordKind::Stun => StunMessage::read(datagram)?.wrapped().map(|(_, inner)| inner),
        RecordKind::ChannelData => channel_data(datagram).map(|(_, inner)| inner),
        RecordKind::Dtls | RecordKind::Quic | RecordKind::Foreign => None,
    }
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
    pub(super) fn verify(&mut self, message: &StunMessage<'_>) -> bool {
        let named = message.attribute(USERNAME).is_some_and(|user| user.starts_with(self.user.as_bytes()));
        // A check of a stranger is recognised before anything is computed for it.
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
pub(super) const REFRESH_REQUEST: u16 = 0x0004;
pub(super) const CREATE_PERMISSION_REQUEST: u16 = 0x0008;
pub(super) const CHANNEL_BIND_REQUEST: u16 = 0x0009;
pub(super) const SEND_INDICATION: u16 = 0x0016;
pub(super) const DATA_INDICATION: u16 = 0x0017;

/// `true` if `kind` answers a request. The stack compares the request's random number.
pub(super) fn is_response(kind: u16) -> bool {
    kind & 0x0100 != 0
}

/// `true` if `kind` says that a request was refused.
pub(super) fn is_error(kind: u16) -> bool {
    kind & 0x0110 == 0x0110
}

/// The random number of a request.
pub(super) type Id = [u8; 12];

const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const TAG: usize = 20;
pub(super) const USERNAME: u16 = 0x0006;
pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const CHANNEL_NUMBER: u16 = 0x000C;
pub(super) const LIFETIME: u16 = 0x000D;
pub(super) const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
pub(super) const REALM: u16 = 0x0014;
pub(super) const NONCE: u16 = 0x0015;
pub(super) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub(super) const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
/// Both bytes of an attribute that may be left unread (RFC 8489 section 14).
const UNKNOWN: u8 = 0xFF;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const XORED: [u16; 3] = [XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS, XOR_MAPPED_ADDRESS];
const USE_CANDIDATE: u16 = 0x0025;
pub(super) const FINGERPRINT: u16 = 0x8028;
/// MESSAGE-INTEGRITY-SHA256 and FINGERPRINT.
const MAY_FOLLOW: [u16; 2] = [0x001C, FINGERPRINT];

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn message(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        encode(kind, [9; 12], attributes)
    }

    /// A check as a peer that knows `password` sends it.
    pub(in super::super) fn check(user: &str, password: &str) -> Vec<u8> {
        signed(&[(USERNAME, user.as_bytes()), (0x0025, &[])], password)
    }

    fn signed(attributes: &[(u16, &[u8])], password: &str) -> Vec<u8> {
        encode_signed(BINDING_REQUEST, [9; 12], attributes, password.as_bytes()).unwrap()
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

    pub(in super::super) fn xored(address: SocketAddr) -> Vec<u8> {
        let port = (address.port() ^ 0x2112).to_be_bytes();
        match address.ip() {
            IpAddr::V4(ip) => [&[0, 1][..], &port, &xor(&ip.octets(), &COOKIE)].concat(),
            IpAddr::V6(ip) => {
                let mask = [&COOKIE[..], &[9; 12]].concat();
                [&[0, 2][..], &port, &xor(&ip.octets(), &mask)].concat()
            }
        }
    }

    fn verifies(datagram: &[u8]) -> bool {
        let mut ours = Credentials::new("ours", "a password of ours").unwrap();
        ours.verify(&StunMessage::read(datagram).unwrap())
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
        assert!(StunMessage::read(&good).is_some());
        assert!(StunMessage::read(&good[..good.len() - 4]).is_none());
        assert!(StunMessage::read(&good[..HEADER - 1]).is_none());
        let mut other = good.clone();
        other[4] = 0;
        assert!(StunMessage::read(&other).is_none());
        // Attributes that lie about their length end the walk.
        let mut lying = good;
        lying[HEADER + 3] = 255;
        assert!(StunMessage::read(&lying).unwrap().attribute(MESSAGE_INTEGRITY).is_none());
    }

    #[test]
    fn another_number_leaves_the_addresses_as_they_are() {
        for address in ["192.0.2.7:4000", "[2001:db8::7]:4000"] {
            let address = address.parse().unwrap();
            let mut renumbered = bind(0x4001, address);
            renumber(&mut renumbered, [3; 12]);
            let message = StunMessage::read(&renumbered).unwrap();
            assert_eq!((message.id(), message.channel()), ([3; 12], Some((0x4001, address))));
        }
    }

    #[test]
    fn a_relayed_address_that_is_none_is_not_read() {
        let (none, some) = ("0.0.0.0:0".parse().unwrap(), "[2001:db8::7]:4000".parse().unwrap());
        let both = [none, some].map(xored);
        let mut answer = message(0x0103, &both.each_ref().map(|address| (XOR_RELAYED_ADDRESS, &address[..])));
        strike_unspecified(&mut answer);
        let answer = StunMessage::read(&answer).unwrap();
        let relayed = answer.attribute(XOR_RELAYED_ADDRESS).and_then(|value| answer.address(value));
        assert_eq!(relayed, Some(some));
    }

    #[test]
    fn what_turn_wraps_is_unwrapped() {
        let from = "192.0.2.7:4000".parse().unwrap();
        assert_eq!(StunMessage::read(&bind(0x4001, from)).unwrap().channel(), Some((0x4001, from)));
        let wrapped = indication(from, b"inner");
        assert_eq!(StunMessage::read(&wrapped).unwrap().wrapped(), Some((from, &b"inner"[..])));
        assert_eq!(
            channel_data(&[64, 0, 0, 5, b'i', b'n', b'n', b'e', b'r', 0, 0, 0]),
            Some((0x4000, &b"inner"[..]))
        );
        assert_eq!(channel_data(&[64, 0, 0, 9, b'i']), None);
    }
}
