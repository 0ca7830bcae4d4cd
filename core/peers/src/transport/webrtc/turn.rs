//! The talk of one socket with TURN servers (RFC 8656), mended where the stack would leave it broken. It sees the
//! stack's requests before the server does, and the answers before the stack does:
//!
//! | the server says | the stack would | so |
//! |---|---|---|
//! | 438, stale nonce | lose a channel for good | the request goes again with the new nonce; later ones have it at once |
//! | 440, no IPv4 | give the server up | the request goes again and asks for IPv6 |
//! | 403 for a peer | ask again every 20 ms | it is not asked for again |
//! | 401, 403, 486, … for an allocation | say nothing | the connection hears of it |
//!
//! A request that goes again is another transaction with an id of its own (RFC 8489 section 5): with the old one a server may
//! take it for a retransmission. Its answer gets the id that the stack knows.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use peers_proto::signaling::IceServer;

use super::stun::{self, Id, StunMessage};
use crate::random;

/// The code with which a TURN server refused an allocation (RFC 8656 section 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("TURN: refused, error {0}")]
pub struct TurnRefusal(pub u16);

impl TurnRefusal {
    /// Credentials are wrong or have expired (RFC 8489 section 14.8).
    pub const UNAUTHORIZED: Self = Self(401);
}

/// The users of TURN servers and their passwords.
#[derive(Default)]
pub(super) struct Accounts(Vec<(String, String)>);

impl Accounts {
    pub(super) fn new(servers: &[IceServer]) -> Self {
        let accounts = servers.iter().filter_map(IceServer::account);
        Self(accounts.map(|(username, credential)| (username.to_owned(), credential.to_owned())).collect())
    }

    /// Signs a request that says who asks.
    fn sign(&self, kind: u16, id: Id, attributes: &[(u16, &[u8])]) -> Option<Vec<u8>> {
        let value = |wanted| attributes.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| *value);
        let (username, realm) = (value(stun::USERNAME)?, value(stun::REALM)?);
        let (_, password) = self.0.iter().find(|(name, _)| name.as_bytes() == username)?;
        let key = stun::long_term_key(username, realm, password.as_bytes()).ok()?;
        stun::encode_signed(kind, id, attributes, &key).ok()
    }
}

impl std::fmt::Debug for Accounts {
    // Passwords stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

/// The TURN servers one socket speaks to.
#[derive(Debug, Default)]
pub(super) struct TurnClient {
    servers: BTreeMap<Address, Server>,
}

/// Without an IPv6 address's scope.
type Address = (IpAddr, u16);

/// The fate of a datagram to a TURN server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TurnOutput<'a> {
    Send(Cow<'a, [u8]>),
    /// The stack need not know.
    Drop,
    /// The stack gives the server up.
    Refuse,
}

/// The consequences of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TurnReceived {
    /// Sent to the server in the stack's stead, which does not see the answer.
    pub(super) again: Option<Vec<u8>>,
    /// The server refuses an allocation, with this code.
    pub(super) refused: Option<u16>,
    /// The number by which the stack knows its request.
    pub(super) id: Option<Id>,
}

impl TurnReceived {
    /// The stack deals with other refusals than that of an allocation.
    fn refusal(kind: u16, code: u16) -> Self {
        Self { refused: Some(code).filter(|_| kind == stun::ALLOCATE_REQUEST), ..Self::default() }
    }
}

#[derive(Debug)]
struct Server {
    /// The system sends from this socket's address to it: of several sockets, one needs an allocation.
    routed: bool,
    /// The newest it has given.
    nonce: Vec<u8>,
    /// It relays no IPv4.
    ipv6: bool,
    /// Requests without an answer, the oldest first.
    pending: VecDeque<TurnRequest>,
    /// Peers it does not forward to.
    forbidden: BTreeSet<IpAddr>,
    allocation: Option<Allocation>,
    /// It is not needed any more.
    released: bool,
}

#[derive(Debug)]
struct TurnRequest {
    /// The number by which the stack knows it.
    known: Id,
    /// As it was sent last.
    request: Vec<u8>,
    id: Id,
    /// Times it went again.
    again: u8,
}

