//! Standard input and output, sent and joined.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::support::{Folder, PEERS, Receiver, Running, peers, relay, said};

const MIB: usize = 1 << 20;

/// A relay, and two devices whose ends of a pipe are processes.
struct Ends {
    folder: Folder,
    url: String,
    id: String,
    _relay: Running,
}

impl Ends {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let (relay, url) = relay(&[]);
        let id = peers(["id", "--identity"]).arg(folder.path("b.key")).output().unwrap();
        let id = String::from_utf8(id.stdout).unwrap().trim().to_owned();
        Self { folder, url, id, _relay: relay }
    }

    fn command(&self, name: &str, key: &str) -> Command {
        let mut command = peers([name, "--relay", &self.url, "--loopback", "--identity"]);
        command.arg(self.folder.path(key));
        command
    }

    /// The end that listens, once it does.
    fn listen(&self) -> ChildEnd {
        let mut listen = self.command("pipe", "b.key");
        let mut end = ChildEnd::start(listen.args(["--listen", "--open", "--trust", "any"]));
        // `Online` is the next line: a device that connects before it waits, and that is all.
        end.note(&format!("device {}", self.id));
        end
    }

    fn connect(&self, key: &str) -> ChildEnd {
        let mut connect = self.command("pipe", key);
        ChildEnd::start(connect.arg(&self.id))
    }
}

/// One end of a pipe; its process ends with the test.
struct ChildEnd(Child);

impl Drop for ChildEnd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl ChildEnd {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Reads standard error up to this line.
    fn note(&mut self, wanted: &str) {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while line != wanted.as_bytes() {
            self.0.stderr.as_mut().unwrap().read_exact(&mut byte).unwrap();
            if byte[0] == b'\n' { line.clear() } else { line.push(byte[0]) }
        }
    }

    fn input(&mut self) -> ChildStdin {
        self.0.stdin.take().unwrap()
    }

    fn say(&mut self, text: &str) {
        self.0.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn hear(&mut self, text: &str) {
        let mut heard = vec![0; text.len()];
        self.0.stdout.as_mut().unwrap().read_exact(&mut heard).unwrap();
        assert_eq!(heard, text.as_bytes());
    }

    /// The status, and all that it has written and not yet been asked for.
    fn end(mut self) -> Output {
        drop(self.0.stdin.take());
        let mut errors = self.0.stderr.take().unwrap();
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            errors.read_to_end(&mut text).map(|_| text)
        });
        let mut stdout = Vec::new();
        if let Some(mut output) = self.0.stdout.take() {
            output.read_to_end(&mut stdout).unwrap();
        }
        let stderr = errors.join().unwrap().unwrap();
        Output { status: self.0.wait().unwrap(), stdout, stderr }
    }
}

