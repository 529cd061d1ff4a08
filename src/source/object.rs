//! One S3 object: its identity, whether it is a log, and when it was delivered.

use std::fmt;

/// Begins the name of a record that came in an event of `EventBridge`, where an object's begins with `s3://`.
pub const OF_EVENT: &str = "eventbridge:";

/// An S3 object named by an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key, decoded.
    pub key: String,
    /// The object's version, on a versioned bucket.
    pub version_id: Option<String>,
    /// The size in bytes, if the event gives it.
    pub size: Option<u64>,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// Why an object is skipped without being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// A body of over 100 KB that Bedrock stores beside its logs, under `data/`.
    BodyData,
    /// The permission probe that Bedrock writes when you enable logging.
    PermissionCheck,
    /// A CloudTrail digest file, under `CloudTrail-Digest/`.
    TrailDigest,
    /// A CloudTrail Insights event file, under `CloudTrail-Insight/`; it lists no calls.
    TrailInsight,
    /// The name is not a log's.
    Suffix,
    /// An object of zero bytes.
    Empty,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BodyData => "a request or response body under data/",
            Self::PermissionCheck => "Bedrock's permission check",
            Self::TrailDigest => "a signature over log files under CloudTrail-Digest/",
            Self::TrailInsight => "a finding of CloudTrail Insights under CloudTrail-Insight/",
            Self::Suffix => "the name ends in none of .json.gz, .json, .jsonl, .gz",
            Self::Empty => "zero bytes",
        })
    }
}

const SUFFIXES: [&str; 3] = [".json", ".jsonl", ".gz"];
const PERMISSION_CHECK: &str = "amazon-bedrock-logs-permission-check";
/// AWS services put this segment between the bucket owner's own prefix and the parts they choose.
const LOG_ROOT: &str = "AWSLogs";
/// Folders beside the logs. Sources: the prefixes that "Model invocation logging" in the Amazon
/// Bedrock user guide and "CloudTrail log file name format" in the AWS CloudTrail user guide name.
const NO_LOGS: [(&str, Skip); 3] = [
    ("data", Skip::BodyData),
    ("CloudTrail-Digest", Skip::TrailDigest),
    ("CloudTrail-Insight", Skip::TrailInsight),
];

/// Why an object is not a log, judged by its key alone; `None` for a log.
///
/// If the key contains `AWSLogs`, only folders after it are checked, so a bucket owner's own prefix may
/// reuse their names. People also choose the name `data`: without `AWSLogs`, it means nothing.
#[must_use]
pub fn skip_by_name(key: &str) -> Option<Skip> {
    let mut segments: Vec<&str> = key.split('/').collect();
    let name = segments.pop().unwrap_or_default();
    let root = segments.iter().rposition(|segment| *segment == LOG_ROOT);
    let folders = segments.get(root.unwrap_or(0)..).unwrap_or_default();
    let counts = |skip: Skip| root.is_some() || skip != Skip::BodyData;
    let beside = NO_LOGS.iter().find(|(folder, skip)| folders.contains(folder) && counts(*skip));
    if name.starts_with(PERMISSION_CHECK) {
        Some(Skip::PermissionCheck)
    } else if let Some((_, skip)) = beside {
        Some(*skip)
    } else if !SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        Some(Skip::Suffix)
    } else {
        None
    }
}

/// When a log file was delivered, according to its name. Stamps sort as text.
///
/// Bedrock writes milliseconds (`YYYYMMDDTHHMMSSmmmZ_<16 hex>.json.gz`), CloudTrail minutes
/// (`<account>_CloudTrail_<region>_YYYYMMDDTHHMMZ_<16 characters>.json.gz`, and the same with
/// `CloudTrail-NetworkActivity`). `Z` sorts after all
/// digits, so a minute's stamp sorts after every one within that minute, and before the next minute's.
///
/// Sources: file names of Bedrock; "CloudTrail log file name format" in the AWS CloudTrail
/// user guide.
#[must_use]
pub fn delivery_stamp(key: &str) -> Option<&str> {
    let name = key.rsplit('/').next()?;
    let (first, rest) = name.split_once('_')?;
    if is_stamp(first, "HHMMSSmmm".len()) {
        return Some(first);
    }
    let rest = rest.strip_prefix("CloudTrail")?;
    let (_region, rest) =
        rest.strip_prefix("-NetworkActivity").unwrap_or(rest).strip_prefix('_')?.split_once('_')?;
    let (stamp, _) = rest.split_once('_')?;
    is_stamp(stamp, "HHMM".len()).then_some(stamp)
}

