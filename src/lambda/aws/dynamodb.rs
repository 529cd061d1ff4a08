//! Counters and alerts in one DynamoDB table; [`super::item`] has the layout.
//!
//! Sources: "Update expressions", "Condition expressions" and "Service quotas" in the Amazon
//! DynamoDB developer guide.

use std::error::Error;
use std::ops::RangeInclusive;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ConditionCheck, Put, ReturnConsumedCapacity, TransactWriteItem};

use super::cause::cause;
use super::item::{self, number, set, text};
use super::meter::Meter;
use super::{retries, timeouts};
use crate::count::counter::{Contribution, Counter, Slot};
use crate::count::document::{Body, Change, Versioned};
use crate::count::key::Key;
use crate::count::store::{Store, StoreError};
use crate::rule::definition::Rule;
use crate::source::time::EventTime;

/// DynamoDB answers within ten milliseconds; a page of 1 MB takes longer.
pub(super) const ATTEMPT: Duration = Duration::from_secs(5);
const OPERATION: Duration = Duration::from_secs(30);
/// The waits add up to about six seconds, in which an on-demand table grows to meet a burst.
const ATTEMPTS: u32 = 8;
/// How long this delivery waits for others before it looks or tries again.
const PAUSE: Duration = Duration::from_millis(200);
/// How many items one shard may have beyond its first. Each holds about 900 objects' contributions at
/// the default threshold, and never less than one.
const MAX_OVERFLOW: u32 = 999;

/// The table. Its partition key is `pk`, its sort key `sk`, both strings.
pub struct DynamoDbStore {
    pub(super) client: Client,
    pub(super) table: String,
}

