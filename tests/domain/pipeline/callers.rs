//! Who is counted and reported: whatever a caller may choose freely in its ARN changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use bedrock_denial_watch::alert::sink::DiscardSink;
use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::count::key::Key;
use bedrock_denial_watch::pipeline::Pipeline;
use bedrock_denial_watch::reader::Limits;
use bedrock_denial_watch::rule::catalogue::{ALL, built_in};
use bedrock_denial_watch::rule::field::Field;
use proptest::prelude::*;
use serde_json::json;

use super::invariants::config;
use crate::support::*;

/// The keys that one denial of `user` counts toward, by rule.
fn keys(user: &str) -> BTreeMap<&'static str, Key> {
    let rules = ALL.clone();
    let pipeline = Pipeline {
        store: EmbeddedStore::default(),
        sink: DiscardSink,
        rules,
        exempt_users: Vec::new(),
        limits: Limits::default(),
    };
    let record = json!({
        "timestamp": "2025-06-01T10:00:00Z", "accountId": "111122223333", "identity": {"arn": user},
        "modelId": "m", "requestId": "r", "errorCode": "AccessDeniedException",
    });
    let tally = read(&pipeline, &record.to_string()).tally;
    tally.into_summaries().map(|summary| (summary.key.rule, summary.key)).collect()
}

/// The callers behind those keys; one, unless rules disagree about who called.
fn callers(user: &str) -> BTreeSet<Caller> {
    keys(user).values().map(|key| Caller::of(built_in(key.rule), key)).collect()
}

const NAME: &str = "[A-Za-z0-9_+=,.@-]{1,64}";

/// Names of sessions and federated users, those that look like other parts of an ARN among them.
fn free() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => NAME,
        1 => prop::sample::select(vec![
            "AWSReservedSSO_x_0123456789abcdef", "assumed-role", "federated-user", "root", "BedrockAgents-0a",
            "ann@example.com", "=",
        ])
        .prop_map(str::to_owned),
    ]
}

/// What no caller may choose: the ARN up to the last slash.
fn fixed() -> impl Strategy<Value = String> {
    let partition = prop::sample::select(vec!["aws", "aws-cn", "aws-us-gov"]);
    let role = prop_oneof![
        3 => NAME,
        2 => "AWSReservedSSO_[A-Za-z_]{0,8}(_[0-9a-f]{0,15}|_[0-9a-f]{17}|[0-9a-f]{0,16}|_[0-9A-F]{15}G)",
    ]
    .prop_filter("a person's", |name| !is_of_people(name));
    let owner = prop_oneof![3 => role.prop_map(|name| format!("assumed-role/{name}")), 1 => Just("federated-user".to_owned())];
    (partition, "[0-9]{12}", owner)
        .prop_map(|(partition, account, owner)| format!("arn:{partition}:sts::{account}:{owner}"))
}

/// Said in other words than the detector does.
fn is_of_people(role: &str) -> bool {
    let parts: Vec<&str> = role.split('_').collect();
    let [first, middle @ .., last] = &parts[..] else { return false };
    *first == "AWSReservedSSO"
        && !middle.join("_").is_empty()
        && last.len() == 16
        && last.chars().all(|one| one.is_ascii_digit() || ('a'..='f').contains(&one))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: config().cases / 2, ..config() })]

    #[test]
    fn nothing_that_a_caller_chooses_freely_changes_who_called(
        fixed in fixed(),
        free in prop::collection::vec(free(), 2..5),
    ) {
        let users: Vec<String> = free.iter().map(|free| format!("{fixed}/{free}")).collect();
        let all: BTreeSet<Caller> = users.iter().flat_map(|user| callers(user)).collect();
        let expected = Caller { account: Some("111122223333".to_owned()), arn: Some(fixed) };
        prop_assert_eq!(all, BTreeSet::from([expected]));
        // Nor what is counted, where a rule is not about the user as such.
        let counted: BTreeSet<BTreeMap<&str, Key>> = users
            .iter()
            .map(|user| {
                let mut keys = keys(user);
                keys.retain(|rule, _| !built_in(rule).group_by.contains(&Field::User));
                keys
            })
            .collect();
        prop_assert_eq!(counted.len(), 1, "{:?}", counted);
        let rules: BTreeSet<&str> = counted.iter().flat_map(BTreeMap::keys).copied().collect();
        for rule in ["model-sweep", "session-rotation", "slow-denials"] {
            prop_assert!(rules.contains(rule), "{} does not count {:?}", rule, users);
        }
    }

    #[test]
    fn what_no_caller_chooses_keeps_two_apart(one in fixed(), other in fixed(), free in free()) {
        prop_assume!(one != other);
        let [one, other] = [one, other].map(|fixed| callers(&format!("{fixed}/{free}")));
        prop_assert!(one.is_disjoint(&other));
    }

    #[test]
    fn people_and_users_are_one_caller_each(
        set in "[A-Za-z0-9_+=,.@-]{1,32}",
        digits in "[0-9a-f]{16}",
        names in prop::collection::btree_set(free(), 2..5),
    ) {
        let role = format!("arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_{set}_{digits}");
        for owner in [role.as_str(), "arn:aws:iam::111122223333:user", "arn:aws:iam::111122223333:user/team"] {
            let users: Vec<String> = names.iter().map(|name| format!("{owner}/{name}")).collect();
            let arns: Vec<Option<String>> =
                users.iter().flat_map(|user| callers(user)).map(|caller| caller.arn).collect();
            prop_assert_eq!(arns, users.iter().cloned().map(Some).collect::<Vec<_>>());
            let rules: BTreeSet<&str> = users.iter().flat_map(|user| keys(user).into_keys()).collect();
            prop_assert!(!rules.contains("session-rotation") && !rules.contains("role-denials"));
        }
    }
}
