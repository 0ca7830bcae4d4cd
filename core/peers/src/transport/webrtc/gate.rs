//! The datagrams of a connection's sockets that the stack may see.
//!
//! Any host can send to a socket. The stack takes DTLS from any address once a pair is nominated, and follows a role conflict
//! before it verifies the claim. It unwraps TURN data from any address, and gives an attempt up at a plain alert. So a datagram
//! passes only if its sender is known:
//!
//! | datagram | passes from |
//! |---|---|
//! | ICE check | an address whose check is signed with this side's password: it is the peer's from then on |
//! | answer to a STUN or TURN request | any address: it repeats the request's random number, or the stack drops it |
//! | TURN data | a TURN server in use, if what is inside would pass from the address it came from |
//! | DTLS | the peer, within the limits of [`DtlsHandshake`] |
//!
//! In the clear, DTLS is its handshake and nothing else: no alert, and no data.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use peers_proto::limits;

use super::handshake::DtlsHandshake;
use super::record::{self, Record, RecordKind};
use super::stun::{self, Credentials, StunMessage};

/// One per connection, shared by its sockets.
#[derive(Debug, Default)]
pub(super) struct Gate {
    credentials: Option<Credentials>,
    /// Addresses that sent a check signed with the password.
    peers: Vec<Sender>,
    /// TURN servers the stack asked for an allocation.
    servers: BTreeSet<Address>,
    /// The address a TURN server's channel leads to, as the stack bound it.
    channels: BTreeMap<(Address, u16), Address>,
    handshake: DtlsHandshake,
    /// Records the stack may hold until it has keys.
    parked: usize,
    parked_bytes: usize,
    /// DtlsHandshake records under the handshake's keys.
    sealed: usize,
    established: bool,
}

#[derive(Debug)]
struct Sender {
    address: Address,
    /// The cost of its handshake records.
    spent: usize,
}

/// Without an IPv6 address's scope: the system's have one, those in candidates do not.
type Address = (IpAddr, u16);

impl Gate {
    /// Checks may come from now on.
    pub(super) fn expect(&mut self, credentials: Credentials) {
        self.credentials = Some(credentials);
    }

    /// Says whether the stack may see a datagram.
    pub(super) fn admit(&mut self, datagram: &[u8], from: SocketAddr) -> bool {
        let from = address(from);
        match record::classify(datagram) {
            RecordKind::Dtls => self.admit_dtls(datagram, from),
            RecordKind::Stun => match StunMessage::read(datagram) {
                Some(message) if message.kind == stun::DATA_INDICATION => message
                    .wrapped()
                    .filter(|_| self.servers.contains(&from))
                    .is_some_and(|(peer, inner)| self.admit_inner(inner, address(peer))),
                message => message.is_some_and(|message| self.admit_stun(&message, from)),
            },
            RecordKind::ChannelData => stun::channel_data(datagram)
                .and_then(|(channel, inner)| Some((*self.channels.get(&(from, channel))?, inner)))
                .is_some_and(|(peer, inner)| self.admit_inner(inner, peer)),
            RecordKind::Quic | RecordKind::Foreign => false,
        }
    }

    /// The same for a datagram that a TURN server wrapped.
    fn admit_inner(&mut self, datagram: &[u8], from: Address) -> bool {
        match record::classify(datagram) {
            RecordKind::Dtls => self.admit_dtls(datagram, from),
            RecordKind::Stun => {
                StunMessage::read(datagram).is_some_and(|message| self.admit_stun(&message, from))
            }
            RecordKind::ChannelData | RecordKind::Quic | RecordKind::Foreign => false,
        }
    }

    /// Says whether the stack may see a handshake record's `body` that DTLS has opened.
    pub(super) fn admit_opened(&mut self, body: &[u8]) -> bool {
        self.handshake.admit(body).is_some()
    }

