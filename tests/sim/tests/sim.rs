//! A few seeds of every world, and that the checks can fail. `scripts/test sim` runs thousands.

use std::collections::HashSet;

use peers_sim::{Fault, SCENARIOS, Violation, replay, scenario, sweep};

fn first_failure(name: &str, fault: Fault) -> Option<Violation> {
    sweep(scenario(name)?, 0..2000, fault, 2).err().map(|(_, failure)| failure.what)
}

#[test]
fn nothing_is_lost_repeated_reordered_or_stuck() {
    for scenario in SCENARIOS {
        match sweep(scenario, 0..6, Fault::None, 2) {
            Ok(totals) => assert_eq!(totals.sent, totals.received, "{}", scenario.name),
            Err((seed, failure)) => {
                let lines = replay(scenario, seed, Fault::None).timeline.join("\n");
                panic!("{lines}\n{} seed {seed}: {failure:?}", scenario.name);
            }
        }
    }
}

#[test]
fn a_seed_replays_exactly() {
    for scenario in SCENARIOS {
        let (first, second) = (replay(scenario, 7, Fault::None), replay(scenario, 7, Fault::None));
        assert!(!first.timeline.is_empty());
        assert_eq!(first.timeline, second.timeline, "{}", scenario.name);
    }
}

/// The rule of today's rivals: what a transport has taken counts as delivered.
#[test]
fn acknowledging_what_only_the_transport_has_is_found() {
    for name in ["fallback-and-return", "flapping", "network-switch", "relay-only-outage"] {
        let what = first_failure(name, Fault::AcknowledgeOnSend);
        assert!(matches!(what, Some(Violation::Protocol(_) | Violation::Lost(_))), "{name}: {what:?}");
    }
}

#[test]
fn a_transport_that_loses_frames_is_found() {
    assert!(matches!(first_failure("quiet", Fault::DropFrames), Some(Violation::Protocol(_))));
}

/// Each of these rules was once broken in the tasks, where no simulation saw it.
#[test]
fn what_outlives_a_closed_session_is_found() {
    for (fault, name) in [
        (Fault::ForgetEpoch, "close-in-outage"),
        (Fault::HideClosed, "close-in-outage"),
        (Fault::DropStale, "lost-ready"),
        (Fault::SilentCloses, "close-in-outage"),
        (Fault::LateCloses, "close"),
        (Fault::OwnCloses, "close"),
    ] {
        let found = first_failure(name, fault);
        let is_found =
            matches!(found, Some(Violation::Needless(_) | Violation::Stuck(_) | Violation::Call(_)));
        assert!(is_found, "{fault:?}: {found:?}");
    }
}

#[test]
fn peer_connections_that_stay_open_are_found() {
    let found = first_failure("quiet", Fault::DropCloses);
    assert!(matches!(found, Some(Violation::Dial(_))), "{found:?}");
}

/// The simulator found it as soon as it drove the negotiations.
#[test]
fn a_handshake_that_ends_with_the_bye_of_its_peer_is_found() {
    let found = first_failure("webrtc-glare", Fault::ByeEndsHandshake);
    assert!(matches!(found, Some(Violation::Needless(_))), "{found:?}");
}

#[test]
fn a_failure_is_replayed_with_its_timeline() {
    let flapping = scenario("flapping").unwrap();
    let (seed, failure) = sweep(flapping, 0..100, Fault::AcknowledgeOnSend, 1).unwrap_err();
    let report = replay(flapping, seed, Fault::AcknowledgeOnSend);
    assert_eq!(report.failure, Some(failure));
    assert!(report.timeline.iter().any(|line| line.contains("has a path to")));
}

#[test]
fn scenarios_have_names_of_their_own() {
    let names: HashSet<_> = SCENARIOS.iter().map(|s| s.name).collect();
    assert!(names.len() == SCENARIOS.len() && names.len() >= 24);
}
