//! `cargo xtask framework`: the library of an Apple framework is one that an app can ship.
//!
//! Sources: `<mach-o/loader.h>` for the platforms, "Describing use of required reason API" in Apple's documentation for the
//! reasons.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use goblin::mach::load_command::CommandVariant;
use goblin::mach::{Mach, MachO, SingleArch};

use crate::error::Error;
use crate::library::{found_paths, machine_paths, may_export};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The library.
    library: PathBuf,
    /// The platform it is for.
    #[arg(long, value_enum)]
    platform: Platform,
    /// The oldest version of the system that loads it, such as 16.0.
    #[arg(long, value_parser = parse_version)]
    minimum: u32,
    /// The path by which apps load it.
    #[arg(long)]
    install_name: String,
    /// The privacy manifest beside it.
    #[arg(long)]
    privacy: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Platform {
    Macos = 1,
    Ios = 2,
    IosSimulator = 7,
}

/// Folders of the system's libraries.
const SYSTEM: [&str; 2] = ["/usr/lib/", "/System/Library/Frameworks/"];
/// Folders of the machines that build.
const MACHINES: [&str; 3] = ["/home/", "/root/", "/Users/"];

/// Functions whose use an app has to give a reason for, by their category in a privacy manifest.
const REASONS: [(&str, &[&str]); 3] = [
    (
        "NSPrivacyAccessedAPICategoryFileTimestamp",
        &[
            "_stat",
            "_fstat",
            "_lstat",
            "_fstatat",
            "_getattrlist",
            "_getattrlistbulk",
            "_fgetattrlist",
            "_getattrlistat",
        ],
    ),
    ("NSPrivacyAccessedAPICategorySystemBootTime", &["_mach_absolute_time"]),
    ("NSPrivacyAccessedAPICategoryDiskSpace", &["_statfs", "_fstatfs", "_statvfs", "_fstatvfs"]),
];

/// Checks each architecture and prints what the library is.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let bytes = fs::read(&args.library).map_err(Error::file(&args.library))?;
    let privacy = fs::read_to_string(&args.privacy).map_err(Error::file(&args.privacy))?;
    let failed = |reason: String| Error::Check(format!("{}: {reason}", args.library.display()));
    let mut faults = Vec::new();
    let mut architectures = 0;
    let mut check = |library: &MachO<'_>| {
        architectures += 1;
        let library = Library::of(library);
        faults.extend(library.faults(args, &privacy));
        println!("framework: {} exports, {} imports", library.exports.len(), library.imports.len());
    };
    match Mach::parse(&bytes).map_err(|error| failed(error.to_string()))? {
        Mach::Binary(library) => check(&library),
        Mach::Fat(libraries) => {
            for library in &libraries {
                match library.map_err(|error| failed(error.to_string()))? {
                    SingleArch::MachO(library) => check(&library),
                    SingleArch::Archive(_) => return Err(failed("holds an archive".into())),
                }
            }
        }
    }
    faults.extend(paths_of_machines(&bytes));
    if faults.is_empty() {
        println!("framework: {architectures} architectures, {:.2} MB", bytes.len() as f64 / 1e6);
        Ok(())
    } else {
        Err(failed(faults.join("; ")))
    }
}

/// The facts of one architecture that are checked.
#[derive(Debug, Default)]
struct Library {
    install_name: Option<String>,
    /// Platform and oldest version.
    build: Option<(u32, u32)>,
    libraries: Vec<String>,
    exports: BTreeSet<String>,
    imports: BTreeSet<String>,
}

impl Library {
    fn of(library: &MachO<'_>) -> Self {
        let mut found = Self { install_name: library.name.map(str::to_owned), ..Self::default() };
        for command in &library.load_commands {
            if let CommandVariant::BuildVersion(build) = command.command {
                found.build = Some((build.platform, build.minos));
            }
        }
        // The first is the library itself.
        found.libraries = library.libs.iter().skip(1).map(|&name| name.to_owned()).collect();
        for (name, symbol) in library.symbols().flatten() {
            if symbol.is_stab() {
                continue;
            }
            if symbol.is_undefined() {
                found.imports.insert(name.to_owned());
            } else if symbol.is_global() {
                found.exports.insert(name.to_owned());
            }
        }
        found
    }

