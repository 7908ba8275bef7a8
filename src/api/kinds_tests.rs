//! Breadth: each operation that names a resource, with each kind of resource, also with those that it should not take.
//!
//! The rows are data (`tests/breadth/operations.txt`): operation, kind, answer; `ok` where it succeeds. Sources: API
//! reference of Step Functions (which ARN an operation takes, its errors), texts as recorded on AWS where
//! `src/api/error.rs` says so. The table was kept as answered, after it had been read against these sources.

use std::fmt::Write as _;
use std::future::ready;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::engine::support;
use crate::store::memory::Memory;
use crate::telemetry::Metrics;

use super::auth::Keys;
use super::context::Context;
use super::page::Pages;
use super::protocol::{Api, CONTENT_TYPE, Incoming};

const ROLE: &str = "arn:aws:iam::000000000000:role/r";

/// The kind of each resource and its ARN: existing resources first, then missing ones.
const KINDS: [(&str, &str); 17] = [
    ("a machine", "us-east-1:000000000000:stateMachine:m"),
    ("a version", "us-east-1:000000000000:stateMachine:m:1"),
    ("an alias", "us-east-1:000000000000:stateMachine:m:live"),
    ("a label", "us-east-1:000000000000:stateMachine:m/L"),
    ("an express machine", "us-east-1:000000000000:stateMachine:x"),
    ("an execution", "us-east-1:000000000000:execution:m:e"),
    ("an activity", "us-east-1:000000000000:activity:a"),
    ("no machine", "us-east-1:000000000000:stateMachine:none"),
    ("no version", "us-east-1:000000000000:stateMachine:m:9"),
    ("no alias", "us-east-1:000000000000:stateMachine:m:none"),
    ("no execution", "us-east-1:000000000000:execution:m:none"),
    ("no express execution", "us-east-1:000000000000:express:x:none:00000000-0000-0000-0000-000000000000"),
    ("no activity", "us-east-1:000000000000:activity:none"),
    ("no map run", "us-east-1:000000000000:mapRun:m/L:00000000-0000-0000-0000-000000000000"),
    ("a deleted machine", "us-east-1:000000000000:stateMachine:gone"),
    ("another region", "eu-west-1:000000000000:stateMachine:m"),
    ("no ARN", ""),
];

/// Operation, the member that names the resource, what else it needs. What changes nothing first.
fn operations() -> Vec<(&'static str, &'static str, Value)> {
    let route =
        json!([{ "stateMachineVersionArn": "arn:aws:states:us-east-1:000000000000:stateMachine:m:1", "weight": 100 }]);
    vec![
        ("DescribeStateMachine", "stateMachineArn", json!({})),
        ("ListStateMachineVersions", "stateMachineArn", json!({})),
        ("ListStateMachineAliases", "stateMachineArn", json!({})),
        ("ListExecutions", "stateMachineArn", json!({})),
        ("DescribeExecution", "executionArn", json!({})),
        ("DescribeStateMachineForExecution", "executionArn", json!({})),
        ("GetExecutionHistory", "executionArn", json!({})),
        ("ListMapRuns", "executionArn", json!({})),
        ("DescribeActivity", "activityArn", json!({})),
        ("DescribeMapRun", "mapRunArn", json!({})),
        ("DescribeStateMachineAlias", "stateMachineAliasArn", json!({})),
        ("ListTagsForResource", "resourceArn", json!({})),
        ("TagResource", "resourceArn", json!({ "tags": [{ "key": "k", "value": "v" }] })),
        ("UntagResource", "resourceArn", json!({ "tagKeys": ["k"] })),
        ("UpdateMapRun", "mapRunArn", json!({ "maxConcurrency": 1 })),
        ("StartExecution", "stateMachineArn", json!({})),
        ("StartSyncExecution", "stateMachineArn", json!({})),
        ("PublishStateMachineVersion", "stateMachineArn", json!({})),
        ("UpdateStateMachine", "stateMachineArn", json!({ "roleArn": ROLE })),
        ("UpdateStateMachineAlias", "stateMachineAliasArn", json!({ "routingConfiguration": route })),
        ("RedriveExecution", "executionArn", json!({})),
        ("StopExecution", "executionArn", json!({})),
        ("DeleteStateMachineAlias", "stateMachineAliasArn", json!({})),
        ("DeleteStateMachineVersion", "stateMachineVersionArn", json!({})),
        ("DeleteActivity", "activityArn", json!({})),
    ]
}

