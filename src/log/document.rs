//! One piece of text → the records in it: itself, or those in an envelope.

use std::borrow::Cow;

use crate::log::denial::{self, Reading, Wanted};
use crate::log::envelope;
use crate::log::framing::Verdict;
use crate::log::wrapper::Shape;

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
) -> Verdict {
    // One bad byte in a text must not hide a denial.
    let json = str::from_utf8(json).map_or_else(|_| String::from_utf8_lossy(json), Cow::Borrowed);
    let mut record = |json: &str, place: &dyn Fn() -> String| -> Verdict {
        match denial::read(json, wanted, place) {
            Err(_) => Verdict::Broken,
            Ok(Reading::Unknown) => Verdict::Unknown,
            Ok(reading) => {
                take(reading);
                Verdict::Record
            }
        }
    };
    match shape {
        Shape::Document | Shape::Any => match record(&json, place) {
            Verdict::Unknown => {}
            verdict => return verdict,
        },
        Shape::LogEvent | Shape::LookedUp
            if denial::read(&json, &Wanted::default(), String::new).is_err() =>
        {
            return Verdict::Broken;
        }
        Shape::LogEvent | Shape::LookedUp => {}
    }
    let inside = envelope::inside(&json, shape);
    if inside.is_none() && matches!(shape, Shape::LogEvent | Shape::LookedUp) {
        // An envelope that was cut between two elements seems to hold whatever follows it.
        return read(json.as_bytes(), Shape::Any, wanted, place, take);
    }
    let mut verdict = Verdict::Unknown;
    for (number, document) in inside.unwrap_or_default().iter().enumerate() {
        let place = || format!("{}.{number}", place());
        // A log group may hold unrelated lines too.
        let recognised = record(document, &place) == Verdict::Record
            || envelope::detail(document).is_some_and(|detail| record(&detail, &place) == Verdict::Record);
        if recognised {
            verdict = Verdict::Record;
        }
    }
    verdict
}