    fn faults(&self, args: &Args, privacy: &str) -> Vec<String> {
        let mut faults = Vec::new();
        if self.install_name.as_ref() != Some(&args.install_name) {
            faults.push(format!("install name is {:?}, not {}", self.install_name, args.install_name));
        }
        if self.build != Some((args.platform as u32, args.minimum)) {
            faults.push(format!(
                "platform and version are {:?}, not {:?} {:#x}",
                self.build, args.platform, args.minimum
            ));
        }
        if self.exports.is_empty() {
            faults.push("exports nothing".into());
        }
        // The linker puts an underscore before each name of C.
        for name in self.exports.iter().filter(|name| !name.strip_prefix('_').is_some_and(may_export)) {
            faults.push(format!("exports {name}"));
        }
        for name in self.libraries.iter().filter(|name| !SYSTEM.iter().any(|prefix| name.starts_with(prefix)))
        {
            faults.push(format!("needs {name}"));
        }
        faults.extend(self.reasons_missing(privacy));
        faults
    }

    /// Each category is declared if and only if one of its functions is imported.
    fn reasons_missing(&self, privacy: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for (category, functions) in REASONS {
            let used: Vec<_> = functions.iter().filter(|name| self.imports.contains(**name)).collect();
            match (used.is_empty(), privacy.contains(category)) {
                (false, false) => {
                    faults.push(format!("imports {used:?}, which its privacy manifest does not declare"))
                }
                (true, true) => faults.push(format!("declares {category}, which it does not use")),
                _ => {}
            }
        }
        faults
    }
}

/// Folders of this machine, and those that look like one of another.
fn paths_of_machines(library: &[u8]) -> Vec<String> {
    found_paths(library, &[MACHINES.map(str::to_owned).to_vec(), machine_paths()].concat())
}

/// `16.4` as Mach-O has it: sixteen bits, eight, eight.
fn parse_version(text: &str) -> Result<u32, String> {
    let mut parts = text.split('.').map(str::parse::<u8>);
    let mut next = || parts.next().unwrap_or(Ok(0)).map_err(|error| format!("{text}: {error}"));
    let version = u32::from(next()?) << 16 | u32::from(next()?) << 8 | u32::from(next()?);
    if parts.next().is_some() { Err(format!("{text}: more than three numbers")) } else { Ok(version) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        Args {
            library: PathBuf::new(),
            platform: Platform::Ios,
            minimum: 0x10_0000,
            install_name: "@rpath/A.framework/A".into(),
            privacy: PathBuf::new(),
        }
    }

    fn library() -> Library {
        Library {
            install_name: Some("@rpath/A.framework/A".into()),
            build: Some((2, 0x10_0000)),
            libraries: vec!["/usr/lib/libSystem.B.dylib".into()],
            exports: BTreeSet::from(["_ffi_peers_ffi_rustbuffer_free".into()]),
            imports: BTreeSet::from(["_malloc".into(), "_fstat".into()]),
        }
    }

    const PRIVACY: &str = "<string>NSPrivacyAccessedAPICategoryFileTimestamp</string>";

    #[test]
    fn a_library_as_it_should_be_has_no_faults() {
        assert_eq!(library().faults(&args(), PRIVACY), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_found() {
        let faults: [fn(&mut Library); 6] = [
            |library| library.install_name = Some("/tmp/liba.dylib".into()),
            |library| library.build = Some((7, 0x10_0000)),
            |library| library.build = Some((2, 0x11_0000)),
            |library| library.libraries.push("@rpath/libother.dylib".into()),
            |library| library.exports.extend(["_ring_core_0_17_bn_mul_mont".to_owned()]),
            |library| library.exports.clear(),
        ];
        for (number, spoil) in faults.iter().enumerate() {
            let mut library = library();
            spoil(&mut library);
            assert_eq!(library.faults(&args(), PRIVACY).len(), 1, "fault {number}");
        }
    }

    #[test]
    fn the_privacy_manifest_declares_what_is_used_and_no_more() {
        assert_eq!(library().reasons_missing("").len(), 1);
        let mut unused = library();
        unused.imports.remove("_fstat");
        assert_eq!(unused.reasons_missing(PRIVACY).len(), 1);
    }

    #[test]
    fn a_folder_of_the_machine_is_found_anywhere() {
        assert_eq!(paths_of_machines(b"..src/lib.rs..").len(), 0);
        assert_eq!(paths_of_machines(b"../home/someone/src/lib.rs..").len(), 1);
    }

    #[test]
    fn versions_are_packed_as_in_mach_o() {
        assert_eq!(parse_version("16.0"), Ok(0x10_0000));
        assert_eq!(parse_version("13"), Ok(0x0d_0000));
        assert_eq!(parse_version("16.4.1"), Ok(0x10_0401));
        assert!(parse_version("16.x").is_err());
        assert!(parse_version("1.2.3.4").is_err());
    }
}
