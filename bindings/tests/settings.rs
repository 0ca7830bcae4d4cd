//! Every setting and every method of the core is one in Kotlin and in Swift.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

/// Settings that a façade names otherwise than the core: core, Kotlin, Swift.
const NAMES: &[(&str, &str, &str)] = &[
    ("relay", "relay", "relays"),
    ("trust", "trust", "trusted"),
    ("handler", "handle", "handlers"),
    ("group", "group", "groups"),
    ("member", "member", "members"),
    ("address", "address", "addresses"),
    ("ice_server", "iceServer", "iceServers"),
];

/// Fields of the record that a façade fills from a setting of another name: record, both façades.
const FIELDS: &[(&str, &str)] = &[("services", "handlers"), ("handler", "handlers")];

/// Types of the core, the files that define them and use them, and the receivers of their methods in the second.
const HANDLES: &[(&str, &str, &str, &[&str])] = &[
    ("Client", "core/peers/src/client.rs", "bindings/src/client.rs", &["client", "client()?"]),
    ("Session", "core/peers/src/session.rs", "bindings/src/session.rs", &["session"]),
    ("CallBuilder<'a>", "core/peers/src/session/call.rs", "bindings/src/session.rs", &["call"]),
    ("SendStream", "core/peers/src/session/stream.rs", "bindings/src/stream.rs", &["stream", "send"]),
    ("RecvStream", "core/peers/src/session/stream.rs", "bindings/src/stream.rs", &["stream"]),
    ("Incoming", "core/peers/src/incoming.rs", "bindings/src/event.rs", &["incoming", "decide()?"]),
];

/// Methods of the core that do not cross: type, method, reason.
const NOT_CROSSING: &[(&str, &str, &str)] = &[
    ("Client", "builder", "the record of the settings takes its place"),
    ("Client", "relays", "the bindings keep what `watch_relays` reports"),
    ("Session", "send", "façades encode objects themselves, with `Value`"),
    ("Session", "recv", "messages cross in batches: `recv_many`"),
    ("Session", "call", "`request` does the same, with a group and a timeout"),
    ("Session", "watch_path", "`Event::PathChanged` says the same"),
    ("Session", "watch_status", "`Event::StatusChanged` says the same"),
    ("RecvStream", "bulk", "both directions have one mark: `SendStream::bulk`"),
];

fn source(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn kotlin() -> String {
    source("android/peers/src/main/kotlin/app/peers/sdk/Config.kt")
}

fn swift() -> String {
    source("ios/Peers/Sources/Peers/PeersConfig.swift")
}

fn record() -> String {
    source("bindings/src/config.rs")
}

/// The names that follow `before` in these lines, up to the first character of none.
fn names(source: &str, before: &str, after: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.strip_prefix(before)?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        rest[end..].starts_with(after).then(|| rest[..end].to_owned())
    };
    source.lines().filter_map(name).collect()
}

/// The core's settings: methods of the builder that give it back.
fn settings() -> Vec<String> {
    let settings = names(&source("core/peers/src/builder.rs"), "    pub fn ", "(mut self");
    assert!(settings.len() > 15, "{settings:?}");
    settings
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

#[test]
fn every_setting_of_the_core_is_one_of_both_facades() {
    let (kotlin, swift) = (kotlin(), swift());
    let in_kotlin = [names(&kotlin, "    public var ", ":"), names(&kotlin, "    public fun ", "(")].concat();
    let in_swift = [names(&swift, "    public var ", " ="), names(&swift, "    public var ", ":")].concat();
    let missing = |facade: &str, there: &[String], name: &dyn Fn(&str) -> String| -> Vec<String> {
        let absent = settings().into_iter().filter(|setting| !there.contains(&name(setting)));
        absent.map(|setting| format!("{facade}: {setting} as {}", name(&setting))).collect()
    };
    let named = |setting: &str| NAMES.iter().find(|(core, ..)| *core == setting);
    let missing = [
        missing("Kotlin", &in_kotlin, &|s| named(s).map_or(camel_case(s), |n| n.1.to_owned())),
        missing("Swift", &in_swift, &|s| named(s).map_or(camel_case(s), |n| n.2.to_owned())),
    ]
    .concat();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_setting_crosses() {
    let record = record();
    let unused: Vec<_> = settings().into_iter().filter(|s| !record.contains(&format!(".{s}("))).collect();
    assert!(unused.is_empty(), "the record sets none of {unused:?}");
    // Fields with a default may be left out without an error of the compilers.
    let fields = record.split("pub struct ClientConfig {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let fields = names(fields, "    pub ", ":");
    assert!(fields.len() > 15, "{fields:?}");
    let (kotlin, swift) = (kotlin(), swift());
    for field in fields {
        let name = camel_case(&field);
        let setting = FIELDS.iter().find(|(record, _)| *record == field).map_or("", |(_, setting)| setting);
        for (facade, source, argument) in
            [("Kotlin", &kotlin, format!(" {name} = ")), ("Swift", &swift, format!(" {name}: "))]
        {
            let line = source.lines().rev().find(|line| line.contains(&argument));
            let line = line.unwrap_or_else(|| panic!("{facade} leaves out {name}"));
            assert!(line.contains(setting), "{facade}: {line}");
        }
    }
}

/// The public methods of a type of the core that the bindings do not call.
fn unused_methods((name, definition, user, receivers): &(&str, &str, &str, &[&str])) -> BTreeSet<String> {
    let (definition, user) = (source(definition), source(user));
    let block = definition.split(&format!("\nimpl {name} {{\n")).nth(1);
    let block = block.or_else(|| definition.split(&format!("\nimpl<'a> {name} {{\n")).nth(1));
    let block = block.unwrap_or_else(|| panic!("no methods of {name}")).split("\n}\n").next().unwrap();
    let mut methods = [names(block, "    pub fn ", ""), names(block, "    pub async fn ", "")].concat();
    assert!(methods.len() > 2, "{name}: {methods:?}");
    methods
        .retain(|method| !receivers.iter().any(|receiver| user.contains(&format!("{receiver}.{method}("))));
    methods.into_iter().collect()
}

#[test]
fn every_method_of_the_cores_handles_crosses() {
    for handle in HANDLES {
        let excepted = NOT_CROSSING.iter().filter(|(name, ..)| *name == handle.0);
        let excepted: BTreeSet<_> = excepted.map(|(_, method, _)| (*method).to_owned()).collect();
        assert_eq!(unused_methods(handle), excepted, "methods of {} that do not cross", handle.0);
    }
}

#[test]
fn names_that_are_not_needed_any_more_are_noticed() {
    let settings = settings();
    for (core, ..) in NAMES {
        assert!(settings.iter().any(|setting| setting == core), "{core}");
    }
    for (name, method, _) in NOT_CROSSING {
        assert!(HANDLES.iter().any(|(handle, ..)| handle == name), "{name}::{method}");
    }
}
