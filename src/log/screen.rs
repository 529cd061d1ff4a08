//! A quick look over a whole CloudTrail log file: is it clean, or must it be read thoroughly?
//!
//! Hardly any record in such a file is a Bedrock refusal, so following its strings and brackets would
//! mostly be wasted. The text is searched for error codes ([`Sweep`]), and only the objects around the
//! relevant ones are judged. Nothing is counted here but records, because an object's depth is unknown.

use crate::log::buffer::Buffer;
use crate::log::nesting::{Nesting, Walk};
use crate::log::sweep::{Around, HISTORY_BYTES, OVERLAP_BYTES, Sweep};
use crate::log::wrapper::{Shape, WRAPPER_BYTES, Wrapper, wrapper};

/// A screen may walk this many times its text around error codes; beyond that, reading thoroughly is
/// quicker. An honest code costs its own record three times: back, forth and judged.
const WALKS: u64 = 4;

/// A longer object around an error code is left to the thorough reading. CloudTrail truncates
/// events of more than 256 KB, or 1 MB if enriched.
const MAX_OBJECT_BYTES: u64 = 2 << 20;

/// Counting the records of a text costs as much again as searching it. So it is done in this
/// much, which few log files exceed, and in one part of so many of what follows.
const COUNTED_BYTES: u64 = 8 << 20;
const COUNTED_PART: u64 = 16;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a look has shown so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screened {
    /// Nothing suspicious yet.
    Clean,
    /// The text does not begin like a CloudTrail log file. All of it is still there.
    NoTrail,
    /// Everything before the buffer's start is clean, and an object begins there that may be a refusal. It
    /// looks like an element of the file's array; what follows must prove that.
    Element,
    /// A refusal cannot be ruled out: read the text again from its first byte, thoroughly.
    Thoroughly,
}

/// Looks over one text.
pub struct Screen {
    sweep: Sweep,
    max_record_bytes: usize,
    /// Where the file's elements begin, once that is known.
    opened: Option<u64>,
    /// Keys of a record that were counted.
    records: u64,
    /// In how much text they were counted, all before `counted_to`.
    counted: u64,
    counted_to: u64,
    /// Stream offset behind the key of a record that was met last.
    last_record: u64,
    /// Bytes walked around error codes.
    walked: u64,
    /// The object around an error code whose end is not there yet.
    object: Option<Object>,
}

/// An object around an error code, by stream offsets.
struct Object {
    begin: u64,
    key: u64,
    /// It was followed to here.
    walked_to: u64,
    nesting: Nesting,
}

enum Followed {
    Acquitted,
    /// Its end is not there yet.
    Open,
    /// It is relevant, and begins here.
    Refusal(usize),
    Suspicious,
}

impl Screen {
    /// A record longer than `max_record_bytes` is for the thorough reading to report.
    #[must_use]
    pub fn new(sweep: Sweep, max_record_bytes: usize) -> Self {
        Self {
            sweep,
            max_record_bytes,
            opened: None,
            records: 0,
            counted: 0,
            counted_to: 0,
            last_record: 0,
            walked: 0,
            object: None,
        }
    }

    /// How many keys of a record have passed, which is estimated from a part of a long text.
    #[must_use]
    pub fn records(&self) -> u64 {
        if self.counted < self.counted_to {
            let estimate = u128::from(self.records) * u128::from(self.counted_to) / u128::from(self.counted);
            return u64::try_from(estimate).unwrap_or(u64::MAX);
        }
        self.records
    }

