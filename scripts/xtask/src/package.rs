//! `cargo xtask package`: what `scripts/package android` has made holds what apps need, and nothing else.

mod elf;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::library::{found_paths, machine_paths};
use crate::size;
use elf::Library;

/// 6.6 MB, for arm64; decimal, as app stores count.
const LIMIT_BYTES: u64 = 6_600_000;

const LIBRARY: &str = "libpeers_ffi.so";
const RULES: &str = "META-INF/proguard/peers.pro";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The AAR, unpacked.
    #[arg(long)]
    aar: PathBuf,
    /// The jar for the JVM, unpacked.
    #[arg(long)]
    jar: PathBuf,
    /// A folder with a file for each ABI: the symbols that the system's libraries have for apps, one a line.
    #[arg(long)]
    symbols: PathBuf,
    /// The folder of the generated Kotlin.
    #[arg(long)]
    bindings: PathBuf,
    /// The ABIs that the AAR has.
    #[arg(required = true)]
    abis: Vec<String>,
}

/// Checks both archives and every native library.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    require(aar_remarks(&entries(&args.aar)?, &args.abis))?;
    require(jar_remarks(&entries(&args.jar)?))?;
    require(manifest_remarks(&read(&args.aar.join("AndroidManifest.xml"))?))?;
    if read(&args.aar.join("proguard.txt"))? != read(&args.jar.join(RULES))? {
        return Err(Error::Check("the AAR and the jar have different rules for R8".to_owned()));
    }
    let bound = bound_functions(&args.bindings)?;
    for abi in &args.abis {
        check_library(args, abi, &bound)?;
    }
    println!("package: entries, rules and native libraries are as they should be");
    Ok(())
}

fn check_library(args: &Args, abi: &str, bound: &BTreeSet<String>) -> Result<(), Error> {
    let path = args.aar.join("jni").join(abi).join(LIBRARY);
    let bytes = fs::read(&path).map_err(Error::file(&path))?;
    let symbols = read(&args.symbols.join(abi))?;
    let library = Library::parse(&bytes).map_err(|reason| Error::Check(format!("{abi}: {reason}")))?;
    let mut remarks = library.remarks(abi, &symbols.lines().collect(), bound);
    remarks.extend(found_paths(&bytes, &machine_paths()));
    let size = bytes.len() as u64;
    if abi == "arm64-v8a" && size > LIMIT_BYTES {
        remarks.push(format!("more than {} MB", size::megabytes(LIMIT_BYTES)));
    }
    // Not compared with a bound: the gate's link and the NDK's differ by more than a change does.
    let growth =
        size::noted(abi)?.map(|noted| format!(", {}", size::growth(size, noted))).unwrap_or_default();
    println!("package: {abi}: {LIBRARY} is {} MB{growth}", size::megabytes(size));
    require(remarks.into_iter().map(|remark| format!("{abi}: {remark}")).collect())
}

fn require(remarks: Vec<String>) -> Result<(), Error> {
    if remarks.is_empty() { Ok(()) } else { Err(Error::Check(remarks.join("\n"))) }
}

fn aar_remarks(entries: &BTreeSet<String>, abis: &[String]) -> Vec<String> {
    let metadata = "META-INF/com/android/build/gradle/aar-metadata.properties";
    let mut wanted: BTreeSet<String> =
        ["AndroidManifest.xml", "R.txt", "classes.jar", "proguard.txt", metadata].map(str::to_owned).into();
    wanted.extend(abis.iter().map(|abi| format!("jni/{abi}/{LIBRARY}")));
    let missing = wanted.difference(entries).map(|entry| format!("AAR: {entry} is missing"));
    let strange = entries.difference(&wanted).map(|entry| format!("AAR: {entry} does not belong there"));
    missing.chain(strange).collect()
}

