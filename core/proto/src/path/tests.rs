use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::network::AppState;
use crate::time::Instant;
use crate::timing::{
    BEAT, IDLE_AFTER, PATIENCE_UNMEASURED, PING_ACTIVE, PING_PATIENCE, PING_UNACKNOWLEDGED, RESUME_WINDOW,
    RETURN_AFTER,
};
use crate::transport_kind::TransportKind;

const SECOND: Duration = Duration::from_secs(1);
const RELAY: Route = Route::new(TransportKind::Relay);
const DIRECT: Route = Route::new(TransportKind::WebRtc);
const LAN: Route = Route::new(TransportKind::Lan);

struct World {
    paths: Paths,
    now: Instant,
    next: u64,
    events: Vec<PathEvent>,
}

impl World {
    fn new(leads: bool) -> Self {
        Self::prefers(leads, Preference::default())
    }

    fn prefers(leads: bool, preference: Preference) -> Self {
        // An hour ahead, so that a mix of clocks shows.
        let now = Instant::ZERO + 3600 * SECOND;
        Self { paths: Paths::new(leads, preference, RESUME_WINDOW, now), now, next: 0, events: Vec::new() }
    }

    fn add(&mut self, route: Route) -> PathId {
        let id = PathId(self.next);
        self.next += 1;
        self.paths.add(id, route, self.now);
        self.drain();
        id
    }

    fn drain(&mut self) {
        self.events.extend(std::iter::from_fn(|| self.paths.poll_output()));
    }

    /// Answers what the path asks.
    fn answer(&mut self, id: PathId) {
        while let Some(beat) = self.paths.poll_beat(id, self.now) {
            if let Beat::Ping { number, .. } = beat {
                self.now += SECOND / 50;
                self.paths.received(id, 3, false, self.now);
                self.paths.handle_pong(id, number, self.now);
            }
        }
        self.drain();
    }

    fn proven(&mut self, route: Route) -> PathId {
        let id = self.add(route);
        self.answer(id);
        id
    }

    fn pass(&mut self, time: Duration, outstanding: bool) {
        let end = self.now + time;
        self.paths.set_outstanding(outstanding.then_some(0), || self.now);
        while let Some(at) = self.paths.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.paths.handle_timeout(self.now);
            self.drain();
            if self.events.contains(&PathEvent::Lost) {
                return;
            }
            assert!(
                self.paths.poll_timeout().is_none_or(|next| next > self.now),
                "no progress at {:?}",
                self.now
            );
        }
        self.now = end;
    }

    fn took(&mut self) -> Vec<PathEvent> {
        let quiet = |e: &PathEvent| !matches!(e, PathEvent::Ask(_) | PathEvent::Quality(_));
        std::mem::take(&mut self.events).into_iter().filter(quiet).collect()
    }
}

// proves S086, S088, S089, S093: the order of preference, and make before break.
#[test]
fn a_better_path_takes_over_and_the_old_one_is_left_once_it_has_answered() {
    let mut w = World::new(false);
    let relay = w.proven(RELAY);
    assert_eq!(w.took(), [PathEvent::Current(relay), PathEvent::Status(Status::Usable)]);
    let direct = w.add(DIRECT);
    assert_eq!(w.took(), [], "it has not shown what it carries");
    w.answer(direct);
    assert_eq!(w.took(), [PathEvent::Current(direct)], "the relay stays in reserve while a person looks");
    let lan = w.proven(LAN);
    assert_eq!(w.took(), [PathEvent::Current(lan), PathEvent::Leave(direct)]);
    w.paths.set_app_state(AppState::Background, w.now);
    w.drain();
    assert_eq!(w.took(), [PathEvent::Leave(relay)]);
}

// proves S091: a worse path never takes over, whenever it comes.
#[test]
fn a_worse_path_changes_nothing_and_is_left() {
    let mut w = World::new(false);
    let lan = w.proven(LAN);
    w.took();
    let direct = w.add(DIRECT);
    assert_eq!((w.paths.current(), w.took()), (Some(lan), vec![]), "the peer may have a reason");
    w.answer(lan);
    assert_eq!(w.took(), [PathEvent::Leave(direct)]);
}