async fn call(api: &Api, operation: &str, input: &Value) -> Result<Value, String> {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static(CONTENT_TYPE));
    let target = format!("AWSStepFunctions.{operation}");
    headers.insert(HeaderName::from_static("x-amz-target"), HeaderValue::from_str(&target).unwrap());
    let body = input.to_string();
    let incoming = Incoming { method: "POST", path: "/", query: "", headers: &headers };
    let answer = api.answer(incoming, ready(Ok(&body))).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    if answer.status == 200 {
        return Ok(body);
    }
    Err(format!("{}: {}", body["__type"].as_str().unwrap(), body["message"].as_str().unwrap()))
}

#[actix_web::test]
async fn every_operation_with_every_kind_of_resource_answers_as_the_reference_says() {
    let engine = support::engine(&Memory::new()).await;
    let context = Context::new(engine, Pages::new(b"test"), std::time::Duration::from_secs(10));
    let api = Api::new(context, Keys::default(), Metrics::new());
    let machine = |name: &str, kind: &str, state: Value| {
        json!({ "name": name, "type": kind, "roleArn": ROLE, "publish": true,
            "definition": json!({ "StartAt": "S", "States": { "S": state } }).to_string() })
    };
    let pass = json!({ "Type": "Pass", "End": true });
    let wait = json!({ "Type": "Wait", "Seconds": 10_000, "End": true });
    let arn = |tail: &str| format!("arn:aws:states:us-east-1:000000000000:{tail}");
    for (operation, input) in [
        ("CreateStateMachine", machine("m", "STANDARD", wait)),
        ("CreateStateMachine", machine("x", "EXPRESS", pass.clone())),
        ("CreateStateMachine", machine("gone", "STANDARD", pass)),
        ("DeleteStateMachine", json!({ "stateMachineArn": arn("stateMachine:gone") })),
        ("CreateActivity", json!({ "name": "a" })),
        (
            "CreateStateMachineAlias",
            json!({ "name": "live", "routingConfiguration":
            [{ "stateMachineVersionArn": arn("stateMachine:m:1"), "weight": 100 }] }),
        ),
        ("StartExecution", json!({ "stateMachineArn": arn("stateMachine:m"), "name": "e" })),
    ] {
        call(&api, operation, &input).await.unwrap();
    }

    let mut found = String::new();
    for (operation, member, more) in operations() {
        for (kind, tail) in KINDS {
            let text = if tail.is_empty() { "not_an_arn".to_owned() } else { format!("arn:aws:states:{tail}") };
            let mut input = Map::from_iter([(member.to_owned(), json!(text))]);
            input.extend(more.as_object().unwrap().clone());
            let answer = match call(&api, operation, &Value::Object(input)).await {
                Ok(_) => "ok".to_owned(),
                Err(refused) => refused,
            };
            writeln!(found, "{operation} | {kind} | {answer}").unwrap();
        }
    }
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/breadth/operations.txt");
    let wanted = std::fs::read_to_string(path).unwrap_or_default();
    let wanted: Vec<&str> = wanted.lines().filter(|line| !line.starts_with('#')).collect();
    let found: Vec<&str> = found.lines().collect();
    let differ: Vec<String> = found
        .iter()
        .zip(wanted.iter().chain(std::iter::repeat(&"")))
        .filter(|(found, wanted)| found != wanted)
        .map(|(found, wanted)| format!("found  {found}\nwanted {wanted}"))
        .collect();
    assert!(
        differ.is_empty() && found.len() == wanted.len(),
        "{} of {} rows differ\n{}",
        differ.len(),
        found.len(),
        differ.join("\n")
    );
}
