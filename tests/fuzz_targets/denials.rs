//! Bytes → denials. However they are cut, the result is the same; and where the text is JSON, it is what a
//! parser finds that builds the whole document.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::LazyLock;

use bedrock_denial_watch::call::model;
use bedrock_denial_watch::count::key::sample_value;
use bedrock_denial_watch::count::tally::Tally;
use bedrock_denial_watch::reader::{Limits, Read, Reader};
use bedrock_denial_watch::rule::catalogue::DENIED_MODEL;
use bedrock_denial_watch::rule::definition::Rule;
use bedrock_denial_watch::source::inflate::Damage;
use bedrock_denial_watch::source::text;
use bedrock_denial_watch::source::time::EventTime;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::json::Json;

/// One that keeps all values of an object.
static RULE: LazyLock<Rule> = LazyLock::new(|| Rule { threshold: 1000, ..DENIED_MODEL.clone() });

/// The object's name, with which a record without a request id gets one.
const OBJECT: &str = "fuzzed-object";

/// A denial as it is counted: account, user, model, epoch milliseconds and request id.
type Found = ([Option<String>; 3], i64, String);

/// What was read of one object, as far as it is reported.
#[derive(Debug, PartialEq)]
struct Seen {
    found: BTreeSet<Found>,
    rest: String,
}

/// What an input's bytes mean in [`check_tokens`]: pieces that make a log, whole or broken.
const TOKENS: [&str; 64] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\n",
    " ",
    "\r\n",
    "\t",
    "0",
    "null",
    "x",
    "\"a\":",
    "{\"Records\":[",
    "{\"Events\":[",
    "{\"logEvents\":[",
    "{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[",
    "]}",
    "}]}",
    "},{",
    "}\n{",
    "\\\"",
    "\"x\":{",
    "\"x\":[",
    "\"x\":\"",
    "\"}",
    "{}",
    "[]",
    "  ",
    "{\"message\":\"",
    "{\"CloudTrailEvent\":\"",
    "\"detail\":{",
    "\"detail-type\":\"t\",\"source\":\"aws.bedrock\",",
    "\"errorCode\":\"AccessDeniedException\"",
    "\"errorCode\":\"AccessDenied\"",
    "\"errorCode\":null",
    "\"errorCode\" : \"AccessDeniedException\"",
    "\"timestamp\":\"2025-06-01T10:00:00Z\"",
    "\"requestId\":\"a\"",
    "\"modelId\":\"us.a.b\"",
    "\"accountId\":\"1\"",
    "\"identity\":{\"arn\":\"u\"}",
    "\"input\":{\"inputBodyJson\":",
    "\"eventVersion\":\"1.11\"",
    "\"eventSource\":\"bedrock.amazonaws.com\"",
    "\"eventSource\":\"s3.amazonaws.com\"",
    "\"eventName\":\"InvokeModel\"",
    "\"eventTime\":\"2025-06-01T10:00:00Z\"",
    "\"requestID\":\"b\"",
    "\"requestParameters\":{\"modelId\":\"m\"}",
    "\"userIdentity\":{\"arn\":\"u\"}",
    "2025-06-04T16:00:00.000Z ",
    "{\"timestamp\":\"2025-06-01T10:00:00Z\",\"requestId\":\"c\",\"errorCode\":\"AccessDeniedException\"}",
    "{\"timestamp\":\"2025-06-01T10:00:00Z\",\"requestId\":\"d\",\"input\":\"an AccessDeniedException?\"}",
    "{\"eventVersion\":\"1.11\",\"eventTime\":\"2025-06-01T10:00:00Z\",\"eventSource\":\"bedrock.amazonaws.com\",\"eventName\":\"Converse\",\"errorCode\":\"AccessDenied\",\"requestID\":\"e\"}",
    "{\"eventVersion\":\"1.11\",\"eventTime\":\"2025-06-01T10:00:00Z\",\"eventSource\":\"s3.amazonaws.com\",\"eventName\":\"GetObject\",\"errorCode\":\"AccessDenied\",\"requestID\":\"f\"}",
    "{\\\"timestamp\\\":\\\"2025-06-01T10:00:00Z\\\",\\\"requestId\\\":\\\"g\\\",\\\"errorCode\\\":\\\"AccessDeniedException\\\"}",
    "{\"id\":\"1\",\"message\":\"{\\\"timestamp\\\":\\\"2025-06-01T10:00:00Z\\\",\\\"requestId\\\":\\\"h\\\",\\\"errorCode\\\":\\\"AccessDeniedException\\\"}\"}",
    "\u{feff}",
    "\"Records\":[",
    "AccessDeniedException",
];

