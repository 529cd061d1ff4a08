//! The figures of one delivery → one line in CloudWatch Embedded Metric Format.
//!
//! Not by `metrics_cloudwatch_embedded` 0.10: that collector records for the whole process, prints
//! a metric only in the intervals that touched it, and needs the `metrics` and `lambda_http`
//! crates. These figures are one value a delivery and always present, so that an alarm on
//! `unread` has its zeros.
//!
//! The only dimension is the function. With a user or model as one, an attacker could invent
//! metrics, and you would pay for them. CloudWatch charges for each metric, so only what an alarm, a
//! chart or `make status` reads is one; the rest are fields of the same line, for Logs Insights.
//!
//! Source: "Specification: Embedded metric format" in the Amazon CloudWatch user guide.

use serde_json::{Map, Value, json};

use crate::lambda::aws::Usage;
use crate::reader::Statistics;
use crate::source::time::EventTime;

/// Where the metrics appear in CloudWatch.
pub const NAMESPACE: &str = "BedrockDenialWatch";
/// The format's limit on the values of one metric in one line.
const MAX_VALUES: usize = 100;

/// The figures of one invocation, over all its objects.
#[derive(Debug, Default, PartialEq)]
pub struct Metrics {
    /// Objects in S3 that were read.
    pub objects: u64,
    /// CloudTrail records that came in the event itself and were read.
    pub event_records: u64,
    /// Calls without a model that EventBridge delivered.
    pub other_calls: u64,
    /// Objects skipped.
    pub skipped: u64,
    /// Objects, or parts of the event, that failed.
    pub failures: u64,
    /// Alerts that were recorded, and reported if a notice was due.
    pub alerts: u64,
    /// Incidents that began.
    pub incidents: u64,
    /// Notices that SNS accepted.
    pub notices: u64,
    /// The times of the denials behind the alerts that notices reported.
    pub told: Vec<EventTime>,
    /// What was read, summed up.
    pub read: Statistics,
    /// What it asked of AWS.
    pub usage: Usage,
}

impl Metrics {
    /// Adds what was read from one object or record.
    pub fn add(&mut self, read: &Statistics) {
        let sum = &mut self.read;
        sum.bytes = sum.bytes.saturating_add(read.bytes);
        sum.text_bytes = sum.text_bytes.saturating_add(read.text_bytes);
        sum.records = sum.records.saturating_add(read.records);
        sum.denials = sum.denials.saturating_add(read.denials);
        sum.exempted = sum.exempted.saturating_add(read.exempted);
        sum.malformed = sum.malformed.saturating_add(read.malformed);
        sum.oversized = sum.oversized.saturating_add(read.oversized);
        sum.unrecognised = sum.unrecognised.saturating_add(read.unrecognised);
    }

    /// The line, without a line end. `now_ms` is the wall clock (epoch milliseconds): the metrics'
    /// time stamp, and the end of the lag of each reported alert.
    #[must_use]
    pub fn line(&self, function: &str, request_id: &str, now_ms: u64) -> String {
        let read = &self.read;
        let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let lags = self.told.iter().take(MAX_VALUES);
        let lags: Vec<i64> = lags.map(|at| now.saturating_sub(at.epoch_ms()).max(0)).collect();
        // One figure, as the one thing to do is the same: look at the log, which names object and offset.
        let unread = read.malformed.saturating_add(read.oversized).saturating_add(read.unrecognised);
        let mut metrics = vec![
            ("objects", "Count", json!(self.objects)),
            ("event_records", "Count", json!(self.event_records)),
            ("denials", "Count", json!(read.denials)),
            ("unread", "Count", json!(unread)),
            ("alerts", "Count", json!(self.alerts)),
            ("notices", "Count", json!(self.notices)),
        ];
        if !lags.is_empty() {
            metrics.push(("lag", "Milliseconds", json!(lags)));
        }
        if self.usage.lost_findings > 0 {
            metrics.push(("lost_findings", "Count", json!(self.usage.lost_findings)));
        }
        let fields = [
            ("other_calls", json!(self.other_calls)),
            ("records", json!(read.records)),
            ("malformed", json!(read.malformed)),
            ("oversized", json!(read.oversized)),
            ("unrecognised", json!(read.unrecognised)),
            ("skipped", json!(self.skipped)),
            ("exempted", json!(read.exempted)),
            ("incidents", json!(self.incidents)),
            ("failures", json!(self.failures)),
            ("bytes", json!(read.bytes)),
            // Services report their sums themselves.
            ("requests", json!(self.usage.requests)),
            ("write_units", json!(self.usage.write_units)),
            ("read_units", json!(self.usage.read_units)),
        ];
        let declared: Vec<Value> =
            metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": now_ms,
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [["function"]],
                    "Metrics": declared,
                }],
            }),
        );
        line.insert("function".to_owned(), json!(function));
        line.insert("requestId".to_owned(), json!(request_id));
        let metrics = metrics.into_iter().map(|(name, _, value)| (name, value));
        line.extend(metrics.chain(fields).map(|(name, value)| (name.to_owned(), value)));
        Value::Object(line).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_metric_has_its_value_and_the_function_is_the_only_dimension() {
        let mut metrics = Metrics {
            objects: 2,
            alerts: 2,
            told: vec![EventTime::from_epoch_ms(1000), EventTime::from_epoch_ms(9000)],
            ..Metrics::default()
        };
        let mut read = Statistics { denials: 7, bytes: 100, malformed: 1, ..Statistics::default() };
        read.oversized = 2;
        read.unrecognised = 3;
        metrics.usage.lost_findings = 1;
        metrics.add(&read);
        metrics.add(&read);
        let line = metrics.line("watch", "r-1", 5000);
        assert!(!line.contains('\n'));
        let line: Value = serde_json::from_str(&line).expect("JSON");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "BedrockDenialWatch");
        assert_eq!(directive["Dimensions"], json!([["function"]]));
        assert_eq!(line["function"], "watch");
        let declared = directive["Metrics"].as_array().expect("a list");
        assert_eq!(declared.len(), 8);
        for metric in declared {
            let name = metric["Name"].as_str().expect("a name");
            assert!(line[name].is_number() || line[name].is_array(), "{name}");
        }
        assert_eq!(line["objects"], 2);
        assert_eq!(line["denials"], 14);
        assert_eq!(line["bytes"], 200);
        assert_eq!(line["unread"], 12);
        // A denial from the future, by a clock that runs ahead, lags by nothing.
        assert_eq!(line["lag"], json!([4000, 0]));
    }

    #[test]
    fn without_an_alert_there_is_no_lag_but_every_count_that_an_alarm_reads_is_there() {
        let line: Value = serde_json::from_str(&Metrics::default().line("f", "r", 1)).expect("JSON");
        assert_eq!(line["failures"], 0);
        assert!(line.get("lag").is_none());
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().map(Vec::len), Some(6));
    }
}
