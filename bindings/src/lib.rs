//! The Peers SDK for Kotlin and Swift.
