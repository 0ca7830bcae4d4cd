//! Finds what was there before.

use super::commands::{CopyCommand, RecentDistances};

/// Shorter copies are found at the last distance only.
const MIN_MATCH: usize = 4;
/// Positions kept for each hash: the longest of them wins.
const WAYS: usize = 8;
/// Hashes at most; smaller inputs have smaller tables.
const MAX_HASH_BITS: u32 = 14;
/// Positions that a match may be put off for a better one.
const MAX_DELAY: usize = 4;
/// The lead in value that the better one must have.
const DELAY_COST: i32 = 175;
/// A literal's worth, in the unit of [`Match::score`].
const LITERAL: i32 = 135;
/// The cost of doubling a distance.
const DISTANCE_BIT: i32 = 30;
/// Less is not worth a command.
const MIN_SCORE: i32 = 100;
/// After so many literals in a row positions are left out, more and more: nothing may be there to find.
const PATIENCE: usize = 64;

/// A copy that could be made.
#[derive(Debug, Clone, Copy)]
struct Match {
    len: usize,
    distance: usize,
    score: i32,
}

/// Turns the body into commands, block by block.
pub(super) struct Matches<'a> {
    body: &'a [u8],
    max_distance: usize,
    /// Positions plus one, for each hash in turn.
    table: Vec<[u32; WAYS]>,
    turns: Vec<u8>,
    hash_bits: u32,
    /// Up to here the body is described.
    done: usize,
    recent: RecentDistances,
}

impl<'a> Matches<'a> {
    pub(super) fn new(body: &'a [u8], max_distance: usize) -> Self {
        let hash_bits = body.len().next_power_of_two().ilog2().clamp(8, MAX_HASH_BITS);
        Self {
            body,
            max_distance,
            table: vec![[0; WAYS]; 1 << hash_bits],
            turns: vec![0; 1 << hash_bits],
            hash_bits,
            done: 0,
            recent: RecentDistances::default(),
        }
    }

    /// Commands for the body from where the last call ended.
    pub(super) fn find_until(&mut self, end: usize) -> Vec<CopyCommand> {
        let mut found = Vec::with_capacity((end - self.done) / 16);
        let mut at = self.done;
        while at + MIN_MATCH <= end {
            let Some(mut best) = self.find(at, end) else {
                self.remember(at);
                at += 1 + (at - self.done) / PATIENCE;
                continue;
            };
            for _ in 0..MAX_DELAY {
                self.remember(at);
                match self.find(at + 1, end) {
                    Some(next) if next.score >= best.score + DELAY_COST => best = next,
                    _ => break,
                }
                at += 1;
            }
            let distance = self.recent.code(best.distance);
            found.push(CopyCommand::new(at - self.done, best.len, Some(distance)));
            self.done = at + best.len;
            (at + 1..self.done).for_each(|covered| self.remember(covered));
            at = self.done;
        }
        if self.done < end {
            found.push(CopyCommand::literals(end - self.done));
            self.done = end;
        }
        found
    }

    /// The most worthwhile copy to `at`, not beyond `end`.
    fn find(&self, at: usize, end: usize) -> Option<Match> {
        let here = &self.body[at..end];
        let mut best = Match { len: MIN_MATCH - 2, distance: 0, score: MIN_SCORE };
        let mut consider = |distance: usize, least: usize, cost: i32| {
            let there = &self.body[at - distance..];
            if here.get(best.len) != there.get(best.len) {
                return;
            }
            let len = common(here, there);
            let score = LITERAL * len as i32 - cost;
            if len >= least && score > best.score {
                best = Match { len, distance, score };
            }
        };
        let last = self.recent.last();
        if last <= at {
            consider(last, MIN_MATCH - 1, -DISTANCE_BIT / 2);
        }
        if let Some(hash) = self.hash(at) {
            for before in self.table[hash] {
                let distance = (at + 1).wrapping_sub(before as usize);
                if before != 0 && distance <= self.max_distance {
                    consider(distance, MIN_MATCH, DISTANCE_BIT * distance.ilog2() as i32);
                }
            }
        }
        (best.distance > 0).then_some(best)
    }

    fn remember(&mut self, at: usize) {
        if let Some(hash) = self.hash(at) {
            let turn = &mut self.turns[hash];
            self.table[hash][usize::from(*turn) % WAYS] = at as u32 + 1;
            *turn = turn.wrapping_add(1);
        }
    }

    fn hash(&self, at: usize) -> Option<usize> {
        let word = self.body.get(at..)?.first_chunk::<MIN_MATCH>()?;
        Some((u32::from_le_bytes(*word).wrapping_mul(0x9E37_79B1) >> (32 - self.hash_bits)) as usize)
    }
}

/// The number of bytes that both begin with alike.
fn common(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = size_of::<u64>();
    let words = |bytes: &'_ [u8]| bytes.as_chunks::<STEP>().0.len();
    for i in 0..words(a).min(words(b)) {
        let word = |bytes: &[u8]| {
            let mut word = [0; STEP];
            word.copy_from_slice(&bytes[i * STEP..(i + 1) * STEP]);
            u64::from_le_bytes(word)
        };
        let differ = word(a) ^ word(b);
        if differ != 0 {
            return i * STEP + (differ.trailing_zeros() / 8) as usize;
        }
    }
    let whole = words(a).min(words(b)) * STEP;
    whole + a[whole..].iter().zip(&b[whole..]).take_while(|(x, y)| x == y).count()
}