// proves S096, S159: the peer's network has changed, which only the peer knows at once.
#[test]
fn a_path_is_left_as_soon_as_the_peer_sends_on_one_made_since_it_was_heard() {
    let mut w = World::new(false);
    let direct = w.proven(DIRECT);
    w.paths.received(direct, 100, true, w.now);
    w.now += SECOND / 10;
    let relay = w.add(RELAY);
    w.took();
    w.paths.received(relay, 100, false, w.now);
    w.drain();
    assert_eq!(w.took(), [], "a reserve is asked, too");
    w.now += SECOND / 10;
    w.paths.received(relay, 100, true, w.now);
    w.drain();
    assert_eq!(w.took(), [PathEvent::Current(relay)]);
    w.answer(direct);
    w.pass(RETURN_AFTER, false);
    assert_eq!(w.took(), [PathEvent::Current(direct)]);
    // It is alive, and the peer prefers the other all the same.
    w.paths.received(relay, 100, true, w.now);
    w.drain();
    assert_eq!(w.took(), []);
}

#[test]
fn a_path_is_not_left_because_the_peer_does_not_know_it_yet() {
    for heard in [false, true] {
        let mut w = World::new(false);
        let direct = w.add(DIRECT);
        w.now += SECOND / 100;
        if heard {
            w.paths.received(direct, 100, false, w.now);
        }
        w.now += SECOND / 100;
        let relay = w.add(RELAY);
        w.now += SECOND / 100;
        w.paths.received(relay, 100, true, w.now);
        w.drain();
        assert_eq!(w.paths.current(), Some(direct));
    }
}

// proves S092, S095, S158
#[test]
fn a_silent_path_gives_way_to_the_reserve_within_two_seconds_and_returns_when_it_has_answered_for_a_while() {
    let mut w = World::new(false);
    let relay = w.proven(RELAY);
    let direct = w.proven(DIRECT);
    w.took();
    w.pass(2 * SECOND, true);
    assert_eq!(w.took(), [PathEvent::Current(relay)]);
    assert_eq!(w.paths.status(), Status::Usable);
    w.answer(direct);
    w.answer(relay);
    assert_eq!(w.paths.current(), Some(relay), "one answer is not enough");
    w.pass(RETURN_AFTER / 2, false);
    assert_eq!(w.paths.current(), Some(relay));
    w.pass(RETURN_AFTER / 2, false);
    assert_eq!(w.took(), [PathEvent::Current(direct)]);
}

impl World {
    /// Small frames come, and none of what this side asks gets through.
    fn hears(&mut self, id: PathId, time: Duration, outstanding: bool) {
        let end = self.now + time;
        while self.now < end {
            self.paths.received(id, 3, false, self.now);
            self.pass(SECOND / 4, outstanding);
        }
    }
}

#[test]
fn a_better_path_that_loses_full_packets_is_never_taken() {
    let mut w = World::new(true);
    let relay = w.proven(RELAY);
    w.took();
    let direct = w.add(DIRECT);
    w.answer(relay);
    w.hears(direct, 2 * PING_PATIENCE + SECOND, false);
    assert_eq!(w.took(), [PathEvent::Dead(direct)]);
    assert_eq!((w.paths.current(), w.paths.status()), (Some(relay), Status::Usable));
    // Where there is nothing else it is better than nothing.
    let direct = w.add(DIRECT);
    w.paths.remove(relay, w.now);
    w.drain();
    w.hears(direct, 3 * PING_PATIENCE, false);
    assert_eq!((w.paths.current(), w.took()), (Some(direct), vec![PathEvent::Current(direct)]));
}

