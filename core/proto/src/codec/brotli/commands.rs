//! Commands: insert so many literals, then copy so many bytes from so far back (sections 4 and 5).

use super::bits::BitWriter;

/// The least length of each insert length code; the extra bits reach up to the next.
const INSERTS: [u32; 24] =
    [0, 1, 2, 3, 4, 5, 6, 8, 10, 14, 18, 26, 34, 50, 66, 98, 130, 194, 322, 578, 1090, 2114, 6210, 22594];
const INSERT_BITS: [u8; 24] = [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 12, 14, 24];
/// The same for copy length codes.
const COPIES: [u32; 24] =
    [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 18, 22, 30, 38, 54, 70, 102, 134, 198, 326, 582, 1094, 2118];
const COPY_BITS: [u8; 24] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 24];
/// First codes of the commands whose insert and copy length codes lie in these ranges of eight, by insert and copy range.
const CELLS: [[u16; 3]; 3] = [[128, 192, 384], [256, 320, 512], [448, 576, 640]];
/// From here on a command is followed by a distance; before, the last distance is meant.
const FIRST_EXPLICIT: u16 = 128;

/// One command.
#[derive(Debug, Clone, Copy)]
pub(super) struct CopyCommand {
    inserted: u32,
    copied: u32,
    symbol: u16,
    insert_code: u8,
    copy_code: u8,
    /// The block ends before the copy if there is none.
    distance: Option<Distance>,
}

impl CopyCommand {
    pub(super) fn new(inserted: usize, copied: usize, distance: Option<Distance>) -> Self {
        let (inserted, copied) = (inserted as u32, copied as u32);
        let (insert_code, copy_code) = (code_of(&INSERTS, inserted), code_of(&COPIES, copied));
        let within = u16::from(insert_code & 7) << 3 | u16::from(copy_code & 7);
        let base = match (insert_code / 8, copy_code / 8) {
            (0, copies @ 0..=1) if distance.is_some_and(Distance::is_last) => u16::from(copies) * 64,
            (inserts, copies) => CELLS[usize::from(inserts)][usize::from(copies)],
        };
        Self { inserted, copied, symbol: base | within, insert_code, copy_code, distance }
    }

    /// The last command of a block, if literals are left.
    pub(super) fn literals(inserted: usize) -> Self {
        Self::new(inserted, COPIES[0] as usize, None)
    }

    pub(super) fn inserted(&self) -> usize {
        self.inserted as usize
    }

    pub(super) fn copied(&self) -> usize {
        self.copied as usize
    }

    pub(super) fn symbol(&self) -> usize {
        usize::from(self.symbol)
    }

    /// The distance, if it is to be written.
    pub(super) fn distance(&self) -> Option<Distance> {
        self.distance.filter(|_| self.symbol >= FIRST_EXPLICIT)
    }

    /// Extra bits of both lengths, which the symbol leaves open.
    pub(super) fn write_lengths(&self, out: &mut BitWriter) {
        let (insert, copy) = (usize::from(self.insert_code), usize::from(self.copy_code));
        out.write(u32::from(INSERT_BITS[insert]), u64::from(self.inserted - INSERTS[insert]));
        out.write(u32::from(COPY_BITS[copy]), u64::from(self.copied - COPIES[copy]));
    }
}

fn code_of(least: &[u32; 24], length: u32) -> u8 {
    least.partition_point(|l| *l <= length).saturating_sub(1) as u8
}

/// The distance of a copy from its source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Distance {
    symbol: u16,
    extra_bits: u8,
    extra: u32,
}

impl Distance {
    /// By its own value.
    fn far(distance: usize) -> Self {
        let value = distance as u32 + 3;
        let extra_bits = value.ilog2() - 1;
        let upper = (value >> extra_bits & 1) as u16;
        Self {
            symbol: 16 + 2 * (extra_bits as u16 - 1) + upper,
            extra_bits: extra_bits as u8,
            extra: value & ((1 << extra_bits) - 1),
        }
    }

    fn is_last(self) -> bool {
        self.symbol == 0
    }

    pub(super) fn symbol(self) -> usize {
        usize::from(self.symbol)
    }

    /// Extra bits, which the symbol leaves open.
    pub(super) fn write_rest(self, out: &mut BitWriter) {
        out.write(u32::from(self.extra_bits), u64::from(self.extra));
    }
}

/// The four distances used last, the last one first.
#[derive(Debug)]
pub(super) struct RecentDistances([usize; 4]);

impl Default for RecentDistances {
    fn default() -> Self {
        Self([4, 11, 15, 16])
    }
}

impl RecentDistances {
    pub(super) fn last(&self) -> usize {
        self.0[0]
    }

    /// The shortest way to say this distance; it is the last one from now on.
    pub(super) fn code(&mut self, distance: usize) -> Distance {
        let symbol = self.symbol(distance);
        if symbol != Some(0) {
            self.0.rotate_right(1);
            self.0[0] = distance;
        }
        symbol.map_or_else(|| Distance::far(distance), |symbol| Distance { symbol, extra_bits: 0, extra: 0 })
    }

    /// Equal to one of the four, or at most three beside one of the first two.
    fn symbol(&self, distance: usize) -> Option<u16> {
        if let Some(at) = self.0.iter().position(|recent| *recent == distance) {
            return Some(at as u16);
        }
        let beside = |recent: usize, first: u16| {
            let off = u16::try_from(distance.abs_diff(recent)).ok().filter(|off| *off <= 3)?;
            Some(first + 2 * (off - 1) + u16::from(distance > recent))
        };
        beside(self.0[0], 4).or_else(|| beside(self.0[1], 10))
    }
}
