//! `cargo xtask size`: what the library adds to an app.

use std::fs;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::{process, workspace};

/// 7.2 MB, as core/docs/guide/size-and-battery.md says; decimal, as app stores count.
const LIMIT_BYTES: u64 = 7_200_000;

/// The sizes of the last commit. It is committed with a change that moves one of them.
const NOTED: &str = "scripts/xtask/sizes.txt";
/// A hundredth: compilers of one version, on machines that differ, differ by less.
const DRIFT: u64 = 100;

/// Relocations packed: plain ones are 0.2 MB of zeros and counters. Packages for Android have Android's own table, which its
/// loader knows from API 23 on and the host's linker does not write; ELF's is as small.
const LINKER: &str = "link-arg=-Wl,-z,pack-relative-relocs";

/// As in packages for Android.
const METADATA: &str = "bindings/without-metadata.ld";

/// Builds the shared library with the `mobile` profile and checks its size.
pub(crate) fn run() -> Result<(), Error> {
    let build = ["rustc", "--locked", "--profile=mobile", "--package=peers-ffi", "--lib"];
    let mut cargo = workspace::cargo();
    let metadata = format!("link-arg=-Wl,-T,{}", workspace::root().join(METADATA).display());
    let build = cargo.args(build).args(["--crate-type=cdylib", "--", "-C", LINKER, "-C", &metadata]);
    process::run(build)?;
    let library = Metadata::load()?.target_directory.join("mobile/libpeers_ffi.so");
    let bytes = fs::metadata(&library).map_err(Error::file(&library))?.len();
    check(&format!("{}-linux", std::env::consts::ARCH), bytes, LIMIT_BYTES)
}

/// Prints a library's size, its limit and its growth since the last commit. Fails above the limit, and when the size has left
/// the noted one.
fn check(target: &str, bytes: u64, limit: u64) -> Result<(), Error> {
    let (line, fits) = judge(target, bytes, limit, noted(target)?);
    println!("{line}");
    if fits { Ok(()) } else { Err(Error::Check(line)) }
}

/// The target's size that the last commit notes.
pub(crate) fn noted(target: &str) -> Result<Option<u64>, Error> {
    let path = workspace::root().join(NOTED);
    noted_in(&fs::read_to_string(&path).map_err(Error::file(&path))?, target)
}

pub(crate) fn growth(bytes: u64, noted: u64) -> String {
    format!("growth since the last commit {:+} bytes", bytes as i64 - noted as i64)
}

/// The size that `text` notes for a target, on a line of the target and the bytes.
fn noted_in(text: &str, target: &str) -> Result<Option<u64>, Error> {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, bytes)) = line.split_once(' ')
            && name == target
        {
            return match bytes.parse() {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) => Err(Error::Check(format!("{NOTED}: {line}: {error}"))),
            };
        }
    }
    Ok(None)
}

/// The line to print, and whether the size is as it should be.
fn judge(target: &str, bytes: u64, limit: u64, noted: Option<u64>) -> (String, bool) {
    let mut line = format!("size: {target}: {} MB, limit {} MB", megabytes(bytes), megabytes(limit));
    let note = format!("note it in {NOTED} as \"{target} {bytes}\"");
    let mut fits = bytes <= limit;
    match noted {
        Some(noted) => {
            line.push_str(&format!(", {}", growth(bytes, noted)));
            if bytes.abs_diff(noted) * DRIFT > noted {
                line.push_str(&format!(", more than 1 %: if that is wanted, {note}"));
                fits = false;
            }
        }
        None => line.push_str(&format!(", none noted before: {note}")),
    }
    (line, fits)
}

pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{}.{:02}", bytes / 1_000_000, bytes % 1_000_000 / 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_fits_and_one_byte_more_does_not() {
        assert!(judge("arm64", 600, 600, Some(600)).1);
        assert!(!judge("arm64", 601, 600, Some(601)).1);
        assert!(!judge("arm64", 601, 600, None).1);
    }

    #[test]
    fn growth_is_printed_and_more_than_a_hundredth_is_to_be_noted() {
        let told = |bytes| judge("arm64", bytes, 6_000_000, Some(5_000_000));
        let line = "size: arm64: 5.05 MB, limit 6.00 MB, growth since the last commit +50000 bytes";
        assert_eq!(told(5_050_000), (line.to_owned(), true));
        let (line, fits) = told(4_949_999);
        assert!(!fits);
        assert!(line.contains("-50001 bytes, more than 1 %"), "{line}");
        assert!(line.ends_with(r#"note it in scripts/xtask/sizes.txt as "arm64 4949999""#), "{line}");
        assert!(!told(5_050_001).1);
    }

    #[test]
    fn the_noted_size_is_that_of_the_target() {
        let text = "# target bytes\nx86_64-linux 12\narm64-v8a 34\narmeabi-v7a much\n";
        assert_eq!(noted_in(text, "arm64-v8a").unwrap(), Some(34));
        assert_eq!(noted_in(text, "x86_64").unwrap(), None);
        assert!(noted_in(text, "armeabi-v7a").is_err());
    }

    #[test]
    fn sizes_are_printed_in_decimal_megabytes() {
        assert_eq!(megabytes(6_504_321), "6.50");
        assert_eq!(megabytes(12_040_000), "12.04");
    }
}