#[derive(Debug)]
struct Allocation {
    relayed: Option<SocketAddr>,
    /// The request that made it.
    request: Vec<u8>,
}

impl TurnClient {
    /// Judges a STUN message of the stack. `routed` says whether the system sends from this socket's address to the server.
    pub(super) fn sending<'a>(
        &mut self,
        datagram: &'a [u8],
        to: SocketAddr,
        accounts: &Accounts,
        routed: impl FnOnce() -> bool,
    ) -> TurnOutput<'a> {
        let plain = TurnOutput::Send(Cow::Borrowed(datagram));
        let Some(message) = StunMessage::read(datagram).filter(|message| REQUESTS.contains(&message.kind))
        else {
            return plain;
        };
        let to = (to.ip(), to.port());
        let server = self.servers.entry(to).or_insert_with(|| Server::new(routed()));
        if !server.routed {
            return TurnOutput::Refuse;
        }
        if server.released {
            return TurnOutput::Drop;
        }
        // The stack repeats what has gone again already.
        if let Some(pending) = server.pending.iter().find(|p| p.known == message.id() && p.again > 0) {
            return TurnOutput::Send(Cow::Owned(pending.request.clone()));
        }
        match server.mend(&message, to.0, accounts) {
            Mended::Nothing => server.expect(message.id(), datagram),
            Mended::Request(request) => {
                server.expect(message.id(), &request);
                return TurnOutput::Send(Cow::Owned(request));
            }
            Mended::Pointless => return TurnOutput::Drop,
        }
        plain
    }

    /// Looks at a STUN message that the stack may see. `fresh` makes random numbers.
    pub(super) fn receiving(
        &mut self,
        message: &StunMessage<'_>,
        from: SocketAddr,
        accounts: &Accounts,
        fresh: impl FnOnce() -> Id,
    ) -> TurnReceived {
        let from = (from.ip(), from.port());
        let Some(server) = self.servers.get_mut(&from) else { return TurnReceived::default() };
        let Some(at) = server.pending.iter().position(|pending| pending.id == message.id()) else {
            return TurnReceived::default();
        };
        let Some(mut pending) = server.pending.remove(at) else { return TurnReceived::default() };
        let id = Some(pending.known).filter(|known| *known != pending.id);
        let incoming = server.answered(message, &mut pending, from.0, accounts, fresh);
        if incoming.again.is_some() && pending.again > 0 {
            server.pending.push_back(pending);
        }
        TurnReceived { id, ..incoming }
    }

    /// Gives up all allocations but the one whose address is `kept`. Returns what to send, and to whom.
    pub(super) fn release(
        &mut self,
        kept: Option<SocketAddr>,
        accounts: &Accounts,
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut releases = Vec::new();
        for ((ip, port), server) in &mut self.servers {
            let in_use = kept.is_some() && server.allocation.as_ref().is_some_and(|a| a.relayed == kept);
            if in_use {
                continue;
            }
            server.released = true;
            let release = server.allocation.take().and_then(|made| server.release(&made.request, accounts));
            releases.extend(release.map(|release| (SocketAddr::new(*ip, *port), release)));
        }
        releases
    }
}

/// A request, compared with what the server is known to want.
enum Mended {
    /// It is right as it is, or cannot be signed here.
    Nothing,
    Request(Vec<u8>),
    /// Nothing would come of it.
    Pointless,
}

impl Server {
    fn new(routed: bool) -> Self {
        Self {
            routed,
            nonce: Vec::new(),
            ipv6: false,
            pending: VecDeque::new(),
            forbidden: BTreeSet::new(),
            allocation: None,
            released: false,
        }
    }

