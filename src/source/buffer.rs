//! A sliding view of a stream of text: blocks are appended at the end, and bytes no longer needed
//! are dropped from the front.

use memchr::memchr;

/// A window over a stream. Positions count from the window's front, offsets from the stream's.
pub struct Buffer {
    /// Stream offset of `bytes[0]`.
    base: u64,
    bytes: Vec<u8>,
    block_bytes: usize,
    /// The filled part of `bytes`.
    pub end: usize,
    /// Bytes before this are no longer needed.
    pub start: usize,
    /// Everything before this has been examined.
    pub cursor: usize,
}

impl Buffer {
    /// Grows by `block_bytes` at a time.
    #[must_use]
    pub fn new(block_bytes: usize) -> Self {
        let block_bytes = block_bytes.max(1);
        Self { base: 0, bytes: vec![0; block_bytes], block_bytes, end: 0, start: 0, cursor: 0 }
    }

    /// Where to write the next bytes of the stream; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Records that `count` bytes were written to [`Self::space`]. `true` when a block is complete:
    /// examine it, then [`Self::make_room`].
    #[must_use]
    pub fn filled(&mut self, count: usize) -> bool {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
        self.end == self.bytes.len()
    }

    /// Makes space for another block. Reuses the space of bytes no longer needed, provided moving the
    /// rest costs less than reading it did.
    pub fn make_room(&mut self) {
        let needed = self.end.saturating_sub(self.start);
        if needed <= self.start.max(self.block_bytes) && self.start > 0 {
            // A start past the end would make the range panic.
            self.bytes.copy_within(self.start.min(self.end)..self.end, 0);
            self.base = self.base.saturating_add(self.start as u64);
            self.end = needed;
            self.cursor = self.cursor.saturating_sub(self.start);
            self.start = 0;
        }
        self.bytes.resize(self.end.saturating_add(self.block_bytes), 0);
    }

    /// Stream offset of a position.
    #[must_use]
    pub fn offset(&self, position: usize) -> u64 {
        self.base.saturating_add(position as u64)
    }

    /// The position of a stream offset; the front if that offset has left the view.
    #[must_use]
    pub fn position(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.base)).map_or(self.end, |at| at.min(self.end))
    }

    /// The text between two positions.
    #[must_use]
    pub fn text(&self, from: usize, to: usize) -> &[u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// The available text from a position on.
    #[must_use]
    pub fn rest(&self, from: usize) -> &[u8] {
        self.text(from, self.end)
    }

    /// The byte at a position; `None` past the available text.
    #[must_use]
    pub fn byte(&self, at: usize) -> Option<u8> {
        self.rest(at).first().copied()
    }

    /// The position of the first `byte` between two positions.
    #[must_use]
    pub fn find(&self, byte: u8, from: usize, to: usize) -> Option<usize> {
        memchr(byte, self.text(from, to)).map(|at| from.saturating_add(at))
    }

    /// The position of the first byte not in `bytes`, from a position on; the end of the available
    /// text if there is none.
    #[must_use]
    pub fn pass(&self, bytes: &[u8], from: usize) -> usize {
        let count = self.rest(from).iter().take_while(|byte| bytes.contains(byte)).count();
        from.saturating_add(count)
    }

    /// Continues at a position and forgets everything before it.
    pub fn restart(&mut self, at: usize) {
        self.start = at;
        self.cursor = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_past_the_end_makes_nothing_panic() {
        let mut text = Buffer::new(4);
        text.space().copy_from_slice(b"abcd");
        assert!(text.filled(4));
        text.restart(9);
        assert_eq!(
            (text.rest(9), text.byte(9), text.text(3, 2), text.find(b'a', 9, 4)),
            (&[][..], None, &[][..], None)
        );
        text.make_room();
        assert_eq!((text.start, text.end), (0, 0));
    }
}
