//! One S3 object: its identity, whether it is an invocation log, and when it was delivered.

use std::fmt;

/// An S3 object as an event names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key, decoded.
    pub key: String,
    /// The version the event speaks of, on a versioned bucket.
    pub version_id: Option<String>,
    /// The size in bytes as the event tells it.
    pub size: Option<u64>,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// Why an object is passed over without being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// A body of over 100 KB that Bedrock stores beside its logs, under `data/`.
    BodyData,
    /// The probe that Bedrock writes when logging is turned on.
    PermissionCheck,
    /// Not named like a log.
    Suffix,
    /// An object of zero bytes.
    Empty,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BodyData => "a request or response body under data/",
            Self::PermissionCheck => "Bedrock's permission check",
            Self::Suffix => "the name ends in none of .json.gz, .json, .jsonl, .gz",
            Self::Empty => "zero bytes",
        })
    }
}

const SUFFIXES: [&str; 3] = [".json", ".jsonl", ".gz"];
const PERMISSION_CHECK: &str = "amazon-bedrock-logs-permission-check";
/// AWS services put this segment between the bucket owner's own prefix and the parts they choose.
const LOG_ROOT: &str = "AWSLogs";

/// Tells from the key alone why an object is no invocation log; `None` for a log.
///
/// A `data` segment counts only behind `AWSLogs` where the key has that segment, so that
/// a bucket owner's own prefix may be called `data`.
#[must_use]
pub fn skip_by_name(key: &str) -> Option<Skip> {
    let mut segments: Vec<&str> = key.split('/').collect();
    let name = segments.pop().unwrap_or_default();
    let from = segments.iter().rposition(|segment| *segment == LOG_ROOT).unwrap_or(0);
    if name.starts_with(PERMISSION_CHECK) {
        Some(Skip::PermissionCheck)
    } else if segments[from..].contains(&"data") {
        Some(Skip::BodyData)
    } else if !SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        Some(Skip::Suffix)
    } else {
        None
    }
}

/// The time stamp (`YYYYMMDDTHHMMSSmmmZ`) that starts the name of a log file that Bedrock wrote.
///
/// It sorts as text. Source: file names of the service, `<stamp>_<16 hex>.json.gz`.
#[must_use]
pub fn delivery_stamp(key: &str) -> Option<&str> {
    let name = key.rsplit('/').next()?;
    let (stamp, _) = name.split_once('_')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (date, time) = stamp.strip_suffix('Z')?.split_once('T')?;
    (date.len() == 8 && time.len() == 9 && digits(date) && digits(time)).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, expected: Option<Skip>) {
        assert_eq!(skip_by_name(key), expected, "{key}");
    }

    #[test]
    fn a_log_is_told_by_its_name() {
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
        check("data/a.json.gz", Some(Skip::BodyData));
        check("data/AWSLogs/1/a.json.gz", None);
        check("logs/database/a.json", None);
        check("data.json", None);
        check(
            "AWSLogs/1/BedrockModelInvocationLogs/amazon-bedrock-logs-permission-check",
            Some(Skip::PermissionCheck),
        );
        check("x/amazon-bedrock-logs-permission-check-1.json.gz", Some(Skip::PermissionCheck));
    }

    #[test]
    fn a_bedrock_name_tells_when_it_was_delivered() {
        assert_eq!(
            delivery_stamp("a/b/20250601T100000123Z_0123456789abcdef.json.gz"),
            Some("20250601T100000123Z")
        );
        assert_eq!(delivery_stamp("20250601T1000Z_x.json"), None);
        assert_eq!(delivery_stamp("a.json"), None);
    }
}
