use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::timing::{
    BEAT, RECONNECT_MAX, REST_MAX, REST_MIN, UPGRADE_MAX, UPGRADE_MIN, UPGRADE_STABLE, UPGRADE_TOGETHER,
};

const SECOND: Duration = Duration::from_secs(1);

struct World {
    dialer: Dialer,
    now: Instant,
}

fn device(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 20])
}

/// Of a device that may use every way.
fn standing(status: Status, tier: Option<Tier>) -> Standing {
    let improvable = matches!(tier, Some(Tier::Forwarded | Tier::Relay));
    Standing { status, tier, improvable }
}

/// A device of its own user, in these groups.
fn peer(n: u8, level: TrustLevel, groups: &[u8]) -> ConnectedPeer {
    let groups = groups.iter().map(|group| GroupId::from_bytes([*group; 20])).collect();
    ConnectedPeer { level, user: UserId::from_bytes([n; 20]), groups }
}

impl World {
    /// Device 50, so that those below lead.
    fn new() -> Self {
        Self::prefers(Preference::default())
    }

    fn prefers(preference: Preference) -> Self {
        let now = Instant::ZERO + 3600 * SECOND;
        Self { dialer: Dialer::new(device(50), preference, 7, now), now }
    }

    fn knows(n: u8) -> Self {
        let mut w = Self::new();
        w.dialer.set_trust(device(n), TrustLevel::Trusted, w.now);
        w
    }

    fn outputs(&mut self) -> Vec<DialOutput> {
        std::iter::from_fn(|| self.dialer.poll_output()).collect()
    }

    /// Lets time pass; every dial fails at once. Returns when each began.
    fn pass(&mut self, time: Duration) -> Vec<(Duration, DialOutput)> {
        let (start, end) = (self.now, self.now + time);
        let mut all = Vec::new();
        loop {
            for output in self.outputs() {
                all.push((self.now - start, output));
                if let DialOutput::Dial(device, purpose) = output {
                    self.dialer.handle_outcome(device, purpose, Outcome::Failed, self.now);
                }
            }
            let Some(at) = self.dialer.poll_timeout().filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            self.dialer.handle_timeout(self.now);
        }
        self.now = end;
        all
    }

    fn connect(&mut self, n: u8, tier: Tier) {
        self.meet(peer(n, TrustLevel::Trusted, &[]), n, tier);
    }

    fn meet(&mut self, peer: ConnectedPeer, n: u8, tier: Tier) {
        self.dialer.handle_connected(device(n), peer, self.now);
        self.dialer.handle_standing(device(n), standing(Status::Usable, Some(tier)), self.now);
    }

    /// As many as there may be, of others' users, a second apart.
    fn full(level: TrustLevel) -> Self {
        let mut w = Self::new();
        for n in 100..100 + MAX_CONNECTIONS as u8 {
            w.meet(peer(n, level, &[]), n, Tier::Direct);
            w.now += SECOND;
        }
        assert_eq!(w.outputs(), []);
        w
    }

    fn evicted(&mut self) -> Vec<(DeviceId, EvictionReason)> {
        let evicted =
            |output| if let DialOutput::Evict(device, why) = output { Some((device, why)) } else { None };
        self.outputs().into_iter().filter_map(evicted).collect()
    }
}

// proves S072, S073, S074: known devices are dialed at once and looked for every minute, those that are connected are not.
#[test]
fn known_devices_are_looked_for_while_a_person_looks() {
    let mut w = World::knows(1);
    let dials = w.pass(600 * SECOND);
    assert_eq!(dials[0], (Duration::ZERO, DialOutput::Dial(device(1), Purpose::Path)));
    let longest = dials.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(longest <= RECONNECT_MAX, "{longest:?}");
    w.connect(1, Tier::Direct);
    assert_eq!(w.pass(600 * SECOND), []);
    let mut w = World::new();
    w.dialer.set_trust(device(2), TrustLevel::NewDevice, w.now);
    assert_eq!(w.pass(600 * SECOND), [], "not known well enough");
}

