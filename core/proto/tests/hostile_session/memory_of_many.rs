//! Memory that many peers can make one process hold, and the share that is left for an honest one.

use super::*;
use crate::memory::peak;
use peers_proto::limits::MAX_MESSAGE;
use peers_proto::session::Object;

/// A peer that sends all that it may in every way, and whose victim takes nothing.
fn flood(victim: &mut Victim) -> Result<(), SessionError> {
    victim.take(&[Segment::StreamOpen { stream: 2, lane: 0, name: "s" }])?;
    victim.take(&[Segment::StreamOpen { stream: 4, lane: 0, name: "s" }])?;
    let head = ObjectHead { encoding: Encoding::Plain, content_len: MAX_MESSAGE, raw_len: MAX_MESSAGE };
    victim.take_object(head)?;
    let data = vec![0; 14_000];
    for stream in [2, 4] {
        for _ in 0..(4 * MIB - 1) / data.len() {
            victim.take(&[Segment::StreamData { stream, last: false, data: &data }])?;
        }
    }
    Ok(())
}

#[test]
fn many_greedy_peers_stay_within_the_memory_of_the_process_and_an_honest_one_beside_them_goes_on() {
    let ((ended, received), peak) = peak(|| {
        let mut configs = (0..20).map(|n| config(100 + n)).collect::<Vec<_>>();
        let budget = configs[0].budget.clone();
        configs.iter_mut().for_each(|c| c.budget = budget.clone());
        let mut victims: Vec<_> = configs.into_iter().map(Victim::new).collect();
        let results: Vec<_> = victims.iter_mut().map(flood).collect();
        let ended = results.iter().filter(|r| **r == Err(SessionError::Overloaded)).count();
        // All of them still hold what they hold; one more arrives and talks.
        let mut honest = Victim::new(SessionConfig { budget, ..config(90) });
        honest.take(&[Segment::MessageCredit { limit: 1 << 40 }]).unwrap();
        let mut received = 0;
        for _ in 0..1000 {
            for _ in 0..10 {
                honest.take(&[Segment::Message { lane: 0, piece: plain(&[7; 10_000]) }]).unwrap();
            }
            while let Some(message) = honest.session.next_message() {
                received += message.object.content.len();
            }
            honest.session.send_message(None, Object::plain(vec![1; 10_000])).unwrap();
            honest.exchange();
        }
        (ended, received)
    });
    assert_eq!(received, 1000 * 10 * 10_000);
    assert!(ended >= 15, "{ended} of 20 were ended");
    assert!(peak < 64_000_000, "{peak} bytes");
}

#[test]
fn what_is_not_acknowledged_is_bounded_for_all_sessions_together() {
    let (waiting, peak) = peak(|| {
        let budget = config(0).budget;
        let mut victims: Vec<_> = (0..20)
            .map(|n| Victim::new(SessionConfig { budget: budget.clone(), ..config(100 + n) }))
            .collect();
        let data = Bytes::from(vec![0; 6 * MIB]);
        let mut streams = Vec::new();
        for victim in &mut victims {
            let stream = victim.session.open_stream("s", None).unwrap();
            streams.push((stream, data.clone()));
        }
        let write = |victim: &mut Victim, (stream, data): &mut (u64, Bytes)| {
            let mut left = data.len() + 1;
            while data.len() < left {
                left = data.len();
                victim.session.write(*stream, data).unwrap();
                victim.send();
            }
        };
        victims.iter_mut().zip(&mut streams).for_each(|(victim, stream)| write(victim, stream));
        let waiting = streams.iter().filter(|(_, data)| !data.is_empty()).count();
        // Whatever others hold, what is acknowledged makes room.
        for (victim, stream) in victims.iter_mut().zip(&mut streams).filter(|(_, (_, data))| !data.is_empty())
        {
            let before = victim.sent;
            victim.ack = victim.sent;
            victim.take(&[]).unwrap();
            write(victim, stream);
            assert!(victim.sent > before);
        }
        waiting
    });
    assert!(waiting >= 15, "{waiting} of 20 wait");
    assert!(peak < 40 * MIB, "{peak} bytes");
}
