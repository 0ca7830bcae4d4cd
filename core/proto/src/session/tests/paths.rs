use super::*;
use crate::timing::ACK_DELAY;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Send(bool, usize),
    Stream(bool, usize),
    Call(bool, usize),
    Poll,
    Deliver(usize),
    Read,
    Wait,
    NewPath,
    Outage,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![0..200usize, 0..40_000usize];
    prop_oneof![
        3 => (any::<bool>(), size.clone()).prop_map(|(a, n)| Step::Send(a, n)),
        3 => (any::<bool>(), size.clone()).prop_map(|(a, n)| Step::Stream(a, n)),
        2 => (any::<bool>(), size).prop_map(|(a, n)| Step::Call(a, n)),
        4 => Just(Step::Poll),
        4 => (1..6usize).prop_map(Step::Deliver),
        2 => Just(Step::Read),
        1 => Just(Step::Wait),
        1 => Just(Step::NewPath),
        1 => Just(Step::Outage),
    ]
}

fn numbered(counter: &mut u32, len: usize) -> Bytes {
    *counter += 1;
    let mut content = counter.to_be_bytes().to_vec();
    content.resize(4 + len, *counter as u8);
    content.into()
}

#[derive(Default)]
struct Traffic {
    sent: Vec<Bytes>,
    streamed: Vec<u8>,
    got: Vec<Bytes>,
    read: Vec<u8>,
    stream: Option<u64>,
    calls: usize,
    answers: usize,
}

