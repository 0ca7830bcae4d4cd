//! Processes that are killed while they write.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use peers_proto::random::SplitMix;
use peers_store::{FileStore, PeerStore, Records};
use support::{Folder, changes, child, given_path};

/// Kills in one run of the test.
const KILLS: u64 = 500;
/// Kills after which the file is made anew, so that its making is interrupted too.
const LIFE: u64 = 20;

/// In a process of its own: writes without end, and says what was written.
#[test]
fn child_writes_until_it_is_killed() {
    let Some(path) = given_path() else { return };
    let mut out = std::io::stdout();
    let store = FileStore::open(path).unwrap();
    let first = store.load().unwrap().devices.values().map(|device| device.seen.0 + 1).max().unwrap_or(0);
    // The test's name stands on the line so far.
    writeln!(out, "\nfirst {first}").unwrap();
    for n in first.. {
        store.write(&changes(n)).unwrap();
        writeln!(out, "wrote {n}").unwrap();
    }
}

struct Writer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn start(folder: &Folder) -> Self {
        let mut command = child("child_writes_until_it_is_killed", &folder.file());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The number in the next line that begins so.
    fn number(&mut self, beginning: &str) -> Option<u64> {
        let mut lines = self.lines.by_ref().map(|line| line.unwrap());
        lines.find_map(|line| line.strip_prefix(beginning).map(|number| number.trim().parse().unwrap()))
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn every_start_after_a_kill_reads_what_was_acknowledged_and_no_half_of_a_write() {
    let folder = Folder::new("kill");
    let mut random = SplitMix::new(1);
    let (mut state, mut next, mut written, mut unsaid) = (Records::default(), 0, 0, 0);
    for kill in 0..KILLS {
        if kill % LIFE == 0 {
            let _ = fs::remove_file(folder.file());
            (state, next) = (Records::default(), 0);
        }
        let mut writer = Writer::start(&folder);
        let mut said = Vec::new();
        // Some are killed before they have opened the store, or made it.
        if !random.next().is_multiple_of(4) {
            assert_eq!(writer.number("first "), Some(next), "kill {kill}");
            said.extend((0..random.next() % 4).map(|_| writer.number("wrote ").unwrap()));
        }
        std::thread::sleep(Duration::from_micros(random.next() % 8_000));
        writer.kill();
        said.extend(std::iter::from_fn(|| writer.number("wrote ")));
        for n in said {
            assert_eq!(n, next, "kill {kill}");
            changes(n).iter().for_each(|change| state.apply(change));
            next += 1;
            written += 1;
        }
        let found = match FileStore::open(folder.file()) {
            Ok(store) => store.load().unwrap(),
            other => panic!("kill {kill}: {other:?}"),
        };
        if found != state {
            // It was written, and not said any more.
            changes(next).iter().for_each(|change| state.apply(change));
            next += 1;
            unsaid += 1;
        }
        assert!(found == state, "kill {kill}: write {next} is there by half, or one before it is lost");
    }
    println!("{KILLS} kills, {written} writes said, {unsaid} written and not said");
    assert!(written > KILLS / 2 && unsaid > 0, "the writers were killed before they wrote");
    assert_eq!(folder.names().len(), 1, "{:?}", folder.names());
}
