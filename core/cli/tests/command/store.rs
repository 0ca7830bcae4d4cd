//! Devices that remember each other, and meet again without a relay.

use std::process::Command;

use crate::support::{Folder, Running, peers, relay, said};

/// A command of the device that keeps its things under this name.
fn kept(folder: &Folder, command: &str, name: &str) -> Command {
    let mut peers = peers([command, "--loopback", "--identity"]);
    peers.arg(folder.path(&format!("{name}.key"))).arg("--store").arg(folder.path(&format!("{name}.store")));
    peers
}

// proves S080 S191
#[test]
fn devices_that_have_met_meet_again_at_an_address_after_one_of_them_was_killed() {
    let folder = Folder::new("met");
    let (relay, url) = relay(&[]);
    let mut listen = kept(&folder, "listen", "b");
    let (mut listener, id) =
        Running::start(listen.args(["--relay", &url, "--trust", "any", "--open"]), "device ");
    let met = kept(&folder, "connect", "a").args(["--relay", &url, &id]).output().unwrap();
    assert!(met.status.success(), "{}", said(&met));
    // A session is there when the keys of its device are on their way to the disk.
    listener.line("connected by");
    listener.line("left: closed-by-peer");
    listener.signal("KILL");
    listener.end();
    drop(relay);

    let mut listen = kept(&folder, "listen", "b");
    let (_listener, at) = Running::start(listen.args(["--at", "127.0.0.1:0", "--trust", "any"]), "device ");
    let (again, url) = at.split_once(" at ").unwrap();
    assert_eq!(again, id);
    let address = format!("{id}={url}");
    let found = kept(&folder, "connect", "a").args(["--address", &address, &id]).output().unwrap();
    assert!(found.status.success() && said(&found).contains("path Lan"), "{}", said(&found));
}

#[test]
fn a_device_of_which_nothing_is_known_is_not_reached_without_a_relay() {
    let folder = Folder::new("unmet");
    let mut listen = kept(&folder, "listen", "b");
    let (_listener, at) = Running::start(listen.args(["--at", "127.0.0.1:0", "--trust", "any"]), "device ");
    let (id, url) = at.split_once(" at ").unwrap();
    let address = format!("{id}={url}");
    let unknown = kept(&folder, "connect", "a").args(["--address", &address, id]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(4), "{}", said(&unknown));
    assert!(said(&unknown).contains("no relay is reachable: none is used"), "{}", said(&unknown));
}

#[test]
fn a_store_that_cannot_be_used_ends_the_command_with_the_reason() {
    let folder = Folder::new("unusable-store");
    std::fs::write(folder.path("b.store"), "something else").unwrap();
    let unusable = kept(&folder, "listen", "b").args(["--at", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(unusable.status.code(), Some(5));
    assert!(said(&unusable).contains("store: the file holds no store"), "{}", said(&unusable));
    assert_eq!(std::fs::read(folder.path("b.store")).unwrap(), b"something else");
    for wrong in ["id", "abc=ws://127.0.0.1:1"] {
        let wrong = kept(&folder, "listen", "a").args(["--address", wrong]).output().unwrap();
        assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    }
}