fn jar_remarks(entries: &BTreeSet<String>) -> Vec<String> {
    let wanted: BTreeSet<String> = [
        "META-INF/MANIFEST.MF",
        "META-INF/peers-facade.kotlin_module",
        "META-INF/peers-generated.kotlin_module",
        RULES,
        "app/peers/sdk/Peers.class",
        &format!("linux-{}/{LIBRARY}", std::env::consts::ARCH.replace('_', "-")),
    ]
    .map(str::to_owned)
    .into();
    let is_class = |entry: &&String| entry.starts_with("app/peers/sdk/") && entry.ends_with(".class");
    let missing = wanted.difference(entries).map(|entry| format!("jar: {entry} is missing"));
    let strange = entries.difference(&wanted).filter(|entry| !is_class(entry));
    missing.chain(strange.map(|entry| format!("jar: {entry} does not belong there"))).collect()
}

fn manifest_remarks(manifest: &str) -> Vec<String> {
    let wanted = [
        "package=\"app.peers.sdk\"",
        "android:minSdkVersion=\"24\"",
        "android.permission.INTERNET",
        "android.permission.ACCESS_NETWORK_STATE",
    ];
    let missing = wanted.iter().filter(|part| !manifest.contains(**part));
    missing.map(|part| format!("AndroidManifest.xml: {part} is missing")).collect()
}

/// The C functions that the generated Kotlin declares.
fn bound_functions(folder: &Path) -> Result<BTreeSet<String>, Error> {
    let mut functions = BTreeSet::new();
    for path in entries(folder)?.iter().filter(|entry| entry.ends_with(".kt")) {
        let source = read(&folder.join(path))?;
        let declared = source.lines().filter_map(|line| line.trim().strip_prefix("external fun "));
        functions.extend(declared.filter_map(|rest| rest.split('(').next()).map(str::to_owned));
    }
    if functions.is_empty() {
        return Err(Error::Check(format!("{}: declares no functions", folder.display())));
    }
    Ok(functions)
}

/// Paths of all files below `folder`, relative to it.
fn entries(folder: &Path) -> Result<BTreeSet<String>, Error> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(Error::file(&next))? {
            let path = entry.map_err(Error::file(&next))?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aar() -> BTreeSet<String> {
        [
            "AndroidManifest.xml",
            "META-INF/com/android/build/gradle/aar-metadata.properties",
            "R.txt",
            "classes.jar",
            "jni/arm64-v8a/libpeers_ffi.so",
            "proguard.txt",
        ]
        .map(str::to_owned)
        .into()
    }

    #[test]
    fn an_aar_has_its_entries_and_no_others() {
        let abis = ["arm64-v8a".to_owned()];
        assert_eq!(aar_remarks(&aar(), &abis), Vec::<String>::new());
        let mut other = aar();
        other.remove("R.txt");
        other.insert("jni/x86_64/libpeers_ffi.so".to_owned());
        assert_eq!(
            aar_remarks(&other, &abis),
            ["AAR: R.txt is missing", "AAR: jni/x86_64/libpeers_ffi.so does not belong there"]
        );
    }

    #[test]
    fn a_jar_has_no_classes_but_the_librarys() {
        let entries = ["app/peers/sdk/Peers.class", "kotlin/Unit.class"].map(str::to_owned).into();
        let remarks = jar_remarks(&entries);
        assert!(remarks.contains(&"jar: kotlin/Unit.class does not belong there".to_owned()), "{remarks:?}");
        assert!(remarks.contains(&format!("jar: {RULES} is missing")), "{remarks:?}");
        assert_eq!(remarks.len(), 6);
    }

    #[test]
    fn a_manifest_without_the_network_is_refused() {
        let manifest =
            r#"<manifest package="app.peers.sdk"><uses-sdk android:minSdkVersion="24"/></manifest>"#;
        assert_eq!(
            manifest_remarks(manifest),
            ["INTERNET", "ACCESS_NETWORK_STATE"]
                .map(|name| format!("AndroidManifest.xml: android.permission.{name} is missing"))
        );
    }
}
