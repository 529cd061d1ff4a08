//! Whatever comes, it is resolved, and nothing is passed over in silence.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

/// The same cases every time; `PROPTEST_CASES` and `SEED` ask for others.
fn config() -> ProptestConfig {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_250_604);
    println!("SEED={seed}");
    ProptestConfig { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..ProptestConfig::default() }
}

const NAMES: [&str; 34] = [
    "Records",
    "s3",
    "bucket",
    "name",
    "object",
    "key",
    "versionId",
    "size",
    "eventName",
    "eventSource",
    "source",
    "detail-type",
    "detail",
    "id",
    "eventID",
    "Type",
    "TopicArn",
    "Message",
    "Sns",
    "messageId",
    "body",
    "requestPayload",
    "s3Bucket",
    "s3ObjectKey",
    "invocationSchemaVersion",
    "invocationId",
    "tasks",
    "taskId",
    "s3Key",
    "s3BucketArn",
    "Event",
    "deletion-type",
    "job",
    "reason",
];
const VALUES: [&str; 9] = [
    "k",
    "",
    "%ff",
    "aws.s3",
    "Object Created",
    "AWS API Call via CloudTrail",
    "bedrock.amazonaws.com",
    "Converse",
    "ObjectCreated:Put",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => prop::sample::select(&VALUES[..]).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

/// Objects with `names`, lists of one or more, and texts that hold such values.
fn tree(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            6 => prop::collection::btree_map(prop::sample::select(names), inner.clone(), 1..6)
                .prop_map(|fields| json!(fields)),
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(Value::from),
            1 => inner.prop_map(|value| Value::from(value.to_string())),
        ]
    })
}

fn items(payload: &str) -> Vec<Resolved> {
    match resolve(payload) {
        EventRequest::Whole(items) => items,
        EventRequest::Batch(messages) => messages.into_iter().flat_map(|message| message.items).collect(),
        EventRequest::Job(job) => job.tasks.into_iter().map(|task| task.item).collect(),
    }
}

/// Why an event may ask for nothing.
const SILENT: [&str; 3] = ["eventName", "detail-type", "deletion-type"];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_text_that_is_no_event_errs(text in any::<String>()) {
        let items = items(&text);
        prop_assert!(items.len() == 1 && items[0].is_err(), "{items:?}");
    }

    #[test]
    fn any_json_without_a_known_shape_errs(event in tree(&["a", "b", "Recording", "Details"])) {
        let items = items(&event.to_string());
        prop_assert!(!items.is_empty());
        prop_assert!(items.iter().all(Result::is_err), "{items:?}");
    }

    #[test]
    fn any_mixture_of_known_names_resolves_and_its_errors_are_short(event in tree(&NAMES)) {
        let text = event.to_string();
        let items = items(&text);
        prop_assert!(!items.is_empty() || SILENT.iter().any(|name| text.contains(name)), "{text}");
        for error in items.into_iter().filter_map(Result::err) {
            prop_assert!(error.to_string().len() < 1200, "{error}");
        }
    }

    #[test]
    fn an_event_with_a_part_missing_resolves(which in 0..10_usize, nested in any::<bool>(), at in any::<prop::sample::Index>()) {
        let (event, _) = super::nested::shapes().remove(which);
        let text = if nested { on_failure(&event) } else { event }.to_string();
        let mut parts: Vec<char> = text.chars().collect();
        parts.remove(at.index(parts.len()));
        for error in items(&parts.into_iter().collect::<String>()).into_iter().filter_map(Result::err) {
            prop_assert!(error.to_string().len() < 1200, "{error}");
        }
    }
}
