//! The ways in which a command ends, and the status it has then.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Folder, PEERS, Receiver, Running, peers, relay, said};

/// The time to close sessions, and what a busy machine adds.
const END: Duration = Duration::from_secs(4);

#[test]
fn a_sender_that_is_stopped_frees_the_name_of_its_file_at_once() {
    let receiver = Receiver::start("stopped", Command::new(PEERS));
    let large = vec![7; 256 << 20];
    // Through the relay megabytes are under way at any time, and the last frame of the session is behind them.
    for (signal, code, ways) in [("INT", 130, "all"), ("TERM", 143, "all"), ("INT", 130, "relay")] {
        let mut sender = Running::new(receiver.send("film", &large).args(["--ways", ways]));
        receiver.await_part("film");
        let begun = Instant::now();
        sender.signal(signal);
        let (status, said) = sender.end();
        assert_eq!(status.code(), Some(code), "{said}");
        receiver.listener.line("did not take \"film\"");
        assert!(begun.elapsed() < END, "{:?}", begun.elapsed());
        assert_eq!(receiver.saved(), Vec::<String>::new());
    }
    let sent = receiver.send("film", b"another film").output().unwrap();
    assert!(sent.status.success(), "{}", said(&sent));
    assert_eq!(receiver.saved(), ["film"]);
}

#[test]
fn a_command_that_is_stopped_has_the_status_of_its_signal_and_a_relay_ends_well() {
    let folder = Folder::new("signals");
    let (mut relay, url) = relay(&[]);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut listen = peers(["listen", "--relay", &url, "--identity"]);
        let mut listener = Running::new(listen.arg(folder.path("a.key")));
        listener.line("Online");
        let begun = Instant::now();
        listener.signal(signal);
        assert_eq!(listener.end().0.code(), Some(code));
        assert!(begun.elapsed() < END, "{:?}", begun.elapsed());

        // Nothing answers there for as long as anything is tried.
        let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", deaf.local_addr().unwrap());
        let mut connect = peers(["connect", "--relay", &url, "--identity"]);
        let mut connecting =
            Running::new(connect.arg(folder.path("a.key")).arg("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
        // It is beyond its start when it dials.
        let _dialed = deaf.accept().unwrap();
        connecting.signal(signal);
        assert_eq!(connecting.end().0.code(), Some(code));
    }
    relay.signal("TERM");
    assert_eq!(relay.end().0.code(), Some(0));
}

#[test]
fn output_that_nothing_reads_ends_a_command_without_a_panic() {
    let folder = Folder::new("unread");
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let mut id = peers(["id", "--identity"]);
    id.arg(folder.path("a.key"));
    let unread = id.stdout(closed()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((unread.status.code(), said(&unread).as_str()), (Some(141), ""));
    let help = peers(["--help"]).stdout(closed()).stderr(Stdio::piped()).output().unwrap();
    assert!(!said(&help).contains("panicked"), "{}", said(&help));
    // Also where its errors are not read.
    let failed = peers(["id", "--identity", "/dev/null"]).stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!(failed.code(), Some(5));
}

#[test]
fn a_path_is_told_once() {
    let receiver = Receiver::start("once", Command::new(PEERS));
    let sent = receiver.send("note", b"hello").args(["--ways", "relay"]).output().unwrap();
    assert!(sent.status.success(), "{}", said(&sent));
    let lines = receiver.listener.lines_to(|line| line.contains(" left: "));
    let paths: Vec<_> = lines.iter().filter(|line| line.contains("by Relay")).collect();
    assert_eq!(paths.len(), 1, "{lines:#?}");
}

#[test]
fn a_relay_whose_log_is_not_read_goes_on_serving() {
    let folder = Folder::new("unread-log");
    let (unread, mut full) = std::io::pipe().unwrap();
    let log = full.try_clone().unwrap();
    // Full for as long as the test lasts: the relay has no room for a line.
    std::thread::spawn(move || while full.write_all(&[b'.'; 4096]).is_ok() {});
    let mut relay = peers(["relay", "--listen", "127.0.0.1:0"]);
    let mut relay = relay.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(relay.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let url = address.trim().replace("listening on ", "ws://");
    let mut listen =
        peers(["listen", "--relay", &url, "--trust", "any", "--open", "--loopback", "--identity"]);
    let (_listener, id) = Running::start(listen.arg(folder.path("b.key")), "device ");
    let mut connect = peers(["connect", "--relay", &url, "--ways", "relay", "--identity"]);
    let connected = connect.arg(folder.path("a.key")).arg(&id).output().unwrap();
    assert!(connected.status.success(), "{}", said(&connected));
    relay.kill().unwrap();
    relay.wait().unwrap();
    drop(unread);
}
