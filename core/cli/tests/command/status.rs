//! Statuses that scripts decide by.

use std::process::Command;

use crate::support::{Folder, PEERS, Receiver, Running, peers, relay, said};

#[test]
fn a_command_line_that_is_wrong_has_the_status_of_its_parser() {
    for args in [
        &["listen", "--relay", "ws://127.0.0.1:1", "--trust", "somebody"][..],
        &["relay", "--set", "bind"],
        &["send", "--relay", "ws://127.0.0.1:1", "somebody", "file"],
        &["listen"],
        &["no-such-command"],
    ] {
        let wrong = Command::new(PEERS).args(args).output().unwrap();
        assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
        assert!(wrong.stdout.is_empty(), "{}", said(&wrong));
    }
}

#[test]
fn a_log_filter_and_an_address_that_is_taken_have_the_status_of_a_setting() {
    let mut listen = peers(["listen", "--relay", "ws://127.0.0.1:1"]);
    let filter = listen.env("RUST_LOG", "no=such=level").output().unwrap();
    assert_eq!(filter.status.code(), Some(6), "{}", said(&filter));
    let (_relay, url) = relay(&[]);
    let taken = peers(["relay", "--listen", url.strip_prefix("ws://").unwrap()]).output().unwrap();
    assert_eq!(taken.status.code(), Some(6), "{}", said(&taken));
}

#[test]
fn a_file_that_is_missing_and_one_that_is_not_taken_have_statuses_of_their_own() {
    let receiver = Receiver::start("statuses", Command::new(PEERS));
    for status in [0, 3] {
        let sent = receiver.send("note", b"hello").output().unwrap();
        assert_eq!(sent.status.code(), Some(status), "{}", said(&sent));
    }
    let mut missing = receiver.send("gone", b"");
    std::fs::remove_file(receiver.folder.path("gone")).unwrap();
    let missing = missing.output().unwrap();
    assert_eq!(missing.status.code(), Some(5), "{}", said(&missing));
}

#[test]
fn a_device_that_does_not_trust_this_one_says_no() {
    let folder = Folder::new("untrusted");
    let (_relay, url) = relay(&[]);
    let mut listen = peers(["listen", "--relay", &url, "--open", "--loopback", "--identity"]);
    let (_listener, id) = Running::start(listen.arg(folder.path("b.key")), "device ");
    let mut connect = peers(["connect", "--relay", &url, "--loopback", "--identity"]);
    let refused = connect.arg(folder.path("a.key")).arg(id).output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(said(&refused).contains("lets this device in"), "{}", said(&refused));
}

#[test]
fn a_receiver_that_ends_meanwhile_has_the_status_of_a_session_that_ended() {
    let receiver = Receiver::start("left", Command::new(PEERS));
    let mut sender = Running::new(&mut receiver.send("film", &vec![7; 256 << 20]));
    receiver.await_part("film");
    receiver.listener.signal("TERM");
    let (status, said) = sender.end();
    assert_eq!(status.code(), Some(7), "{said}");
}