    /// Examines what is in `text`; `last` says that nothing will follow. `acquits` says whether an object's
    /// JSON is certainly not a refusal.
    pub fn examine(
        &mut self,
        text: &mut Buffer,
        last: bool,
        acquits: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Screened {
        if self.opened.is_none() {
            match opening(text.rest(0)) {
                Wrapper::Opens(length, Shape::Document) => self.open(text, length),
                Wrapper::Unknown if !last && text.end < WRAPPER_BYTES => return Screened::Clean,
                _ => return Screened::NoTrail,
            }
        }
        match self.look(text, last, acquits) {
            // Records without the key that they are counted by are counted by the thorough reading.
            Screened::Clean if last && self.records == 0 => Screened::Thoroughly,
            screened => screened,
        }
    }

    fn open(&mut self, text: &mut Buffer, at: usize) {
        self.opened = Some(text.offset(at));
        text.restart(at);
        self.counted = text.offset(at);
        self.counted_to = self.counted;
        self.last_record = self.counted;
    }

    fn look(&mut self, text: &mut Buffer, last: bool, acquits: &mut dyn FnMut(&[u8]) -> bool) -> Screened {
        self.count(text);
        loop {
            if let Some(object) = self.object.take() {
                match self.follow(object, text, last, acquits) {
                    Followed::Acquitted => continue,
                    Followed::Open => return Screened::Clean,
                    Followed::Refusal(begin) => return self.hand_over(text, begin),
                    Followed::Suspicious => return Screened::Thoroughly,
                }
            }
            let at = self.sweep.find(text.rest(text.cursor));
            text.spend(at.unwrap_or(text.end - text.cursor));
            let Some(at) = at else { break };
            let key = text.cursor + at;
            match self.sweep.around(text.rest(text.start), key - text.start) {
                Around::Nothing => text.cursor = key + 1,
                Around::Open => {
                    text.cursor = key;
                    text.start = text.start.max(key.saturating_sub(HISTORY_BYTES));
                    return if last { Screened::Thoroughly } else { Screened::Clean };
                }
                Around::Object(from) => {
                    let begin = text.start + from;
                    self.walk(text, key - begin);
                    let begin = text.offset(begin);
                    let nesting = Nesting::default();
                    self.object = Some(Object { begin, key: text.offset(key), walked_to: begin, nesting });
                }
                Around::Unknown => return Screened::Thoroughly,
            }
        }
        text.cursor = text.cursor.max(text.end.saturating_sub(OVERLAP_BYTES));
        text.start = text.start.max(text.cursor.saturating_sub(HISTORY_BYTES));
        let since = text.offset(text.end).saturating_sub(self.last_record);
        if since <= self.max_record_bytes as u64 { Screened::Clean } else { Screened::Thoroughly }
    }

    /// Leaves the object that begins at `begin` to the framing, if it looks like an element of the
    /// file's array: the first one, or one behind another object.
    fn hand_over(&mut self, text: &mut Buffer, begin: usize) -> Screened {
        let before = text.text(text.start.min(begin), begin).trim_ascii_end();
        let is_first = self.opened == Some(text.offset(text.start + before.len()));
        let follows = before.strip_suffix(b",").is_some_and(|before| before.trim_ascii_end().ends_with(b"}"));
        if !is_first && !follows {
            return Screened::Thoroughly;
        }
        self.count_to(text, begin);
        text.restart(begin);
        Screened::Element
    }

    /// Follows an object to its end, as far as that is there.
    fn follow(
        &mut self,
        mut object: Object,
        text: &mut Buffer,
        last: bool,
        acquits: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Followed {
        let (begin, key) = (text.position(object.begin), text.position(object.key));
        let from = text.position(object.walked_to);
        match object.nesting.walk(text.rest(from)) {
            Walk::Closed(length) if from + length > key => {
                let end = from + length;
                self.walk(text, length);
                self.walk(text, end - begin);
                if self.walked > WALKS * text.offset(end) {
                    return Followed::Suspicious;
                }
                if !acquits(text.text(begin, end)) {
                    return Followed::Refusal(begin);
                }
                text.cursor = key + 1;
                Followed::Acquitted
            }
            Walk::Open if !last => {
                self.walk(text, text.end - from);
                text.cursor = key;
                text.start = begin.min(text.start.max(key.saturating_sub(HISTORY_BYTES)));
                object.walked_to = text.offset(text.end);
                let too_long = object.walked_to - object.begin > MAX_OBJECT_BYTES;
                self.object = Some(object);
                if too_long { Followed::Suspicious } else { Followed::Open }
            }
            Walk::Open | Walk::Closed(_) | Walk::Fault(_) => Followed::Suspicious,
        }
    }

    fn walk(&mut self, text: &Buffer, bytes: usize) {
        self.walked += bytes as u64;
        text.spend(bytes);
    }

    /// Counts only what lies before `begin`.
    fn count_to(&mut self, text: &Buffer, begin: usize) {
        if self.counted < self.counted_to {
            self.counted_to = text.offset(begin).max(self.counted);
            return;
        }
        let counted_to = text.position(self.counted_to);
        let (from, to) = (counted_to.min(begin), text.end.min(counted_to + OVERLAP_BYTES).max(begin));
        text.spend(to - from);
        self.records += self.sweep.records(text.text(from, begin)).0;
        self.records -= self.sweep.records(text.text(begin, to)).0.min(self.records);
    }

    fn count(&mut self, text: &Buffer) {
        let in_part = self.counted.saturating_sub(COUNTED_BYTES);
        if in_part * COUNTED_PART > self.counted_to.saturating_sub(COUNTED_BYTES) {
            self.counted_to = text.offset(text.end);
            return;
        }
        let from = text.position(self.counted_to);
        let (records, behind) = self.sweep.records(text.rest(from));
        text.spend(text.end - from);
        self.records += records;
        let to = text.end.saturating_sub(OVERLAP_BYTES).max(from);
        self.counted += (to - from) as u64;
        self.counted_to = text.offset(to);
        if records > 0 {
            self.last_record = text.offset(from + behind);
        }
    }
}

/// Whether a text begins like a CloudTrail log file.
fn opening(text: &[u8]) -> Wrapper {
    let object = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii_start();
    match wrapper(object) {
        Wrapper::Opens(length, shape) => Wrapper::Opens(text.len() - object.len() + length, shape),
        Wrapper::None(_) if BYTE_ORDER_MARK.starts_with(text) => Wrapper::Unknown,
        other => other,
    }
}
