//! Reasons that a person at the terminal reads, and how soon.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Folder, Running, peers, relay};

/// Far below the time for which a relay is waited for.
const SOON: Duration = Duration::from_secs(8);

/// A command that reaches for a device that does not exist.
fn send(folder: &Folder, relay: &str) -> Command {
    std::fs::write(folder.path("note"), "hello").unwrap();
    let mut command = peers(["send", "--relay", relay, "--loopback", "--identity"]);
    command.arg(folder.path("a.key")).arg("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").arg(folder.path("note"));
    command
}

/// Its words, which must come soon.
fn fails_soon(command: &mut Command) -> String {
    let begun = Instant::now();
    let (status, said) = Running::new(command).end();
    assert_eq!(status.code(), Some(4), "{said}");
    assert!(begun.elapsed() < SOON, "{:?}: {said}", begun.elapsed());
    said
}

#[test]
fn waiting_for_a_device_that_is_not_there_is_said() {
    let folder = Folder::new("absent");
    let (_relay, url) = relay(&[]);
    Running::new(&mut send(&folder, &url)).line("waiting for aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

#[test]
fn a_relay_with_other_names_is_told_to_both_sides() {
    let folder = Folder::new("name");
    let (relay, url) = relay(&["names=relay.example.com"]);
    let said = fails_soon(&mut send(&folder, &url));
    let dialed = url.strip_prefix("ws://").unwrap();
    assert!(said.contains(&url) && said.contains("`names`"), "{said}");
    assert!(said.contains(&format!("add {dialed:?} there")), "{said}");
    let logged = relay.line("registration refused");
    assert!(logged.contains(dialed) && logged.contains("relay.example.com"), "{logged}");
}

#[test]
fn a_device_that_is_not_admitted_is_told_to_both_sides() {
    let folder = Folder::new("refused-token");
    let (relay, url) = relay(&["access.rule=token", "access.tokens=hush"]);
    let said = fails_soon(&mut send(&folder, &url));
    assert!(said.contains("does not admit this device") && said.contains("--relay-token"), "{said}");
    let id = peers(["id", "--identity"]).arg(folder.path("a.key")).output().unwrap();
    let id = String::from_utf8(id.stdout).unwrap();
    let logged = relay.line("registration refused");
    assert!(logged.contains("WARN") && logged.contains(id.trim()), "{logged}");
}

#[test]
fn a_socket_too_many_is_logged() {
    let folder = Folder::new("full-relay");
    let (relay, url) = relay(&["limits.max_sockets=1"]);
    let mut first = peers(["listen", "--relay", &url, "--identity"]);
    let first = Running::new(first.arg(folder.path("b.key")));
    first.line("Online");
    let mut second = peers(["listen", "--relay", &url, "--identity"]);
    let second = Running::new(second.arg(folder.path("c.key")));
    assert!(second.line(&url).contains("it has no room now"));
    assert!(relay.line("socket refused").contains("the relay is full"));
}

#[test]
fn a_wrong_address_of_a_relay_is_told_at_once() {
    let folder = Folder::new("address");
    let (_relay, url) = relay(&[]);
    // Bound and let go: nothing listens there.
    let nothing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, words) in [
        (format!("ws://{nothing}"), "connection refused"),
        ("ws://no-such-host.invalid".into(), "the host was not found"),
        (url.replace("ws:", "wss:"), "ws://"),
    ] {
        let said = fails_soon(&mut send(&folder, &url));
        let told = format!("no relay is reachable: {url}: ");
        assert!(said.contains(&told) && said[told.len()..].contains(words), "{said}");
    }
}

#[test]
fn a_listener_says_why_its_relay_is_not_reached() {
    let folder = Folder::new("listener");
    let nothing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{nothing}");
    let mut listen = peers(["listen", "--relay", &url, "--identity"]);
    let listener = Running::new(listen.arg(folder.path("a.key")));
    assert!(listener.line(&url).contains("connection refused"));
}

#[test]
fn a_command_whose_identity_another_one_takes_over_says_so_and_ends() {
    let folder = Folder::new("superseded");
    let (_relay, url) = relay(&[]);
    let mut listen = peers(["listen", "--relay", &url, "--identity"]);
    listen.arg(folder.path("a.key"));
    let mut first = Running::new(&mut listen);
    first.line("Online");
    let second = Running::new(&mut listen);
    second.line("Online");
    let (status, said) = first.end();
    assert_eq!(status.code(), Some(5), "{said}");
    assert!(
        said.contains("another process has registered with the identity") && said.contains("a.key"),
        "{said}"
    );
}
