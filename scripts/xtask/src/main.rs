//! Checks and builds that need more than a shell.

fn main() {}
