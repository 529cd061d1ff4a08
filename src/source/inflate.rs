//! Bytes as stored → text: gzip of one or many members, or plain text, recognised by the first two bytes.

use flate2::{Decompress, DecompressError, FlushDecompress, Status};

const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The largest window that gzip allows, as a power of two.
const WINDOW_BITS: u8 = 15;

/// Why a stored object cannot be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Whoever reads it stopped.
    #[error("interrupted; what was read before was counted")]
    Interrupted,
    /// The bytes at this offset are not valid gzip.
    #[error("corrupt gzip at byte {at}: {cause}; what could be read before it was counted")]
    Corrupt {
        /// Offset in the object as stored.
        at: u64,
        /// The decoder's message.
        cause: String,
    },
    /// The object ends inside a gzip member.
    #[error(
        "truncated gzip: the object ends at byte {at}, inside a member; what could be read before it was counted"
    )]
    Truncated {
        /// Length of the object as stored.
        at: u64,
    },
    /// The decompressed data is gzip again.
    #[error(
        "gzip inside gzip, and not read: CloudWatch Logs compresses what it sends, so turn Firehose's compression off, and set its file extension to .gz, since other names are skipped"
    )]
    Nested,
    /// The text is UTF-16, as PowerShell writes it.
    #[error(
        "UTF-16 text, and not read: expected UTF-8; convert it with iconv -f UTF-16 -t UTF-8, or in PowerShell with Set-Content -Encoding utf8"
    )]
    Utf16,
    /// More pairs of a key and a slot than the limit: no legitimate caller is denied that many models.
    #[error(
        "more than {limit} combinations of user, model and time slot in one object, the limit; everything before that was counted"
    )]
    TooManyPairs {
        /// The limit.
        limit: usize,
    },
    /// The ids of its denials take more memory than the limit: they are longer than AWS's.
    #[error(
        "more than {limit} bytes of denials in one object, the limit; everything before that was counted"
    )]
    TooMuchToKeep {
        /// The limit in bytes.
        limit: usize,
    },
    /// The text is longer than the limit: a gzip bomb, or not a log.
    #[error(
        "more than {limit} bytes of text once decompressed, the limit for one object; everything before that was counted"
    )]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}

/// A decoder that is pushed bytes and fills buffers.
#[derive(Default)]
pub struct Inflate {
    state: InflateState,
    /// Bytes of the object consumed so far.
    consumed: u64,
    /// How the text begins.
    head: Head,
}

/// The first two bytes of the text.
#[derive(Default)]
struct Head {
    seen: usize,
    bytes: [u8; 2],
}

impl Head {
    fn take(&mut self, text: &[u8]) {
        for (byte, place) in text.iter().zip(self.bytes.iter_mut().skip(self.seen)) {
            *place = *byte;
            self.seen = self.seen.saturating_add(1);
        }
    }

    /// Why text that begins so is not read.
    fn damage(&self) -> Option<Damage> {
        match self.bytes {
            _ if self.seen < self.bytes.len() => None,
            MAGIC => Some(Damage::Nested),
            // A byte-order mark, or half of a bracket.
            [0xff, 0xfe] | [0xfe, 0xff] | [b'{' | b'[', 0] | [0, b'{' | b'['] => Some(Damage::Utf16),
            _ => None,
        }
    }
}

#[derive(Default)]
enum InflateState {
    /// No byte has been seen.
    #[default]
    Start,
    /// The first byte was the magic's first; it has not been passed on.
    HalfMagic,
    Plain,
    Member(Decompress),
    /// After a member: another one, zero padding, or the end.
    Between,
    /// Plain text from here on.
    Broken(String),
}

