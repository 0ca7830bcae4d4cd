//! One native library, as Android's loader sees it.

use std::collections::BTreeSet;

use goblin::elf::dynamic::DT_TEXTREL;
use goblin::elf::header::{EM_AARCH64, EM_ARM, EM_X86_64};
use goblin::elf::program_header::PT_LOAD;
use goblin::elf::sym::STB_WEAK;
use goblin::elf::{Elf, Sym};

use crate::library::may_export;

/// Pages of 16 KB: what Android asks of apps from version 15 on.
const PAGE: u64 = 16 * 1024;

/// The table of packed relocations, which goblin does not name (gABI, "Relative relocation table").
const DT_RELR: u64 = 36;

/// Libraries that apps may use at every API level.
const SYSTEM: [&str; 4] = ["libc.so", "libdl.so", "liblog.so", "libm.so"];

pub(super) struct Library<'a> {
    elf: Elf<'a>,
}

impl<'a> Library<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        match Elf::parse(bytes) {
            Ok(elf) if elf.is_lib => Ok(Self { elf }),
            Ok(_) => Err("not a shared library".to_owned()),
            Err(error) => Err(format!("not ELF: {error}")),
        }
    }

    /// Its faults for `abi`, whose system has `symbols` for apps; the bindings call `bound`.
    pub(super) fn remarks(
        &self,
        abi: &str,
        symbols: &BTreeSet<&str>,
        bound: &BTreeSet<String>,
    ) -> Vec<String> {
        let exports = self.names(|symbol| !symbol.is_import());
        // A weak one may be missing: the code asks whether it is there.
        let imports = self.names(|symbol| symbol.is_import() && symbol.st_bind() != STB_WEAK);
        let mut remarks = self.shape(abi);
        remarks.extend(stray_exports(&exports));
        remarks.extend(missing_exports(&exports, bound));
        remarks.extend(stray_imports(&imports, symbols));
        remarks
    }

    fn shape(&self, abi: &str) -> Vec<String> {
        let mut remarks = Vec::new();
        if Some(self.elf.header.e_machine) != machine(abi) {
            remarks.push(format!("is for machine {}", self.elf.header.e_machine));
        }
        if self.elf.soname != Some(super::LIBRARY) {
            remarks.push(format!("its soname is {:?}", self.elf.soname));
        }
        let strange = self.elf.libraries.iter().filter(|library| !SYSTEM.contains(library));
        remarks.extend(strange.map(|library| format!("needs {library}")));
        let segments = self.elf.program_headers.iter().filter(|segment| segment.p_type == PT_LOAD);
        let narrow = segments.filter(|segment| segment.p_align % PAGE != 0);
        remarks.extend(narrow.map(|segment| format!("a segment is aligned to {:#x}", segment.p_align)));
        if self.has(DT_TEXTREL) {
            remarks.push("has relocations in code".to_owned());
        }
        // Loaders read this table from API 30 on; below it every pointer would stay wrong.
        if self.has(DT_RELR) {
            remarks.push("has relocations in a table that API 24 does not know".to_owned());
        }
        remarks
    }

    fn has(&self, tag: u64) -> bool {
        self.elf.dynamic.iter().flat_map(|dynamic| &dynamic.dyns).any(|entry| entry.d_tag == tag)
    }

    fn names(&self, wanted: impl Fn(&Sym) -> bool) -> BTreeSet<&str> {
        let symbols = self.elf.dynsyms.iter().filter(|symbol| symbol.st_name != 0 && wanted(symbol));
        symbols.filter_map(|symbol| self.elf.dynstrtab.get_at(symbol.st_name)).collect()
    }
}

fn machine(abi: &str) -> Option<u16> {
    match abi {
        "arm64-v8a" => Some(EM_AARCH64),
        "armeabi-v7a" => Some(EM_ARM),
        "x86_64" => Some(EM_X86_64),
        _ => None,
    }
}

fn stray_exports(exports: &BTreeSet<&str>) -> Vec<String> {
    exports.iter().filter(|name| !may_export(name)).map(|name| format!("exports {name}")).collect()
}

fn missing_exports(exports: &BTreeSet<&str>, bound: &BTreeSet<String>) -> Vec<String> {
    let missing = bound.iter().filter(|name| !exports.contains(name.as_str()));
    missing.map(|name| format!("does not export {name}, which the bindings call")).collect()
}

fn stray_imports(imports: &BTreeSet<&str>, symbols: &BTreeSet<&str>) -> Vec<String> {
    imports
        .difference(symbols)
        .map(|name| format!("imports {name}, which the system does not have"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_those_of_the_bindings_and_of_the_lane() {
        let exports = ["uniffi_peers_ffi_fn_start", "peers_lane_send", "malloc"].into();
        assert_eq!(stray_exports(&exports), ["exports malloc"]);
        let bound = ["uniffi_peers_ffi_fn_start", "uniffi_peers_ffi_fn_stop"].map(str::to_owned).into();
        let missing = missing_exports(&exports, &bound);
        assert_eq!(missing, ["does not export uniffi_peers_ffi_fn_stop, which the bindings call"]);
    }

    #[test]
    fn imports_are_what_the_system_has() {
        let remarks = stray_imports(&["read", "getrandom"].into(), &["read", "write"].into());
        assert_eq!(remarks, ["imports getrandom, which the system does not have"]);
    }

    // It is for Linux and far from what Android loads.
    #[test]
    fn the_hosts_c_library_is_refused() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let path = maps.split_whitespace().find(|word| word.ends_with("/libc.so.6")).unwrap();
        let bytes = std::fs::read(path).unwrap();
        let library = Library::parse(&bytes).unwrap();
        let remarks = library.remarks("armeabi-v7a", &BTreeSet::new(), &["peers".to_owned()].into());
        for part in [
            "is for machine",
            "its soname is",
            "needs ld-linux",
            "aligned to 0x1000",
            "exports malloc",
            "imports __",
        ] {
            assert!(remarks.iter().any(|remark| remark.contains(part)), "{part}: {remarks:?}");
        }
    }

    #[test]
    fn what_is_no_library_is_refused() {
        assert!(Library::parse(b"#!/bin/sh\n").is_err());
    }
}