fn succeeds(end: ChildEnd) -> Vec<u8> {
    let output = end.end();
    assert!(output.status.success(), "{:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Bytes that differ from seed to seed, and do not repeat within.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    });
    words.take(bytes / 4).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn standard_input_is_sent_as_a_file_with_the_name_that_is_asked_for() {
    let receiver = Receiver::start("stdin", Command::new(PEERS));
    let bytes = noise(1, 3 * MIB);
    for (options, name) in [(&[][..], "stdin"), (&["--as", "film"], "film")] {
        let mut send = receiver.send_path("-");
        let mut sender = ChildEnd::start(send.args(options));
        sender.input().write_all(&bytes).unwrap();
        assert!(String::from_utf8(succeeds(sender)).unwrap().contains("sent 3145728 bytes"));
        assert_eq!(std::fs::read(receiver.folder.path(&format!("saved/{name}"))).unwrap(), bytes);
    }
    let renamed = receiver.send("plain", b"hello").args(["--as", "note"]).output().unwrap();
    assert!(renamed.status.success(), "{}", said(&renamed));
    assert_eq!(receiver.saved(), ["film", "note", "stdin"]);
    for folder in ["a/b", "/", "..", "a/", ""] {
        let wrong = receiver.send("plain", b"hello").args(["--as", folder]).output().unwrap();
        assert_eq!(wrong.status.code(), Some(2), "{folder:?}: {}", said(&wrong));
    }
}

#[test]
fn an_input_that_cannot_be_read_is_a_file_that_cannot_be_used() {
    let receiver = Receiver::start("unreadable", Command::new(PEERS));
    let folder = std::fs::File::open(receiver.folder.path("")).unwrap();
    let failed = receiver.send_path("-").stdin(folder).output().unwrap();
    assert_eq!(failed.status.code(), Some(5), "{}", said(&failed));
    // A part may be there for the moment until the receiver sees the end of the stream.
    assert!(!receiver.saved().contains(&"stdin".to_owned()), "{:?}", receiver.saved());
}

#[test]
fn a_line_crosses_a_pipe_at_once_and_each_direction_ends_by_itself() {
    let ends = Ends::new("pipe-lines");
    let (mut b, mut a) = (ends.listen(), ends.connect("a.key"));
    // The listening end may speak first.
    b.say("who is there?\n");
    a.hear("who is there?\n");
    a.say("no line feed");
    b.hear("no line feed");
    drop(a.input());
    let mut rest = Vec::new();
    b.0.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    b.say("the other direction goes on\n");
    a.hear("the other direction goes on\n");
    assert_eq!((succeeds(b), succeeds(a)), (vec![], vec![]));
}

#[test]
fn large_data_crosses_a_pipe_both_ways() {
    for ways in ["all", "relay"] {
        let ends = Ends::new(&format!("pipe-large-{ways}"));
        let b = ends.listen();
        let a = ChildEnd::start(ends.command("pipe", "a.key").arg(&ends.id).args(["--ways", ways]));
        let moved = [(a, 1), (b, 2)].map(|(mut end, seed)| {
            let mut input = end.input();
            let writer = thread::spawn(move || input.write_all(&noise(seed, 64 * MIB)));
            (writer, thread::spawn(move || Sha256::digest(succeeds(end))))
        });
        for ((writer, hash), seed) in moved.into_iter().zip([2, 1]) {
            writer.join().unwrap().unwrap();
            assert_eq!(hash.join().unwrap(), Sha256::digest(noise(seed, 64 * MIB)));
        }
    }
}

#[test]
fn an_output_that_is_not_read_holds_the_other_end_back() {
    let ends = Ends::new("pipe-slow");
    let (b, mut a) = (ends.listen(), ends.connect("a.key"));
    let (written, total) = (Arc::new(AtomicUsize::new(0)), 256 * MIB);
    let (mut input, count) = (a.input(), written.clone());
    let writer = thread::spawn(move || {
        for chunk in noise(3, total).chunks(MIB) {
            input.write_all(chunk).unwrap();
            count.fetch_add(chunk.len(), Ordering::Relaxed);
        }
    });
    // It goes on until everything in between is full.
    let (begun, mut last) = (Instant::now(), (0, Instant::now()));
    while last.0 == 0 || last.1.elapsed() < Duration::from_secs(2) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{last:?}");
        thread::sleep(Duration::from_millis(50));
        let now = written.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    assert!(last.0 < 64 * MIB, "{} of {total} bytes were taken", last.0);
    let hash = Sha256::digest(succeeds(b));
    writer.join().unwrap();
    assert_eq!(hash, Sha256::digest(noise(3, total)));
    assert_eq!(succeeds(a), b"");
}

#[test]
fn an_end_whose_other_end_leaves_fails() {
    for signal in ["TERM", "INT"] {
        let ends = Ends::new(&format!("pipe-left-{signal}"));
        let (mut b, mut a) = (ends.listen(), ends.connect("a.key"));
        a.say("hello");
        b.hear("hello");
        let kill = Command::new("kill").args([&format!("-{signal}"), &b.0.id().to_string()]).status();
        assert!(kill.unwrap().success());
        // Its standard input is open, and nothing comes from there.
        let status = a.0.wait().unwrap();
        assert_eq!(status.code(), Some(7));
    }
}

#[test]
fn an_output_that_is_closed_ends_both_ends() {
    let ends = Ends::new("pipe-closed");
    let (mut b, mut a) = (ends.listen(), ends.connect("a.key"));
    a.say("hello");
    b.hear("hello");
    drop(b.0.stdout.take());
    a.say("more");
    assert_eq!(b.0.wait().unwrap().code(), Some(141));
    assert_eq!(a.0.wait().unwrap().code(), Some(7));
}

#[test]
fn a_pipe_and_a_file_do_not_meet_and_a_pipe_has_two_ends() {
    let receiver = Receiver::start("pipe-no", Command::new(PEERS));
    let refused = ChildEnd::start(receiver.command("pipe").arg(&receiver.id)).end();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!((refused.status.code(), refused.stdout), (Some(3), vec![]), "{words}");
    assert!(words.contains("takes no pipe: it does not run `peers pipe --listen`"), "{words}");
    receiver.listener.line("did not take \"peers/pipe\": it is a pipe");

    let ends = Ends::new("pipe-two");
    let mut b = ends.listen();
    let file = ends.folder.path("note");
    std::fs::write(&file, "hello").unwrap();
    let sent = ends.command("send", "c.key").arg(&ends.id).arg(file).output().unwrap();
    assert_eq!(sent.status.code(), Some(3), "{}", said(&sent));
    assert!(said(&sent).contains("`peers pipe`, which takes no files"), "{}", said(&sent));
    let mut a = ends.connect("a.key");
    a.say("first");
    b.hear("first");
    let late = ends.connect("c.key").end();
    let words = String::from_utf8_lossy(&late.stderr).into_owned();
    assert_eq!(late.status.code(), Some(3), "{words}");
    assert!(words.contains("it has another pipe"), "{words}");
    drop((a.input(), b.input()));
    assert_eq!((succeeds(a), succeeds(b)), (vec![], vec![]));
}

#[test]
fn a_pipe_needs_one_of_a_device_and_listen() {
    let id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for args in [&[][..], &["--listen", id], &["--open", id]] {
        let wrong = peers(["pipe", "--relay", "ws://127.0.0.1:1"]).args(args).output().unwrap();
        assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    }
}
