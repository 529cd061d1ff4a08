//! What [`Store`] promises about callers and accounts, on every implementor; and what only the one in DynamoDB
//! must: to read what earlier versions wrote.

use bedrock_denial_watch::count::alerts;
use bedrock_denial_watch::count::caller::{Caller, account_key};
use bedrock_denial_watch::count::document::{Change, DocumentId, Versioned};
use bedrock_denial_watch::count::incident;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::count::store::{Store, load};
use bedrock_denial_watch::lambda::aws::DynamoDbStore;
use serde_json::{Map, Value};

use crate::store_contract::contract;
use crate::support::{TABLE, dynamodb, time};

contract!(callers_and_accounts_of_any_characters_stay_apart);

const EXPIRES_AT: u64 = 1_800_000_000;

fn caller(account: Option<&str>, arn: Option<&str>) -> Caller {
    Caller { account: account.map(str::to_owned), arn: arn.map(str::to_owned) }
}

async fn callers_and_accounts_of_any_characters_stay_apart(store: &impl Store) {
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
    let noon = time("2025-06-01T12:00:00.001Z");
    let of_callers = callers.iter().map(|caller| incident::document(caller, noon));
    let accounts = [None, Some("null"), Some(""), Some("1"), Some(&*long)];
    let of_accounts = accounts
        .iter()
        .map(|account| DocumentId { partition: account_key(*account), sort: "crowd".to_owned() });
    let all: Vec<DocumentId> = of_callers.chain(of_accounts).collect();
    let body = |number: usize| Map::from_iter([("number".to_owned(), Value::from(number))]);
    for (number, id) in all.iter().enumerate() {
        let change = Change { id: id.clone(), version: 0, body: Some(body(number)) };
        assert!(store.write(&[change], EXPIRES_AT).await.expect("written"), "{id:?}");
    }
    for (number, id) in all.iter().enumerate() {
        let found: Versioned<Map<String, Value>> = load(store, id).await.expect("read");
        assert_eq!(found, Versioned { version: 1, value: body(number) }, "{id:?}");
    }
    assert_eq!(alerts::document(&account_key(None)).sort, alerts::SORT_KEY);
}