// proves S077: a device that cannot be reached takes nothing from the others.
#[test]
fn one_failure_does_not_hold_up_others() {
    let mut w = World::knows(1);
    w.dialer.set_trust(device(2), TrustLevel::Trusted, w.now);
    let first: Vec<_> = w.outputs();
    assert_eq!(first.len(), 2);
    w.dialer.handle_outcome(device(2), Purpose::Path, Outcome::Failed, w.now);
    // The dial to device 1 never ends.
    let dials = w.pass(60 * SECOND);
    assert!(dials.len() > 3 && dials.iter().all(|(_, d)| *d == DialOutput::Dial(device(2), Purpose::Path)));
}

#[test]
fn who_leads_dials_at_once_and_the_other_gives_it_a_moment() {
    for (peer, patience) in [(99, Duration::ZERO), (1, FOLLOWER_PATIENCE)] {
        let mut w = World::new();
        w.connect(peer, Tier::Direct);
        w.dialer.handle_standing(device(peer), standing(Status::Down, None), w.now);
        let dials = w.pass(SECOND);
        assert_eq!(dials[0], (patience, DialOutput::Dial(device(peer), Purpose::Path)));
    }
}

// proves S096: this device knows first.
#[test]
fn a_change_of_network_dials_at_once_whoever_leads_and_forgets_failures() {
    let mut w = World::knows(1);
    w.pass(300 * SECOND);
    w.connect(1, Tier::Direct);
    w.dialer.handle_standing(device(1), standing(Status::Verifying, Some(Tier::Direct)), w.now);
    w.dialer.handle_network_change(true, w.now);
    assert_eq!(w.outputs(), [DialOutput::Dial(device(1), Purpose::Path)]);
    // The dial of the old network is not waited for.
    w.dialer.handle_network_change(true, w.now);
    assert_eq!(w.outputs(), [DialOutput::Dial(device(1), Purpose::Path)]);
}

#[test]
fn a_change_of_network_need_not_be_confirmed_by_the_sessions() {
    for peer in [1, 99] {
        let mut w = World::new();
        w.connect(peer, Tier::Direct);
        w.dialer.handle_standing(device(peer), standing(Status::Usable, Some(Tier::Direct)), w.now);
        w.dialer.handle_network_change(true, w.now);
        assert_eq!(w.outputs(), [DialOutput::Dial(device(peer), Purpose::Path)]);
        w.dialer.handle_standing(device(peer), standing(Status::Verifying, Some(Tier::Direct)), w.now);
        assert_eq!(w.pass(FOLLOWER_PATIENCE * 2), []);
    }
}

// proves S092: a detour is left when something better can be had.
#[test]
fn a_session_on_a_detour_is_dialed_for_something_better_now_and_then() {
    let mut w = World::new();
    w.connect(1, Tier::Relay);
    let dials = w.pass(3600 * SECOND);
    assert!(dials.iter().all(|(_, d)| *d == DialOutput::Dial(device(1), Purpose::Better)));
    assert!((6..30).contains(&dials.len()), "{}", dials.len());
    assert!(dials.windows(2).all(|pair| pair[1].0 - pair[0].0 <= UPGRADE_MAX));
    w.dialer.set_app_state(AppState::Background, w.now);
    assert_eq!(w.pass(3600 * SECOND), []);
}

#[test]
fn sessions_on_detours_are_dialed_at_the_same_moments() {
    let mut w = World::new();
    for n in 1..=5 {
        w.connect(n, Tier::Relay);
        w.pass(7 * SECOND);
    }
    w.pass(200 * SECOND);
    let begin = w.now;
    let mut moments: Vec<_> = w.pass(3600 * SECOND).into_iter().map(|(after, _)| begin + after).collect();
    let dials = moments.len();
    moments.dedup();
    assert!(moments.iter().all(|at| at.next_multiple_of(UPGRADE_TOGETHER) == *at), "{moments:?}");
    assert!(moments.len() <= 13 && dials > 2 * moments.len(), "{dials} dials at {} moments", moments.len());
}