#[test]
fn a_path_left_with_data_unacknowledged_returns_when_a_full_ping_was_answered_on_it() {
    for outstanding in [false, true] {
        let mut w = World::new(false);
        let relay = w.proven(RELAY);
        let direct = w.proven(DIRECT);
        w.took();
        w.pass(if outstanding { 2 * SECOND } else { PING_ACTIVE + SECOND }, outstanding);
        assert_eq!(w.took(), [PathEvent::Current(relay)]);
        w.answer(relay);
        w.hears(direct, 2 * RETURN_AFTER, false);
        assert_eq!(w.paths.current(), Some(if outstanding { relay } else { direct }));
        w.answer(direct);
        w.pass(RETURN_AFTER, false);
        assert_eq!(w.paths.current(), Some(direct));
    }
}

// The peer sends, and what this side sends is lost: nothing but the missing acknowledgement says so.
#[test]
fn a_path_on_which_nothing_is_acknowledged_is_left_although_the_peer_is_heard() {
    let mut w = World::new(false);
    let relay = w.proven(RELAY);
    let direct = w.proven(DIRECT);
    w.took();
    w.hears(direct, PING_UNACKNOWLEDGED, true);
    assert_eq!(w.paths.current(), Some(direct), "acknowledgements may wait behind what it sends");
    w.hears(direct, 3 * SECOND / 2, true);
    assert_eq!(w.took(), [PathEvent::Current(relay)]);
    w.answer(relay);
    w.hears(direct, 2 * PING_PATIENCE, false);
    assert_eq!(w.took(), [PathEvent::Dead(direct)]);
    // Where the acknowledgements come, however slowly, nothing happens.
    let direct = w.proven(DIRECT);
    w.answer(relay);
    w.took();
    for first in 0..10 {
        w.paths.set_outstanding(Some(first), || w.now);
        let end = w.now + (PING_UNACKNOWLEDGED - SECOND);
        while w.now < end {
            w.now += SECOND / 2;
            w.paths.received(direct, 3, false, w.now);
            w.paths.handle_timeout(w.now);
        }
        w.drain();
    }
    assert_eq!(w.took(), []);
}

// proves S019, S022: no frozen "connected".
#[test]
fn a_silent_path_without_a_reserve_is_verified_then_dead_then_the_session_lost() {
    let mut w = World::new(true);
    let direct = w.proven(DIRECT);
    w.took();
    w.pass(2 * SECOND, true);
    assert_eq!(w.took(), [PathEvent::Status(Status::Verifying)]);
    w.pass(2 * PING_PATIENCE, true);
    assert_eq!(w.took(), [PathEvent::Dead(direct), PathEvent::Down, PathEvent::Status(Status::Down)]);
    w.pass(RESUME_WINDOW - 2 * SECOND, true);
    assert_eq!(w.took(), []);
    w.pass(3 * SECOND, true);
    assert_eq!(w.took(), [PathEvent::Lost]);
}

// proves S096, S159
#[test]
fn after_a_change_of_network_no_path_is_relied_on_before_it_answers() {
    let mut w = World::new(true);
    let direct = w.proven(DIRECT);
    w.took();
    w.paths.network_changed(false, w.now);
    w.drain();
    assert_eq!(w.took(), [], "the same network: it is asked");
    w.answer(direct);
    w.paths.network_changed(true, w.now);
    w.drain();
    assert_eq!(w.took(), [PathEvent::Status(Status::Verifying)]);
    w.answer(direct);
    assert_eq!(w.took(), [PathEvent::Status(Status::Usable)]);
}

#[test]
fn a_device_that_was_away_waits_as_usual_from_its_return_on() {
    let mut w = World::new(true);
    let direct = w.proven(DIRECT);
    w.paths.handle_away(3600 * SECOND, w.now);
    w.paths.remove(direct, w.now);
    w.now += 1800 * SECOND;
    w.paths.handle_return(w.now);
    w.drain();
    assert_eq!(w.paths.status(), Status::Down);
    w.took();
    w.pass(RESUME_WINDOW - SECOND, false);
    assert_eq!(w.took(), []);
    w.pass(2 * SECOND, false);
    assert_eq!(w.took(), [PathEvent::Lost]);
}

