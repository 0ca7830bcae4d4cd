//! The `peers` command.

fn main() {}