// proves S093: what the app prefers is not left for what it does not, however well that usually does.
#[test]
fn nothing_is_dialed_for_a_session_that_no_dial_can_improve() {
    let mut w = World::prefers(Preference::first([Tier::Relay]));
    w.connect(1, Tier::Relay);
    let kept = Standing { status: Status::Usable, tier: Some(Tier::Relay), improvable: false };
    w.dialer.handle_standing(device(1), kept, w.now);
    assert_eq!((w.pass(3600 * SECOND), w.dialer.poll_timeout()), (vec![], None));
}

// proves S093, S115
#[test]
fn of_equals_the_one_on_the_path_the_app_prefers_least_goes() {
    let mut w = World::prefers(Preference::first([Tier::Relay]));
    for n in 100..100 + MAX_CONNECTIONS as u8 {
        w.meet(peer(n, TrustLevel::Trusted, &[]), n, if n == 117 { Tier::Direct } else { Tier::Relay });
    }
    w.outputs();
    w.dialer.handle_asked(device(1));
    w.connect(1, Tier::Relay);
    assert_eq!(w.evicted(), [(device(117), EvictionReason::WorsePath)]);
}

#[test]
fn while_data_costs_money_nothing_better_is_looked_for() {
    let mut w = World::knows(2);
    w.connect(1, Tier::Relay);
    w.dialer.set_metered(true, w.now);
    let dials = w.pass(600 * SECOND);
    assert!(dials.len() > 3 && dials.iter().all(|(_, d)| *d == DialOutput::Dial(device(2), Purpose::Path)));
    w.connect(2, Tier::Direct);
    assert_eq!((w.pass(3600 * SECOND), w.dialer.poll_timeout()), (vec![], None));
    // A path that is gone is not a matter of money.
    w.dialer.handle_standing(device(1), standing(Status::Down, None), w.now);
    assert_eq!(w.pass(SECOND)[0].1, DialOutput::Dial(device(1), Purpose::Path));
    w.connect(1, Tier::Relay);
    w.dialer.set_metered(false, w.now);
    assert_eq!(w.pass(UPGRADE_MAX)[0].1, DialOutput::Dial(device(1), Purpose::Better));
}

#[test]
fn something_better_that_does_not_last_is_looked_for_less_and_less() {
    let mut w = World::new();
    w.connect(1, Tier::Relay);
    let lost = |w: &mut World, lasted: Duration| {
        let begin = w.now;
        while w.outputs().is_empty() {
            w.now = w.dialer.poll_timeout().unwrap();
            w.dialer.handle_timeout(w.now);
        }
        let waited = w.now - begin;
        w.dialer.handle_outcome(device(1), Purpose::Better, Outcome::Connected, w.now);
        w.dialer.handle_standing(device(1), standing(Status::Usable, Some(Tier::Direct)), w.now);
        assert_eq!(w.pass(lasted), []);
        w.dialer.handle_standing(device(1), standing(Status::Usable, Some(Tier::Relay)), w.now);
        waited
    };
    let waits: Vec<_> = (0..20).map(|_| lost(&mut w, UPGRADE_STABLE / 2)).collect();
    assert!(waits.iter().sum::<Duration>() > 20 * UPGRADE_MAX / 5, "{waits:?}");
    lost(&mut w, UPGRADE_STABLE);
    assert!(lost(&mut w, UPGRADE_STABLE) <= 2 * UPGRADE_MIN, "what had lasted is looked for soon");
}