#[test]
fn of_equal_paths_the_newer_one_carries_and_only_the_leader_leaves_the_other() {
    for leads in [true, false] {
        let mut w = World::new(leads);
        let old = w.proven(DIRECT);
        w.took();
        let new = w.proven(DIRECT);
        let left = if leads {
            vec![PathEvent::Current(new), PathEvent::Leave(old)]
        } else {
            vec![PathEvent::Current(new)]
        };
        assert_eq!(w.took(), left);
    }
}

#[test]
fn a_peer_that_said_it_would_be_away_is_waited_for() {
    let mut w = World::new(true);
    let direct = w.proven(DIRECT);
    w.paths.handle_away(600 * SECOND, w.now);
    w.paths.remove(direct, w.now);
    w.drain();
    assert_eq!(w.paths.status(), Status::Away);
    w.took();
    w.pass(599 * SECOND, false);
    assert_eq!(w.took(), []);
    w.add(RELAY);
    assert_eq!(w.paths.status(), Status::Usable);
    w.paths.handle_away(SECOND, w.now);
    w.paths.remove(PathId(1), w.now);
    w.drain();
    w.took();
    w.pass(RESUME_WINDOW - SECOND, false);
    assert_eq!(w.took(), [], "never shorter than the own window");
}

// proves S179
#[test]
fn thirty_idle_sessions_wake_a_phone_once_a_beat() {
    let mut worlds: Vec<_> = (0..30)
        .map(|n| {
            let mut w = World::new(n % 2 == 0);
            w.now += SECOND * n / 3;
            w.proven(RELAY);
            w.proven(DIRECT);
            w
        })
        .collect();
    let start = worlds[0].now + 300 * SECOND;
    for w in &mut worlds {
        let left = start - w.now;
        idle(w, left, &mut Vec::new());
    }
    let mut wakes = Vec::new();
    for w in &mut worlds {
        idle(w, 3600 * SECOND, &mut wakes);
    }
    wakes.sort();
    wakes.dedup_by(|a, b| *a - *b < SECOND);
    assert!((60..=130).contains(&wakes.len()), "{} wake-ups an hour", wakes.len());
}

fn idle(w: &mut World, time: Duration, wakes: &mut Vec<Instant>) {
    let end = w.now + time;
    while let Some(at) = w.paths.poll_timeout().filter(|at| *at <= end) {
        w.now = at;
        w.paths.handle_timeout(at);
        wakes.push(at);
        for id in w.paths.ids().collect::<Vec<_>>() {
            w.answer(id);
        }
        w.events.clear();
    }
    w.now = end;
}

#[test]
fn a_peer_that_asks_again_and_again_is_owed_one_answer() {
    let mut w = World::new(true);
    let direct = w.proven(DIRECT);
    w.took();
    w.events.clear();
    for number in 0..10_000 {
        w.paths.handle_ping(direct, number);
    }
    w.drain();
    assert_eq!(w.events, [PathEvent::Ask(direct)]);
    assert_eq!(w.paths.poll_beat(direct, w.now), Some(Beat::Pong(9_999)));
    assert_eq!(w.paths.poll_beat(direct, w.now), None);
}

#[test]
fn an_unanswered_first_ping_makes_a_path_suspect() {
    let mut w = World::new(true);
    w.add(DIRECT);
    w.pass(PATIENCE_UNMEASURED, false);
    assert_eq!(w.paths.status(), Status::Verifying);
}

// proves S093: the app may prefer otherwise.
#[test]
fn an_app_puts_its_own_transport_first() {
    let preference = Preference::first([Tier::Custom, Tier::Relay]);
    let ranks =
        [Tier::Custom, Tier::Relay, Tier::Lan, Tier::Direct, Tier::Forwarded].map(|t| preference.rank(t));
    assert_eq!(ranks, [0, 1, 2, 3, 4]);
    let mut w = World::prefers(false, preference);
    w.proven(DIRECT);
    let custom = w.proven(Route::new(TransportKind::Custom));
    assert_eq!(w.paths.current(), Some(custom));
}