impl DynamoDbStore {
    /// Region, credentials and endpoint are those of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self::metered(config, table, &Meter::default())
    }

    /// The same, with its requests counted by `meter`.
    #[must_use]
    pub fn metered(config: &SdkConfig, table: String, meter: &Meter) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config)
            .timeout_config(timeouts(ATTEMPT, OPERATION))
            .retry_config(retries(ATTEMPTS))
            .interceptor(meter.clone())
            .build();
        Self { client: Client::from_conf(config), table }
    }

    /// Tries to add to one item of a shard.
    async fn add_to(
        &self,
        rule: &Rule,
        key: &Key,
        sort_key: String,
        contribution: &Contribution,
        expires_at: u64,
    ) -> Result<AddResult, StoreError> {
        let digest = contribution.digest.to_string();
        let samples = contribution.samples.iter().map(ToString::to_string);
        let mut add = String::from("ADD #denials :denials, #contributions :contributions, #samples :samples");
        let mut assign = String::from("SET #expires_at = :expires_at");
        let mut request = self
            .client
            .update_item()
            .table_name(&self.table)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .key("pk", text(key.text()))
            .key("sk", text(sort_key))
            .condition_expression("NOT contains(#contributions, :digest)")
            .expression_attribute_names("#denials", "denials")
            .expression_attribute_names("#contributions", "contributions")
            .expression_attribute_names("#samples", "samples")
            .expression_attribute_names("#expires_at", "expires_at")
            .expression_attribute_values(":denials", number(contribution.digest.amount))
            .expression_attribute_values(":contributions", set([digest.clone()]))
            .expression_attribute_values(":digest", text(digest))
            .expression_attribute_values(":samples", set(samples))
            .expression_attribute_values(":expires_at", number(expires_at));
        if !contribution.evidence.is_empty() {
            add += ", #evidence :evidence";
            let evidence = set(contribution.evidence.iter().map(ToString::to_string));
            request = request
                .expression_attribute_names("#evidence", "evidence")
                .expression_attribute_values(":evidence", evidence);
        }
        // `user` is a reserved word, so all names go through a placeholder.
        for (name, value) in item::readable(rule, key) {
            assign += &format!(", #{name} = :{name}");
            request = request
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        match request.update_expression(format!("{add} {assign}")).send().await {
            Ok(_) => Ok(AddResult::Yes),
            Err(error) if is_condition_failed(&error) => Ok(AddResult::Before),
            Err(error) if is_too_large(&error) => Ok(AddResult::NoRoom),
            Err(error) => Err(self.failed("UpdateItem", &error)),
        }
    }

    /// Passes on every item of a key from one sort key to another, in order.
    async fn query(
        &self,
        key: &Key,
        first: String,
        last: String,
        mut take: impl FnMut(&item::Item) -> Result<(), String>,
    ) -> Result<(), StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .consistent_read(true)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :first AND :last")
            .expression_attribute_names("#pk", "pk")
            .expression_attribute_names("#sk", "sk")
            .expression_attribute_values(":pk", text(key.text()))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(last))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("Query", &error))?;
            for item in page.items() {
                take(item).map_err(|cause| self.refused("Query", cause))?;
            }
        }
        Ok(())
    }

    /// Passes on every item of the table.
    pub(super) async fn scan(&self, mut take: impl FnMut(item::Item)) -> Result<(), StoreError> {
        let request = self.client.scan().table_name(&self.table).consistent_read(true);
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("Scan", &error))?;
            page.items.into_iter().flatten().for_each(&mut take);
        }
        Ok(())
    }

    /// Passes on the items whose sort keys begin with either, eventually consistent, until `take` answers `false` or
    /// the table ends. What is left out is read as well, in pages of 1 MB.
    ///
    /// # Errors
    /// When the table cannot be read, or has more than so many pages.
    pub(super) async fn scan_until(
        &self,
        [first, second]: [&str; 2],
        max_pages: usize,
        mut take: impl FnMut(item::Item) -> bool,
    ) -> Result<(), StoreError> {
        let request = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression("begins_with(sk, :first) OR begins_with(sk, :second)")
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":second", text(second));
        let mut pages = request.into_paginator().send();
        for _ in 0..max_pages {
            let Some(page) = pages.next().await else { return Ok(()) };
            let page = page.map_err(|error| self.failed("Scan", &error))?;
            if !page.items.into_iter().flatten().all(&mut take) {
                return Ok(());
            }
        }
        Err(self.refused("Scan", format!("not found in the first {max_pages} MB, where the search ends")))
    }

    async fn get(&self, key: &Key, sort_key: &str) -> Result<Option<item::Item>, StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .consistent_read(true)
            .key("pk", text(key.text()))
            .key("sk", text(sort_key));
        let response = request.send().await.map_err(|error| self.failed("GetItem", &error))?;
        Ok(response.item)
    }

    /// Puts one document if it still has the version that the change names.
    async fn put(&self, change: &Change, body: &Body, expires_at: u64) -> Result<bool, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .set_item(Some(item::from_document(change, body, expires_at)))
            .condition_expression(item::condition(change.version))
            .expression_attribute_names("#version", "version")
            .set_expression_attribute_values(item::condition_values(change.version));
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error)
                if error.as_service_error().is_some_and(PutItemError::is_transaction_conflict_exception) =>
            {
                self.pause().await;
                Ok(false)
            }
            Err(error) => Err(self.failed("PutItem", &error)),
        }
    }

    /// Makes all of the changes, or none.
    async fn transact(&self, changes: &[Change], expires_at: u64) -> Result<bool, StoreError> {
        let mut request =
            self.client.transact_write_items().return_consumed_capacity(ReturnConsumedCapacity::Total);
        for change in changes {
            let operation = self.operation(change, expires_at);
            request =
                request.transact_items(operation.map_err(|cause| self.refused("TransactWriteItems", cause))?);
        }
        let Err(error) = request.send().await else { return Ok(true) };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                let reasons = canceled.cancellation_reasons.iter().flatten();
                let codes: Vec<&str> = reasons.filter_map(|reason| reason.code.as_deref()).collect();
                if codes.contains(&"ConditionalCheckFailed") {
                    return Ok(false);
                }
                if codes.contains(&"TransactionConflict") {
                    self.pause().await;
                    return Ok(false);
                }
                // Throttling may meet the whole table.
                let refused = codes.iter().all(|code| !THROTTLED.contains(code));
                let codes = codes.into_iter().filter(|code| *code != "None").collect::<Vec<_>>().join(", ");
                let cause = format!("{}: {codes}", cause(&error));
                Err(StoreError { refused, ..self.refused("TransactWriteItems", cause) })
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
                self.pause().await;
                Ok(false)
            }
            _ => Err(self.failed("TransactWriteItems", &error)),
        }
    }

    fn operation(&self, change: &Change, expires_at: u64) -> Result<TransactWriteItem, String> {
        let condition = item::condition(change.version);
        let values = item::condition_values(change.version);
        let operation = TransactWriteItem::builder();
        let operation = match &change.body {
            Some(body) => operation.put(
                Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(item::from_document(change, body, expires_at)))
                    .condition_expression(condition)
                    .expression_attribute_names("#version", "version")
                    .set_expression_attribute_values(values)
                    .build()
                    .map_err(|error| error.to_string())?,
            ),
            None => operation.condition_check(
                ConditionCheck::builder()
                    .table_name(&self.table)
                    .key("pk", text(change.id.partition.text()))
                    .key("sk", text(&change.id.sort))
                    .condition_expression(condition)
                    .expression_attribute_names("#version", "version")
                    .set_expression_attribute_values(values)
                    .build()
                    .map_err(|error| error.to_string())?,
            ),
        };
        Ok(operation.build())
    }

    pub(super) fn failed<E>(&self, operation: &str, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        StoreError { refused: is_refusal(error), ..self.refused(operation, cause(error)) }
    }

    pub(super) fn refused(&self, operation: &str, cause: String) -> StoreError {
        let operation = format!("DynamoDB {operation} on table {}", self.table);
        StoreError { operation, cause: cause.into(), refused: true }
    }
}

