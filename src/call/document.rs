//! One piece of text → the records in it: itself, or those in an envelope.

use std::borrow::Cow;

use crate::call::denial::{self, Reading, Source, Wanted};
use crate::source::envelope::{self, Inside};
use crate::source::framing::Verdict;
use crate::source::wrapper::Shape;

/// What one piece of text turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document {
    /// Whether there is a record in it.
    pub verdict: Verdict,
    /// The error code of a denial stands in it, outside every record.
    pub is_stray: bool,
}

/// Reads `json` and passes on each record in it. `place` replaces a missing request id.
///
/// An object's own members alone decide whether it is a record or an envelope. Envelopes do not nest,
/// except an EventBridge event in a log group: anything deeper is under a caller's control.
pub fn read(
    json: &[u8],
    shape: Shape,
    wanted: &Wanted,
    place: &dyn Fn() -> String,
    take: &mut dyn FnMut(Reading<'_>),
) -> Document {
    // One bad byte in a text must not hide a denial.
    let json = str::from_utf8(json).map_or_else(|_| String::from_utf8_lossy(json), Cow::Borrowed);
    let mut record = |json: &str, place: &dyn Fn() -> String, is_copy: bool| -> Verdict {
        match denial::read(json, wanted, place) {
            Err(_) => Verdict::Broken,
            Ok(Reading::Unknown) => Verdict::Unknown,
            Ok(Reading::Denial(mut denial)) => {
                if is_copy && denial.source == Source::InvocationLog {
                    denial.source = Source::CloudWatch;
                }
                take(Reading::Denial(denial));
                Verdict::Record
            }
            Ok(reading) => {
                take(reading);
                Verdict::Record
            }
        }
    };
    match shape {
        Shape::Document | Shape::Exported | Shape::Any => {
            match record(&json, place, shape == Shape::Exported) {
                Verdict::Unknown => {}
                verdict => return Document { verdict, is_stray: false },
            }
        }
        Shape::LogEvent | Shape::LookedUp
            if denial::read(&json, &Wanted::default(), String::new).is_err() =>
        {
            return Document { verdict: Verdict::Broken, is_stray: false };
        }
        Shape::LogEvent | Shape::LookedUp => {}
    }
    let inside = envelope::inside(&json, shape);
    if inside.is_none() && matches!(shape, Shape::LogEvent | Shape::LookedUp) {
        // An envelope that was cut between two elements seems to hold whatever follows it.
        return read(json.as_bytes(), Shape::Any, wanted, place, take);
    }
    let Inside { documents, is_log_group } = inside.unwrap_or_default();
    let is_copy = is_log_group || shape == Shape::Exported;
    let mut verdict = Verdict::Unknown;
    let mut named = denial::count_denials_named(json.as_bytes());
    for (number, document) in documents.iter().enumerate() {
        let place = || format!("{}.{number}", place());
        // A log group may hold unrelated lines too.
        let detail = match record(document, &place, is_copy) {
            Verdict::Record => Some(Cow::Borrowed(&**document)),
            _ => envelope::detail(document).filter(|detail| record(detail, &place, false) == Verdict::Record),
        };
        if let Some(recognised) = detail {
            verdict = Verdict::Record;
            named = named.saturating_sub(denial::count_denials_named(recognised.as_bytes()));
        }
    }
    Document { verdict, is_stray: named > 0 }
}