// proves S087, S160
#[test]
fn a_path_tells_how_it_is() {
    let mut w = World::new(false);
    let direct = w.proven(DIRECT);
    w.paths.sent(direct, 500, true, w.now);
    let info = w.paths.info(w.now).unwrap();
    assert_eq!((info.route, info.rtt, info.loss), (DIRECT, Some(SECOND / 50), 0));
    assert_eq!((info.sent, info.received, info.quality.level()), (500, 3, Level::Good));
}

#[derive(Debug, Clone)]
enum Step {
    Add(u8, bool),
    Remove(u8),
    Answer(u8),
    Hear(u8),
    Pass(u32, bool),
    Network(bool),
    Background(bool),
    Away,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..5_u8, any::<bool>()).prop_map(|(k, r)| Step::Add(k, r)),
        1 => any::<u8>().prop_map(Step::Remove),
        4 => any::<u8>().prop_map(Step::Answer),
        1 => any::<u8>().prop_map(Step::Hear),
        4 => (0..20_000_u32, any::<bool>()).prop_map(|(ms, o)| Step::Pass(ms, o)),
        1 => any::<bool>().prop_map(Step::Network),
        1 => any::<bool>().prop_map(Step::Background),
        1 => Just(Step::Away),
    ]
}

proptest! {
    // Whatever happens: the current path exists, Down means none, what was left or dead is gone, and time never stands still.
    #[test]
    fn the_choice_is_always_one_of_the_paths_there_are(steps in proptest::collection::vec(step(), 1..80)) {
        const KINDS: [TransportKind; 5] = [
            TransportKind::Lan, TransportKind::WebRtc, TransportKind::Internet, TransportKind::Relay, TransportKind::Custom,
        ];
        let mut w = World::new(true);
        for step in steps {
            let pick = |w: &World, n: u8| w.paths.ids().nth(n as usize % w.paths.ids().count().max(1));
            match step {
                Step::Add(kind, relayed) => drop(w.add(Route { kind: KINDS[kind as usize], relayed })),
                Step::Remove(n) => if let Some(id) = pick(&w, n) { w.paths.remove(id, w.now) },
                Step::Answer(n) => if let Some(id) = pick(&w, n) { w.answer(id) },
                Step::Hear(n) => if let Some(id) = pick(&w, n) { w.paths.received(id, 100, true, w.now) },
                Step::Pass(ms, outstanding) => w.pass(Duration::from_millis(ms.into()), outstanding),
                Step::Network(another) => w.paths.network_changed(another, w.now),
                Step::Background(yes) => {
                    let app = if yes { AppState::Background } else { AppState::Foreground };
                    w.paths.set_app_state(app, w.now);
                }
                Step::Away => w.paths.handle_away(600 * SECOND, w.now),
            }
            w.drain();
            let current = w.paths.current();
            prop_assert_eq!(current.is_none(), w.paths.ids().next().is_none());
            prop_assert!(current.is_none_or(|id| w.paths.ids().any(|other| other == id)));
            let told = w.events.iter().rev().find_map(|e| match e {
                PathEvent::Current(id) => Some(Some(*id)),
                PathEvent::Down => Some(None),
                _ => None,
            });
            prop_assert_eq!(told.flatten(), current);
            if w.events.contains(&PathEvent::Lost) {
                break;
            }
        }
    }
}

#[test]
fn an_idle_session_is_asked_a_beat_later_while_data_costs_money() {
    let mut w = World::new(true);
    let path = w.proven(DIRECT);
    let busy = w.paths.poll_timeout();
    w.paths.set_metered(true);
    assert_eq!(w.paths.poll_timeout(), busy, "what is in use is watched as ever");
    w.now += IDLE_AFTER;
    w.paths.received(path, 3, false, w.now);
    let metered = w.paths.poll_timeout().unwrap();
    w.paths.set_metered(false);
    assert_eq!(metered - w.paths.poll_timeout().unwrap(), BEAT);
}
