//! `cargo xtask dependencies`: what `deny.toml` says may be in the dependency tree.
//!
//! The file is one of cargo-deny's, which takes minutes to build. This task reads the part that needs no network: licences,
//! banned crates and sources. Advisories stay with cargo-deny.

use std::fs;

use serde::Deserialize;
use spdx::{Expression, LicenseReq, ParseMode};

use crate::error::Error;
use crate::metadata::{Metadata, Package};
use crate::workspace;

/// The part of `deny.toml` that is judged here.
#[derive(Debug, Deserialize)]
struct Policy {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    name: String,
    reason: String,
}

/// Judges every package of the lock file, with all features and for all targets.
pub(crate) fn run() -> Result<(), Error> {
    let path = workspace::root().join("deny.toml");
    let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    let policy: Policy =
        toml::from_str(&text).map_err(|e| Error::Check(format!("{}: {e}", path.display())))?;
    let packages = Metadata::load_all()?.packages;
    let faults: Vec<_> = packages.iter().flat_map(|package| policy.judge(package)).collect();
    if faults.is_empty() {
        println!("{} packages keep to deny.toml", packages.len());
        Ok(())
    } else {
        Err(Error::Check(faults.join("\n")))
    }
}

impl Policy {
    fn judge(&self, package: &Package) -> Vec<String> {
        let mut faults = Vec::new();
        let name = format!("{} {}", package.name, package.version);
        if let Some(ban) = self.bans.deny.iter().find(|ban| ban.name == package.name) {
            faults.push(format!("{name} is banned: {}", ban.reason));
        }
        match &package.source {
            // A package of the workspace.
            None => {
                let wildcards = package.dependencies.iter().filter(|d| d.req == "*" && d.path.is_none());
                faults.extend(wildcards.map(|d| format!("{name} depends on any version of {}", d.name)));
            }
            Some(source) if !source.starts_with("registry+") => {
                faults.push(format!("{name} does not come from a registry"));
            }
            Some(_) => {}
        }
        let license = package.license.as_deref().unwrap_or_default();
        if !self.allows(license) {
            faults.push(format!("{name} has a licence that is not allowed: {license:?}"));
        }
        faults
    }

    /// True if the allowed licences satisfy an SPDX expression; the old `/` between licences means OR.
    fn allows(&self, license: &str) -> bool {
        Expression::parse_mode(license, ParseMode::LAX)
            .is_ok_and(|expression| expression.evaluate(|required| self.allows_one(required)))
    }

    fn allows_one(&self, required: &LicenseReq) -> bool {
        self.licenses.allow.iter().any(|allowed| *allowed == required.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let licenses = Licenses { allow: ["MIT", "Apache-2.0"].map(str::to_owned).to_vec() };
        let bans = Bans { deny: vec![Ban { name: "sled".to_owned(), reason: "unmaintained".to_owned() }] };
        Policy { licenses, bans }
    }

    fn package(source: Option<&str>, license: &str) -> Package {
        Package {
            name: "some".to_owned(),
            version: "1.0.0".to_owned(),
            license: Some(license.to_owned()),
            source: source.map(str::to_owned),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn one_allowed_licence_of_several_is_enough_and_all_of_a_conjunction_are_needed() {
        let policy = policy();
        for allowed in ["MIT", "MIT/GPL-3.0", "GPL-3.0-only OR Apache-2.0", "MIT AND Apache-2.0"] {
            assert!(policy.allows(allowed), "{allowed}");
        }
        for refused in ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "Apache-2.0 WITH LLVM-exception"] {
            assert!(!policy.allows(refused), "{refused}");
        }
    }

    #[test]
    fn banned_crates_and_other_sources_are_faults() {
        let policy = policy();
        let registry = Some("registry+somewhere");
        assert!(policy.judge(&package(registry, "MIT")).is_empty());
        assert_eq!(policy.judge(&package(Some("git+somewhere"), "MIT")).len(), 1);
        let banned = Package { name: "sled".to_owned(), ..package(registry, "MIT") };
        assert!(policy.judge(&banned)[0].contains("unmaintained"));
    }
}
