//! Finds the end of a JSON object without building a value.

use memchr::memchr3;

/// Follows the strings and brackets of one JSON object without building a value.
#[derive(Default)]
pub struct Nesting {
    /// The brackets that are open.
    open: Vec<u8>,
    /// No more brackets may be open at once: without a limit, 4 GiB of `[` would need as much memory.
    max_depth: usize,
    /// Stream offset of the last string's content. Where an array opens in the object itself, that is its key.
    pub string: u64,
    in_string: bool,
    escaped: bool,
    /// The last byte outside strings that is not white space.
    previous: u8,
    line: Line,
}

/// What has been seen of the current line, outside strings.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Line {
    /// There was no line end yet.
    #[default]
    First,
    /// Nothing but white space has followed the last line end.
    Blank,
    /// Something has.
    Begun,
}

/// How far a walk got.
pub enum Walk {
    /// The object closed after this many bytes.
    Closed(usize),
    /// An array that is a member of the object itself opened after this many bytes.
    Array(usize),
    /// The byte here is invalid.
    Fault(usize),
    /// The object is still open.
    Open,
}

/// Strings are short in most records: up to here, a search of eight bytes at a time is quicker than
/// [`memchr3`], which pays off with longer ones.
const SHORT_BYTES: usize = 64;

/// Where the first byte is that matters inside a string.
fn special(bytes: &[u8]) -> Option<usize> {
    let (short, _) = bytes.split_at_checked(SHORT_BYTES).unwrap_or((bytes, &[]));
    let (words, _) = short.as_chunks::<8>();
    let mut searched: usize = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // What lies above the first match may be a false one.
        let found = matches(word, b'"') | matches(word, b'\\') | matches(word, b'\n');
        if found != 0 {
            return Some(searched.saturating_add(found.trailing_zeros() as usize / 8));
        }
        searched = searched.saturating_add(size_of_val(&word));
    }
    let found = memchr3(b'"', b'\\', b'\n', bytes.get(searched..).unwrap_or_default());
    found.map(|at| searched.saturating_add(at))
}

/// The highest bit of each byte of `word` that equals `byte`; of those above the first, perhaps of others.
fn matches(word: u64, byte: u8) -> u64 {
    const LOWEST: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = u64::from_le_bytes([0x80; 8]);
    let zero_where_equal = word ^ u64::from_le_bytes([byte; 8]);
    zero_where_equal.wrapping_sub(LOWEST) & !zero_where_equal & HIGHEST
}

impl Nesting {
    /// Begins before the object's `{`.
    pub fn new(max_depth: usize) -> Self {
        Self { max_depth, ..Self::default() }
    }

    /// Begins after an array that is a member of the object.
    pub fn behind_array(max_depth: usize) -> Self {
        Self { open: vec![b'{'], previous: b']', ..Self::new(max_depth) }
    }

    /// Continues from where the last walk stopped, at a stream offset.
    pub fn walk(&mut self, bytes: &[u8], offset: u64) -> Walk {
        let offset_of = |at: usize| offset.saturating_add(at as u64);
        let mut at: usize = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.escaped {
                if byte == b'\n' {
                    return Walk::Fault(at);
                }
                self.escaped = false;
            } else if self.in_string {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(skip) = special(rest) else {
                    return Walk::Open;
                };
                at = at.saturating_add(skip);
                match rest.get(skip..).unwrap_or_default() {
                    // Nearly every key and most values are followed at once by another string.
                    [b'"', b':' | b',', b'"', ..] => {
                        at = at.saturating_add(2);
                        self.string = offset_of(at.saturating_add(1));
                    }
                    [b'"', ..] => self.in_string = false,
                    [b'\\', ..] => self.escaped = true,
                    _ => return Walk::Fault(at),
                }
            } else {
                match byte {
                    b'\n' => self.line = Line::Blank,
                    b' ' | b'\t' | b'\r' => {}
                    b'"' => {
                        self.in_string = true;
                        self.string = offset_of(at.saturating_add(1));
                        self.begin_line();
                        self.previous = byte;
                    }
                    b'{' | b'[' => {
                        if !self.may_open() || self.open.len() >= self.max_depth {
                            return Walk::Fault(at);
                        }
                        let is_member = byte == b'[' && self.open.len() == 1;
                        self.open.push(byte);
                        self.begin_line();
                        self.previous = byte;
                        if is_member {
                            return Walk::Array(at.saturating_add(1));
                        }
                    }
                    b'}' | b']' => {
                        let opener = if byte == b'}' { b'{' } else { b'[' };
                        if self.open.pop() != Some(opener) {
                            return Walk::Fault(at);
                        }
                        if self.open.is_empty() {
                            return Walk::Closed(at.saturating_add(1));
                        }
                        self.begin_line();
                        self.previous = byte;
                    }
                    _ => {
                        self.begin_line();
                        self.previous = byte;
                    }
                }
            }
            at = at.saturating_add(1);
        }
        Walk::Open
    }

    /// There is a line end between its tokens.
    #[must_use]
    pub fn has_many_lines(&self) -> bool {
        self.line != Line::First
    }

    /// Nothing but white space has followed the last line end.
    #[must_use]
    pub fn is_at_line(&self) -> bool {
        self.line == Line::Blank
    }

    fn begin_line(&mut self) {
        if self.line == Line::Blank {
            self.line = Line::Begun;
        }
    }

    fn may_open(&self) -> bool {
        match self.open.last() {
            None => true,
            Some(b'[') => matches!(self.previous, b'[' | b','),
            Some(_) => self.previous == b':',
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_special_byte_is_found_beside_bytes_like_it(
            // Those that differ from a special one by their lowest bit follow it most easily by mistake.
            bytes in prop::collection::vec(prop::sample::select(b"\"#!\\]Z\n\x0b\x08x\xa2\xdc\x8a".to_vec()), 0..90),
            plain in 0..70_usize,
        ) {
            let bytes = ["x".repeat(plain).as_bytes(), &bytes].concat();
            let first = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n'));
            prop_assert_eq!(special(&bytes), first);
        }
    }
}