impl Inflate {
    /// Decodes from the front of `input`, which it advances, into `output`; returns how much it wrote.
    /// Everything is decoded once `input` is empty and `output` was not filled.
    ///
    /// # Errors
    /// [`Damage::Corrupt`], once everything before it has been written; [`Damage::Nested`].
    pub fn decode(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<usize, Damage> {
        if let Some(damage) = self.damage() {
            return Err(damage);
        }
        let before = input.len();
        let written = self.step(input, output);
        self.head.take(output.get(..written).unwrap_or_default());
        self.consumed = self.consumed.saturating_add(before.saturating_sub(input.len()) as u64);
        Ok(written)
    }

    /// Says that the object has ended.
    ///
    /// # Errors
    /// [`Damage::Truncated`] when it ends inside a gzip member, or the damage found last.
    pub fn finish(&self) -> Result<(), Damage> {
        match self.state {
            InflateState::Member(_) if self.head.damage().is_none() => {
                Err(Damage::Truncated { at: self.consumed })
            }
            _ => self.damage().map_or(Ok(()), Err),
        }
    }

    fn damage(&self) -> Option<Damage> {
        self.head.damage().or_else(|| match &self.state {
            InflateState::Broken(cause) => Some(Damage::Corrupt { at: self.consumed, cause: cause.clone() }),
            _ => None,
        })
    }

    /// Bytes of the object consumed so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    fn step(&mut self, input: &mut &[u8], output: &mut [u8]) -> usize {
        let mut written = 0;
        while let Some(&next) = input.first() {
            match &mut self.state {
                InflateState::Start if next == MAGIC[0] => {
                    pass(input, 1);
                    self.state = InflateState::HalfMagic;
                }
                InflateState::Start => self.state = InflateState::Plain,
                InflateState::HalfMagic if next == MAGIC[1] => self.state = member(),
                InflateState::HalfMagic => {
                    // A caller that gives no room gets nothing.
                    let Some(first) = output.first_mut() else { return 0 };
                    *first = MAGIC[0];
                    written = 1;
                    self.state = InflateState::Plain;
                }
                InflateState::Plain => {
                    let room = output.get_mut(written..).unwrap_or_default();
                    let count = input.len().min(room.len());
                    if let (Some((head, tail)), Some(room)) =
                        (input.split_at_checked(count), room.get_mut(..count))
                    {
                        room.copy_from_slice(head);
                        *input = tail;
                    }
                    return written.saturating_add(count);
                }
                // gzip(1) too lets zeros follow: tape blocks were padded with them.
                InflateState::Between if next == 0 => pass(input, 1),
                InflateState::Between if next == MAGIC[0] => {
                    pass(input, 1);
                    self.state = member();
                }
                InflateState::Between => {
                    self.state =
                        InflateState::Broken(format!("byte {next:#04x} behind a member begins no other one"));
                }
                InflateState::Member(_) | InflateState::Broken(_) => break,
            }
        }
        if let InflateState::Member(decoder) = &mut self.state {
            let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
            let result = decoder.decompress(input, output, FlushDecompress::None);
            let moved =
                |now: u64, before: u64| usize::try_from(now.saturating_sub(before)).unwrap_or(usize::MAX);
            pass(input, moved(decoder.total_in(), before_in));
            written = moved(decoder.total_out(), before_out);
            match result {
                Ok(Status::StreamEnd) => self.state = InflateState::Between,
                Ok(_) => {}
                Err(error) => self.state = InflateState::Broken(cause(&error)),
            }
        }
        written
    }
}

/// Advances `input` by `count` bytes.
fn pass(input: &mut &[u8], count: usize) {
    *input = input.get(count..).unwrap_or_default();
}

/// A decoder for one member whose first magic byte has been taken from the input.
fn member() -> InflateState {
    let mut decoder = Decompress::new_gzip(WINDOW_BITS);
    match decoder.decompress(&MAGIC[..1], &mut [], FlushDecompress::None) {
        Ok(_) => InflateState::Member(decoder),
        Err(error) => InflateState::Broken(cause(&error)),
    }
}