    fn mend(&self, request: &StunMessage<'_>, ip: IpAddr, accounts: &Accounts) -> Mended {
        let (mut attributes, mut changed, mut peers) = (Vec::new(), false, 0);
        // The signature of a request is made anew.
        let covers = |kind: u16| matches!(kind, stun::MESSAGE_INTEGRITY | stun::FINGERPRINT);
        for attribute in request.attributes().take_while(|attribute| !covers(attribute.kind)) {
            let mut value = attribute.value;
            match attribute.kind {
                stun::XOR_PEER_ADDRESS => {
                    let peer = request.address(value).map(|peer| peer.ip());
                    if peer.is_some_and(|peer| self.forbidden.contains(&peer) || !reaches(ip, peer)) {
                        changed = true;
                        continue;
                    }
                    peers += 1;
                }
                stun::NONCE if !self.nonce.is_empty() && self.nonce != value => {
                    (value, changed) = (&self.nonce, true);
                }
                _ => {}
            }
            attributes.push((attribute.kind, value));
        }
        let names_peers =
            matches!(request.kind, stun::CREATE_PERMISSION_REQUEST | stun::CHANNEL_BIND_REQUEST);
        if names_peers && peers == 0 {
            return Mended::Pointless;
        }
        let asks = attributes.iter().any(|(kind, _)| *kind == stun::REQUESTED_ADDRESS_FAMILY);
        if self.ipv6 && request.kind == stun::ALLOCATE_REQUEST && !asks {
            attributes.push((stun::REQUESTED_ADDRESS_FAMILY, &IPV6));
            changed = true;
        }
        if !changed {
            return Mended::Nothing;
        }
        let (kind, id) = (request.kind, request.id());
        match request.attribute(stun::MESSAGE_INTEGRITY) {
            None => Mended::Request(stun::encode(kind, id, &attributes)),
            Some(_) => accounts.sign(kind, id, &attributes).map_or(Mended::Nothing, Mended::Request),
        }
    }

    /// Acts on the answer to a request.
    fn answered(
        &mut self,
        answer: &StunMessage<'_>,
        pending: &mut TurnRequest,
        ip: IpAddr,
        accounts: &Accounts,
        fresh: impl FnOnce() -> Id,
    ) -> TurnReceived {
        let Some(request) = StunMessage::read(&pending.request) else { return TurnReceived::default() };
        if !stun::is_error(answer.kind) {
            return self.granted(&request, &pending.request, answer, accounts);
        }
        let code = answer.error_code().unwrap_or_default();
        let signed = request.attribute(stun::MESSAGE_INTEGRITY).is_some();
        if let (true, Some(nonce)) = (signed, answer.attribute(stun::NONCE)) {
            self.nonce = nonce.to_vec();
        }
        match (code, request.kind) {
            (STALE_NONCE, _) => {}
            (FAMILY_NOT_SUPPORTED, stun::ALLOCATE_REQUEST) if !self.ipv6 => self.ipv6 = true,
            (FORBIDDEN, stun::CREATE_PERMISSION_REQUEST) => {
                // Of several peers the server does not say which.
                if let [peer] = peers(&request)[..] {
                    self.forbidden.insert(peer);
                }
                return TurnReceived::default();
            }
            // The server wants to know who asks.
            (UNAUTHORIZED, stun::ALLOCATE_REQUEST) if !signed => return TurnReceived::default(),
            (_, kind) => return TurnReceived::refusal(kind, code),
        }
        let kind = request.kind;
        stun::renumber(&mut pending.request, fresh());
        let Some(request) = StunMessage::read(&pending.request) else { return TurnReceived::default() };
        match self.mend(&request, ip, accounts) {
            Mended::Request(again) if pending.again < MAX_AGAIN => {
                (pending.id, pending.again) = (request.id(), pending.again + 1);
                pending.request.clone_from(&again);
                TurnReceived { again: Some(again), ..TurnReceived::default() }
            }
            _ => TurnReceived::refusal(kind, code),
        }
    }

