//! Events as programs read them: one JSON object a line, on standard output.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Folder, PEERS, Receiver, Running, peers, relay, said};

/// The events of a command that ends with this status. Nothing else is on standard output, and nothing for people beside it.
fn events(command: &mut Command, status: i32) -> Vec<Value> {
    let output = command.arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{}", said(&output));
    assert!(output.stderr.is_empty(), "{}", said(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn named<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("no {name} in {events:#?}"))
}

/// The next event of this name.
fn next(listener: &Running, name: &str) -> Value {
    let line = listener.line(&format!(r#"{{"event":"{name}""#));
    serde_json::from_str(&line).unwrap()
}

#[test]
fn an_identity_is_an_object_with_its_device() {
    let folder = Folder::new("json-id");
    let id = || {
        let mut id = peers(["id", "--identity"]);
        id.arg(folder.path("a.key"));
        id
    };
    let plain = String::from_utf8(id().output().unwrap().stdout).unwrap();
    assert_eq!(events(&mut id(), 0), [json!({ "event": "identity", "device": plain.trim() })]);
    let refused = events(&mut peers(["id", "--identity", "/dev/null"]), 5);
    assert_eq!((&refused[0]["event"], &refused[0]["code"]), (&json!("error"), &json!("identity")));
    assert!(refused[0]["message"].as_str().unwrap().contains("regular file"), "{refused:?}");
}

#[test]
fn a_session_is_an_event_at_both_ends() {
    let folder = Folder::new("json-session");
    let (_relay, url) = relay(&[]);
    let mut listen = peers(["listen", "--json", "--relay", &url, "--trust", "any", "--open", "--loopback"]);
    let listener = Running::new(listen.arg("--identity").arg(folder.path("b.key")));
    let device = next(&listener, "listening")["device"].as_str().unwrap().to_owned();
    assert_eq!(next(&listener, "state"), json!({ "event": "state", "state": "online" }));

    let mut connect = peers(["connect", "--relay", &url, "--loopback", "--ways", "relay", "--name", "a"]);
    connect.arg("--identity").arg(folder.path("a.key")).arg(&device);
    let told = events(&mut connect, 0);
    let connected = named(&told, "connected");
    assert_eq!((&connected["device"], &connected["path"]), (&json!(device), &json!("relay")));
    assert!(connected["ms"].as_f64().unwrap() > 0.0, "{connected}");
    assert!(named(&told, "measured")["call_us"].as_u64().unwrap() > 0, "{told:?}");

    let met = next(&listener, "connected");
    let caller = met["device"].clone();
    let expected = json!({ "event": "connected", "device": caller, "name": "a", "path": "relay" });
    assert_eq!(met, expected);
    let left = next(&listener, "disconnected");
    assert_eq!((&left["device"], &left["reason"]), (&caller, &json!("closed-by-peer")));
}

#[test]
fn a_file_has_the_same_sha256_at_both_ends_and_a_refusal_its_code() {
    let mut listener = Command::new(PEERS);
    listener.args(["listen", "--json"]);
    let receiver = Receiver::listen("json-file", listener);
    let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let told = events(&mut receiver.send("note", b"hello"), 0);
    let sent = named(&told, "sent");
    assert_eq!(
        (&sent["name"], &sent["bytes"], &sent["sha256"]),
        (&json!("note"), &json!(5), &json!(sha256)),
        "{sent}"
    );
    let received = next(&receiver.listener, "received");
    assert_eq!(
        (&received["name"], &received["bytes"], &received["sha256"]),
        (&json!("note"), &json!(5), &json!(sha256)),
        "{received}"
    );

    let told = events(&mut receiver.send("note", b"hello"), 3);
    let refused = named(&told, "error");
    assert_eq!(refused["code"], "not-taken", "{refused}");
    let not_received = next(&receiver.listener, "not_received");
    assert_eq!(not_received["name"], "note");
    assert!(not_received["message"].as_str().unwrap().contains("is there already"), "{not_received}");
}

#[test]
fn a_relay_that_is_not_reached_is_an_error_with_its_code() {
    let folder = Folder::new("json-offline");
    let nothing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{nothing}");
    let mut connect = peers(["connect", "--relay", &url, "--identity"]);
    let told = events(connect.arg(folder.path("a.key")).arg("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 4);
    assert_eq!(named(&told, "error")["code"], "offline");

    let mut listen = peers(["listen", "--json", "--relay", &url, "--identity"]);
    let listener = Running::new(listen.arg(folder.path("a.key")));
    let problem = next(&listener, "relay_problem");
    assert_eq!((&problem["relay"], &problem["code"]), (&json!(url), &json!("unreachable")), "{problem}");
}

#[test]
fn a_listener_whose_events_nothing_reads_ends() {
    let folder = Folder::new("json-unread");
    let (_relay, url) = relay(&[]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut listen = peers(["listen", "--json", "--relay", &url, "--identity"]);
    let listen = listen.arg(folder.path("a.key")).stdout(writer).stderr(Stdio::piped());
    assert_eq!(listen.output().unwrap().status.code(), Some(141));
}
