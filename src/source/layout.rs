//! Where in a bucket logs lie, by a folder's name: whose, and from when.

use std::time::Duration;

use crate::source::object;
use crate::source::time::EventTime;

/// How long after a call its record may lie in a file: CloudTrail delivers within about 15 minutes, Bedrock
/// within one, and both may be late.
const LATEST: Duration = Duration::from_secs(3600);
const ROOT: &str = "AWSLogs";
const LOGS: [&str; 3] = ["BedrockModelInvocationLogs", "CloudTrail", "CloudTrail-NetworkActivity"];

/// Which logs are wanted. Empty lists and missing times leave nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectFilter {
    /// Account ids.
    pub accounts: Vec<String>,
    /// Regions.
    pub regions: Vec<String>,
    /// No call before this.
    pub since: Option<EventTime>,
    /// No call after this.
    pub until: Option<EventTime>,
}

impl ObjectFilter {
    /// Whether a folder, a key that ends in `/`, may hold wanted logs. Judged by what stands after `AWSLogs`:
    /// `[o-…/]<account>/<service>/<region>/<year>/<month>/<day>/[<hour>/]`. Any other folder may.
    ///
    /// Sources: the layouts that "Model invocation logging" in the Amazon Bedrock user guide and "CloudTrail
    /// log file name format" in the AWS CloudTrail user guide describe.
    #[must_use]
    pub fn folder(&self, key: &str) -> bool {
        let segments: Vec<&str> = key.trim_end_matches('/').split('/').collect();
        let Some(root) = segments.iter().position(|segment| *segment == ROOT) else { return true };
        let mut below = segments.iter().skip(root).skip(1).copied().peekable();
        below.next_if(|segment| segment.starts_with("o-"));
        let allowed = |list: &[String], one: Option<&str>| {
            list.is_empty() || one.is_none_or(|one| list.iter().any(|wanted| wanted == one))
        };
        let (account, service, region) = (below.next(), below.next(), below.next());
        allowed(&self.accounts, account)
            && service.is_none_or(|service| LOGS.contains(&service))
            && allowed(&self.regions, region)
            && self.date(&below.collect::<Vec<_>>())
    }

    /// Whether the folder `<year>/<month>/<day>/<hour>`, or its beginning, may hold wanted logs.
    fn date(&self, parts: &[&str]) -> bool {
        // What Bedrock keeps beside its logs.
        if parts.contains(&"data") {
            return false;
        }
        let numbers: Vec<i64> = parts.iter().map_while(|part| part.parse().ok()).take(4).collect();
        let Some((first, next)) = span(&numbers) else { return true };
        self.since.is_none_or(|since| next > since)
            && self.until.is_none_or(|until| first <= until.plus(LATEST))
    }

    /// Whether an object may hold wanted records, judged by the time in its name.
    #[must_use]
    pub fn object(&self, key: &str) -> bool {
        let folder = key.rfind('/').and_then(|end| key.get(..=end)).unwrap_or_default();
        let Some(written) = object::delivery_stamp(key).and_then(written) else { return self.folder(folder) };
        self.folder(folder)
            && self.since.is_none_or(|since| written >= since)
            && self.until.is_none_or(|until| written <= until.plus(LATEST))
    }
}

