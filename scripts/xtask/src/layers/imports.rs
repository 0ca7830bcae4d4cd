//! Names that the sources of a crate use.

use std::path::Path;

use super::paths::{self, NamedPath};
use super::rules::{OS_RANDOMNESS, SourceRules};

/// Every offence of one file, as `line: words`; `inside` is its path from the crate's `src`.
pub(super) fn check(rules: &SourceRules, inside: &Path, source: &str) -> Result<Vec<String>, String> {
    let file = file_module(inside);
    let mut offences = Vec::new();
    if let Some(module) =
        file.first().filter(|name| position(rules, name).is_none() && !rules.order.is_empty())
    {
        offences.push(format!("1: module {module} has no place in the order (layers/rules.rs)"));
    }
    for path in paths::find(source)? {
        offences.extend(offence(rules, &file, &path).map(|words| format!("{}: {words}", path.line)));
    }
    Ok(offences)
}

fn offence(rules: &SourceRules, file: &[String], path: &NamedPath) -> Option<String> {
    let name = path.segments.join("::");
    if let Some((_, instead)) = rules.forbidden.iter().find(|(wanted, _)| names(&path.segments, wanted)) {
        return Some(format!("{name} is forbidden here: {instead}"));
    }
    let sans_io = !rules.order.is_empty();
    if sans_io && path.segments.iter().any(|segment| OS_RANDOMNESS.contains(&segment.as_str())) {
        return Some(format!("{name} is forbidden here: randomness is an argument"));
    }
    let here = file.first()?;
    let there = target_module(rules, file, path)?;
    let (from, to) = (position(rules, here)?, position(rules, &there)?);
    (to > from).then(|| format!("{here} must not import {there}, which is to its right"))
}

/// True if `segments` reach `wanted`, its parent by a glob, or the parent module itself (from where it is one step).
fn names(segments: &[String], wanted: &str) -> bool {
    let wanted: Vec<&str> = wanted.split("::").collect();
    let segments: Vec<&str> =
        segments.iter().map(String::as_str).filter(|name| !matches!(*name, "self" | "*")).collect();
    if segments.len() >= wanted.len() {
        return segments.starts_with(&wanted);
    }
    match wanted.split_last() {
        Some((_, parent)) if parent.len() > 1 => segments == parent,
        _ => false,
    }
}

/// The top-level module of this crate that `path` leads into.
fn target_module(rules: &SourceRules, file: &[String], path: &NamedPath) -> Option<String> {
    let first = path.segments.first()?;
    if first == "crate" || first == rules.name {
        return path.segments.get(1).cloned();
    }
    let ups = path.segments.iter().take_while(|name| *name == "super").count();
    let depth = file.len() + path.modules.len();
    (ups > 0 && ups == depth).then(|| path.segments.get(ups).cloned()).flatten()
}

fn position(rules: &SourceRules, module: &str) -> Option<usize> {
    rules.order.iter().position(|name| *name == module)
}

/// `codec/frame.rs` is the module `codec::frame`; `lib.rs` is the root, which may name all.
fn file_module(inside: &Path) -> Vec<String> {
    let mut segments: Vec<String> =
        inside.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if segments.last().is_some_and(|name| name == "mod" || name == "lib" || name == "main") {
        segments.pop();
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: SourceRules = SourceRules {
        folder: "core/proto/src",
        name: "peers_proto",
        order: &["limits", "id", "codec", "session"],
        forbidden: &[
            ("tokio", "no tasks"),
            ("std::net", "no sockets"),
            ("std::time::Instant", "no clock"),
            ("rand::thread_rng", "no randomness"),
        ],
    };

    fn offences(file: &str, source: &str) -> Vec<String> {
        check(&RULES, Path::new(file), source).unwrap()
    }

    #[test]
    fn an_import_from_the_left_is_allowed() {
        let source = "use crate::limits::MAX; use crate::{id::DeviceId, codec};";
        assert!(offences("session.rs", source).is_empty());
        assert!(offences("lib.rs", "pub use session::Session; pub use crate::id::DeviceId;").is_empty());
    }

    #[test]
    fn an_import_from_the_right_is_reported_with_its_line() {
        assert_eq!(
            offences("id.rs", "\nuse crate::{limits, session::Session};"),
            ["2: id must not import session, which is to its right"]
        );
    }

    #[test]
    fn every_way_to_write_a_wrong_import_is_reported() {
        for source in [
            "use crate::session::Session;",
            "use super::session;",
            "use peers_proto::session::Session;",
            "fn f() -> crate::session::Session { todo!() }",
            "mod tests { use super::super::session::Session; }",
            "fn f() { assert!(crate::session::ok()); }",
        ] {
            assert_eq!(offences("id.rs", source).len(), 1, "{source}");
        }
        assert_eq!(offences("codec/frame.rs", "use super::super::session::Session;").len(), 1);
    }

    #[test]
    fn a_module_may_import_from_itself() {
        assert!(
            offences("codec/frame.rs", "use super::varint; use crate::codec::batch; use self::x::y;")
                .is_empty()
        );
        assert!(offences("id.rs", "mod tests { use super::session; }").is_empty());
    }

    #[test]
    fn a_module_outside_the_order_is_reported() {
        assert_eq!(
            offences("extra.rs", "")[0],
            "1: module extra has no place in the order (layers/rules.rs)"
        );
    }

    #[test]
    fn runtimes_sockets_clocks_and_randomness_are_forbidden_however_imported() {
        for source in [
            "use tokio::sync::mpsc;",
            "use tokio;",
            "fn f() { tokio::spawn(async {}); }",
            "use std::{net::UdpSocket, fmt};",
            "use std::time::{Duration, Instant};",
            "use std::time;",
            "use std::time::*;",
            "use std::time::{self, Duration};",
            "fn f() { let x = std::time::Instant::now(); }",
            "fn f() { rand::thread_rng(); }",
            "use rand_core::OsRng;",
            "fn f(r: &mut OsRng) {}",
        ] {
            assert_eq!(offences("lib.rs", source).len(), 1, "{source}");
        }
    }

    #[test]
    fn durations_and_our_own_instant_are_allowed() {
        assert!(offences("session.rs", "use std::time::Duration; use core::net::IpAddr;").is_empty());
        assert!(offences("session.rs", "fn f(now: time::Instant) {}").is_empty());
    }
}
