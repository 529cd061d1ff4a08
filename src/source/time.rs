//! Event time: when a denial happened, in whole milliseconds.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// The start of year 0: RFC 3339 cannot express an earlier time, and its text would not sort.
const FIRST_MS: i64 = -62_167_219_200_000;

/// A point in event time, in milliseconds since the Unix epoch.
///
/// Rules never read a clock: every time comes from a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

impl EventTime {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_epoch_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn epoch_ms(self) -> i64 {
        self.0
    }

    /// Reads an RFC 3339 time with an offset, as Bedrock logs it (`2025-06-01T10:00:00Z`);
    /// `None` for anything else, such as a year before 0. Truncates to whole milliseconds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time: Timestamp = text.parse().ok()?;
        let ms = time.as_nanosecond().div_euclid(1_000_000).try_into().ok()?;
        (ms >= FIRST_MS).then_some(Self(ms))
    }

    /// This time plus `span`, saturating at the latest time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span_ms(span)))
    }

    /// This time minus `span`, saturating at the earliest time.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span_ms(span)))
    }

    /// The start of the slot of `length`, counted from the epoch, that contains this time.
    #[must_use]
    pub fn slot(self, length: Duration) -> Self {
        let length = span_ms(length).max(1);
        Self(self.0.div_euclid(length).saturating_mul(length))
    }
}

/// RFC 3339 in UTC, with milliseconds unless they are zero.
impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.clamp(Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
        match Timestamp::from_millisecond(ms) {
            Ok(time) if ms.rem_euclid(1000) == 0 => write!(f, "{time:.0}"),
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{ms}ms"),
        }
    }
}

impl<'de> serde::Deserialize<'de> for EventTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let expected = || serde::de::Error::custom(format!("{text:?}: expected an RFC 3339 time"));
        Self::parse(&text).ok_or_else(expected)
    }
}

impl serde::Serialize for EventTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn span_ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// The longest prefix of a line in an exported log group.
const EXPORT_BYTES: usize = 64;

/// The length of the time and blanks that begin a line of an exported log group:
/// `2025-06-04T16:00:00.000Z {…}`. `None` if there is no time; `Some(0)` if more bytes are needed to decide.
#[must_use]
pub fn export_time(line: &[u8]) -> Option<usize> {
    let line = line.get(..EXPORT_BYTES).unwrap_or(line);
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let is_time = |byte: &u8| byte.is_ascii_digit() || b"-:.+TZ".contains(byte);
    let time = line.iter().position(|byte| !is_time(byte)).unwrap_or(line.len());
    let (time, behind) = line.split_at_checked(time)?;
    let blanks = behind.iter().take_while(|byte| is_blank(byte)).count();
    let length = time.len().saturating_add(blanks);
    match line.get(length) {
        None if line.len() < EXPORT_BYTES => Some(0),
        Some(b'{') if blanks > 0 => {
            let text = std::str::from_utf8(time).ok()?;
            EventTime::parse(text).map(|_| length)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let shown = EventTime::parse(text).map(|time| time.to_string());
        assert_eq!(shown.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn only_rfc_3339_with_an_offset_is_a_time() {
        check("2025-06-01T10:00:00Z", Some("2025-06-01T10:00:00Z"));
        check("2025-06-01T10:00:00.250Z", Some("2025-06-01T10:00:00.250Z"));
        check("2025-06-01T10:00:00.1239Z", Some("2025-06-01T10:00:00.123Z"));
        check("2025-06-01T12:00:00+02:00", Some("2025-06-01T10:00:00Z"));
        check("1969-12-31T23:59:59.5Z", Some("1969-12-31T23:59:59.500Z"));
        check("2025-06-01T10:00:00", None);
        check("2025-06-01", None);
        check("0000-01-01T00:00:00Z", Some("0000-01-01T00:00:00Z"));
        check("0000-01-01T00:00:00+00:01", None);
        check("-000001-06-01T10:00:00Z", None);
        check("yesterday", None);
        check("", None);
    }

    #[test]
    fn slots_count_from_the_epoch_and_hold_their_start_only() {
        let slot = |text| EventTime::parse(text).map(|t| t.slot(Duration::from_secs(600)).to_string());
        assert_eq!(slot("2025-06-01T10:00:00Z").as_deref(), Some("2025-06-01T10:00:00Z"));
        assert_eq!(slot("2025-06-01T10:09:59.999Z").as_deref(), Some("2025-06-01T10:00:00Z"));
        assert_eq!(slot("1969-12-31T23:59:59Z").as_deref(), Some("1969-12-31T23:50:00Z"));
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let end = EventTime::parse("9999-12-30T00:00:00Z").expect("a time");
        assert!(end.plus(Duration::from_secs(u64::MAX)) > end);
        assert!(!end.plus(Duration::from_secs(u64::MAX)).to_string().is_empty());
    }

    #[test]
    fn an_exported_line_begins_with_its_time() {
        for time in
            ["2025-06-04T16:00:00.000Z ", "2025-06-04T16:00:00Z ", "2025-06-04T16:00:00.000000+00:00\t "]
        {
            let line = format!("{time}{{");
            assert_eq!(export_time(line.as_bytes()), Some(time.len()), "{line}");
            for cut in 0..line.len() {
                assert_eq!(export_time(&line.as_bytes()[..cut]), Some(0), "{cut}");
            }
        }
        for other in [
            "2025-06-04 16:00:00.000Z {",
            "2025-06-04T16:00:00.000Z x",
            "2025-06-04T16:00:00.000Z{",
            "2025-06-04T16:00:00.000 {",
            "12 {",
            "{",
        ] {
            assert_eq!(export_time(other.as_bytes()), None, "{other}");
        }
        assert_eq!(export_time("1".repeat(EXPORT_BYTES).as_bytes()), None);
    }
}