/// What is wrong with the data. On its fast path, zlib-rs replaces its own message by one about its state.
fn cause(error: &DecompressError) -> String {
    let message = error.message().filter(|message| !message.contains("bad state"));
    message.unwrap_or("invalid compressed data").to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).and_then(|()| encoder.finish()).expect("in memory")
    }

    /// Decodes `stored` in chunks, through an output buffer of `room` bytes.
    fn decode(stored: &[u8], chunk: usize, room: usize) -> (Vec<u8>, Result<(), Damage>) {
        let mut inflate = Inflate::default();
        let mut text = Vec::new();
        let mut output = vec![0; room];
        for mut input in stored.chunks(chunk) {
            loop {
                match inflate.decode(&mut input, &mut output) {
                    Err(damage) => return (text, Err(damage)),
                    Ok(written) => {
                        text.extend_from_slice(&output[..written]);
                        if input.is_empty() && written < room {
                            break;
                        }
                    }
                }
            }
        }
        (text, inflate.finish())
    }

    #[track_caller]
    fn check(stored: &[u8], expected: &[u8]) {
        for chunk in 1..=stored.len().max(1) {
            for room in [1, 2, 7, 64] {
                let (text, end) = decode(stored, chunk, room);
                assert_eq!(text, expected, "chunk {chunk}, room {room}");
                assert_eq!(end, Ok(()), "chunk {chunk}, room {room}");
            }
        }
    }

    #[track_caller]
    fn check_damage(stored: &[u8], readable: &[u8], expected: &str) {
        for chunk in [1, 2, 3, stored.len()] {
            let (text, end) = decode(stored, chunk, 64);
            assert_eq!(text, readable, "chunk {chunk}");
            let shown = end.expect_err("damage").to_string();
            assert!(shown.starts_with(expected), "{shown}");
        }
    }

    #[test]
    fn plain_and_gzip_are_distinguished_by_their_first_bytes() {
        check(b"", b"");
        check(b"plain text", b"plain text");
        check(b"\x1fplain", b"\x1fplain");
        check(&gzip(b"one member"), b"one member");
        check(&gzip(b""), b"");
    }

    #[test]
    fn every_member_is_read_and_zero_padding_is_passed_over() {
        let two = [gzip(b"one "), gzip(b"two")].concat();
        check(&two, b"one two");
        check(&[two, vec![0; 9]].concat(), b"one two");
        check(&[gzip(b""), gzip(b"x"), gzip(b"")].concat(), b"x");
    }

    #[test]
    fn damage_says_where_and_leaves_what_was_read() {
        let one = gzip(b"one ");
        check_damage(&[&one[..], b"junk"].concat(), b"one ", &format!("corrupt gzip at byte {}", one.len()));
        check_damage(b"\x1f\x8b\x07oops", b"", "corrupt gzip at byte");
        let mut wrong_sum = one.clone();
        let sum = wrong_sum.len() - 8;
        wrong_sum[sum] ^= 1;
        check_damage(&wrong_sum, b"one ", "corrupt gzip at byte");
    }

    #[test]
    fn the_cause_of_damage_is_the_data_not_the_decoder() {
        let text: Vec<u8> = (0..4000_u32).flat_map(|number| (number * number).to_le_bytes()).collect();
        let whole = gzip(&text);
        for at in (20..whole.len() - 8).step_by(97) {
            let mut broken = whole.clone();
            broken[at] ^= 0x55;
            for (chunk, room) in [(1, 64), (100, 300), (whole.len(), 1 << 20)] {
                if let Err(damage) = decode(&broken, chunk, room).1 {
                    assert!(!damage.to_string().contains("state"), "{damage}");
                }
            }
        }
    }

    #[test]
    fn gzip_inside_gzip_is_said_and_not_taken_for_text() {
        let twice = gzip(&gzip(b"text"));
        for (chunk, room) in [(1, 1), (3, 7), (1000, 1000)] {
            assert_eq!(decode(&twice, chunk, room).1, Err(Damage::Nested));
            assert_eq!(decode(&gzip(&twice), chunk, room).1, Err(Damage::Nested));
            // Only the first bytes say what a text is.
            for text in [&b"x\x1f\x8b"[..], b"\x1fx\x8b", b"\x1f"] {
                assert_eq!(decode(&gzip(text), chunk, room), (text.to_vec(), Ok(())));
            }
        }
    }

    #[test]
    fn every_cut_inside_a_member_is_reported_and_none_between_members_is() {
        let (one, two) = (gzip(b"one "), gzip(b"two"));
        let whole = [&one[..], &two[..]].concat();
        for cut in 2..whole.len() {
            let (text, end) = decode(&whole[..cut], 5, 64);
            assert!(b"one two".starts_with(&text[..]), "cut {cut}");
            if cut == one.len() {
                assert_eq!(end, Ok(()), "cut {cut}");
            } else {
                assert_eq!(end, Err(Damage::Truncated { at: cut as u64 }), "cut {cut}");
            }
        }
    }
}
