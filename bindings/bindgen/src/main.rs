//! Generates the Kotlin and Swift halves of peers-ffi.

fn main() {
    uniffi::uniffi_bindgen_main();
}
