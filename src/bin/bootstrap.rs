//! The Lambda: clock, environment, log and metrics around [`Handler`].

// The release aborts on a panic, and whoever writes an id or a log must not bring one about.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unwrap_used
    )
)]

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use bedrock_denial_watch::deliver::Pipeline;
use bedrock_denial_watch::lambda::aws::{self, DynamoDbStore, EventBus, Meter, S3Source, SnsSink};
use bedrock_denial_watch::lambda::config::Config;
use bedrock_denial_watch::lambda::handler::{Handler, Invocation};
use bedrock_denial_watch::reader::Limits;
use lambda_runtime::tracing::subscriber::filter::{LevelFilter, Targets};
use lambda_runtime::tracing::subscriber::fmt;
use lambda_runtime::tracing::subscriber::prelude::*;
use lambda_runtime::tracing::{Level, error, subscriber, warn};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;

fn main() -> ExitCode {
    let config = Config::read(|name| {
        let value = std::env::var_os(name)?;
        Some(value.to_string_lossy().into_owned())
    });
    log_json(config.as_ref().map_or(Level::INFO, |config| config.log_level));
    let result = config.map_err(Error::from).and_then(run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("the function cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// JSON lines with the request id, which is in the span of `lambda_runtime`. Other crates log
/// warnings at most: at a lower level the SDK would log whole requests, with users in them.
fn log_json(level: Level) {
    let targets = Targets::new()
        .with_target("bedrock_denial_watch", level)
        .with_target("bootstrap", level)
        .with_target("lambda_runtime::layers::trace", Level::INFO)
        // It would log the handler's error a second time.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
        .with_default(LevelFilter::WARN);
    let lines = fmt::layer().json().flatten_event(true).with_span_list(false);
    subscriber::registry().with(lines).with(targets).init();
}

#[tokio::main(flavor = "current_thread")]
async fn run(config: Config) -> Result<(), Error> {
    for warning in config.settings.warnings() {
        warn!("{warning}");
    }
    let sdk = aws::sdk_config().await;
    let meter = Meter::default();
    let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
    let handler = Handler {
        pipeline: Pipeline {
            store: DynamoDbStore::metered(&sdk, config.table_name, &meter),
            sink: SnsSink::metered(
                &sdk,
                config.topic_arn,
                config.every_alert_topic_arn,
                config.event_bus_arn.map(|arn| EventBus::new(&sdk, arn, &meter)),
                &meter,
            ),
            rules: config.settings.rules_on(),
            exempt_users: config.settings.exempt_users,
            limits: Limits::default(),
        },
        source: S3Source::metered(&sdk, &meter),
        meter,
    };
    let (handler, function) = (&handler, &function);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let invocation = Invocation {
            request_id: &event.context.request_id,
            clock: &now_ms,
            deadline_ms: event.context.deadline,
        };
        let delivered = handler.deliver(event.payload.get(), invocation).await;
        let metrics = delivered.metrics;
        println!("{}", metrics.line(function, invocation.request_id, now_ms()));
        delivered.answer
    }))
    .await
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