/// As [`check`], of a text that the input's bytes choose from [`TOKENS`].
pub fn check_tokens(input: &[u8]) {
    let text: String = input.iter().map(|byte| TOKENS[usize::from(*byte) % TOKENS.len()]).collect();
    check(text.as_bytes());
}

/// A denial on its own line.
const BEHIND: &str = "\n{\"timestamp\":\"2025-06-01T10:00:00Z\",\"requestId\":\"behind\",\"errorCode\":\"AccessDeniedException\"}\n";

pub fn check(stored: &[u8]) {
    let whole = seen(read(stored, stored.len(), Limits::default()));
    // The same input is always cut in the same way.
    let seed = stored.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let chunk = 1 + usize::try_from(seed >> 56).unwrap_or_default();
    let block = 1 + usize::try_from(seed >> 40 & 0x1ff).unwrap_or_default();
    let limits = Limits { block_bytes: block, ..Limits::default() };
    assert_eq!(seen(read(stored, chunk, limits)), whole, "chunks of {chunk} bytes, blocks of {block}");
    let is_gzip = stored.starts_with(&[0x1f, 0x8b]);
    let mut compressed = None;
    if (seed >> 32).is_multiple_of(8) && !is_gzip && !stored.is_empty() {
        let (one, other) = stored.split_at(stored.len() / 2);
        let members = [gzip(one), gzip(other)].concat();
        let found = seen(read(&members, chunk, limits)).found;
        assert_eq!(found, whole.found, "two gzip members");
        compressed = Some(found);
    }
    // Behind the array of a cut envelope, what follows may be a member's value.
    let may_be_cut = stored.windows(7).any(|word| word == b"Events\"");
    if !is_gzip && !may_be_cut {
        let more = [stored, BEHIND.as_bytes()].concat();
        let more = seen(read(&more, more.len(), Limits::default()));
        assert!(more.found.iter().any(|(_, _, id)| id == "behind"), "it hides what follows it: {more:?}");
    }
    let Ok(text) = std::str::from_utf8(stored) else { return };
    if let Some(expected) = expected(text) {
        // A slot keeps the first and the last time of a value that comes again.
        assert!(whole.found.is_subset(&expected), "{:?} beyond {expected:?}", whole.found);
        assert_eq!(untimed(&whole.found), untimed(&expected));
        assert!(compressed.is_none_or(|found| found == whole.found), "two gzip members");
    }
}

fn read(stored: &[u8], chunk: usize, limits: Limits) -> Read {
    let mut reader = Reader::new(OBJECT, Tally::new(vec![RULE.clone()], Vec::new()), limits);
    for piece in stored.chunks(chunk.max(1)) {
        if !reader.push(piece) {
            break;
        }
    }
    reader.finish()
}

fn seen(read: Read) -> Seen {
    let mut found = BTreeSet::new();
    let statistics = &read.statistics;
    let rest = format!(
        "{} denials, {} malformed, {} oversized, {} unrecognised, {:?}, {:?}",
        statistics.denials,
        statistics.malformed,
        statistics.oversized,
        statistics.unrecognised,
        read.faults,
        read.damage.map(|damage| match damage {
            // What the decoder calls the cause depends on how far it may look.
            Damage::Corrupt { at, .. } => format!("corrupt at {at}"),
            other => other.to_string(),
        }),
    );
    for summary in read.tally.into_summaries() {
        let values = summary.key.values.iter().map(|value| value.as_deref().map(str::to_owned));
        let values: [Option<String>; 3] = values.collect::<Vec<_>>().try_into().expect("three values");
        for (_, contribution) in summary.contributions() {
            found.extend(contribution.samples.into_iter().map(|sample| {
                let id = sample.value.to_string();
                let id = if id.starts_with(OBJECT) { OBJECT.to_owned() } else { id };
                (values.clone(), sample.at.epoch_ms(), id)
            }));
        }
    }
    Seen { found, rest }
}

fn untimed(found: &BTreeSet<Found>) -> BTreeSet<(&[Option<String>; 3], &str)> {
    found.iter().map(|(key, _, id)| (key, id.as_str())).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).and_then(|()| encoder.finish()).expect("in memory")
}

// Oracle -----------------------------------------------------------------------------------

