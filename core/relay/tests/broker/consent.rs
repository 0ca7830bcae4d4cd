//! Nothing of a stranger's reaches a device, and the stranger learns nothing.

use peers_proto::id::DeviceId;
use peers_proto::signaling::ExchangeKind::{Answer, IceCandidate, Offer};
use peers_proto::signaling::{ClientMessage, RelayCloseReason, ServerMessage};
use peers_relay::{Limits, Outbound, SocketId};
use proptest::prelude::*;

use crate::world::{World, certificate, closes, device, frame, mail};

/// The answers that a device gets after it tried everything to reach `to`.
fn try_everything(w: &mut World, from: SocketId, to: DeviceId) -> Vec<Outbound> {
    for kind in [Offer, Answer, IceCandidate] {
        w.say(from, kind, to, 1, 100);
    }
    w.binary(from, &frame(to, 7, 100));
    w.binary(from, &frame(to, 7, 100));
    w.knock(from, to);
    w.text(from, ClientMessage::GetCertificate { device_id: to });
    let mut output = w.output(from);
    // The id asked for is the only difference there may be.
    for outbound in &mut output {
        match outbound {
            Outbound::Text(ServerMessage::Certificate { device_id, .. }) => *device_id = device(0),
            Outbound::Binary(bytes) => {
                *bytes = peers_proto::signaling::readdress(std::mem::take(bytes), device(0));
            }
            _ => {}
        }
    }
    output
}

#[test]
fn absent_unwilling_and_made_up_devices_look_the_same() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    let (b, _) = w.register(2);
    let (c, _) = w.register(3);
    w.watch(a, &[2, 3, 4, 5]);
    w.watch(b, &[9]);
    let (undeclared, _) = w.register(5);
    let unwilling = try_everything(&mut w, a, device(2));
    let absent = try_everything(&mut w, a, device(4));
    let undecided = try_everything(&mut w, a, device(5));
    assert_eq!(unwilling, absent);
    assert_eq!(undecided, absent);
    let [Outbound::Binary(_), Outbound::Text(ServerMessage::Certificate { certificate: None, .. })] =
        &absent[..]
    else {
        panic!("{absent:?}")
    };
    // The knock is all that came.
    assert_eq!(mail(&w.output(b)).len(), 1);
    assert_eq!(w.output(undeclared), []);
    // The same for a sender that does not accept the recipient itself, whose certificate it may have.
    w.watch(c, &[2]);
    w.output(b);
    assert_eq!(try_everything(&mut w, b, device(3))[0], absent[0]);
    assert_eq!(mail(&w.output(c)).len(), 1);
}

#[test]
fn devices_that_accept_each_other_reach_each_other() {
    for (open_a, open_b) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut w = World::new(Limits::default());
        let (a, _) = w.register(1);
        let (b, _) = w.register(2);
        for (socket, open, other) in [(a, open_a, 2), (b, open_b, 1)] {
            let device_ids = if open { vec![] } else { vec![device(other)] };
            w.text(socket, ClientMessage::Watch { device_ids, open });
            w.output(socket);
        }
        w.output(a);
        let offer = w.say(a, Offer, device(2), 1, 10);
        w.binary(a, &frame(device(2), 1, 10));
        let output = w.output(b);
        assert_eq!(mail(&output), [(offer, false)]);
        assert!(matches!(output[1], Outbound::Binary(_)));
        w.text(a, ClientMessage::GetCertificate { device_id: device(2) });
        let found = Some(certificate(2).as_bytes().to_vec());
        let answer = ServerMessage::Certificate { device_id: device(2), certificate: found };
        assert_eq!(w.output(a), [Outbound::Text(answer)]);
    }
}

#[test]
fn an_open_device_shows_its_presence_only_to_those_it_names() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    w.watch(a, &[2]);
    w.arrive(2);
    assert_eq!(w.output(a), []);
}

#[test]
fn what_waited_is_delivered_after_the_first_watch_to_whom_it_accepts() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.arrive(1);
    let (stranger, _) = w.arrive(2);
    let wanted = w.say(a, Offer, device(3), 1, 10);
    w.say(stranger, Offer, device(3), 2, 10);
    let (b, early) = w.register(3);
    // It is here, but has not said whom it accepts: as if it were not.
    let late = w.say(a, IceCandidate, device(3), 1, 10);
    assert_eq!((early, w.output(b)), (vec![], vec![]));
    assert_eq!(mail(&w.watch(b, &[1])), [(wanted, true), (late, true)]);
    let now = w.say(a, IceCandidate, device(3), 1, 10);
    assert_eq!(mail(&w.output(b)), [(now, false)]);
    let stats = w.broker.stats();
    assert_eq!((stats.dequeued, stats.queued_messages, stats.queued_bytes), (2, 0, 0));
}