#[test]
fn a_detour_that_is_gone_is_dialed_anew_although_something_better_is_being_dialed() {
    let mut w = World::new();
    w.connect(99, Tier::Relay);
    w.now += UPGRADE_MAX;
    w.dialer.handle_timeout(w.now);
    assert_eq!(w.outputs(), [DialOutput::Dial(device(99), Purpose::Better)]);
    w.dialer.handle_standing(device(99), standing(Status::Down, None), w.now);
    assert_eq!(w.outputs(), [DialOutput::Dial(device(99), Purpose::Path)]);
    // What becomes of the first one does not matter any more.
    w.dialer.handle_outcome(device(99), Purpose::Better, Outcome::Failed, w.now);
    w.dialer.handle_timeout(w.now + SECOND);
    assert_eq!(w.outputs(), []);
    w.dialer.handle_outcome(device(99), Purpose::Path, Outcome::Failed, w.now);
    assert!(w.dialer.poll_timeout().is_some());
}

#[test]
fn a_suspended_app_dials_nobody_and_wakes_for_nothing() {
    let mut w = World::knows(1);
    w.connect(2, Tier::Relay);
    w.outputs();
    w.dialer.set_app_state(AppState::Suspended, w.now);
    w.dialer.handle_standing(device(2), standing(Status::Away, None), w.now);
    assert_eq!((w.dialer.poll_timeout(), w.pass(600 * SECOND)), (None, vec![]));
    w.dialer.handle_standing(device(2), standing(Status::Down, None), w.now);
    w.dialer.set_app_state(AppState::Foreground, w.now);
    assert!(w.outputs().contains(&DialOutput::Dial(device(2), Purpose::Path)));
}

// proves S025
#[test]
fn presence_says_when_a_device_is_worth_dialing() {
    let mut w = World::knows(1);
    w.pass(SECOND);
    w.dialer.handle_presence(device(1), Presence::Offline, w.now);
    assert_eq!(w.pass(600 * SECOND), []);
    w.dialer.handle_presence(device(1), Presence::Online, w.now);
    assert_eq!(w.outputs(), [DialOutput::Dial(device(1), Purpose::Path)]);
    // A peer that went away is dialed when it is back.
    let mut w = World::new();
    w.connect(1, Tier::Relay);
    w.dialer.handle_presence(device(1), Presence::Offline, w.now);
    w.dialer.handle_standing(device(1), standing(Status::Away, None), w.now);
    assert_eq!(w.pass(600 * SECOND), []);
    w.dialer.handle_presence(device(1), Presence::Online, w.now);
    assert_eq!(w.outputs(), [DialOutput::Dial(device(1), Purpose::Path)]);
}

#[test]
fn a_device_that_said_no_is_not_asked_again() {
    let mut w = World::knows(1);
    w.outputs();
    w.dialer.handle_outcome(device(1), Purpose::Path, Outcome::Denied, w.now);
    assert_eq!(w.pass(3600 * SECOND), []);
}

// A refusal that anybody may have written is a failure.
#[test]
fn a_dial_that_failed_is_tried_again_however_often() {
    let mut w = World::knows(1);
    let dials = w.pass(3600 * SECOND);
    assert!(dials.len() > 100 && dials.iter().all(|(_, d)| *d == DialOutput::Dial(device(1), Purpose::Path)));
}

#[test]
fn what_the_app_ended_is_left_alone_and_what_was_lost_is_not() {
    let mut w = World::knows(1);
    w.outputs();
    w.dialer.handle_outcome(device(1), Purpose::Path, Outcome::Connected, w.now);
    w.connect(1, Tier::Direct);
    w.dialer.handle_ended(device(1), EndReason::Closed, w.now);
    assert_eq!(w.pass(600 * SECOND), []);
    w.dialer.set_trust(device(1), TrustLevel::Trusted, w.now);
    w.outputs();
    w.dialer.handle_outcome(device(1), Purpose::Path, Outcome::Connected, w.now);
    w.connect(1, Tier::Direct);
    w.dialer.handle_ended(device(1), EndReason::NoPath, w.now);
    assert_eq!(w.outputs(), [DialOutput::Dial(device(1), Purpose::Path)]);
}