/// As error codes, and as reasons why a transaction was canceled.
const THROTTLED: [&str; 5] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "ProvisionedThroughputExceeded",
    "ThrottlingError",
];

/// Whether DynamoDB refused this one request. It answers 400 to throttling as well, but that may meet
/// the whole table.
///
/// Source: "Error handling with DynamoDB" in the Amazon DynamoDB developer guide.
fn is_refusal<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let throttled = error.code().is_some_and(|code| THROTTLED.contains(&code));
    !throttled && error.raw_response().is_some_and(|response| response.status().as_u16() < 500)
}

enum AddResult {
    Yes,
    /// The item has this contribution already.
    Before,
    /// The item would pass the 400 KB that DynamoDB allows.
    NoRoom,
}

fn is_condition_failed(error: &SdkError<UpdateItemError, HttpResponse>) -> bool {
    error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception)
}

/// DynamoDB has no error of its own for this. "Item size to update has exceeded the maximum
/// allowed size" is its wording for an update, "Item size has exceeded …" for a new item.
fn is_too_large(error: &SdkError<UpdateItemError, HttpResponse>) -> bool {
    error.code() == Some("ValidationException")
        && error.message().is_some_and(|message| message.contains("exceeded the maximum allowed size"))
}

impl Store for DynamoDbStore {
    /// The digest decides the shard. Its items are tried in order, the first one first. An item never
    /// shrinks, so a contribution that found no room in one never will, and whoever adds it again
    /// arrives at the item that holds it.
    async fn add(
        &self,
        rule: &Rule,
        key: &Key,
        slot: Slot,
        contribution: &Contribution,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        let shard = contribution.digest.shard();
        for overflow in 0..=MAX_OVERFLOW {
            let sort_key = item::counter_sort_key(slot, shard, overflow);
            let added = self.add_to(rule, key, sort_key, contribution, expires_at);
            match added.await? {
                // A retry whose first answer was lost looks like an earlier delivery.
                AddResult::Yes | AddResult::Before => return Ok(()),
                AddResult::NoRoom => {}
            }
        }
        let cause = format!("{MAX_OVERFLOW} overflow items of one shard are full");
        Err(self.refused("UpdateItem", cause))
    }

    async fn counters(
        &self,
        key: &Key,
        minutes: u16,
        starts: RangeInclusive<EventTime>,
    ) -> Result<Vec<Counter>, StoreError> {
        let first = item::first_sort_key(*starts.start());
        let last = item::last_sort_key(*starts.end());
        let mut counters = Vec::new();
        self.query(key, first, last, |item| item::merge_counter(&mut counters, minutes, item)).await?;
        Ok(counters)
    }

    async fn documents(
        &self,
        partition: &Key,
        first: &str,
        last: &str,
    ) -> Result<Vec<(String, Versioned<Body>)>, StoreError> {
        if first == last {
            let found = self.get(partition, first).await?;
            let document = found.map(|item| item::to_document(&item)).transpose();
            return document
                .map(|found| found.into_iter().collect())
                .map_err(|cause| self.refused("GetItem", cause));
        }
        let mut documents = Vec::new();
        self.query(partition, first.to_owned(), last.to_owned(), |item| {
            documents.push(item::to_document(item)?);
            Ok(())
        })
        .await?;
        Ok(documents)
    }

    async fn write(&self, changes: &[Change], expires_at: u64) -> Result<bool, StoreError> {
        match changes {
            [] => Ok(true),
            [change @ Change { body: Some(body), .. }] => self.put(change, body, expires_at).await,
            changes => self.transact(changes, expires_at).await,
        }
    }

    async fn pause(&self) {
        tokio::time::sleep(PAUSE).await;
    }
}