/// The denials of a text that holds nothing but objects, or lists of them; `None` for any other, and for what
/// AWS does not write.
fn expected(text: &str) -> Option<BTreeSet<Found>> {
    // Words are matched as AWS writes them: without escapes.
    if text.contains("\\u00") {
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut expected = BTreeSet::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Json>() {
        match value.ok()? {
            Json::List(list) => list.iter().try_for_each(|value| document(value, &mut expected))?,
            value => document(&value, &mut expected)?,
        }
    }
    Some(expected)
}

/// What holds records, and what records hold; nothing holds both.
const ENVELOPES: [&str; 6] = ["Records", "records", "logEvents", "events", "Events", "CloudTrailEvent"];

/// The denials of one object at the top level.
fn document(document: &Json, expected: &mut BTreeSet<Found>) -> Option<()> {
    let members = document.members();
    if !matches!(document, Json::Object(_)) {
        return None;
    }
    let has = |name: &str| document.get(name).is_some();
    let count = members.iter().filter(|(name, _)| is_of_envelope(name)).count();
    if count == 0 {
        return record(document, expected);
    }
    if is_known(document) || (count > 1 && !has("detail")) {
        return None;
    }
    if let Some(records) = document.list("Records").or_else(|| document.list("records")) {
        if members.len() > 1 || records.iter().any(|record| record.members().iter().any(is_envelope)) {
            return None;
        }
        return records.iter().try_for_each(|one| match one {
            Json::Object(_) => record(one, expected),
            _ => None,
        });
    }
    if let Some(detail) = detail(document) {
        return (members.iter().filter(|member| is_envelope(member)).count() == 0)
            .then(|| record(detail, expected))?;
    }
    for (list, text) in [("logEvents", "message"), ("events", "message"), ("Events", "CloudTrailEvent")] {
        if let Some(events) = document.list(list) {
            for event in events {
                let names: Vec<&str> = event.members().iter().map(|(name, _)| name.as_str()).collect();
                if names.iter().filter(|name| **name == text).count() != 1
                    || names.iter().any(|name| *name != text && is_of_envelope(name))
                {
                    return None;
                }
                inside(event.text(text)?, expected)?;
            }
            return Some(());
        }
    }
    if let Some(text) = document.text("CloudTrailEvent") {
        return inside(text, expected);
    }
    None
}

fn is_envelope((name, _): &(String, Json)) -> bool {
    ENVELOPES.contains(&name.as_str())
}

fn is_of_envelope(name: &str) -> bool {
    ENVELOPES.contains(&name) || ["detail", "detail-type", "source", "message"].contains(&name)
}

/// The denial in a text that an envelope carries.
fn inside(text: &str, expected: &mut BTreeSet<Found>) -> Option<()> {
    let Ok(value) = serde_json::from_str::<Json>(text) else {
        // It may be readable for a parser that passes over more.
        return (!text.contains('{')).then_some(());
    };
    let count = value.members().iter().filter(|(name, _)| is_of_envelope(name)).count();
    match detail(&value) {
        Some(detail) if count <= 3 && !is_known(&value) => record(detail, expected),
        _ if count == 0 => record(&value, expected),
        _ => None,
    }
}

/// What EventBridge carries of AWS's own.
fn detail(event: &Json) -> Option<&Json> {
    let is_event = event.get("detail-type").is_some_and(|value| !matches!(value, Json::Null));
    let is_of_aws = event.text("source").is_some_and(|source| source.starts_with("aws."));
    event.get("detail").filter(|_| is_event && is_of_aws)
}

/// Whether an object is a record of Azure OpenAI's log, or of another service of Azure.
fn is_of_azure(record: &Json) -> bool {
    let has = |name: &str| record.get(name).is_some();
    let is_bedrocks = has("timestamp") && (has("modelId") || has("accountId") || has("requestId"));
    let is_resource = provider(record).is_some() && has("operationName") && has("time");
    let is_answer = record.text("category") == Some("RequestResponse") && has("resultSignature");
    !has("eventSource") && !is_bedrocks && (is_resource || is_answer)
}

/// The values of a resource's id by their names, in lower case.
fn segments(record: &Json) -> Vec<(String, &str)> {
    let segments: Vec<&str> =
        record.text("resourceId").unwrap_or_default().trim_start_matches('/').split('/').collect();
    segments.chunks_exact(2).map(|pair| (pair[0].to_lowercase(), pair[1])).collect()
}

fn segment<'r>(record: &'r Json, name: &str) -> Option<&'r str> {
    let found = segments(record).into_iter().find(|(known, _)| known == name)?;
    Some(found.1).filter(|value| !value.is_empty())
}