// Who had no room has none a moment later either.
#[test]
fn a_peer_that_said_goodbye_is_left_in_peace_longer_and_longer_but_not_for_ever() {
    let mut w = World::new();
    for _ in 0..3 {
        w.connect(1, Tier::Direct);
        // Its network was lost before, and brings the last frame when it is back.
        w.dialer.handle_presence(device(1), Presence::Offline, w.now);
        w.dialer.handle_ended(device(1), EndReason::ClosedByPeer, w.now);
        w.dialer.handle_presence(device(1), Presence::Online, w.now);
        // The network of this device says nothing about the peer.
        w.dialer.handle_presence(device(1), Presence::Unknown, w.now);
        w.dialer.handle_presence(device(1), Presence::Online, w.now);
        w.dialer.handle_network_change(true, w.now);
        let dials = w.pass(REST_MAX + SCAN + BEAT);
        assert!(dials[0].0 >= REST_MIN, "{:?}", dials[0]);
    }
    // It was started anew.
    w.connect(1, Tier::Direct);
    w.dialer.handle_ended(device(1), EndReason::ClosedByPeer, w.now);
    for presence in [Presence::Offline, Presence::Unknown, Presence::Online] {
        w.dialer.handle_presence(device(1), presence, w.now);
    }
    assert_eq!(w.outputs(), [DialOutput::Dial(device(1), Purpose::Path)]);
}

// proves S113, S114, S115: thirty connections, and the least preferred one goes.
#[test]
fn of_forty_devices_thirty_stay_and_the_least_trusted_go_first() {
    let mut w = World::new();
    let mut evicted = Vec::new();
    for n in 0..40 {
        let level = if n % 4 == 0 { TrustLevel::Known } else { TrustLevel::Trusted };
        w.meet(peer(n, level, &[]), n, if n % 2 == 0 { Tier::Relay } else { Tier::Direct });
        w.now += SECOND;
        evicted.extend(w.evicted());
        assert!(w.dialer.connections() <= MAX_CONNECTIONS);
    }
    assert_eq!((evicted.len(), w.dialer.connections()), (10, MAX_CONNECTIONS));
    assert!((0..40).step_by(4).all(|n| evicted.iter().any(|(gone, _)| *gone == device(n))), "{evicted:?}");
}

// proves S115
#[test]
fn an_eviction_says_the_first_thing_in_which_the_one_that_goes_is_worth_less() {
    let newcomer = |w: &mut World| {
        w.meet(peer(1, TrustLevel::Trusted, &[]), 1, Tier::Direct);
        w.evicted()
    };
    let mut w = World::full(TrustLevel::Trusted);
    w.dialer.set_trust(device(105), TrustLevel::Known, w.now);
    assert_eq!(newcomer(&mut w), [(device(105), EvictionReason::LessTrusted)]);
    let mut w = World::full(TrustLevel::Trusted);
    (100..130).filter(|n| *n != 107).chain([1]).for_each(|n| w.dialer.handle_asked(device(n)));
    assert_eq!(newcomer(&mut w), [(device(107), EvictionReason::NotAskedFor)]);
    let mut w = World::full(TrustLevel::Trusted);
    w.dialer.handle_ended(device(110), EndReason::NoPath, w.now);
    w.meet(peer(109, TrustLevel::Trusted, &[]), 110, Tier::Direct);
    w.dialer.handle_asked(device(109));
    w.outputs();
    assert_eq!(newcomer(&mut w), [(device(110), EvictionReason::AnotherOfItsUser)]);
    let mut w = World::full(TrustLevel::Trusted);
    w.dialer.handle_standing(device(111), standing(Status::Verifying, Some(Tier::Direct)), w.now);
    assert_eq!(newcomer(&mut w), [(device(111), EvictionReason::Silent)]);
    // What it runs over is not known yet when a newcomer is judged: among equals those stay that are there.
    let mut w = World::full(TrustLevel::Trusted);
    assert_eq!(newcomer(&mut w), [(device(1), EvictionReason::WorsePath)]);
}