fn pump(pair: &mut Pair, traffic: &mut [Traffic; 2]) {
    for (at, end) in [&mut pair.a, &mut pair.b].into_iter().enumerate() {
        for event in std::mem::take(&mut end.events) {
            match event {
                SessionEvent::Request(id, r) => end.session.respond(id, Ok(r.object)),
                SessionEvent::Response(_, answer) => {
                    assert!(answer.is_ok());
                    traffic[at].answers += 1;
                }
                _ => {}
            }
        }
        traffic[at].got.extend(std::iter::from_fn(|| end.session.next_message()).map(|m| m.object.content));
        if let Some(stream) = traffic[1 - at].stream
            && let Ok((bytes, _)) = end.read_all(stream)
        {
            traffic[at].read.extend(bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    // Whatever happens to the paths, everything arrives once and in order.
    #[test]
    fn nothing_is_lost_repeated_or_reordered_across_paths(steps in proptest::collection::vec(step(), 1..120)) {
        let mut pair = Pair::new();
        let mut traffic = [Traffic::default(), Traffic::default()];
        let mut counter = 0;
        for step in steps {
            match step {
                Step::Send(a, n) => {
                    let content = numbered(&mut counter, n);
                    let end = if a { &mut pair.a } else { &mut pair.b };
                    if end.session.send_message(None, Object::plain(content.clone())).is_ok() {
                        traffic[usize::from(!a)].sent.push(content);
                    }
                }
                Step::Stream(a, n) => {
                    let t = &mut traffic[usize::from(!a)];
                    let end = if a { &mut pair.a } else { &mut pair.b };
                    let id = *t.stream.get_or_insert_with(|| end.session.open_stream("s", None).unwrap());
                    let all = numbered(&mut counter, n);
                    let mut left = all.clone();
                    end.session.write(id, &mut left).unwrap();
                    t.streamed.extend(&all[..all.len() - left.len()]);
                }
                Step::Call(a, n) => {
                    let end = if a { &mut pair.a } else { &mut pair.b };
                    let request = Request {
                        service: "s".into(), method: "m".into(), group: None, timeout: ACK_DELAY * 100_000,
                        object: object(n),
                    };
                    if end.session.call(request, pair.now).is_ok() {
                        traffic[usize::from(!a)].calls += 1;
                    }
                }
                Step::Poll => pair.poll(),
                Step::Deliver(n) => pair.deliver(n),
                Step::Read => pump(&mut pair, &mut traffic),
                Step::Wait => pair.now += ACK_DELAY,
                Step::NewPath => pair.attach(),
                Step::Outage => {
                    pair.a.session.detach();
                    pair.b.session.detach();
                    prop_assert!(pair.a.session.poll_frame(pair.now).is_none());
                    pair.attach();
                }
            }
        }
        for _ in 0..40 {
            pair.settle();
            pump(&mut pair, &mut traffic);
        }
        let [a, b] = &traffic;
        prop_assert_eq!(&a.sent, &b.got);
        prop_assert_eq!(&b.sent, &a.got);
        prop_assert!(a.streamed == b.read && b.streamed == a.read);
        prop_assert_eq!((a.calls, b.calls), (a.answers, b.answers));
    }
}

#[test]
fn frames_of_an_old_path_that_come_late_change_nothing() {
    let mut pair = Pair::new();
    pair.a.session.send_message(None, object(1)).unwrap();
    pair.poll();
    let late: Vec<_> = pair.a.wire.iter().cloned().collect();
    pair.attach();
    pair.settle();
    for frame in late {
        pair.b.session.handle_frame(&frame, pair.now).unwrap();
    }
    assert_eq!(pair.b.messages().len(), 1);
}

#[test]
fn what_ready_says_round_trips() {
    let resume = Resume { epoch: 77, with: 78, next: 5 };
    assert_eq!(Resume::decode(&resume.encode()), Some(resume));
    assert_eq!(Resume::decode(&resume.encode()[1..]), None);
    assert_eq!(Resume::decode(&[1; Resume::LEN + 1]), None);
    assert_eq!(Resume::decode(&[0; Resume::LEN]), None);
}

/// Both sides' READYs in one handshake, and what each makes of them.
fn meet(a: &mut Epochs, b: &mut Epochs, next: u64) -> [Reconciled; 2] {
    let (from_a, from_b) = (a.ready(next), b.ready(next));
    [a.reconcile(from_a, from_b, true, 1000), b.reconcile(from_b, from_a, false, 2000)]
}

/// A connection that was made for a session outlives it: nobody takes the goodbye for a restart, and nothing begins.
#[test]
fn a_session_that_one_side_has_closed_is_closed_for_the_other_and_does_not_begin_again() {
    let (mut a, mut b) = (Epochs::new(1), Epochs::new(2));
    meet(&mut a, &mut b, 5);
    b.close(3);
    let closed = b.ready(0);
    assert!(closed.has_closed(1) && !closed.has_closed(2) && !a.ready(5).has_closed(2));
    assert_eq!(meet(&mut a, &mut b, 5), [Reconciled::Stale; 2], "dialed for the old one");
    assert!(a.has_closed(1), "what else was dialed for it is over, too");
    assert_eq!(meet(&mut a, &mut b, 5), [Reconciled::New; 2]);
    assert_eq!(meet(&mut a, &mut b, 5), [Reconciled::Resume { next: 5 }; 2]);
    // Both have closed it: who connects now wants another one.
    a.close(4);
    b.close(5);
    assert_eq!(meet(&mut a, &mut b, 5), [Reconciled::New; 2]);
    // Who has closed it dials for a new one at once.
    a.close(7);
    assert_eq!(meet(&mut a, &mut b, 5), [Reconciled::New; 2]);
    // What was closed first is forgotten.
    a = Epochs::new(6);
    assert_eq!(meet(&mut a, &mut b, 5), [Reconciled::New; 2]);
}

/// Two ways are tried at once; the handshake of one ends after the session that the other has made.
#[test]
fn a_handshake_that_is_older_than_a_closed_session_brings_nothing_back() {
    let (mut a, mut b) = (Epochs::new(1), Epochs::new(2));
    let old_words = a.ready(0);
    meet(&mut a, &mut b, 0);
    a.close(3);
    b.close(4);
    assert_eq!(b.reconcile(b.ready(0), old_words, false, 9), Reconciled::Stale);
    assert_eq!(meet(&mut a, &mut b, 0), [Reconciled::New; 2]);
}

/// What was dialed for a session outlives it on both sides, and the handshake comes after the goodbye.
#[test]
fn a_connection_dialed_for_a_closed_session_is_not_for_the_next_one() {
    for both in [false, true] {
        let (mut a, mut b) = (Epochs::new(1), Epochs::new(2));
        let name = a.epoch();
        meet(&mut a, &mut b, 0);
        b.close(4);
        if both {
            a.close(3);
        }
        let (from_a, from_b) = (a.ready_as(Some(name), 0), b.ready(0));
        assert_eq!(b.reconcile(from_b, from_a, false, 9), Reconciled::Stale);
        assert_eq!(a.reconcile(from_a, from_b, true, 9), Reconciled::Stale);
        assert_eq!(a.ready_as(Some(a.epoch()), 0), a.ready(0));
        assert_eq!(meet(&mut a, &mut b, 0), [Reconciled::New; 2]);
    }
}

/// The last word of a handshake was lost: only one side had a session, and has closed it.
#[test]
fn a_side_that_never_had_the_closed_session_gets_one() {
    let (mut a, mut b) = (Epochs::new(1), Epochs::new(2));
    assert_eq!(b.reconcile(b.ready(0), a.ready(0), false, 9), Reconciled::New);
    b.close(3);
    assert_eq!(meet(&mut a, &mut b, 0), [Reconciled::Stale; 2]);
    assert_eq!(meet(&mut a, &mut b, 0), [Reconciled::New; 2]);
    assert_eq!(meet(&mut a, &mut b, 5), [Reconciled::Resume { next: 5 }; 2]);
}

/// Of two handshakes one READY each is lost: one side has closed the first session, and the other has the second one.
#[test]
fn a_side_that_never_had_the_session_after_a_closed_one_joins_it() {
    let (mut a, mut b) = (Epochs::new(1), Epochs::new(2));
    assert_eq!(a.reconcile(a.ready(0), b.ready(0), true, 9), Reconciled::New);
    a.close(3);
    assert_eq!(b.reconcile(b.ready(0), a.ready(0), false, 9), Reconciled::New);
    assert_eq!(meet(&mut b, &mut a, 0), [Reconciled::Resume { next: 0 }, Reconciled::New]);
    assert_eq!(meet(&mut b, &mut a, 5), [Reconciled::Resume { next: 5 }; 2]);
}

#[test]
fn a_session_goes_on_until_one_side_has_forgotten_it() {
    let (mut a, mut b) = (Epochs::new(1), Epochs::new(2));
    assert_eq!(meet(&mut a, &mut b, 5), [Reconciled::New; 2]);
    assert_eq!(meet(&mut a, &mut b, 5), [Reconciled::Resume { next: 5 }; 2]);
    b = Epochs::new(3);
    assert_eq!(meet(&mut a, &mut b, 9), [Reconciled::New; 2]);
    assert_eq!(meet(&mut a, &mut b, 9), [Reconciled::Resume { next: 9 }; 2]);
    a.end(4);
    assert_eq!(meet(&mut a, &mut b, 9), [Reconciled::New; 2]);
}

#[test]
fn words_about_another_session_acknowledge_nothing() {
    let (mut a, mut b) = (Epochs::new(1), Epochs::new(2));
    meet(&mut a, &mut b, 0);
    // a restarts; of two handshakes that overlap, b spoke in both before the first was done.
    let (old_words, mut a) = (b.ready(57), Epochs::new(3));
    meet(&mut a, &mut b, 57);
    assert_eq!(a.reconcile(a.ready(0), old_words, true, 9), Reconciled::Resume { next: 0 });
    // Words said under a name that is gone make no path.
    let said = b.ready(57);
    b.end(4);
    assert_eq!(b.reconcile(said, a.ready(0), false, 9), Reconciled::Stale);
}

/// The peer is killed between its READY and the one here, and its next process connects first.
#[test]
fn a_handshake_with_an_instance_that_has_died_replaces_no_session() {
    let (mut a, mut b) = (Epochs::new(1), Epochs::new(2));
    let (said, ghost) = (b.ready(0), Epochs::new(3).ready(0));
    assert_eq!(meet(&mut a, &mut b, 0), [Reconciled::New; 2]);
    assert_eq!(b.reconcile(said, ghost, false, 9), Reconciled::Stale);
    assert_eq!(meet(&mut a, &mut b, 5), [Reconciled::Resume { next: 5 }; 2]);
    // If the session there is was the ghost's, the next handshake of the living one is believed.
    let (said, next) = (b.ready(0), Epochs::new(4));
    assert_eq!(b.reconcile(b.ready(0), ghost, false, 9), Reconciled::New);
    assert_eq!(b.reconcile(said, next.ready(0), false, 9), Reconciled::Stale);
    assert_eq!(b.reconcile(b.ready(0), next.ready(0), false, 9), Reconciled::New);
}

#[test]
fn two_instances_never_have_a_second_session() {
    let (mut a, mut b) = (Epochs::new(1), Epochs::new(2));
    let mut ghost = Epochs::new(3);
    meet(&mut a, &mut b, 0);
    meet(&mut a, &mut ghost, 0);
    // b still has the session that the ghost took from a.
    let [at_a, at_b] = meet(&mut a, &mut b, 0);
    assert_eq!((at_a, at_b), (Reconciled::Stale, Reconciled::Resume { next: 0 }));
    assert_eq!(meet(&mut a, &mut b, 0), [Reconciled::New; 2]);
    for n in 100..200 {
        if meet(&mut a, &mut Epochs::new(n), 0)[0] == Reconciled::Stale {
            return;
        }
    }
    panic!("remembers without bound");
}