/// From when to when a folder's logs were delivered, by year, month, day and hour as far as it names them.
fn span(numbers: &[i64]) -> Option<(EventTime, EventTime)> {
    let at = |year: i64, month: i64, day: i64, hour: i64| {
        EventTime::parse(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:00:00Z"))
    };
    let after = |from: EventTime, seconds| from.plus(Duration::from_secs(seconds));
    match *numbers {
        [year] => Some((at(year, 1, 1, 0)?, at(year.saturating_add(1), 1, 1, 0)?)),
        [year, month] => {
            let next = if month == 12 {
                at(year.saturating_add(1), 1, 1, 0)
            } else {
                at(year, month.saturating_add(1), 1, 0)
            };
            Some((at(year, month, 1, 0)?, next?))
        }
        [year, month, day] => at(year, month, day, 0).map(|from| (from, after(from, 24 * 3600))),
        [year, month, day, hour] => at(year, month, day, hour).map(|from| (from, after(from, 3600))),
        _ => None,
    }
}

/// The last moment of a delivery stamp: `20250601T100000000Z` or `20250601T1000Z`.
fn written(stamp: &str) -> Option<EventTime> {
    let (date, time) = stamp.trim_end_matches('Z').split_once('T')?;
    let seconds = time.get(..6).map_or_else(|| format!("{time}59"), str::to_owned);
    EventTime::parse(&format!("{date}T{seconds}Z"))
}

/// Reads a point in time as people write it: RFC 3339, a day (`2025-06-01`, its beginning in UTC), or a span
/// before `now` (`3h`, `7d`).
///
/// # Errors
/// What was expected.
pub fn time(text: &str, now: EventTime) -> Result<EventTime, String> {
    let day = || EventTime::parse(&format!("{text}T00:00:00Z"));
    let ago = || humantime::parse_duration(text).ok().map(|span| now.minus(span));
    EventTime::parse(text).or_else(day).or_else(ago).ok_or_else(|| {
        "expected a time such as 2025-06-01T09:00:00Z, a day such as 2025-06-01, or how long ago, such as 3h or 7d"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEDROCK: &str = "p/AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2025/06/02/09/";
    const TRAIL: &str = "AWSLogs/o-abc/111122223333/CloudTrail/us-east-1/2025/06/02/";

    fn wanted(since: &str, until: &str) -> ObjectFilter {
        let at = |text: &str| EventTime::parse(text);
        ObjectFilter { since: at(since), until: at(until), ..ObjectFilter::default() }
    }

    /// `folder` and every folder above it.
    #[track_caller]
    fn check(wanted: &ObjectFilter, folder: &str, expected: bool) {
        let whole = folder.match_indices('/').all(|(end, _)| wanted.folder(&folder[..=end]));
        assert_eq!(whole, expected, "{folder} {wanted:?}");
    }

    #[test]
    fn a_folder_is_listed_only_if_its_time_can_hold_a_wanted_call() {
        for (since, until, expected) in [
            ("2025-06-02T09:59:59Z", "", true),
            ("2025-06-02T10:00:00Z", "", false),
            ("", "2025-06-02T08:00:00Z", true),
            ("", "2025-06-02T07:59:59Z", false),
            ("2024-01-01T00:00:00Z", "2026-01-01T00:00:00Z", true),
            ("", "", true),
        ] {
            check(&wanted(since, until), BEDROCK, expected);
        }
        check(&wanted("2025-06-02T23:59:59Z", ""), TRAIL, true);
        check(&wanted("2025-06-03T00:00:00Z", ""), TRAIL, false);
        check(&wanted("", "2025-06-01T22:59:59Z"), TRAIL, false);
        check(&wanted("2025-12-31T23:00:00Z", ""), "AWSLogs/1/CloudTrail/r/2025/12/31/", true);
        check(&wanted("2026-01-01T00:00:00Z", ""), "AWSLogs/1/CloudTrail/r/2025/12/31/", false);
    }

    #[test]
    fn account_region_and_service_leave_folders_out_and_unknown_layouts_stay() {
        let only = |accounts: &[&str], regions: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
            ObjectFilter { accounts: owned(accounts), regions: owned(regions), ..ObjectFilter::default() }
        };
        check(&only(&["111122223333"], &["us-east-1"]), BEDROCK, true);
        check(&only(&["111122223333"], &["us-east-1"]), TRAIL, true);
        check(&only(&["444455556666"], &[]), BEDROCK, false);
        check(&only(&[], &["eu-west-1", "us-west-2"]), TRAIL, false);
        let all = ObjectFilter::default();
        check(&all, &BEDROCK.replace("BedrockModelInvocationLogs", "vpcflowlogs"), false);
        check(&all, &TRAIL.replace("CloudTrail", "CloudTrail-Digest"), false);
        check(&all, &format!("{BEDROCK}data/"), false);
        check(&only(&["1"], &["r"]), "exports/2020/", true);
    }

    #[test]
    fn an_object_is_read_only_if_it_was_written_after_a_wanted_call_could_be_in_it() {
        let bedrock = format!("{BEDROCK}20250602T091503066Z_591e09182f98e28c.json.gz");
        let trail =
            format!("{TRAIL}111122223333_CloudTrail_us-east-1_20250602T0915Z_ABCDEFGHIJKLMNOP.json.gz");
        for (since, until, one, other) in [
            ("2025-06-02T09:15:03Z", "", true, true),
            ("2025-06-02T09:15:04Z", "", false, true),
            ("2025-06-02T09:16:00Z", "", false, false),
            ("", "2025-06-02T08:15:59Z", true, true),
            ("", "2025-06-02T08:15:00Z", false, false),
        ] {
            let wanted = wanted(since, until);
            assert_eq!((wanted.object(&bedrock), wanted.object(&trail)), (one, other), "{since} {until}");
        }
        assert!(wanted("2030-01-01T00:00:00Z", "").object("exports/a.json"));
    }

    #[test]
    fn a_time_may_be_a_day_or_how_long_ago() {
        let now = EventTime::parse("2025-06-02T12:00:00Z").expect("a time");
        let read = |text: &str| time(text, now).map(|at| at.to_string());
        assert_eq!(read("2025-06-01T09:00:00Z").as_deref(), Ok("2025-06-01T09:00:00Z"));
        assert_eq!(read("2025-06-01").as_deref(), Ok("2025-06-01T00:00:00Z"));
        assert_eq!(read("3h").as_deref(), Ok("2025-06-02T09:00:00Z"));
        assert_eq!(read("7d").as_deref(), Ok("2025-05-26T12:00:00Z"));
        assert!(read("yesterday").is_err_and(|why| why.contains("2025-06-01T09:00:00Z")));
    }
}