#[test]
fn of_equals_the_one_that_was_not_used_for_longest_goes() {
    let mut w = World::full(TrustLevel::Trusted);
    for n in (100..130).filter(|n| *n != 120) {
        w.dialer.handle_use(device(n), w.now);
    }
    w.dialer.handle_asked(device(1));
    w.connect(1, Tier::Direct);
    assert_eq!(w.evicted(), [(device(120), EvictionReason::Unused)]);
}

#[test]
fn the_last_connection_of_a_group_stays_whoever_it_is() {
    let mut w = World::new();
    w.meet(peer(200, TrustLevel::Known, &[1]), 200, Tier::Relay);
    for n in 0..35 {
        w.meet(peer(n, TrustLevel::Own, &[2]), n, Tier::Direct);
        w.now += SECOND;
    }
    let evicted = w.evicted();
    assert_eq!(evicted.len(), 6);
    assert!(evicted.iter().all(|(gone, _)| *gone != device(200)), "{evicted:?}");
}

#[test]
fn a_connection_that_leaves_its_group_may_go_and_one_that_joins_stays() {
    let mut w = World::full(TrustLevel::Trusted);
    w.dialer.set_groups(device(100), peer(100, TrustLevel::Trusted, &[1]).groups);
    w.meet(peer(1, TrustLevel::Own, &[]), 1, Tier::Direct);
    assert_eq!(w.evicted(), [(device(101), EvictionReason::Unused)]);
    w.dialer.set_groups(device(100), HashSet::new());
    w.meet(peer(2, TrustLevel::Own, &[]), 2, Tier::Direct);
    assert_eq!(w.evicted(), [(device(100), EvictionReason::Unused)]);
}

#[test]
fn nobody_makes_room_for_a_less_trusted_device_even_if_it_would_be_the_first_of_a_group() {
    let mut w = World::full(TrustLevel::Trusted);
    w.meet(peer(1, TrustLevel::Known, &[1]), 1, Tier::Direct);
    assert_eq!(w.evicted(), [(device(1), EvictionReason::Latecomer)]);
}

#[test]
fn a_full_house_looks_only_for_devices_that_are_more_trusted_than_its_least() {
    let mut w = World::full(TrustLevel::Known);
    w.dialer.set_trust(device(1), TrustLevel::Known, w.now);
    assert_eq!(w.pass(600 * SECOND), []);
    w.dialer.set_trust(device(2), TrustLevel::Own, w.now);
    assert_eq!(w.outputs(), [DialOutput::Dial(device(2), Purpose::Path)]);
    // One that was evicted is not asked back in before it has rested, nor while there is no room.
    w.dialer.handle_outcome(device(2), Purpose::Path, Outcome::Connected, w.now);
    w.meet(peer(2, TrustLevel::Own, &[]), 2, Tier::Direct);
    assert_eq!(w.evicted(), [(device(100), EvictionReason::Unused)]);
    assert_eq!(w.pass(3 * REST_MAX), []);
}

#[test]
fn a_crowd_of_devices_shares_one_bucket() {
    let mut w = World::new();
    for n in 0..30 {
        w.dialer.handle_connected(device(n), peer(n, TrustLevel::Trusted, &[]), w.now);
    }
    let mut began = 0;
    for _ in 0..40 {
        for n in 0..30 {
            w.dialer.handle_standing(device(n), standing(Status::Usable, Some(Tier::Direct)), w.now);
            w.dialer.handle_standing(device(n), standing(Status::Down, None), w.now);
        }
        began += w.pass(SECOND).len();
    }
    assert!(began <= 40 + 2 * 41, "{began} dials in 40 s");
}

