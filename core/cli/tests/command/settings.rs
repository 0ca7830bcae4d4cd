//! Arguments and settings that cannot work, and those that do not meet.

use std::process::Command;

use crate::support::{Folder, Running, peers, relay, said};

/// A file or an identity is at fault.
const FILE: Option<i32> = Some(5);
/// A setting is at fault.
const SETTING: Option<i32> = Some(6);

/// The words of a command that ends with this status.
fn refusal(command: &mut Command, expected: Option<i32>) -> String {
    let (status, said) = Running::new(command).end();
    assert_eq!(status.code(), expected, "{said}");
    said
}

#[test]
fn an_identity_that_is_no_regular_file_is_refused_as_such() {
    let folder = Folder::new("irregular");
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for irregular in [&folder.path(""), &pipe, &"/dev/null".into()] {
        let said = refusal(peers(["id", "--identity"]).arg(irregular), FILE);
        assert!(said.contains("it is not a regular file") && !said.contains("chmod"), "{said}");
    }
}

#[test]
fn a_folder_for_received_files_that_is_none_is_refused_at_the_start() {
    let folder = Folder::new("no-folder");
    std::fs::write(folder.path("file"), "").unwrap();
    for (save, why) in [("missing", "No such file or directory"), ("file", "not a directory")] {
        let mut listen = peers(["listen", "--relay", "ws://127.0.0.1:1", "--identity"]);
        let said = refusal(listen.arg(folder.path("a.key")).arg("--save").arg(folder.path(save)), FILE);
        assert!(said.starts_with("peers: --save ") && said.contains(save) && said.contains(why), "{said}");
    }
}

#[test]
fn what_is_no_regular_file_is_not_sent() {
    let folder = Folder::new("not-sent");
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (path, why) in [(folder.path(""), "is a directory"), (pipe, "not a regular file")] {
        let id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let mut send = peers(["send", "--relay", "ws://127.0.0.1:1", "--identity"]);
        let said = refusal(send.arg(folder.path("a.key")).arg(id).arg(path), FILE);
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_pin_or_an_authority_that_would_not_be_used_is_refused() {
    let folder = Folder::new("unused");
    let authority = folder.path("ca.pem");
    std::fs::write(&authority, "?").unwrap();
    for (flag, value) in [("--relay-pin", "00".repeat(32)), ("--relay-ca", authority.display().to_string())] {
        let mut listen = peers(["listen", "--relay", "ws://127.0.0.1:1", flag, &value, "--identity"]);
        let said = refusal(listen.arg(folder.path("a.key")), SETTING);
        assert!(said.contains("an authority or a pin takes wss://"), "{said}");
    }
}

#[test]
fn a_limit_of_zero_is_refused_with_its_name_and_its_range() {
    let said = refusal(&mut peers(["relay", "--set", "limits.max_sockets=0"]), SETTING);
    assert_eq!(said, "peers: command line: `limits.max_sockets`: 0 is too small, expected 1 or more\n");
}

#[test]
fn a_devices_token_in_the_environment_is_no_setting_of_the_relay() {
    let folder = Folder::new("token");
    let mut command = peers(["relay", "--listen", "127.0.0.1:0"]);
    command.args(["--set", "access.rule=token", "--set", "access.tokens=hush"]);
    let (_relay, address) = Running::start(command.env("PEERS_TOKEN", "hush"), "listening on ");
    let url = format!("ws://{address}");
    let mut listen = peers(["listen", "--relay", &url, "--identity"]);
    Running::new(listen.arg(folder.path("a.key")).env("PEERS_TOKEN", "hush")).line("Online");
}

#[test]
fn help_is_true() {
    let help = |command| said(&peers([command, "--help"]).output().unwrap());
    assert!(help("relay").contains("PEERS_RELAY_*"));
    let listen = help("listen");
    assert!(listen.contains("others are refused") && listen.contains("openssl x509"), "{listen}");
    assert!(help("demo").contains("two of this command"));
    let all = said(&peers(["--help"]).output().unwrap());
    assert!(all.contains("3    the other device says no (denied, not-taken)"), "{all}");
}

#[test]
fn a_log_that_no_terminal_shows_has_no_colours_and_tells_the_relays_start() {
    let mut relay = peers(["relay", "--listen", "127.0.0.1:0", "--set", "names=relay.example.com"]);
    let line = Running::new(&mut relay).line("relay named");
    assert!(
        line.contains("INFO") && line.contains("relay.example.com") && !line.contains('\u{1b}'),
        "{line:?}"
    );
}

#[test]
fn a_relays_log_has_its_start_and_the_devices_that_come_and_go() {
    let folder = Folder::new("relay-log");
    let (mut relay, url) = relay(&[]);
    let id = peers(["id", "--identity"]).arg(folder.path("a.key")).output().unwrap();
    let field = format!("device={}", String::from_utf8(id.stdout).unwrap().trim());
    let mut listen = peers(["listen", "--relay", &url, "--identity"]);
    let mut listener = Running::new(listen.arg(folder.path("a.key")));
    let line = relay.line("device registered");
    assert!(line.contains("INFO") && line.contains(&field), "{line}");
    listener.signal("TERM");
    listener.end();
    let line = relay.line("device left");
    assert!(line.contains("INFO") && line.contains(&field), "{line}");
    relay.signal("TERM");
    let (_, rest) = relay.end();
    assert!(rest.contains("relay stops"), "{rest}");
}
