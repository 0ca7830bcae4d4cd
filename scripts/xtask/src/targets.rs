//! `cargo xtask targets`: the library type-checks for the phones.
//!
//! Rust's mobile standard libraries are built from source by the toolchain that `scripts/setup mobile` unpacks, with C
//! compilers that need neither the NDK nor Xcode: this checks, it does not link.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::{process, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Targets to check.
    #[arg(default_values = TARGETS)]
    targets: Vec<String>,
}

const TARGETS: [&str; 4] =
    ["aarch64-linux-android", "x86_64-linux-android", "aarch64-apple-ios", "aarch64-apple-ios-sim"];

/// Unpacks the toolchain where it is missing and checks each target.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    process::run(Command::new(workspace::root().join("scripts/setup")).arg("mobile"))?;
    let toolchain = Toolchain { root: workspace::tools_dir().join("mobile") };
    for target in &args.targets {
        process::run(&mut toolchain.check(target))?;
        println!("targets: {target} ok");
    }
    println!("targets: {} ok", args.targets.len());
    Ok(())
}

/// The toolchain that `scripts/setup mobile` unpacks.
struct Toolchain {
    root: PathBuf,
}

impl Toolchain {
    /// `cargo check` of the bindings for `target`, standard library included.
    fn check(&self, target: &str) -> Command {
        let usr = self.root.join("root/usr");
        let underscored = target.replace('-', "_");
        let mut command = Command::new(usr.join("bin/cargo"));
        command
            .args(["check", "--locked", "--package=peers-ffi", "--lib", "--target", target])
            .arg("-Zbuild-std=std,panic_unwind")
            .arg("--target-dir")
            .arg(workspace::build_dir().join("targets"))
            .current_dir(workspace::root())
            .env("RUSTC", usr.join("bin/rustc"))
            // The standard library's sources need the compiler's own unstable features.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("LD_LIBRARY_PATH", library_path(&usr))
            .env("IPHONEOS_DEPLOYMENT_TARGET", "16.0")
            .env("SDKROOT", self.root.join("ios"))
            .env(format!("CC_{underscored}"), self.root.join("bin").join(format!("{target}-cc")))
            .env(format!("AR_{underscored}"), "llvm-ar")
            .env_remove("CARGO")
            .env_remove("RUSTUP_TOOLCHAIN");
        command
    }
}

fn library_path(usr: &Path) -> std::ffi::OsString {
    let mut path = usr.join("lib").join(format!("{}-linux-gnu", std::env::consts::ARCH)).into_os_string();
    if let Some(inherited) = std::env::var_os("LD_LIBRARY_PATH") {
        path.push(":");
        path.push(inherited);
    }
    path
}
