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

    /// From whole seconds since the Unix epoch, as clocks and leases count.
    #[must_use]
    pub fn from_epoch_seconds(seconds: u64) -> Self {
        Self(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000))
    }

    /// Whole seconds since the Unix epoch; 0 before it.
    #[must_use]
    pub fn epoch_seconds(self) -> u64 {
        u64::try_from(self.0 / 1000).unwrap_or(0)
    }

    /// Reads an RFC 3339 time, as Bedrock logs it (`2025-06-01T10:00:00Z`), also with a space in place of the `T`, and
    /// without an offset, which means UTC: Athena and Panther export it so. `None` for anything else, such as a
    /// year before 0. Truncates to whole milliseconds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // A date alone is no time.
        let without_offset = || if text.contains(':') { format!("{text}Z").parse().ok() } else { None };
        let time: Timestamp = text.parse().ok().or_else(without_offset)?;
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

    /// How long it is after `earlier`; nothing if it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let ms = self.epoch_ms().saturating_sub(earlier.epoch_ms());
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
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

/// The longest prefix of a line from a log group: a time, and a stream's name of at most 512 characters.
const EXPORT_BYTES: usize = 600;

/// The length of what begins a line of an exported log group, `2025-06-04T16:00:00.000Z {…}`, or of what `aws logs tail`
/// prints, `2025-06-04T16:00:00.000000+00:00 stream {…}`. `None` if there is no time; `Some(0)` if more bytes are needed
/// to decide.
#[must_use]
pub fn export_time(line: &[u8]) -> Option<usize> {
    let line = line.get(..EXPORT_BYTES).unwrap_or(line);
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let is_time = |byte: &u8| byte.is_ascii_digit() || b"-:.+TZ".contains(byte);
    let is_name = |byte: &u8| !is_blank(byte) && !matches!(byte, b'{' | b'\n');
    // The end of the bytes from `at` on that are alike, and the byte behind them.
    let end = |at: usize, is_alike: &dyn Fn(&u8) -> bool| {
        let end = at.saturating_add(line.iter().skip(at).take_while(|byte| is_alike(byte)).count());
        (end, line.get(end).copied())
    };
    let more = || (line.len() < EXPORT_BYTES).then_some(0);
    let (time, behind) = end(0, &is_time);
    let Some(behind) = behind else { return more() };
    if !is_blank(&behind) {
        return None;
    }
    let (mut at, mut next) = end(time, &is_blank);
    if next.is_some_and(|byte| is_name(&byte)) {
        let (name, behind) = end(at, &is_name);
        (at, next) =
            if behind.is_none_or(|byte| is_blank(&byte)) { end(name, &is_blank) } else { return None };
    }
    match next {
        None => more(),
        Some(b'{') => {
            let text = std::str::from_utf8(line.get(..time)?).ok()?;
            EventTime::parse(text).map(|_| at)
        }
        Some(_) => None,
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
    fn rfc_3339_is_a_time_also_with_a_space_and_without_an_offset() {
        check("2025-06-01T10:00:00Z", Some("2025-06-01T10:00:00Z"));
        check("2025-06-01T10:00:00.250Z", Some("2025-06-01T10:00:00.250Z"));
        check("2025-06-01T10:00:00.1239Z", Some("2025-06-01T10:00:00.123Z"));
        check("2025-06-01T12:00:00+02:00", Some("2025-06-01T10:00:00Z"));
        check("1969-12-31T23:59:59.5Z", Some("1969-12-31T23:59:59.500Z"));
        check("2025-06-01T10:00:00", Some("2025-06-01T10:00:00Z"));
        check("2025-06-01 10:00:00.250", Some("2025-06-01T10:00:00.250Z"));
        check("2025-06-01 10:00:00.250000000", Some("2025-06-01T10:00:00.250Z"));
        check("2025-06-01 10:00:00Z", Some("2025-06-01T10:00:00Z"));
        check("2025-06-01 12:00:00+02:00", Some("2025-06-01T10:00:00Z"));
        check("2025-06-01 10", None);
        check("10:00:00", None);
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
        for time in [
            "2025-06-04T16:00:00.000Z ",
            "2025-06-04T16:00:00Z ",
            "2025-06-04T16:00:00.000000+00:00\t ",
            "2025-06-04T16:00:00.000 ",
            "2025-06-04T16:00:00.000000+00:00 aws/bedrock/modelinvocations ",
        ] {
            let line = format!("{time}{{");
            assert_eq!(export_time(line.as_bytes()), Some(time.len()), "{line}");
            for cut in 0..line.len() {
                assert_eq!(export_time(&line.as_bytes()[..cut]), Some(0), "{cut}");
            }
        }
        for other in [
            "2025-06-04 16:00:00.000Z {",
            "2025-06-04T16:00:00.000Z{",
            "2025-06-04T16:00:00.000Z one two {",
            "2025-06-04T16:00:00.000Z name{",
            "2025-06-04T16:00:00.000Z name\n{",
            "12 {",
            "{",
        ] {
            assert_eq!(export_time(other.as_bytes()), None, "{other}");
        }
        assert_eq!(export_time("1".repeat(EXPORT_BYTES).as_bytes()), None);
    }
}