    /// Learns from a datagram of the stack. Says whether it gives the handshake up.
    pub(super) fn sending(&mut self, datagram: &[u8], to: SocketAddr) -> bool {
        match record::classify(datagram) {
            RecordKind::Dtls => self.sending_dtls(datagram),
            RecordKind::Stun => {
                StunMessage::read(datagram).is_some_and(|message| self.sending_stun(&message, address(to)))
            }
            RecordKind::ChannelData => {
                stun::channel_data(datagram).is_some_and(|(_, inner)| self.sending_dtls(inner))
            }
            RecordKind::Quic | RecordKind::Foreign => false,
        }
    }

    fn sending_stun(&mut self, message: &StunMessage<'_>, to: Address) -> bool {
        match message.kind {
            stun::ALLOCATE_REQUEST => {
                self.servers.insert(to);
            }
            stun::CHANNEL_BIND_REQUEST => {
                if let Some((channel, peer)) = message.channel() {
                    self.channels.insert((to, channel), address(peer));
                }
            }
            stun::SEND_INDICATION => {
                return message.wrapped().is_some_and(|(_, inner)| self.sending_dtls(inner));
            }
            _ => {}
        }
        false
    }

    fn sending_dtls(&mut self, datagram: &[u8]) -> bool {
        if record::classify(datagram) != RecordKind::Dtls {
            return false;
        }
        let mut gives_up = false;
        for record in record::records(datagram).flatten() {
            gives_up |= record.is_fatal_alert();
            // The stack sends data when its handshake is over, not before.
            if (record.kind, record.epoch) == (record::APPLICATION_DATA, 1) {
                self.established = true;
                self.handshake.over();
            }
        }
        gives_up
    }

    fn admit_stun(&mut self, message: &StunMessage<'_>, from: Address) -> bool {
        match message.kind {
            stun::BINDING_REQUEST => {
                let authentic = self.credentials.as_mut().is_some_and(|ours| ours.verify(message));
                authentic && self.remember(from)
            }
            kind => stun::is_response(kind),
        }
    }

    fn admit_dtls(&mut self, datagram: &[u8], from: Address) -> bool {
        let Some(sender) = self.find(from) else { return false };
        record::records(datagram)
            .all(|record| record.is_some_and(|record| self.admit_record(&record, sender)))
    }

    fn admit_record(&mut self, record: &Record<'_>, sender: usize) -> bool {
        let size = record.body.len();
        match (record.kind, record.epoch) {
            (record::APPLICATION_DATA, 1) => self.established || self.park(size),
            (record::HANDSHAKE, 0) => {
                let Some(sender) = self.peers.get_mut(sender) else { return false };
                let cost = Some(()).filter(|()| sender.spent < limits::MAX_DTLS_HANDSHAKE_PER_SENDER);
                let cost = cost.and_then(|()| self.handshake.admit(record.body));
                sender.spent += cost.unwrap_or_default();
                cost.is_some()
            }
            (record::HANDSHAKE, 1) => {
                self.sealed += 1;
                self.sealed <= limits::MAX_DTLS_SEALED_RECORDS
                    && size <= limits::MAX_DTLS_SEALED_RECORD
                    && (self.established || self.park(size))
            }
            (record::ALERT, 1) => {
                size <= limits::MAX_DTLS_SEALED_RECORD && (self.established || self.park(size))
            }
            (record::CHANGE_CIPHER_SPEC, 0) => record.body == [1] && self.park(size),
            // A record in the clear is not the peer's word, and the stack gives up at one that it cannot read.
            _ => false,
        }
    }

    /// Charges a record the stack may hold.
    fn park(&mut self, size: usize) -> bool {
        self.parked += 1;
        self.parked_bytes += size;
        self.parked <= limits::MAX_DTLS_PARKED && self.parked_bytes <= limits::MAX_DTLS_PARKED_BYTES
    }

    fn find(&self, address: Address) -> Option<usize> {
        self.peers.iter().position(|sender| sender.address == address)
    }

    fn remember(&mut self, address: Address) -> bool {
        let known = self.find(address).is_some();
        let room = self.peers.len() < limits::MAX_CANDIDATES;
        if !known && room {
            self.peers.push(Sender { address, spent: 0 });
        }
        known || room
    }
}