    fn expect(&mut self, id: Id, request: &[u8]) {
        // Repeated by the stack, which has heard nothing.
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.known == id) {
            pending.request = request.to_vec();
            return;
        }
        if self.pending.len() >= MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(TurnRequest { known: id, request: request.to_vec(), id, again: 0 });
    }

    fn granted(
        &mut self,
        request: &StunMessage<'_>,
        datagram: &[u8],
        answer: &StunMessage<'_>,
        accounts: &Accounts,
    ) -> TurnReceived {
        if request.kind != stun::ALLOCATE_REQUEST {
            return TurnReceived::default();
        }
        // The request left before the connection settled on another pair.
        if self.released {
            return TurnReceived { again: self.release(datagram, accounts), ..TurnReceived::default() };
        }
        let named = answer.attributes().filter(|attribute| attribute.kind == stun::XOR_RELAYED_ADDRESS);
        let mut named = named.filter_map(|attribute| answer.address(attribute.value));
        let relayed = named.find(|address| !address.ip().is_unspecified());
        self.allocation = Some(Allocation { relayed, request: datagram.to_vec() });
        TurnReceived::default()
    }

    /// Ends the allocation that `made` made (RFC 8656 section 8).
    fn release(&self, made: &[u8], accounts: &Accounts) -> Option<Vec<u8>> {
        let made = StunMessage::read(made)?;
        let nonce = if self.nonce.is_empty() { made.attribute(stun::NONCE)? } else { &self.nonce };
        let attributes = [
            (stun::LIFETIME, &[0; 4][..]),
            (stun::USERNAME, made.attribute(stun::USERNAME)?),
            (stun::REALM, made.attribute(stun::REALM)?),
            (stun::NONCE, nonce),
        ];
        accounts.sign(stun::REFRESH_REQUEST, random::array(), &attributes)
    }
}

/// `true` if a server at `ip` may have a way to `peer`: one on the Internet has none into a private network.
fn reaches(ip: IpAddr, peer: IpAddr) -> bool {
    is_private(ip) || !is_private(peer)
}

/// An address that means another device in another network (RFC 6890).
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xC0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

fn peers(request: &StunMessage<'_>) -> Vec<IpAddr> {
    let peers = request.attributes().filter(|attribute| attribute.kind == stun::XOR_PEER_ADDRESS);
    peers.filter_map(|attribute| Some(request.address(attribute.value)?.ip())).collect()
}

const REQUESTS: [u16; 4] = [
    stun::ALLOCATE_REQUEST,
    stun::REFRESH_REQUEST,
    stun::CREATE_PERMISSION_REQUEST,
    stun::CHANNEL_BIND_REQUEST,
];
/// Error codes (RFC 8489 section 14.8, RFC 8656 section 19).
const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;
const STALE_NONCE: u16 = 438;
const FAMILY_NOT_SUPPORTED: u16 = 440;
/// REQUESTED-ADDRESS-FAMILY's value (RFC 8656 section 18.6).
const IPV6: [u8; 4] = [2, 0, 0, 0];
/// Requests that wait for an answer at once: the stack has one for each candidate of the peer, and its refreshes.
const MAX_PENDING: usize = peers_proto::limits::MAX_CANDIDATES + 8;
/// A nonce that is stale, a family that is not there, and once more in case both come twice.
const MAX_AGAIN: u8 = 3;

#[cfg(test)]
mod tests {
    use super::super::stun::tests::xored;
    use super::*;

    const ERROR: u16 = 0x0110;
    const SUCCESS: u16 = 0x0100;
    /// The number of what goes again.
    const AGAIN: u8 = 77;

    fn accounts() -> Accounts {
        Accounts(vec![("ada".into(), "secret".into())])
    }

    fn server() -> SocketAddr {
        ([192, 0, 2, 1], 3478).into()
    }

    fn peer(last: u8) -> SocketAddr {
        ([198, 51, 100, last], 5000).into()
    }

    fn request(kind: u16, id: u8, nonce: &str, more: &[(u16, &[u8])]) -> Vec<u8> {
        let who = [(stun::USERNAME, &b"ada"[..]), (stun::REALM, b"lab"), (stun::NONCE, nonce.as_bytes())];
        accounts().sign(kind, [id; 12], &[more, &who].concat()).unwrap()
    }

