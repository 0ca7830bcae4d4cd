//! Two ends of one session, over paths that carry every frame at once.

use super::*;
use crate::id::DeviceId;
use crate::path::Preference;
use crate::session::{Object, SessionConfig};
use crate::timing::RESUME_WINDOW;
use crate::transport_kind::TransportKind;

const RELAY: PathId = PathId(0);
const DIRECT: PathId = PathId(1);

struct Pair {
    ends: [Multipath; 2],
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::from_micros(3_600_000_000);
        let devices = [DeviceId::from_bytes([1; 20]), DeviceId::from_bytes([2; 20])];
        let end = |here: usize| {
            let session = SessionMachine::new(SessionConfig {
                local: devices[here],
                remote: devices[1 - here],
                groups: Default::default(),
                ungrouped: true,
                budget: Default::default(),
            });
            let paths = Paths::new(session.leads(), Preference::default(), RESUME_WINDOW, now);
            Multipath::new(session, paths)
        };
        Self { ends: [end(0), end(1)], now }
    }

    fn connect(&mut self, id: PathId, kind: TransportKind) {
        let next = self.ends.each_ref().map(|end| end.session.next_expected());
        for (here, end) in self.ends.iter_mut().enumerate() {
            end.add_path(id, kind.into(), next[1 - here], self.now).unwrap();
        }
        self.carry();
    }

    /// Carries frames until neither end has one. Returns the paths that were closed by a last frame, and its meaning there.
    fn carry(&mut self) -> Vec<(PathId, Received)> {
        let mut closed = Vec::new();
        loop {
            let mut moved = false;
            for here in 0..2 {
                for id in self.ends[here].open_paths().collect::<Vec<_>>() {
                    let (frame, is_last) = match self.ends[here].poll_frame(id, self.now) {
                        Transmit::Frame(frame) => (frame, false),
                        Transmit::Last(frame) => (frame, true),
                        Transmit::Idle(_) => continue,
                    };
                    moved = true;
                    let received = self.ends[1 - here].handle_frame(id, &frame, self.now).unwrap();
                    assert_eq!(received != Received::More, is_last);
                    if is_last {
                        closed.push((id, received));
                        self.ends.iter_mut().for_each(|end| end.remove_path(id, self.now));
                    }
                }
            }
            if !moved {
                return closed;
            }
        }
    }

    fn say(&mut self, from: usize, text: &'static [u8]) {
        self.ends[from].session.send_message(None, Object::plain(Bytes::from_static(text))).unwrap();
    }

    fn heard(&mut self, at: usize) -> Vec<Bytes> {
        std::iter::from_fn(|| self.ends[at].session.next_message())
            .map(|message| message.object.content)
            .collect()
    }

    fn events(&mut self, at: usize) -> Vec<MultipathEvent> {
        let ready =
            |event: &MultipathEvent| matches!(event, MultipathEvent::Ready(_) | MultipathEvent::Quality(_));
        std::iter::from_fn(|| self.ends[at].poll_event()).filter(|event| !ready(event)).collect()
    }
}

// The frames that were not acknowledged on the former path are sent again on the better one.
#[test]
fn a_session_moves_to_the_better_path_with_what_was_under_way() {
    let mut pair = Pair::new();
    pair.connect(RELAY, TransportKind::Relay);
    pair.say(0, b"lost");
    // It leaves on the relay, and never arrives.
    let Transmit::Frame(_) = pair.ends[0].poll_frame(RELAY, pair.now) else { panic!("no frame") };
    pair.connect(DIRECT, TransportKind::WebRtc);
    pair.carry();
    assert_eq!(pair.ends.each_ref().map(Multipath::current), [Some(DIRECT); 2]);
    assert_eq!(pair.heard(1), [Bytes::from_static(b"lost")]);
}

// proves S022
#[test]
fn a_suspended_device_asks_its_peer_to_wait_and_reports_nothing_until_it_is_back() {
    let mut pair = Pair::new();
    pair.connect(RELAY, TransportKind::Relay);
    pair.ends[0].suspend(Duration::from_secs(600), pair.now);
    assert!(pair.ends[0].is_closing(RELAY));
    assert_eq!(pair.carry(), [(RELAY, Received::Left)]);
    assert_eq!(pair.ends.each_ref().map(Multipath::status), [Status::Away; 2]);
    assert_eq!(pair.ends[0].poll_timeout(), None, "no timer runs");
    pair.events(0);
    // A path that was on its way closes at once.
    let (id, route) = (PathId(2), TransportKind::Relay.into());
    pair.ends[0].add_path(id, route, 0, pair.now).unwrap();
    assert!(matches!(pair.ends[0].poll_frame(id, pair.now), Transmit::Last(_)));
    pair.ends[0].remove_path(id, pair.now);
    assert_eq!(pair.events(0), []);
    pair.ends[0].resume(pair.now);
    assert_eq!(pair.events(0), [MultipathEvent::Status(Status::Down)]);
    pair.connect(PathId(3), TransportKind::Relay);
    assert!(pair.events(0).contains(&MultipathEvent::Current(PathId(3), route)));
}

#[test]
fn every_path_of_a_closed_session_says_so_also_one_that_comes_late() {
    let mut pair = Pair::new();
    pair.connect(RELAY, TransportKind::Relay);
    pair.events(0);
    pair.ends[0].end();
    pair.ends[0].close_paths();
    let late = PathId(9);
    for end in &mut pair.ends {
        end.add_path(late, TransportKind::WebRtc.into(), 0, pair.now).unwrap();
    }
    let mut closed = pair.carry();
    closed.sort_by_key(|(id, _)| *id);
    assert_eq!(closed, [(RELAY, Received::Closed), (late, Received::Closed)]);
    assert_eq!(pair.events(0), [], "the driver knows that it has ended");
}

#[test]
fn a_peer_that_expects_a_frame_that_was_never_sent_is_an_error() {
    let mut pair = Pair::new();
    let added = pair.ends[0].add_path(RELAY, TransportKind::Relay.into(), 7, pair.now);
    assert!(matches!(added, Err(SessionError::Violation(_))), "{added:?}");
}
