//! Dependencies between crates.

use super::rules::{EDGES, NOT_SANS_IO, RESERVED};
use crate::metadata::{Dependency, Package};

/// Every dependency that the rules forbid, in words.
pub(super) fn check(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<String> {
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
        return vec![format!("{}: not in the table of crates (layers/rules.rs)", package.name)];
    };
    let forbidden = |dependency: &&Dependency| {
        is_forbidden_edge(dependency, allowed)
            || is_forbidden(RESERVED, |users| !users.contains(&package.name.as_str()), &dependency.name)
            || NOT_SANS_IO
                .iter()
                .any(|(name, crates)| *name == package.name && crates.contains(&dependency.name.as_str()))
    };
    let offences = package.dependencies.iter().filter(forbidden);
    offences.map(|dependency| format!("{} must not depend on {}", package.name, dependency.name)).collect()
}

/// Tests may use any crate of ours: cargo itself refuses cycles.
fn is_forbidden_edge(dependency: &Dependency, allowed: &[&str]) -> bool {
    let ours = EDGES.iter().any(|(name, _)| *name == dependency.name);
    ours && dependency.kind.as_deref() != Some("dev") && !allowed.contains(&dependency.name.as_str())
}

fn is_forbidden(table: &[(&str, &[&str])], refused: impl Fn(&[&str]) -> bool, name: &str) -> bool {
    table.iter().any(|(reserved, users)| *reserved == name && refused(users))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| Dependency {
                name: (*name).into(),
                kind: kind.map(Into::into),
                ..Dependency::default()
            })
            .collect();
        Package { name: name.into(), dependencies, ..Package::default() }
    }

    #[test]
    fn an_edge_to_the_left_is_allowed() {
        assert!(check(&[package("peers", &[("peers-proto", None), ("tokio", None)])]).is_empty());
    }

    #[test]
    fn an_edge_to_the_right_is_reported() {
        assert_eq!(
            check(&[package("peers-proto", &[("peers", None)])]),
            ["peers-proto must not depend on peers"]
        );
        assert_eq!(
            check(&[package("peers-relay", &[("peers", None)])]),
            ["peers-relay must not depend on peers"]
        );
        assert_eq!(
            check(&[package("peers-ffi", &[("peers-proto", None)])]),
            ["peers-ffi must not depend on peers-proto"]
        );
    }

    #[test]
    fn a_build_script_obeys_the_same_edges() {
        assert_eq!(check(&[package("peers-proto", &[("peers", Some("build"))])]).len(), 1);
    }

    #[test]
    fn tests_may_use_every_crate_of_ours() {
        assert!(check(&[package("peers", &[("peers-relay", Some("dev"))])]).is_empty());
    }

    #[test]
    fn uniffi_stays_in_the_bindings_even_in_tests() {
        assert!(check(&[package("peers-ffi", &[("uniffi", None)])]).is_empty());
        assert_eq!(
            check(&[package("peers", &[("uniffi", Some("dev"))])]),
            ["peers must not depend on uniffi"]
        );
    }

    #[test]
    fn the_sans_io_crate_sees_no_runtime() {
        assert_eq!(
            check(&[package("peers-proto", &[("tokio", Some("dev"))])]),
            ["peers-proto must not depend on tokio"]
        );
    }

    #[test]
    fn an_unknown_crate_is_reported() {
        assert_eq!(
            check(&[package("peers-utils", &[])]),
            ["peers-utils: not in the table of crates (layers/rules.rs)"]
        );
    }
}
