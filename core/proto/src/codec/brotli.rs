//! A Brotli encoder (RFC 7932) of a phone's size.
//!
//! The encoder of the `brotli` crate adds 0.9 MB to an app, most of it for qualities and tables that objects of at most
//! [`MAX_MESSAGE`](crate::limits::MAX_MESSAGE) never need (ADR 5). This one finds matches in a table of recent positions. It
//! writes each block of the input with three prefix codes, which that crate builds. It has no dictionary, no contexts, no block
//! types.

mod bits;
mod commands;
mod matches;

use bits::BitWriter;
use commands::CopyCommand;
use matches::Matches;

/// Input bytes of one meta-block: its prefix codes follow the content.
const META_BLOCK: usize = 128 * 1024;
/// The smallest window, in bits (section 9.1).
const MIN_WINDOW_BITS: u32 = 10;
/// Distances reach so much less far than the window.
const WINDOW_GAP: usize = 16;

/// The body as a Brotli stream of at most `limit` bytes with a window of at most `window_bits`. `None`, as soon as it
/// shows, if that cannot be.
pub(super) fn encode(body: &[u8], window_bits: u32, limit: usize) -> Option<Vec<u8>> {
    // The decoder allocates the window.
    let window_bits = body.len().next_power_of_two().ilog2().clamp(MIN_WINDOW_BITS, window_bits);
    let mut out = BitWriter::new(body.len() / 4);
    write_window(&mut out, window_bits);
    let mut matches = Matches::new(body, (1 << window_bits) - WINDOW_GAP);
    let mut start = 0;
    while start < body.len() {
        let end = body.len().min(start + META_BLOCK);
        let found = matches.find_until(end);
        write_meta_block(&mut out, &body[start..end], &found);
        if out.len() > limit {
            return None;
        }
        start = end;
    }
    out.write(2, 0b11); // the last meta-block, and empty
    let stream = out.finish();
    (stream.len() <= limit).then_some(stream)
}

/// Section 9.1.
fn write_window(out: &mut BitWriter, bits: u32) {
    match bits {
        16 => out.write(1, 0),
        17 => out.write(7, 1),
        18.. => out.write(4, u64::from((bits - 17) << 1 | 1)),
        _ => out.write(7, u64::from((bits - 8) << 4 | 1)),
    }
}

/// Section 9.2: one block type and one prefix code for each of literals, commands and distances.
fn write_meta_block(out: &mut BitWriter, block: &[u8], found: &[CopyCommand]) {
    write_header(out, block.len());
    let (mut literals, mut commands, mut distances) = ([0; 256], [0; 704], [0; 64]);
    for (command, inserted) in with_literals(found, block) {
        inserted.iter().for_each(|literal| literals[usize::from(*literal)] += 1);
        commands[command.symbol()] += 1;
        if let Some(distance) = command.distance() {
            distances[distance.symbol()] += 1;
        }
    }
    let literals = out.write_prefix_code(&literals);
    let commands = out.write_prefix_code(&commands);
    let distances = out.write_prefix_code(&distances);
    for (command, inserted) in with_literals(found, block) {
        commands.write(out, command.symbol());
        command.write_lengths(out);
        for literal in inserted {
            literals.write(out, usize::from(*literal));
        }
        if let Some(distance) = command.distance() {
            distances.write(out, distance.symbol());
            distance.write_rest(out);
        }
    }
}

/// `len`: 1 to [`META_BLOCK`].
fn write_header(out: &mut BitWriter, len: usize) {
    let nibbles = if len <= 1 << 16 { 4 } else { 5 };
    out.write(1, 0); // not the last
    out.write(2, nibbles - 4);
    out.write(nibbles as u32 * 4, len as u64 - 1);
    out.write(1, 0); // compressed
    // Three times one block type, no postfix and direct distances, the first context mode, twice one tree.
    out.write(3 + 2 + 4 + 2 + 2, 0);
}

/// Each command with the bytes it inserts.
fn with_literals<'a>(
    found: &'a [CopyCommand],
    block: &'a [u8],
) -> impl Iterator<Item = (&'a CopyCommand, &'a [u8])> {
    let mut rest = block;
    found.iter().map(move |command| {
        let (inserted, copied) = rest.split_at(command.inserted());
        rest = copied.get(command.copied()..).unwrap_or_default();
        (command, inserted)
    })
}

#[cfg(test)]
mod tests;
