//! Bits, the first one lowest, and prefix codes made of them.

use brotli::enc::StandardAlloc;
use brotli::enc::brotli_bit_stream::{BrotliBuildAndStoreHuffmanTreeFast, BrotliStoreHuffmanTree};
use brotli::enc::entropy_encode::{BrotliConvertBitDepthsToSymbols, BrotliCreateHuffmanTree, HuffmanTree};

/// More than the description of the largest prefix code takes.
const MAX_DESCRIPTION: usize = 2048;
/// Codes of so few symbols have a short description of their own (section 3.4).
const MAX_SIMPLE: usize = 4;
/// Bits of the longest code.
const MAX_LENGTH: i32 = 15;

/// Collects bits.
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet.
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// For about so many bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), pending: 0, count: 0 }
    }

    /// Whole bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The lowest `count` of `bits`, at most 32; the others are zero.
    #[inline]
    pub(super) fn write(&mut self, count: u32, bits: u64) {
        self.pending |= bits << self.count;
        self.count += count;
        if self.count >= 32 {
            self.bytes.extend_from_slice(&(self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    /// All of it; the last byte is filled up with zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let rest = self.count.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.pending.to_le_bytes()[..rest]);
        self.bytes
    }

    /// Describes the best prefix code for these counts.
    pub(super) fn write_prefix_code(&mut self, counts: &[u32]) -> PrefixCode {
        let mut code = PrefixCode { lengths: vec![0; counts.len()], bits: vec![0; counts.len()] };
        let (mut description, mut end) = ([0; MAX_DESCRIPTION], 0);
        code.assign(counts, &mut description, &mut end);
        for byte in &description[..end / 8] {
            self.write(8, u64::from(*byte));
        }
        self.write((end % 8) as u32, u64::from(description[end / 8]));
        code
    }
}

/// Bits for each symbol of an alphabet.
pub(super) struct PrefixCode {
    lengths: Vec<u8>,
    bits: Vec<u16>,
}

impl PrefixCode {
    /// Gives each symbol its bits, and describes them in bits of their own, from `end` on.
    fn assign(&mut self, counts: &[u32], description: &mut [u8], end: &mut usize) {
        let Self { lengths, bits } = self;
        let symbols = counts.len();
        if counts.iter().filter(|count| **count > 0).count() <= MAX_SIMPLE {
            let (total, width) =
                (counts.iter().sum::<u32>() as usize, symbols.next_power_of_two().ilog2() as usize);
            let alloc = &mut StandardAlloc::default();
            BrotliBuildAndStoreHuffmanTreeFast(alloc, counts, total, width, lengths, bits, end, description);
        } else {
            let mut tree = vec![HuffmanTree::new(0, 0, 0); 2 * symbols + 1];
            BrotliCreateHuffmanTree(counts, symbols, MAX_LENGTH, &mut tree, lengths);
            BrotliConvertBitDepthsToSymbols(lengths, symbols, bits);
            BrotliStoreHuffmanTree(lengths, symbols, &mut tree, end, description);
        }
    }

    #[inline]
    pub(super) fn write(&self, out: &mut BitWriter, symbol: usize) {
        out.write(u32::from(self.lengths[symbol]), u64::from(self.bits[symbol]));
    }
}