fn address(address: SocketAddr) -> Address {
    (address.ip(), address.port())
}

#[cfg(test)]
mod tests {
    use super::super::handshake::tests::piece;
    use super::super::record::tests::record;
    use super::super::stun::tests::{bind, check, indication, message};
    use super::*;

    const DATA: u8 = record::APPLICATION_DATA;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::new([192, 0, 2, 1].into(), port)
    }

    /// A gate whose peer has sent a check from port 1.
    fn gate() -> Gate {
        let mut gate = Gate::default();
        gate.expect(Credentials::new("ours", "a password of ours").unwrap());
        assert!(gate.admit(&known(), at(1)));
        gate
    }

    fn known() -> Vec<u8> {
        check("ours:theirs", "a password of ours")
    }

    fn established() -> Gate {
        let mut gate = gate();
        assert!(gate.admit(&hello(0), at(1)));
        assert!(!gate.sending(&record(DATA, 1, b"init"), at(1)));
        gate
    }

    fn hello(message: u16) -> Vec<u8> {
        record(record::HANDSHAKE, 0, &piece(message, 100, 0, 100))
    }

    fn channel_data(channel: u16, inner: &[u8]) -> Vec<u8> {
        [&channel.to_be_bytes()[..], &u16::try_from(inner.len()).unwrap().to_be_bytes(), inner].concat()
    }

    #[test]
    fn only_a_peer_that_knows_the_password_is_heard() {
        let mut gate = gate();
        assert!(!gate.admit(&check("ours:theirs", "a guess"), at(2)));
        assert!(!gate.admit(&message(stun::BINDING_REQUEST, &[]), at(2)));
        assert!(!gate.admit(&hello(0), at(2)), "a stranger's handshake");
        assert!(gate.admit(&hello(0), at(1)));
        assert!(gate.admit(&known(), at(2)) && gate.admit(&hello(0), at(2)), "the peer has another address");
    }

    #[test]
    fn strangers_cost_the_peer_nothing() {
        let mut gate = gate();
        for port in 1000..9000 {
            gate.admit(&hello(port % 8), at(port));
            gate.admit(&record(DATA, 1, b"x"), at(port));
            gate.admit(&record(record::CHANGE_CIPHER_SPEC, 0, &[1]), at(port));
        }
        assert!(gate.admit(&hello(0), at(1)));
        assert!(gate.admit(&record(DATA, 1, b"x"), at(1)));
        assert_eq!(gate.peers.len(), 1);
    }

    #[test]
    fn the_peer_has_only_so_many_addresses() {
        let mut gate = gate();
        let admitted = (1000..9000).filter(|port| gate.admit(&known(), at(*port))).count();
        assert_eq!(admitted + 1, limits::MAX_CANDIDATES);
    }

    #[test]
    fn one_address_cannot_spend_what_is_for_all() {
        let mut gate = gate();
        let flood = record(record::HANDSHAKE, 0, &piece(0, 1000, 0, 1000));
        let admitted = (0..10_000).filter(|_| gate.admit(&flood, at(1))).count();
        assert!(admitted * 1000 <= limits::MAX_DTLS_HANDSHAKE_PER_SENDER, "{admitted}");
        assert!(gate.admit(&known(), at(2)) && gate.admit(&flood, at(2)));
    }

    #[test]
    fn in_the_clear_there_is_no_alert_and_no_data() {
        for mut gate in [gate(), established()] {
            let kinds = [
                (record::ALERT, 0),
                (DATA, 0),
                (24, 0),
                (24, 1),
                (63, 0),
                (DATA, 2),
                (record::CHANGE_CIPHER_SPEC, 1),
            ];
            for (kind, epoch) in kinds {
                assert!(!gate.admit(&record(kind, epoch, &[2, 40]), at(1)), "{kind} in epoch {epoch}");
                let behind = [hello(0), record(kind, epoch, &[2, 40])].concat();
                assert!(!gate.admit(&behind, at(1)), "{kind} in epoch {epoch}, behind another");
            }
            assert!(!gate.admit(&record(record::CHANGE_CIPHER_SPEC, 0, &[2]), at(1)));
            assert!(!gate.admit(&[&hello(0)[..], &[22]].concat(), at(1)), "half a record");
        }
    }

    #[test]
    fn what_the_stack_parks_is_little() {
        for parked in [record(DATA, 1, &[0; 100]), record(record::ALERT, 1, &[0; 30])] {
            let mut gate = gate();
            let admitted = (0..10_000).filter(|_| gate.admit(&parked, at(1))).count();
            assert_eq!(admitted, limits::MAX_DTLS_PARKED);
        }
        let mut gate = gate();
        let large = record(DATA, 1, &[0; 16_000]);
        let admitted = (0..10_000).filter(|_| gate.admit(&large, at(1))).count();
        assert_eq!(admitted, limits::MAX_DTLS_PARKED_BYTES / 16_000);
    }

    #[test]
    fn an_established_connection_takes_data_and_a_few_repeats() {
        let mut gate = established();
        assert!((0..10_000).all(|_| gate.admit(&record(DATA, 1, &[0; 1200]), at(1))));
        assert!(!gate.admit(&hello(1), at(1)), "another message");
        let repeats = (0..10_000).filter(|_| gate.admit(&hello(0), at(1))).count();
        assert_eq!(repeats, limits::MAX_DTLS_LAST_FLIGHT);
        let sealed = record(record::HANDSHAKE, 1, &[0; 48]);
        assert_eq!(
            (0..10_000).filter(|_| gate.admit(&sealed, at(1))).count(),
            limits::MAX_DTLS_SEALED_RECORDS
        );
        assert!(!gate.admit(&record(DATA, 1, b"x"), at(2)));
        assert!(!gate.admit_opened(&piece(1, 10, 0, 10)), "another message under keys");
    }

    #[test]
    fn turn_data_passes_from_a_server_in_use_if_what_is_inside_would() {
        let (server, elsewhere) = (at(3478), at(3479));
        let mut gate = gate();
        gate.sending(&message(stun::ALLOCATE_REQUEST, &[]), server);
        gate.sending(&bind(0x4001, at(1)), server);
        gate.sending(&bind(0x4002, at(5)), server);
        for (inner, passes) in
            [(known(), true), (hello(0), true), (record(record::ALERT, 0, &[2, 40]), false)]
        {
            assert_eq!(gate.admit(&indication(at(1), &inner), server), passes);
            assert_eq!(gate.admit(&channel_data(0x4001, &inner), server), passes);
            assert!(!gate.admit(&indication(at(1), &inner), elsewhere));
            assert!(!gate.admit(&channel_data(0x4001, &inner), elsewhere));
        }
        assert!(!gate.admit(&indication(at(5), &hello(0)), server), "not from the peer");
        assert!(!gate.admit(&channel_data(0x4002, &hello(0)), server), "another channel");
        assert!(!gate.admit(&channel_data(0x4003, &hello(0)), server), "no channel");
        assert!(gate.admit(&channel_data(0x4002, &known()), server), "until the peer shows itself there");
        assert!(gate.admit(&channel_data(0x4002, &hello(0)), server));
        assert!(!gate.admit(&hello(0), server), "not wrapped");
    }

    #[test]
    fn answers_pass_and_other_requests_do_not() {
        let mut gate = gate();
        for (kind, passes) in
            [(0x0101, true), (0x0111, true), (0x0103, true), (0x0004, false), (0x0011, false)]
        {
            assert_eq!(gate.admit(&message(kind, &[]), at(7)), passes, "{kind:04x}");
        }
    }

    #[test]
    fn the_stack_gives_up_with_a_fatal_alert_wherever_it_is_sent() {
        let alert = record(record::ALERT, 0, &[2, 40]);
        assert!(gate().sending(&alert, at(1)));
        assert!(gate().sending(&channel_data(0x4001, &alert), at(3478)));
        assert!(!gate().sending(&hello(0), at(1)));
    }
}