// A relay may name as many devices as it likes.
#[test]
fn presence_of_devices_that_nobody_looks_for_leaves_nothing() {
    let mut w = World::knows(1);
    for n in 2..=255 {
        w.dialer.handle_presence(device(n), Presence::Online, w.now);
        w.dialer.handle_standing(device(n), standing(Status::Down, None), w.now);
        w.dialer.handle_outcome(device(n), Purpose::Path, Outcome::Failed, w.now);
        w.dialer.handle_ended(device(n), EndReason::ClosedByPeer, w.now);
    }
    assert_eq!(w.dialer.devices.len(), 1);
}

#[test]
fn a_device_is_forgotten_once_nothing_follows_from_it() {
    let mut w = World::new();
    for (n, ending) in [
        (1, EndReason::NoPath),
        (2, EndReason::ClosedByPeer),
        (3, EndReason::Evicted),
        (4, EndReason::Closed),
    ] {
        w.meet(peer(n, TrustLevel::NewDevice, &[]), n, Tier::Direct);
        assert_eq!(w.dialer.devices.len(), 1);
        w.dialer.handle_ended(device(n), ending, w.now);
        assert_eq!(w.dialer.devices.len(), 0, "{ending:?}");
    }
    w.dialer.set_trust(device(1), TrustLevel::Trusted, w.now);
    w.dialer.set_trust(device(1), TrustLevel::Malicious, w.now);
    assert_eq!(w.dialer.devices.len(), 1, "the dial is under way");
    w.dialer.handle_outcome(device(1), Purpose::Path, Outcome::Failed, w.now);
    assert_eq!(w.dialer.devices.len(), 0);
    w.dialer.set_trust(device(1), TrustLevel::Trusted, w.now);
    w.dialer.handle_outcome(device(1), Purpose::Path, Outcome::Denied, w.now);
    assert_eq!(w.dialer.devices.len(), 0);
}

#[test]
fn too_many_devices_cost_those_that_are_not_looked_for_first() {
    let many = |n: u32| DeviceId::derive(&n.to_be_bytes());
    let mut w = World::knows(1);
    w.connect(2, Tier::Direct);
    w.outputs();
    w.dialer.handle_outcome(device(1), Purpose::Path, Outcome::Failed, w.now);
    w.dialer.set_app_state(AppState::Suspended, w.now);
    for n in 0..MAX_DIALED as u32 + 100 {
        w.dialer.handle_asked(many(n));
        assert!(w.dialer.devices.len() <= MAX_DIALED);
    }
    assert!([1, 2].iter().all(|n| w.dialer.devices.contains_key(&device(*n))));
    for n in 0..MAX_DIALED as u32 {
        w.dialer.set_trust(many(n), TrustLevel::Trusted, w.now);
    }
    assert_eq!((w.dialer.devices.len(), w.dialer.connections()), (MAX_DIALED, 1));
    assert!(!w.dialer.devices.contains_key(&device(1)) && w.dialer.devices.contains_key(&device(2)));
}

#[derive(Debug, Clone)]
enum Step {
    Trust(u8, bool),
    Connect(u8, u8, u8),
    Stand(u8, u8),
    End(u8, u8),
    Presence(u8, Presence),
    Network(bool),
    App(u8),
    Pass(u32),
}

fn any_presence() -> impl Strategy<Value = Presence> {
    prop_oneof![Just(Presence::Online), Just(Presence::Offline), Just(Presence::Unknown)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..60_u8, any::<bool>()).prop_map(|(n, t)| Step::Trust(n, t)),
        (0..60_u8, 0..3_u8, 0..8_u8).prop_map(|(n, level, group)| Step::Connect(n, level, group)),
        (0..60_u8, 0..4_u8).prop_map(|(n, s)| Step::Stand(n, s)),
        (0..60_u8, 0..4_u8).prop_map(|(n, how)| Step::End(n, how)),
        (0..60_u8, any_presence()).prop_map(|(n, presence)| Step::Presence(n, presence)),
        any::<bool>().prop_map(Step::Network),
        (0..3_u8).prop_map(Step::App),
        (0..100_000_u32).prop_map(Step::Pass),
    ]
}

