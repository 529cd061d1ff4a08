//! The part of a stream of text that is in view: blocks go in at its end, and what is no longer
//! needed leaves at its front.

/// A window over a stream. Positions count from its front, offsets from the stream's.
pub struct Buffer {
    /// Stream offset of `bytes[0]`.
    base: u64,
    bytes: Vec<u8>,
    block_bytes: usize,
    /// The filled part of `bytes`.
    pub end: usize,
    /// Nothing before this is needed any more.
    pub start: usize,
    /// Everything before this has been examined.
    pub cursor: usize,
}

impl Buffer {
    /// Takes in `block_bytes` more at a time.
    #[must_use]
    pub fn new(block_bytes: usize) -> Self {
        let block_bytes = block_bytes.max(1);
        Self { base: 0, bytes: vec![0; block_bytes], block_bytes, end: 0, start: 0, cursor: 0 }
    }

    /// Where to write the next bytes of the stream; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// Says that `count` bytes were written to [`Self::space`]. `true` when a block is complete:
    /// examine it, then [`Self::make_room`].
    #[must_use]
    pub fn filled(&mut self, count: usize) -> bool {
        self.end += count;
        self.end == self.bytes.len()
    }

    /// Drops what is not needed any more, and makes space for another block.
    pub fn make_room(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            self.cursor -= self.start;
            self.start = 0;
        }
        self.bytes.resize(self.end + self.block_bytes, 0);
    }

    /// Stream offset of a position.
    #[must_use]
    pub fn offset(&self, position: usize) -> u64 {
        self.base + position as u64
    }

    /// The position of a stream offset; the front where that has left the view.
    #[must_use]
    pub fn position(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.base)).map_or(self.end, |at| at.min(self.end))
    }

    /// The text between two positions.
    #[must_use]
    pub fn text(&self, from: usize, to: usize) -> &[u8] {
        &self.bytes[from..to]
    }

    /// The text from a position on, as far as it is there.
    #[must_use]
    pub fn rest(&self, from: usize) -> &[u8] {
        &self.bytes[from..self.end]
    }

    /// Drops everything that is there.
    pub fn pass_over(&mut self) {
        self.start = self.end;
        self.cursor = self.end;
    }

    /// Goes on at a position, and forgets what stands before it.
    pub fn restart(&mut self, at: usize) {
        self.start = at;
        self.cursor = at;
    }
}
