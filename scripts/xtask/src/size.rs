//! `cargo xtask size`: what the library adds to an app.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::{process, workspace};

/// 6.5 MB, the promise of the README; decimal, as app stores count.
const LIMIT_BYTES: u64 = 6_500_000;

/// Relocations packed: plain ones are 0.2 MB of zeros and counters. Packages for Android have Android's own table, which its
/// loader knows from API 23 on and the host's linker does not write; ELF's is as small.
const LINKER: &str = "link-arg=-Wl,-z,pack-relative-relocs";

/// Builds the shared library with the `mobile` profile and checks its size.
pub(crate) fn run() -> Result<(), Error> {
    let build = ["rustc", "--locked", "--profile=mobile", "--package=peers-ffi", "--lib"];
    let mut cargo = workspace::cargo();
    let build = cargo.args(build).args(["--crate-type=cdylib", "--", "-C", LINKER]);
    process::run(build)?;
    let library = Metadata::load()?.target_directory.join("mobile/libpeers_ffi.so");
    let bytes = fs::metadata(&library).map_err(Error::file(&library))?.len();
    report(&library, bytes)
}

fn report(library: &Path, bytes: u64) -> Result<(), Error> {
    let name = library.file_name().unwrap_or_default().to_string_lossy();
    let line = format!("size: {name} is {} MB, limit {} MB", megabytes(bytes), megabytes(LIMIT_BYTES));
    println!("{line}");
    if bytes <= LIMIT_BYTES { Ok(()) } else { Err(Error::Check(line)) }
}

pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{}.{:02}", bytes / 1_000_000, bytes % 1_000_000 / 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_fits_and_one_byte_more_does_not() {
        assert!(report(Path::new("lib.so"), LIMIT_BYTES).is_ok());
        assert!(report(Path::new("lib.so"), LIMIT_BYTES + 1).is_err());
    }

    #[test]
    fn sizes_are_printed_in_decimal_megabytes() {
        assert_eq!(megabytes(6_504_321), "6.50");
        assert_eq!(megabytes(12_040_000), "12.04");
    }
}