fn provider(record: &Json) -> Option<&str> {
    segment(record, "providers")
}

/// The denial in a record of Azure OpenAI's log; `None` for a status that is no text.
fn azure(record: &Json, expected: &mut BTreeSet<Found>) -> Option<()> {
    let status = match record.get("resultSignature") {
        Some(Json::Text(status)) => status.as_str(),
        Some(_) => return None,
        None => "",
    };
    let is_denied = match status {
        "401" | "403" => true,
        // What else begins with a number has tests of its own.
        odd if odd.contains("40") => return None,
        _ => false,
    };
    let is_own =
        provider(record).is_none_or(|provider| provider.to_lowercase() == "microsoft.cognitiveservices");
    let at = record.text("time").and_then(EventTime::parse);
    if !is_denied || !is_own || record.text("category") != Some("RequestResponse") {
        return Some(());
    }
    let text: Option<Json> = record.text("properties").and_then(|text| serde_json::from_str(text).ok());
    let properties = text.as_ref().or_else(|| record.get("properties"));
    let kept = |text: &str| text::truncate_with_hash(text.into()).into_owned();
    let given = |name: &str| properties?.text(name).filter(|text| !text.is_empty()).map(kept);
    if let Some(at) = at {
        let id = record.text("correlationId").filter(|id| !id.is_empty() && !id.starts_with(OBJECT));
        let id = id.map_or(OBJECT.to_owned(), |id| sample_value(Some(&kept(id))).into_owned());
        let account = segment(record, "subscriptions").map(kept);
        expected.insert(([account, given("objectId"), given("modelName")], at.epoch_ms(), id));
    }
    Some(())
}

/// Whether an object is a record of a known log.
fn is_known(record: &Json) -> bool {
    let any = |names: &[&str]| names.iter().any(|name| record.get(name).is_some());
    is_of_azure(record)
        || any(&["eventSource", "errorCode", "modelId", "identity", "schemaType"])
        || (any(&["timestamp", "requestId"]) && any(&["input", "output"]))
}

fn record(record: &Json, expected: &mut BTreeSet<Found>) -> Option<()> {
    if is_of_azure(record) {
        return azure(record, expected);
    }
    let is_trail = record.get("eventSource").is_some();
    let text = |value: Option<&Json>, name: &str| value.and_then(|value| value.text(name)).map(str::to_owned);
    let own = |name: &str| record.text(name).map(str::to_owned);
    let code = own("errorCode").unwrap_or_default();
    let at = |name: &str| record.text(name).and_then(EventTime::parse);
    let (is_refused, at, account, user, model, id) = if is_trail {
        let name = own("eventName").unwrap_or_default();
        let (is_call, asked) = match own("eventSource").unwrap_or_default().as_str() {
            "bedrock.amazonaws.com" => (
                [
                    "InvokeModel",
                    "InvokeModelWithResponseStream",
                    "InvokeModelWithBidirectionalStream",
                    "Converse",
                    "ConverseStream",
                    "StartAsyncInvoke",
                ]
                .contains(&name.as_str()),
                "modelId",
            ),
            "bedrock-mantle.amazonaws.com" => (name == "CreateInference", "model"),
            _ => (false, ""),
        };
        let given = |text: &String| !text.is_empty();
        let model = text(record.get("requestParameters"), asked).filter(given);
        // What the message names instead has tests of its own.
        if is_call && model.is_none() && record.get("errorMessage").is_some() {
            return None;
        }
        (
            is_call && (code == "AccessDenied" || code == "AccessDeniedException"),
            at("eventTime"),
            own("recipientAccountId"),
            text(record.get("userIdentity"), "arn"),
            model,
            own("requestID").filter(given).or_else(|| own("eventID")),
        )
    } else {
        (
            code == "AccessDeniedException",
            at("timestamp"),
            own("accountId"),
            text(record.get("identity"), "arn"),
            own("modelId"),
            own("requestId"),
        )
    };
    if let (true, Some(at)) = (is_refused, at) {
        let kept = |text: String| text::truncate_with_hash(text.into()).into_owned();
        let model = model.map(|model| kept(model::identity(&model).to_owned()));
        let id = id.filter(|id| !id.is_empty() && !id.starts_with(OBJECT));
        let id = id.map_or(OBJECT.to_owned(), |id| sample_value(Some(&kept(id))).into_owned());
        expected.insert(([account.map(kept), user.map(kept), model], at.epoch_ms(), id));
    }
    Some(())
}