proptest! {
    // Never too many connections, never two dials to one device at once, none while suspended, and time moves on.
    #[test]
    fn whatever_happens_the_bounds_hold(steps in proptest::collection::vec(step(), 1..200)) {
        let mut w = World::new();
        let (mut suspended, mut connected) = (false, HashMap::<u8, ConnectedPeer>::new());
        for step in steps {
            match step {
                Step::Trust(n, yes) => {
                    let level = if yes { TrustLevel::Trusted } else { TrustLevel::Untrusted };
                    if let Some(peer) = connected.get_mut(&n) {
                        peer.level = level;
                    }
                    w.dialer.set_trust(device(n), level, w.now);
                }
                Step::Connect(n, level, group) => {
                    let level = [TrustLevel::Known, TrustLevel::Trusted, TrustLevel::Own][usize::from(level)];
                    let before = connected.clone();
                    let newcomer = peer(n % 20, level, &[group]);
                    connected.insert(n, newcomer.clone());
                    w.dialer.handle_connected(device(n), newcomer, w.now);
                    for output in w.outputs() {
                        let DialOutput::Evict(gone, _) = output else { continue };
                        let (gone, peer) = connected.iter().find(|(n, _)| device(**n) == gone).unwrap();
                        let gone = *gone;
                        prop_assert!(peer.level <= level, "never a more trusted one for a less trusted one");
                        let last = |m: &HashMap<u8, ConnectedPeer>| peer.groups.iter().any(|g| m.values().filter(|p| p.groups.contains(g)).count() == 1);
                        prop_assert!(gone == n || !last(&before), "never the last one of a group");
                        w.dialer.handle_ended(device(gone), EndReason::Evicted, w.now);
                        connected.remove(&gone);
                    }
                }
                Step::Stand(n, s) => {
                    let status = [Status::Usable, Status::Verifying, Status::Down, Status::Away][usize::from(s)];
                    w.dialer.handle_standing(device(n), standing(status, Some(Tier::Relay)), w.now);
                }
                Step::End(n, how) => {
                    let how = [EndReason::Closed, EndReason::ClosedByPeer, EndReason::Evicted, EndReason::NoPath][usize::from(how)];
                    connected.remove(&n);
                    w.dialer.handle_ended(device(n), how, w.now);
                }
                Step::Presence(n, presence) => w.dialer.handle_presence(device(n), presence, w.now),
                Step::Network(another) => w.dialer.handle_network_change(another, w.now),
                Step::App(n) => {
                    suspended = n == 2;
                    let app = [AppState::Foreground, AppState::Background, AppState::Suspended][usize::from(n)];
                    w.dialer.set_app_state(app, w.now);
                }
                Step::Pass(ms) => {
                    let dials = w.pass(Duration::from_millis(ms.into()));
                    prop_assert!(dials.len() < 1000, "{} dials in {ms} ms", dials.len());
                }
            }
            prop_assert!(w.dialer.connections() <= MAX_CONNECTIONS);
            let dials: Vec<_> = w.outputs();
            let of = |output: &DialOutput| match output {
                DialOutput::Dial(device, purpose) => Some((*device, *purpose)),
                DialOutput::Evict(..) => None,
            };
            let devices: Vec<_> = dials.iter().filter_map(of).collect();
            prop_assert!(!suspended || devices.is_empty());
            let distinct: HashSet<_> = devices.iter().collect();
            prop_assert_eq!(distinct.len(), devices.len());
            for (device, purpose) in devices {
                w.dialer.handle_outcome(device, purpose, Outcome::Failed, w.now);
            }
        }
    }
}
