//! Times that no working clock shows, and clocks that disagree.

use bedrock_denial_watch::call::Source;
use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::deliver::Delivery;
use bedrock_denial_watch::rule::catalogue::ALL;
use serde_json::{Value, json};

use crate::support::*;

fn denied(time: &str, request: usize) -> String {
    let record = json!({"timestamp": time, "accountId": "1", "identity": {"arn": "u"}, "modelId": "m",
        "requestId": format!("{time}-{request}"), "errorCode": "AccessDeniedException"});
    format!("{record}\n")
}

#[test]
fn denials_at_any_time_alert_once_whatever_the_clock_of_the_function_shows() {
    let times = [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z",
        "2025-06-01T10:00:00Z",
        "2262-04-11T23:47:16.854Z",
        "9999-12-30T22:00:00Z",
    ];
    let log: String = times.iter().flat_map(|time| (0..4).map(|request| denied(time, request))).collect();
    for now in [0, 1, 1_000_000_000, u64::from(u32::MAX), 253_402_300_800, u64::MAX / 1000, u64::MAX] {
        for rules in [vec![rule(3, 3600, 3600)], ALL.clone()] {
            let sink = Documents::default();
            let mut pipeline = pipeline(rule(3, 3600, 3600), MemoryStore::default(), &sink);
            pipeline.rules = rules;
            for owner in ["first", "again"] {
                let read = read(&pipeline, &log);
                assert_eq!(read.faults, []);
                let claimant = Claimant { owner, now, lease: LEASE };
                let outcome = block_on(pipeline.commit(read.tally, Delivery { object: "object", claimant }));
                assert_eq!(outcome.failed, 0, "{now}: {:?}", outcome.failures);
            }
            let told = sink.told.take().into_iter().filter_map(|document| {
                let document: Value = serde_json::from_str(&document).expect("JSON");
                let is_burst = document["rule"]["id"] == "denied-model";
                is_burst.then(|| document["@timestamp"].as_str().expect("a time").to_owned())
            });
            assert_eq!(told.collect::<Vec<_>>(), times, "{now}");
        }
    }
}

/// Bedrock and CloudTrail record slightly different times for one call.
#[test]
fn one_request_at_two_times_counts_once_however_far_the_clocks_differ() {
    // Across the edges of slots, of the window, and of a day.
    for start in [0, 595, 600, 3_595, 50_399] {
        for skew in [-3_600, -61, -1, 0, 1, 5, 61, 3_600] {
            for requests in [3, 4] {
                let call = |value: u32, skew| Denied { at: start + i64::from(value) + skew, key: 1, value };
                let log: Batch = (0..requests).map(|value| call(value, 0)).collect();
                let trail: Batch = (0..requests).map(|value| call(value, skew)).collect();
                for order in [[0, 1], [1, 0]] {
                    let sink = Recording::default();
                    let pipeline = pipeline(rule(3, 3600, 3600), MemoryStore::default(), &sink);
                    for source in order {
                        let (source, batch) =
                            [(Source::InvocationLog, &log), (Source::CloudTrail, &trail)][source];
                        let delivered = deliver_from(source, &pipeline, batch, "one", 1_000);
                        assert_eq!(block_on(delivered).failed, 0);
                    }
                    let told = sink.told.take();
                    let most = told.iter().map(|alert| alert.total).max().unwrap_or_default();
                    assert_eq!(told.is_empty(), requests == 3, "{start} {skew}: {told:?}");
                    assert!(most <= u64::from(requests), "{start} {skew}: {told:?}");
                    // Within an hour of each other they are one burst.
                    assert!(told.len() <= 1 || skew.abs() == 3_600, "{start} {skew}: {told:?}");
                }
            }
        }
    }
}