#[test]
fn a_newer_registration_keeps_the_consent_and_delivers_after_its_own_watch() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    let (b, _) = w.register(2);
    w.watch(a, &[2]);
    w.watch(b, &[1]);
    w.output(a);
    let (newer, _) = w.register(2);
    let offer = w.say(a, Offer, device(2), 1, 10);
    assert_eq!(w.output(newer), []);
    w.binary(a, &frame(device(2), 1, 10));
    assert!(matches!(w.output(newer)[..], [Outbound::Binary(_)]), "consent carries over");
    assert_eq!(mail(&w.watch(newer, &[1])), [(offer, true)]);
}

#[test]
fn a_device_that_withdraws_its_consent_ends_what_is_under_way() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    let (b, _) = w.register(2);
    w.watch(a, &[2]);
    w.watch(b, &[1]);
    w.binary(a, &frame(device(2), 1, 10));
    w.output(a);
    w.output(b);
    w.say(a, Offer, device(2), 1, 10); // not read yet
    let output = w.watch(b, &[]);
    assert_eq!((mail(&output), closes(&output)), (vec![], vec![RelayCloseReason::Absent]));
    let output = w.output(a);
    assert_eq!(closes(&output), [RelayCloseReason::Absent]);
    assert!(output.contains(&Outbound::Text(ServerMessage::DeviceOffline { device_id: device(2) })));
    assert_eq!(w.broker.stats().relay_connections, 0);
}

#[test]
fn made_up_registrations_push_out_no_certificate() {
    let mut w = World::new(Limits { max_sockets_per_ip: 10_000, ..Limits::default() });
    let (a, _) = w.register(1);
    w.arrive(2);
    for _ in 0..20 {
        for seed in 3..120 {
            let (socket, _) = w.register(seed);
            w.broker.handle_closed(socket);
            w.now += std::time::Duration::from_millis(1);
        }
    }
    w.text(a, ClientMessage::GetCertificate { device_id: device(2) });
    let found = Some(certificate(2).as_bytes().to_vec());
    let answer = ServerMessage::Certificate { device_id: device(2), certificate: found };
    assert_eq!(w.output(a), [Outbound::Text(answer)]);
}

#[derive(Debug, Clone)]
enum Step {
    Watch(u8, Vec<u8>, bool),
    Say(u8, u8),
    Frame(u8, u8, u8),
    Leave(u8),
    Come(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let seed = 0u8..4;
    let step = prop_oneof![
        (seed.clone(), proptest::collection::vec(0u8..4, 0..4), any::<bool>())
            .prop_map(|(who, named, open)| Step::Watch(who, named, open)),
        (seed.clone(), seed.clone()).prop_map(|(a, b)| Step::Say(a, b)),
        (seed.clone(), seed.clone(), 0u8..2).prop_map(|(a, b, c)| Step::Frame(a, b, c)),
        seed.clone().prop_map(Step::Leave),
        seed.prop_map(Step::Come),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever devices do: a message or frame comes only from a device the recipient accepts at that moment.
    #[test]
    fn nothing_comes_without_consent(steps in steps()) {
        let mut w = World::new(Limits::default());
        let mut here: [Option<SocketId>; 4] = [None; 4];
        let mut accepted: [Option<(Vec<u8>, bool)>; 4] = [const { None }; 4];
        for step in steps {
            match step {
                Step::Watch(who, named, open) => if let Some(socket) = here[usize::from(who)] {
                    let device_ids = named.iter().map(|n| device(*n)).collect();
                    w.text(socket, ClientMessage::Watch { device_ids, open });
                    accepted[usize::from(who)] = Some((named, open));
                },
                Step::Say(a, b) => if let Some(socket) = here[usize::from(a)].filter(|_| a != b) {
                    w.say(socket, IceCandidate, device(b), 1, 10);
                },
                Step::Frame(a, b, connection) => if let Some(socket) = here[usize::from(a)] {
                    w.binary(socket, &frame(device(b), connection, 10));
                },
                Step::Leave(who) => if let Some(socket) = here[usize::from(who)].take() {
                    w.broker.handle_closed(socket);
                    accepted[usize::from(who)] = None;
                },
                Step::Come(who) => if here[usize::from(who)].is_none() {
                    let socket = w.register(who).0;
                    here[usize::from(who)] = Some(socket);
                },
            }
            for who in 0..4 {
                let Some(socket) = here[who] else { continue };
                let accepts = |from: DeviceId| accepted[who].as_ref().is_some_and(|(named, open)| {
                    *open || named.iter().any(|n| device(*n) == from)
                });
                for outbound in w.output(socket) {
                    let from = match outbound {
                        Outbound::Text(ServerMessage::IceCandidate(e)) => e.from_device_id,
                        Outbound::Binary(bytes) => match peers_proto::signaling::RelayFrame::decode(&bytes) {
                            Ok(peers_proto::signaling::RelayFrame::Data { peer, .. }) => peer,
                            _ => continue,
                        },
                        _ => continue,
                    };
                    prop_assert!(accepts(from));
                }
            }
        }
        here.into_iter().flatten().for_each(|socket| w.broker.handle_closed(socket));
        prop_assert_eq!(w.broker.stats().relay_connections, 0, "each was counted and discounted once");
    }
}
