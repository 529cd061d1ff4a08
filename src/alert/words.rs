//! Times and spans in words.

use std::time::Duration;

use crate::source::time::EventTime;

/// `2025-06-01 10:00:00`, in UTC.
#[must_use]
pub fn clock(time: EventTime) -> String {
    time.to_string().replace('T', " ").replace('Z', "")
}

/// `2025-06-01 10:00:00 UTC`.
#[must_use]
pub fn utc(time: EventTime) -> String {
    clock(time) + " UTC"
}

/// The first of them, at most so many, and how many more there are.
#[must_use]
pub fn first_few(all: &[impl AsRef<str>], most: usize) -> String {
    let named = all.iter().take(most).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(most) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// `41 s`, `38 min` or `20 h`, from one time to another.
#[must_use]
pub fn span(first: EventTime, last: EventTime) -> String {
    match last.since(first) {
        short if short.as_secs() < 2 => "a second".to_owned(),
        time => seconds(time),
    }
}

/// `41 s`, `38 min` or `20 h`, as long as that is.
#[must_use]
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => "under 1 s".to_owned(),
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// `word` with a capital letter.
#[must_use]
pub fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}

/// `60 minutes`, `1 minute`, or `24 hours`.
#[must_use]
pub fn minutes(number: u64) -> String {
    let (number, unit) =
        if number > 60 && number.is_multiple_of(60) { (number / 60, "hour") } else { (number, "minute") };
    plural(number, unit)
}

/// `1 alert`, `3 alerts`.
#[must_use]
pub fn plural(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// `1,042,000`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let places = digits.len();
    let comma = |place: usize| place > 0 && places.saturating_sub(place).is_multiple_of(3);
    let digit = |(place, digit)| comma(place).then_some(',').into_iter().chain([digit]);
    digits.chars().enumerate().flat_map(digit).collect()
}

/// `4`, or `at least 4` for a lower bound.
#[must_use]
pub fn how_many(number: u64, is_lower_bound: bool) -> String {
    format!("{}{number}", if is_lower_bound { "at least " } else { "" })
}

/// What a rule counts, of so many: nouns are plural, and end in an `s`.
#[must_use]
pub fn counted(noun: &str, number: u64) -> &str {
    if number != 1 {
        return noun;
    }
    let hissing = noun.strip_suffix("es").filter(|stem| stem.ends_with("ss"));
    hissing.or(noun.strip_suffix('s')).unwrap_or(noun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_counted_in_the_singular() {
        let of = |number| ["calls", "changes", "addresses"].map(|noun| counted(noun, number));
        assert_eq!((of(1), of(2)), (["call", "change", "address"], ["calls", "changes", "addresses"]));
    }

    #[test]
    fn thousands_are_set_apart() {
        let shown = [0, 999, 1000, 52_100, 1_042_000].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "52,100", "1,042,000"]);
    }

    #[test]
    fn a_long_span_is_in_hours() {
        let shown = [1, 5, 60, 90, 120, 1440].map(minutes);
        assert_eq!(shown, ["1 minute", "5 minutes", "60 minutes", "90 minutes", "2 hours", "24 hours"]);
    }
}
