//! The pace at which connectivity checks leave. The stack sends one on each of its pairs every 20 ms, and a network with many
//! pairs loses those. RFC 8445 has a hundred pairs at most (section 6.1.2.5), and the times between checks (section 14). Most
//! pairs of a device with many addresses lead nowhere, so those that the system's routes favour go first. A check that is held
//! back is one lost on the way: the stack's next round brings another.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use peers_proto::bucket::Bucket;
use peers_proto::time::Instant;
use peers_proto::{limits, timing};

/// The pairs of one connection.
#[derive(Debug)]
pub(super) struct CheckPace {
    pairs: BTreeMap<Pair, Checks>,
    /// Pairs that may begin.
    begin: Bucket,
}

/// A socket, the TURN server behind it if one forwards, and the peer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) local: SocketAddr,
    pub(super) through: Option<(IpAddr, u16)>,
    pub(super) peer: (IpAddr, u16),
}

#[derive(Debug)]
struct Checks {
    /// The system sends from this socket's address to the peer's, or the peer has shown that it works.
    routed: bool,
    since: Instant,
    last: Option<Instant>,
    /// The peer's own check has arrived on this pair: the answer to it is the next one (RFC 8445 section 7.3.1.4).
    triggered: bool,
}

impl Default for CheckPace {
    fn default() -> Self {
        let a_second = Duration::from_secs(1).as_micros() / timing::ICE_PACE.as_micros();
        let begin = Bucket::new(u64::try_from(a_second).unwrap_or(1), limits::ICE_CHECK_BURST);
        Self { pairs: BTreeMap::new(), begin }
    }
}

impl CheckPace {
    /// Says whether a check may leave now. `routed` says whether the system sends to the peer from the pair's own address.
    pub(super) fn admit(&mut self, pair: Pair, routed: impl FnOnce() -> bool, now: Instant) -> bool {
        let favoured = |checks: &&Checks| checks.routed && checks.last.is_some();
        let others = self.pairs.values().filter(favoured).count().saturating_sub(1);
        let begun = self.pairs.values().filter(|checks| checks.last.is_some()).count();
        let fresh = || Checks { routed: routed(), since: now, last: None, triggered: false };
        let checks = self.pairs.entry(pair).or_insert_with(fresh);
        let pause = match checks.routed {
            true => timing::ICE_PACE * u32::try_from(others).unwrap_or(u32::MAX),
            false => timing::ICE_UNROUTED,
        };
        let due = match checks.last {
            _ if checks.triggered => true,
            Some(last) => now - last >= pause,
            None => {
                let turn = checks.routed || now - checks.since >= timing::ICE_UNROUTED;
                turn && begun < limits::MAX_CANDIDATE_PAIRS && self.begin.try_take(1, now)
            }
        };
        if due {
            (checks.last, checks.triggered) = (Some(now), false);
        }
        due
    }

    /// The peer has sent a check on this pair. It has a place beyond the limit, which the peer's addresses bound.
    pub(super) fn heard(&mut self, pair: Pair, now: Instant) {
        let fresh = || Checks { routed: true, since: now, last: None, triggered: true };
        let checks = self.pairs.entry(pair).or_insert_with(fresh);
        (checks.routed, checks.triggered) = (true, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(port: u16) -> Pair {
        let local = ([10, 0, 0, 1], 1).into();
        Pair { local, through: None, peer: ([10, 0, 0, 2].into(), port) }
    }

    /// Checks of `pairs` that leave within a second of the stack's rounds; of the first `routed` the system knows.
    fn second(pace: &mut CheckPace, pairs: u16, routed: u16) -> Vec<u16> {
        let start = Instant::from_micros(3_600_000_000);
        let rounds = (0..50).map(|round| start + timing::ICE_CHECKS.0 * round);
        (rounds.flat_map(|now| (0..pairs).rev().map(move |port| (now, port))))
            .filter(|(now, port)| pace.admit(pair(*port), || *port < routed, *now))
            .map(|(_, port)| port)
            .collect()
    }

    #[test]
    fn few_pairs_are_not_held_back() {
        for pairs in 1..=4 {
            assert_eq!(
                second(&mut CheckPace::default(), pairs, pairs).len(),
                usize::from(pairs) * 50,
                "{pairs}"
            );
        }
    }

    #[test]
    fn many_pairs_share_the_pace_and_each_has_its_turn() {
        let left = second(&mut CheckPace::default(), 64, 64);
        let most = 1000 / timing::ICE_PACE.as_millis() as usize + limits::ICE_CHECK_BURST as usize + 64;
        assert!((150..=most).contains(&left.len()), "{}", left.len());
        for port in 0..64 {
            assert!(left.iter().filter(|p| **p == port).count() >= 2, "pair {port}");
        }
    }

    #[test]
    fn pairs_that_lead_nowhere_hold_up_none_that_may() {
        let left = second(&mut CheckPace::default(), 64, 4);
        let each = |port| left.iter().filter(|p| **p == port).count();
        assert!((0..4).all(|port| each(port) == 50), "{:?}", [0, 1, 2, 3].map(each));
        assert!((4..64).all(|port| (1..=2).contains(&each(port))), "they have their turn too");
    }

    #[test]
    fn there_are_only_so_many_pairs_but_the_peer_can_show_one_more() {
        let mut pace = CheckPace::default();
        let mut now = Instant::from_micros(3_600_000_000);
        let mut begun = 0;
        for port in 0..1000 {
            now += timing::ICE_PACE;
            begun += usize::from(pace.admit(pair(port), || true, now));
        }
        assert_eq!(begun, limits::MAX_CANDIDATE_PAIRS);
        assert!(!pace.admit(pair(2000), || true, now));
        pace.heard(pair(2000), now);
        assert!(
            pace.admit(pair(2000), || true, now) && !pace.admit(pair(2000), || true, now),
            "once, at once"
        );
    }
}
