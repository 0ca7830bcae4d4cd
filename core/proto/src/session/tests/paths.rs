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
    let resume = Resume { epoch: 77, next: 5 };
    assert_eq!(Resume::decode(&resume.encode()), Some(resume));
    assert_eq!(Resume::decode(&resume.encode()[1..]), None);
    assert_eq!(Resume::decode(&[1; Resume::LEN + 1]), None);
    assert_eq!(Resume::decode(&[0; Resume::LEN]), None);
}