fn is_stamp(text: &str, time_digits: usize) -> bool {
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.strip_suffix('Z').and_then(|stamp| stamp.split_once('T'));
    parts.is_some_and(|(date, time)| digits(date, 8) && digits(time, time_digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, expected: Option<Skip>) {
        assert_eq!(skip_by_name(key), expected, "{key}");
    }

    #[test]
    fn a_log_is_recognised_by_its_name() {
        let day = "AWSLogs/123456789012/BedrockModelInvocationLogs/us-east-1/2025/06/01/10";
        check(&format!("{day}/20250601T100000000Z_0123456789abcdef.json.gz"), None);
        check("a.json", None);
        check("a.jsonl", None);
        check("a.gz", None);
        check("a.txt", Some(Skip::Suffix));
        check("json", Some(Skip::Suffix));
        check("", Some(Skip::Suffix));
        check(&format!("{day}/"), Some(Skip::Suffix));
        check(
            &format!("{day}/data/20250601T100000000Z_0123456789abcdef_input.json.gz"),
            Some(Skip::BodyData),
        );
        check("AWSLogs/1/data/a.json.gz", Some(Skip::BodyData));
        check("x/AWSLogs/data/y/a.json.gz", Some(Skip::BodyData));
        check("data/a.json.gz", None);
        check("logs/data/a.json.gz", None);
        check("data/AWSLogs/1/a.json.gz", None);
        check("AWSLogs/data/AWSLogs/1/a.json.gz", None);
        check("data/amazon-bedrock-logs-permission-check", Some(Skip::PermissionCheck));
        check("logs/database/a.json", None);
        check("data.json", None);
        check(
            "AWSLogs/1/BedrockModelInvocationLogs/amazon-bedrock-logs-permission-check",
            Some(Skip::PermissionCheck),
        );
        check("x/amazon-bedrock-logs-permission-check-1.json.gz", Some(Skip::PermissionCheck));
    }

    #[test]
    fn a_bedrock_name_says_when_it_was_delivered() {
        assert_eq!(
            delivery_stamp("a/b/20250601T100000123Z_0123456789abcdef.json.gz"),
            Some("20250601T100000123Z")
        );
        assert_eq!(delivery_stamp("20250601T1000Z_x.json"), None);
        assert_eq!(delivery_stamp("a.json"), None);
    }

    const TRAIL: &str = "AWSLogs/o-abc/111122223333";
    const TRAIL_FILE: &str = "111122223333_CloudTrail_us-east-1_20250601T1005Z_nSPtyhGHJ3Kqqtg0.json.gz";

    #[test]
    fn a_trail_holds_logs_and_other_files_beside_them() {
        let file = |folder: &str| format!("{TRAIL}/{folder}/us-east-1/2025/06/01/{TRAIL_FILE}");
        check(&file("CloudTrail"), None);
        check(&file("CloudTrail-Digest"), Some(Skip::TrailDigest));
        check(&file("CloudTrail-Insight"), Some(Skip::TrailInsight));
        check(&format!("CloudTrail-Digest/{}", file("CloudTrail")), None);
        check(&format!("CloudTrail-Digest/{TRAIL_FILE}"), Some(Skip::TrailDigest));
        check("my-CloudTrail-Digest-copy/a.json", None);
    }

    #[test]
    fn a_trail_name_gives_the_minute_and_sorts_among_bedrock_names() {
        assert_eq!(delivery_stamp(&format!("{TRAIL}/CloudTrail/{TRAIL_FILE}")), Some("20250601T1005Z"));
        let network = TRAIL_FILE.replace("_CloudTrail_", "_CloudTrail-NetworkActivity_");
        assert_eq!(delivery_stamp(&network), Some("20250601T1005Z"));
        for no_stamp in [
            "1_CloudTrail_us-east-1_20250601T1005Z.json.gz",
            "1_CloudTrail_20250601T1005Z_x.json.gz",
            "1_CloudTrail_us-east-1_20250601T100500000Z_x.json.gz",
            "1_Config_us-east-1_20250601T1005Z_x.json.gz",
        ] {
            assert_eq!(delivery_stamp(no_stamp), None, "{no_stamp}");
        }
        let trail = delivery_stamp(TRAIL_FILE).expect("a stamp");
        for (bedrock, before) in [
            ("20250601T100459999Z_0.json.gz", true),
            ("20250601T100500000Z_0.json.gz", true),
            ("20250601T100559999Z_0.json.gz", true),
            ("20250601T100600000Z_0.json.gz", false),
        ] {
            assert_eq!(delivery_stamp(bedrock).expect("a stamp") < trail, before, "{bedrock}");
        }
    }
}
