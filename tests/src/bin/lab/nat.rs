//! Kinds of NAT and firewall, as rules of a router, and what has to come of two of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::world::{PROBED, TURN_ADDRESS};

/// The NAT between a device and the Internet (RFC 3489 section 5; RFC 4787 calls the first four endpoint-independent
/// mapping with the three kinds of filtering, and address-and-port-dependent mapping).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nat {
    None,
    FullCone,
    AddressRestricted,
    PortRestricted,
    Symmetric,
    UdpBlocked,
    TurnOnly,
}

/// The carrier of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Carrier {
    Direct,
    Turn,
    Relay,
}

impl Nat {
    pub(crate) const ALL: [Self; 7] = [
        Self::None,
        Self::FullCone,
        Self::AddressRestricted,
        Self::PortRestricted,
        Self::Symmetric,
        Self::UdpBlocked,
        Self::TurnOnly,
    ];

    /// The best there can be between devices behind these.
    pub(crate) fn best(self, other: Self) -> Carrier {
        use Nat::{PortRestricted, Symmetric, TurnOnly, UdpBlocked};
        match (self, other) {
            (UdpBlocked, _) | (_, UdpBlocked) => Carrier::Relay,
            (TurnOnly, _) | (_, TurnOnly) => Carrier::Turn,
            // Neither knows the port the other will send from, and both let in nothing else.
            (Symmetric, Symmetric | PortRestricted) | (PortRestricted, Symmetric) => Carrier::Turn,
            _ => Carrier::Direct,
        }
    }

    /// Rules for nft. Linux keeps a source port where it can, so that a device alone behind its router has the same one towards
    /// everybody. Whom a port lets in is noted when the device sends from it. Unsolicited datagrams are dropped, as home
    /// routers do: an answer of the router itself would occupy the very port that the device is about to send from.
    pub(crate) fn rules(self) -> String {
        let (noted, let_in) = match self {
            Self::FullCone => ("udp sport", "udp dport"),
            Self::AddressRestricted => ("ip daddr . udp sport", "ip saddr . udp dport"),
            // Answers only, which needs no note.
            _ => ("", ""),
        };
        let key = if self == Self::FullCone { "inet_service" } else { "ipv4_addr . inet_service" };
        let (note, admit) = if noted.is_empty() {
            (String::new(), String::new())
        } else {
            (
                format!(
                    r#"iifname "lan" meta l4proto udp update @noted {{ {noted} timeout 120s : ip saddr }}"#
                ),
                format!(r#"iifname "wan" meta l4proto udp dnat to {let_in} map @noted"#),
            )
        };
        let block = match self {
            Self::UdpBlocked => "meta l4proto udp drop".to_owned(),
            Self::TurnOnly => {
                format!("ip saddr != {TURN_ADDRESS} ip daddr != {TURN_ADDRESS} meta l4proto udp drop")
            }
            _ => String::new(),
        };
        let translate = match self {
            Self::None => "",
            Self::Symmetric => r#"oifname "wan" masquerade fully-random"#,
            _ => r#"oifname "wan" masquerade"#,
        };
        format!(
            r#"table ip lab {{
                counter forwarded {{ }}
                map noted {{ type {key} : ipv4_addr; flags dynamic,timeout; size 65536; }}
                chain input {{
                    type filter hook input priority filter
                    iifname "wan" meta l4proto udp drop
                }}
                chain forward {{
                    type filter hook forward priority filter
                    counter name forwarded
                    {block}
                    {note}
                }}
                chain prerouting {{
                    type nat hook prerouting priority dstnat
                    {admit}
                }}
                chain postrouting {{
                    type nat hook postrouting priority srcnat
                    {translate}
                }}
            }}
            "#
        )
    }

    /// True if probes arrive at all: from everywhere, or from the TURN server's address only.
    pub(crate) fn from_answers(answers: &crate::probe::Answers) -> Option<Self> {
        match (answers.mapped.as_slice(), answers.from_turn) {
            ([], false) => Some(Self::UdpBlocked),
            ([], true) => Some(Self::TurnOnly),
            ([first, rest @ ..], _) if rest.len() + 1 == PROBED.len() => {
                let independent = rest.iter().all(|mapped| mapped == first);
                match (independent, answers.other_port, answers.other_address) {
                    (true, true, true) if *first == answers.local => Some(Self::None),
                    (true, true, true) => Some(Self::FullCone),
                    (true, true, false) => Some(Self::AddressRestricted),
                    (true, false, false) => Some(Self::PortRestricted),
                    (false, false, false) => Some(Self::Symmetric),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl fmt::Display for Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::FullCone => "full cone",
            Self::AddressRestricted => "address-restricted",
            Self::PortRestricted => "port-restricted",
            Self::Symmetric => "symmetric",
            Self::UdpBlocked => "UDP blocked",
            Self::TurnOnly => "TURN only",
        })
    }
}
