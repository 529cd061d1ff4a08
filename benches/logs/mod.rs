//! Log objects to measure with: realistic, seeded, the same on every machine.

pub mod invocations;
pub mod trail;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

pub const SEED: u64 = 20_250_601;

/// A linear congruential generator. Source: Knuth's MMIX.
pub struct Random(u64);

impl Random {
    pub const fn new() -> Self {
        Self(SEED)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from((self.0 >> 33) % limit).unwrap_or_default()
    }

    pub fn one<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.below(choices.len())]
    }

    /// So many hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(b"0123456789abcdef"[self.below(16)])).collect()
    }

    pub fn uuid(&mut self) -> String {
        let mut part = |digits| self.hex(digits);
        format!("{}-{}-4{}-9{}-{}", part(8), part(4), part(3), part(3), part(12))
    }
}

/// As Bedrock stores it: gzip, at the level that most programs use.
pub fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(text).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Cuts lines into about so many pieces of about the same size.
pub fn pieces(lines: &[u8], count: usize) -> Vec<&[u8]> {
    let size = (lines.len() / count.max(1)).max(1);
    let mut rest = lines;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let from = size.min(rest.len()) - 1;
        let end = rest[from..].iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| from + at + 1);
        let (piece, others) = rest.split_at(end);
        pieces.push(piece);
        rest = others;
    }
    pieces
}