    fn permission(id: u8, nonce: &str, peers: &[SocketAddr]) -> Vec<u8> {
        let peers: Vec<_> = peers.iter().map(|peer| xored(*peer)).collect();
        let peers: Vec<_> = peers.iter().map(|peer| (stun::XOR_PEER_ADDRESS, &peer[..])).collect();
        request(stun::CREATE_PERMISSION_REQUEST, id, nonce, &peers)
    }

    fn refusal(kind: u16, id: u8, code: u16, nonce: &str) -> Vec<u8> {
        let (hundreds, rest) = (u8::try_from(code / 100).unwrap(), u8::try_from(code % 100).unwrap());
        stun::encode(
            kind | ERROR,
            [id; 12],
            &[(0x0009, &[0, 0, hundreds, rest]), (stun::NONCE, nonce.as_bytes())],
        )
    }

    fn send(turn: &mut TurnClient, datagram: &[u8]) -> Option<Vec<u8>> {
        match turn.sending(datagram, server(), &accounts(), || true) {
            TurnOutput::Send(sent) => Some(sent.into_owned()),
            TurnOutput::Drop => None,
            TurnOutput::Refuse => panic!("refused"),
        }
    }

    fn receive(turn: &mut TurnClient, datagram: &[u8]) -> TurnReceived {
        turn.receiving(&StunMessage::read(datagram).unwrap(), server(), &accounts(), || [AGAIN; 12])
    }

    #[test]
    fn a_request_with_a_stale_nonce_goes_again_and_later_ones_have_the_new_one() {
        for kind in [stun::REFRESH_REQUEST, stun::ALLOCATE_REQUEST] {
            let mut turn = TurnClient::default();
            let stale = request(kind, 1, "old", &[]);
            assert_eq!(send(&mut turn, &stale), Some(stale.clone()), "nothing to mend yet");
            let fresh = request(kind, AGAIN, "new", &[]);
            let expected = TurnReceived { again: Some(fresh.clone()), ..TurnReceived::default() };
            assert_eq!(receive(&mut turn, &refusal(kind, 1, 438, "new")), expected);
            assert_eq!(send(&mut turn, &stale), Some(fresh), "repeated by the stack");
            let answer = stun::encode(kind | SUCCESS, [AGAIN; 12], &[]);
            assert_eq!(
                receive(&mut turn, &answer),
                TurnReceived { id: Some([1; 12]), ..TurnReceived::default() }
            );
            assert_eq!(send(&mut turn, &request(kind, 2, "old", &[])), Some(request(kind, 2, "new", &[])));
        }
    }

    #[test]
    fn a_server_that_finds_every_nonce_stale_is_not_asked_for_ever() {
        let mut turn = TurnClient::default();
        send(&mut turn, &request(stun::REFRESH_REQUEST, 1, "0", &[]));
        let mut id = 1;
        let again = (1..100).filter(|n| {
            let refusal = refusal(stun::REFRESH_REQUEST, id, 438, &n.to_string());
            id = AGAIN;
            receive(&mut turn, &refusal).again.is_some()
        });
        assert_eq!(again.count(), usize::from(MAX_AGAIN));
    }

    #[test]
    fn a_refused_allocation_is_reported_with_its_code() {
        let kind = stun::ALLOCATE_REQUEST;
        for code in [401, 403, 486] {
            let mut turn = TurnClient::default();
            let anonymous = stun::encode(kind, [1; 12], &[]);
            assert_eq!(send(&mut turn, &anonymous), Some(anonymous));
            assert_eq!(
                receive(&mut turn, &refusal(kind, 1, 401, "n")),
                TurnReceived::default(),
                "a question"
            );
            send(&mut turn, &request(kind, 2, "n", &[]));
            let reported = TurnReceived { refused: Some(code), ..TurnReceived::default() };
            assert_eq!(receive(&mut turn, &refusal(kind, 2, code, "n")), reported);
            assert_eq!(receive(&mut turn, &refusal(kind, 2, code, "n")), TurnReceived::default(), "unasked");
        }
    }

