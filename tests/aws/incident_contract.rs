//! What [`CounterStore`] promises about incidents and floods, on every implementor.

use std::collections::BTreeMap;
use std::sync::Arc;

use bedrock_denial_watch::count::caller::Caller;
use bedrock_denial_watch::count::embedded::EmbeddedStore;
use bedrock_denial_watch::count::flood::{Flood, FloodLog, MAX_NAMED, MAX_SINGLE};
use bedrock_denial_watch::count::incident::{
    Admission, Finding, Incident, IncidentLog, MAX_TOP, RuleFigures, SPAN,
};
use bedrock_denial_watch::count::pending::Pending;
use bedrock_denial_watch::count::recent::{MAX_DETAILED, MAX_ENTRIES};
use bedrock_denial_watch::count::store::CounterStore;
use bedrock_denial_watch::lambda::aws::DynamoDbStore;
use bedrock_denial_watch::log::text;
use bedrock_denial_watch::rule::catalogue::ALL;
use bedrock_denial_watch::rule::definition::Severity;

use crate::store_contract::contract;
use crate::support::{TABLE, dynamodb, time};

contract!(
    the_largest_incidents_come_back,
    the_largest_floods_come_back,
    callers_and_accounts_of_any_characters_stay_apart,
);

const NOON: &str = "2025-06-01T12:00:00.001Z";
const EXPIRES_AT: u64 = 1_800_000_000;

fn caller(account: Option<&str>, arn: Option<&str>) -> Caller {
    Caller { account: account.map(str::to_owned), arn: arn.map(str::to_owned) }
}

fn eve() -> Caller {
    caller(Some("1"), Some("arn:aws:iam::1:user/eve"))
}

fn pending(owner: &str) -> Pending {
    Pending { number: 3, owner: owner.to_owned(), leased_until: 1_748_772_000 }
}

fn incident(owner: &str) -> Incident {
    Incident {
        alerts: 23,
        told: 5,
        told_severity: Some(Severity::Medium),
        notices: 2,
        admission: Admission::Single,
        first_seen: time(NOON),
        last_seen: time(NOON).plus(SPAN),
        rules: BTreeMap::new(),
        top: Vec::new(),
        pending: Some(pending(owner)),
        changed_at: 1_748_772_000,
    }
}

fn incidents(version: u64, writer: &str) -> IncidentLog {
    let incidents = BTreeMap::from([(time(NOON), incident(writer))]);
    IncidentLog { version, writer: writer.to_owned(), incidents }
}

fn floods(version: u64, writer: &str) -> FloodLog {
    let flood = Flood { callers: 16, severity: Some(Severity::Low), ..Flood::default() };
    FloodLog { version, writer: writer.to_owned(), floods: BTreeMap::from([(time(NOON), flood)]) }
}

/// All that may be remembered, with the longest values, of every rule.
async fn the_largest_incidents_come_back(store: &impl CounterStore) {
    let long = Arc::<str>::from(text::keep("\u{0}".repeat(20_000).into()));
    let finding = |number: usize| Finding {
        rule: "a-rule-with-a-long-name".to_owned(),
        values: vec![Some(long.clone()), Some(long.clone()), Some(long.clone()), None],
        at: time(NOON),
        severity: Severity::Critical,
        total: u64::MAX,
        at_least: true,
        number: number as u64,
    };
    let figures = RuleFigures { alerts: u64::MAX, total: u64::MAX, most: u64::MAX, models: u64::MAX };
    let mut log = IncidentLog { writer: "w".repeat(256), ..IncidentLog::default() };
    for number in 0..MAX_ENTRIES {
        let mut one = incident(&"o".repeat(256));
        one.admission = [Admission::New, Admission::Single, Admission::Flooded][number % 3];
        if number < MAX_DETAILED {
            one.top = (0..MAX_TOP).map(finding).collect();
            one.rules = ALL.iter().map(|rule| (rule.id.to_owned(), figures)).collect();
        } else {
            (one.pending, one.told_severity) = (None, None);
        }
        let begin = time(NOON).plus(SPAN * 2 * u32::try_from(number).expect("small"));
        log.incidents.insert(begin, one);
    }
    assert!(store.replace_incidents(&eve(), &log, EXPIRES_AT).await.expect("written"));
    log.version = 1;
    assert_eq!(store.caller(&eve()).await.expect("read").log, log);
}

async fn the_largest_floods_come_back(store: &impl CounterStore) {
    let long = text::keep("é".repeat(20_000).into()).into_owned();
    let mut log = FloodLog { writer: "w".to_owned(), ..FloodLog::default() };
    for number in 0..MAX_ENTRIES {
        let mut one = Flood {
            callers: u64::MAX,
            told: u64::MAX,
            told_severity: Some(Severity::High),
            notices: 4,
            changed_at: 1_748_772_000,
            ..Flood::default()
        };
        if number < MAX_DETAILED {
            one.single = (0..MAX_SINGLE).map(|number| format!("{number:032x}")).collect();
            one.latest = vec![Some(long.clone()); MAX_NAMED - 1];
            one.latest.push(None);
            one.pending = Some(pending("o"));
        }
        log.floods.insert(time(NOON).plus(SPAN * 2 * u32::try_from(number).expect("small")), one);
    }
    assert!(store.replace_floods(Some("1"), &log, EXPIRES_AT).await.expect("written"));
    log.version = 1;
    assert_eq!(store.floods(Some("1")).await.expect("read"), log);
}

async fn callers_and_accounts_of_any_characters_stay_apart(store: &impl CounterStore) {
    let long = "x".repeat(586);
    let callers = [
        caller(None, None),
        caller(Some("null"), None),
        caller(None, Some("null")),
        caller(Some(""), Some("")),
        caller(Some("1\",\"a"), Some("b")),
        caller(Some("1"), Some("a\",\"b")),
        caller(Some("1"), Some("\u{0}\n🙂")),
        caller(Some("1"), Some(&long)),
    ];
    for (number, caller) in callers.iter().enumerate() {
        let log = incidents(0, &number.to_string());
        assert!(store.replace_incidents(caller, &log, EXPIRES_AT).await.expect("written"), "{caller:?}");
    }
    for (number, caller) in callers.iter().enumerate() {
        let state = store.caller(caller).await.expect("read");
        assert_eq!((state.log, state.mute), (incidents(1, &number.to_string()), None), "{caller:?}");
    }
    let accounts = [None, Some("null"), Some(""), Some("1"), Some(&*long)];
    for (number, account) in accounts.iter().enumerate() {
        let log = floods(0, &number.to_string());
        assert!(store.replace_floods(*account, &log, EXPIRES_AT).await.expect("written"), "{account:?}");
    }
    for (number, account) in accounts.iter().enumerate() {
        let log = store.floods(*account).await.expect("read");
        assert_eq!(log, floods(1, &number.to_string()), "{account:?}");
    }
}
