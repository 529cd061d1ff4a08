//! One model is one model, however it is spelled and whichever log names it.

use std::collections::BTreeSet;

use bedrock_denial_watch::count::lease::Claimant;
use bedrock_denial_watch::count::memory::MemoryStore;
use bedrock_denial_watch::deliver::{Delivery, Pipeline};
use bedrock_denial_watch::reader::Limits;
use bedrock_denial_watch::rule::catalogue::ALL;
use bedrock_denial_watch::source::time::EventTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::depth;
use crate::support::{Documents, LEASE, TEN, block_on, read};

const USER: &str = "arn:aws:iam::111122223333:user/mallory";
const MODELS: [&str; 3] = [
    "anthropic.claude-3-sonnet-20240229-v1:0",
    "meta.llama3-1-405b-instruct-v1:0",
    // It is its own model.
    "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1b2c3",
];

/// How a log names the model of a call.
#[derive(Clone, Copy, Debug)]
enum Form {
    Id,
    ProfileId(&'static str),
    ProfileArn(&'static str),
    ModelArn(&'static str),
}

impl Form {
    fn of(self, model: &str) -> String {
        match self {
            _ if model.starts_with("arn:") => model.to_owned(),
            Self::Id => model.to_owned(),
            Self::ProfileId(geography) => format!("{geography}.{model}"),
            Self::ProfileArn(geography) => {
                format!("arn:aws:bedrock:us-east-1:111122223333:inference-profile/{geography}.{model}")
            }
            Self::ModelArn(region) => format!("arn:aws:bedrock:{region}::foundation-model/{model}"),
        }
    }

    fn is_arn(self) -> bool {
        matches!(self, Self::ProfileArn(_) | Self::ModelArn(_))
    }
}

/// How a request is recorded: in the invocation log; in CloudTrail with what was asked
/// for, or with only what was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Teller {
    Log,
    TrailAsked,
    TrailRefused,
}

#[derive(Clone, Debug)]
struct Telling {
    request: usize,
    teller: Teller,
    form: Form,
}

impl Telling {
    /// The record of a request made that many seconds after ten.
    fn record(&self, model: &str, seconds: i64) -> Value {
        let time = EventTime::from_epoch_ms((TEN + seconds) * 1000).to_string();
        let (request, called) = (format!("r{}", self.request), self.form.of(model));
        if self.teller == Teller::Log {
            return json!({
                "timestamp": time, "accountId": "1", "identity": {"arn": USER}, "modelId": called,
                "requestId": request, "errorCode": "AccessDeniedException",
            });
        }
        let mut record = json!({
            "eventVersion": "1.11", "eventSource": "bedrock.amazonaws.com", "eventName": "Converse",
            "eventTime": time, "recipientAccountId": "1", "userIdentity": {"arn": USER},
            "requestID": request, "errorCode": "AccessDenied", "requestParameters": null,
        });
        // A message names ARNs only.
        if self.teller == Teller::TrailRefused && (self.form.is_arn() || model.starts_with("arn:")) {
            record["errorMessage"] = json!(format!(
                "User: {USER} is not authorized to perform: bedrock:InvokeModel on resource: {called} because no identity-based policy allows the bedrock:InvokeModel action"
            ));
        } else {
            record["requestParameters"] = json!({"modelId": called});
        }
        record
    }
}

fn forms() -> impl Strategy<Value = Form> {
    let geographies =
        || prop::sample::select(vec!["us", "us-gov", "eu", "apac", "jp", "au", "ca", "sa", "global"]);
    let regions = prop::sample::select(vec!["us-east-1", "us-west-2", "ap-northeast-3", ""]);
    prop_oneof![
        Just(Form::Id),
        geographies().prop_map(Form::ProfileId),
        geographies().prop_map(Form::ProfileArn),
        regions.prop_map(Form::ModelArn),
    ]
}

fn tellings(requests: usize) -> impl Strategy<Value = Vec<Telling>> {
    let tellers = prop::sample::select(vec![Teller::Log, Teller::TrailAsked, Teller::TrailRefused]);
    let one = (0..requests, tellers, forms());
    prop::collection::vec(one.prop_map(|(request, teller, form)| Telling { request, teller, form }), 1..30)
}

proptest! {
    #![proptest_config(depth::cases(300, 75, 20_250_604))]

    #[test]
    fn any_mixture_of_spellings_and_sources_of_one_models_requests_alerts_as_one(
        model in prop::sample::select(MODELS.to_vec()),
        times in prop::collection::vec(0..=3600_i64, 1..9),
        tellings in tellings(8),
        cuts in prop::collection::vec(1..6_usize, 30),
    ) {
        let sink = Documents::default();
        let pipeline = Pipeline {
            store: MemoryStore::default(),
            sink: &sink,
            rules: ALL.iter().filter(|rule| rule.on).cloned().collect(),
            exempt_users: Vec::new(),
            limits: Limits::default(),
        };
        let told: Vec<Telling> = tellings.into_iter().filter(|one| one.request < times.len()).collect();
        let mut rest = told.as_slice();
        for cut in cuts {
            let (object, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            let lines = object.iter().map(|one| one.record(model, times[one.request]).to_string());
            let log = lines.collect::<Vec<_>>().join("\n");
            block_on(async {
                let tally = read(&pipeline, &log).tally;
                let claimant = Claimant { owner: "owner", now: 0, lease: LEASE };
                let outcome = pipeline.commit(tally, Delivery { object: "object", claimant }).await;
                assert!(outcome.failures.is_empty());
            });
        }
        let requests: BTreeSet<usize> = told.iter().map(|one| one.request).collect();
        let alerts = sink.told.borrow();
        prop_assert_eq!(alerts.len(), usize::from(requests.len() > 3), "{:?}", alerts);
        for alert in alerts.iter() {
            let alert: Value = serde_json::from_str(alert).expect("JSON");
            prop_assert_eq!(&alert["rule"]["id"], "denied-model");
            prop_assert_eq!(&alert["gen_ai"]["request"]["model"]["id"], model);
            prop_assert!(alert["total_denials"].as_u64().expect("a number") <= requests.len() as u64);
            let spellings: BTreeSet<String> = told.iter().map(|one| one.form.of(model)).collect();
            for called in alert["models_called"].as_array().expect("spellings") {
                prop_assert!(spellings.contains(called.as_str().expect("text")), "{called}");
            }
        }
    }
}