    #[test]
    fn a_server_without_ipv4_is_asked_for_ipv6() {
        let kind = stun::ALLOCATE_REQUEST;
        let mut turn = TurnClient::default();
        send(&mut turn, &stun::encode(kind, [1; 12], &[]));
        let family = (stun::REQUESTED_ADDRESS_FAMILY, &IPV6[..]);
        let again = Some(stun::encode(kind, [AGAIN; 12], &[family]));
        let expected = TurnReceived { again, ..TurnReceived::default() };
        assert_eq!(receive(&mut turn, &refusal(kind, 1, 440, "n")), expected);
        let signed = request(kind, 2, "n", &[]);
        let message = send(&mut turn, &signed).unwrap();
        assert_eq!(StunMessage::read(&message).unwrap().attribute(family.0), Some(family.1));
        assert_eq!(receive(&mut turn, &refusal(kind, 2, 440, "n")).refused, Some(440));
    }

    #[test]
    fn a_peer_that_is_forbidden_is_asked_for_once() {
        let mut turn = TurnClient::default();
        let kind = stun::CREATE_PERMISSION_REQUEST;
        assert!(send(&mut turn, &permission(1, "n", &[peer(1)])).is_some());
        assert_eq!(receive(&mut turn, &refusal(kind, 1, 403, "n")), TurnReceived::default());
        assert!((2..200).all(|id| send(&mut turn, &permission(id, "n", &[peer(1)])).is_none()));
        let refresh = permission(201, "n", &[peer(1), peer(2)]);
        assert_eq!(send(&mut turn, &refresh), Some(permission(201, "n", &[peer(2)])), "the others' refresh");
    }

    #[test]
    fn a_server_on_the_internet_is_not_asked_for_a_way_into_private_networks() {
        for private in [[10, 1, 0, 2], [192, 168, 1, 2], [100, 64, 0, 1], [169, 254, 0, 1], [127, 0, 0, 1]] {
            let request = permission(1, "n", &[(private, 5000).into()]);
            assert_eq!(send(&mut TurnClient::default(), &request), None, "{private:?}");
            let inside = ([10, 0, 0, 1], 3478).into();
            let sent = TurnClient::default().sending(&request, inside, &accounts(), || true);
            assert_eq!(sent, TurnOutput::Send(Cow::Borrowed(&request[..])));
        }
        assert!(!reaches([192, 0, 2, 1].into(), "fd00::1".parse().unwrap()));
    }

    #[test]
    fn of_several_sockets_one_asks() {
        let allocate = stun::encode(stun::ALLOCATE_REQUEST, [1; 12], &[]);
        assert_eq!(
            TurnClient::default().sending(&allocate, server(), &accounts(), || false),
            TurnOutput::Refuse
        );
    }

    #[test]
    fn an_allocation_that_is_not_used_ends_even_if_it_comes_late() {
        let allocated = |relayed| {
            let relayed = xored(relayed);
            let kind = stun::ALLOCATE_REQUEST | SUCCESS;
            stun::encode(kind, [1; 12], &[(stun::XOR_RELAYED_ADDRESS, &relayed)])
        };
        let ends = |datagram: &[u8]| {
            let message = StunMessage::read(datagram).unwrap();
            (message.kind, message.attribute(stun::LIFETIME)) == (stun::REFRESH_REQUEST, Some(&[0; 4]))
        };
        let begin = || {
            let mut turn = TurnClient::default();
            send(&mut turn, &request(stun::ALLOCATE_REQUEST, 1, "n", &[]));
            turn
        };
        let mut used = begin();
        receive(&mut used, &allocated(peer(7)));
        assert!(used.release(Some(peer(7)), &accounts()).is_empty());
        assert!(send(&mut used, &permission(2, "n", &[peer(1)])).is_some());
        let released = used.release(None, &accounts());
        assert!(matches!(&released[..], [(to, datagram)] if *to == server() && ends(datagram)));
        assert!(send(&mut used, &permission(3, "n", &[peer(1)])).is_none());
        let mut late = begin();
        assert!(late.release(None, &accounts()).is_empty());
        assert!(ends(&receive(&mut late, &allocated(peer(7))).again.unwrap()));
    }
}
