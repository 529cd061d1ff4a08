//! The AWS side against real engines and real wires, all on loopback: DynamoDB expressions run
//! in dynoxide, requests to S3 and SNS go to a local HTTP server and are read back there.
#![cfg(feature = "aws")]

mod batch_operations;
mod bootstrap;
mod bounded;
mod capacity;
mod deadline;
#[path = "../domain/depth.rs"]
mod depth;
mod dynamodb;
mod eventbridge;
#[path = "../fixtures/every_field.rs"]
mod every_field;
mod fuzz;
#[path = "../fuzz_targets/events.rs"]
mod fuzz_events;
mod handler;
mod http;
mod incident_contract;
mod inline;
mod investigate;
#[path = "../oracle/mod.rs"]
mod oracle;
mod privacy;
mod replay;
mod s3;
mod samples;
mod sns;
mod status;
mod store_contract;
mod storms;
mod support;
mod usage;

use bedrock_denial_watch::lambda::event;
