//! `TestState` through the protocol: the cases recorded on AWS where the corpus lies beside the checkout, and our own.

use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::clock::{ManualClock, Timestamp};
use crate::engine::support::idle;
use crate::store::memory::Memory;
use crate::telemetry::Metrics;

use super::auth::Keys;
use super::context::Context;
use super::protocol::{Api, CONTENT_TYPE, Incoming};

const ROLE: &str = "arn:aws:iam::000000000000:role/r";

fn api() -> Api {
    let (store, clock) = (Memory::new(), ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    Api::new(Context::for_test(idle(&store, Arc::new(clock))), Keys::default(), Metrics::new())
}

fn call(api: &Api, input: &Value) -> Result<Value, (String, String)> {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(HeaderName::from_static("x-amz-target"), HeaderValue::from_static("AWSStepFunctions.TestState"));
    let body = input.to_string();
    let incoming = Incoming { method: "POST", path: "/", query: "", headers: &headers };
    let answer = api.answer(incoming, ready(Ok(&body))).now_or_never().expect("a test with a mock does not wait");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    if answer.status == 200 {
        return Ok(body);
    }
    Err((body["__type"].as_str().unwrap().to_owned(), body["message"].as_str().unwrap().to_owned()))
}

fn ok(input: &Value) -> Value {
    unquoted(&call(&api(), input).unwrap())
}

fn refused(input: &Value) -> String {
    let (kind, message) = call(&api(), input).unwrap_err();
    format!("{kind}: {message}")
}

/// JSON texts as the values that they denote.
fn unquoted(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['{', '[']) => {
            serde_json::from_str(text).map_or_else(|_| value.clone(), |v| unquoted(&v))
        }
        Value::Array(items) => items.iter().map(unquoted).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(k, v)| (k.clone(), unquoted(v))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn task(mock: &Value, configuration: &Value) -> Value {
    let definition = json!({ "Type": "Task", "Resource": "arn:aws:states:::amqp:call", "Next": "After",
        "Retry": [{ "ErrorEquals": ["A", "B"], "MaxAttempts": 2, "IntervalSeconds": 3, "BackoffRate": 3.0 }],
        "Catch": [{ "ErrorEquals": ["C"], "Next": "Never" }, { "ErrorEquals": ["States.ALL"], "Next": "Caught", "ResultPath": "$.e" }] });
    json!({ "definition": definition.to_string(), "input": "{\"x\":1}", "mock": mock, "stateConfiguration": configuration,
        "inspectionLevel": "DEBUG" })
}

#[test]
fn a_failure_meets_retriers_before_catchers() {
    let error = |name: &str| json!({ "errorOutput": { "error": name, "cause": "c" } });
    let first = ok(&task(&error("B"), &json!({})));
    assert_eq!(first["status"], "RETRIABLE");
    assert_eq!(first["inspectionData"]["errorDetails"], json!({ "retryIndex": 0, "retryBackoffIntervalSeconds": 3 }));
    let second = ok(&task(&error("B"), &json!({ "retrierRetryCount": 1 })));
    assert_eq!(second["inspectionData"]["errorDetails"]["retryBackoffIntervalSeconds"], 9);
    let spent = ok(&task(&error("B"), &json!({ "retrierRetryCount": 2 })));
    assert_eq!((&spent["status"], &spent["nextState"]), (&json!("CAUGHT_ERROR"), &json!("Caught")));
    assert_eq!(spent["inspectionData"]["errorDetails"], json!({ "catchIndex": 1, "retryIndex": 0 }));
    assert_eq!(spent["output"], json!({ "x": 1, "e": { "Error": "B", "Cause": "c" } }));
    let runtime = ok(&task(&error("States.Runtime"), &json!({})));
    assert_eq!((&runtime["status"], &runtime["error"]), (&json!("FAILED"), &json!("States.Runtime")));
}

#[test]
fn a_mapped_state_shows_its_items_and_batches() {
    let definition = json!({ "Type": "Map", "ItemsPath": "$.v", "ItemSelector": { "i.$": "$$.Map.Item.Value", "n.$": "$.n" }, "End": true,
        "ItemBatcher": { "MaxItemsPerBatch": 2 }, "MaxConcurrency": 5, "ToleratedFailurePercentage": 50,
        "ItemProcessor": { "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS" }, "StartAt": "P",
            "States": { "P": { "Type": "Pass", "End": true } } } });
    let request = |failures: u64| {
        json!({ "definition": definition.to_string(), "input": "{\"v\":[1,2,3],\"n\":0}", "mock": { "result": "[1,2]" },
            "inspectionLevel": "TRACE", "stateConfiguration": { "mapIterationFailureCount": failures } })
    };
    let seen = ok(&request(1));
    assert_eq!((&seen["status"], &seen["output"]), (&json!("SUCCEEDED"), &json!([1, 2])));
    let data = &seen["inspectionData"];
    assert_eq!(data["afterItemsPath"], json!([1, 2, 3]));
    assert_eq!(data["afterItemSelector"], json!([{"i": 1, "n": 0}, {"i": 2, "n": 0}, {"i": 3, "n": 0}]));
    assert_eq!(
        data["afterItemBatcher"],
        json!([{"Items": [{"i": 1, "n": 0}, {"i": 2, "n": 0}]}, {"Items": [{"i": 3, "n": 0}]}])
    );
    assert_eq!((&data["maxConcurrency"], &data["toleratedFailurePercentage"]), (&json!(5), &json!(50.0)));
    assert_eq!(ok(&request(2))["error"], "States.ExceedToleratedFailureThreshold");
    assert!(refused(&request(3)).ends_with("must be less than or equal to the number of Map iterations"));
}

#[test]
fn what_an_item_reader_would_read_is_given() {
    let with = |config: &Value, data: &str| {
        let definition = json!({ "Type": "Map", "End": true, "ItemSelector": { "of.$": "$$.Map.Item.Value" },
            "ItemReader": { "Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": config, "Parameters": { "Bucket": "b", "Key": "k" } },
            "ItemProcessor": { "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS" }, "StartAt": "P",
                "States": { "P": { "Type": "Pass", "End": true } } } });
        json!({ "definition": definition.to_string(), "mock": { "result": "[]" }, "inspectionLevel": "DEBUG",
            "stateConfiguration": { "mapItemReaderData": data } })
    };
    let csv = ok(&with(&json!({ "InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW" }), "a,b\n1,\"x, y\"\n"));
    assert_eq!(csv["inspectionData"]["afterItemSelector"], json!([{ "of": { "a": "1", "b": "x, y" } }]));
    let lines = ok(&with(&json!({ "InputType": "JSONL" }), "{\"a\":1}\n{\"a\":2}\n"));
    assert_eq!(lines["inspectionData"]["afterItemSelector"], json!([{ "of": { "a": 1 } }, { "of": { "a": 2 } }]));
    assert!(
        refused(&with(&json!({ "InputType": "JSON" }), "{"))
            .starts_with("ValidationException: The map item reader data")
    );
}

#[test]
fn variables_come_in_and_go_out() {
    let definition = json!({ "Type": "Pass", "QueryLanguage": "JSONata", "Next": "N", "Assign": { "b": "{% $a + 1 %}" }, "Output": "{% $a %}" });
    let seen =
        ok(&json!({ "definition": definition.to_string(), "variables": "{\"a\":1}", "inspectionLevel": "DEBUG" }));
    assert_eq!((&seen["nextState"], &seen["output"]), (&json!("N"), &json!("1")));
    assert_eq!(seen["inspectionData"]["variables"], json!({ "a": 1, "b": 2 }));
    let failed = ok(&json!({ "definition": json!({ "Type": "Pass", "End": true, "InputPath": "$.no" }).to_string() }));
    assert_eq!((&failed["status"], &failed["error"]), (&json!("FAILED"), &json!("States.Runtime")));
    // Recorded: the cause is the sentence alone.
    assert_eq!(failed["cause"], "Invalid path '$.no' : No results for path: $['no']");
}

#[test]
fn a_mocked_parallel_shows_what_aws_shows() {
    let branch = json!({ "StartAt": "P", "States": { "P": { "Type": "Pass", "End": true } } });
    let parallel = json!({ "Type": "Parallel", "Branches": [branch], "End": true }).to_string();
    for level in ["DEBUG", "TRACE"] {
        let seen = ok(&json!({ "definition": parallel, "mock": { "result": "[1]" }, "inspectionLevel": level }));
        let shown: Vec<&String> = seen["inspectionData"].as_object().unwrap().keys().collect();
        assert_eq!(shown, ["input", "afterResultSelector", "afterResultPath"], "{level}");
    }
}

#[test]
fn requests_that_cannot_be_run_are_told_why() {
    let pass = json!({ "Type": "Pass", "End": true }).to_string();
    let wait = json!({ "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": true })
        .to_string();
    let lambda = json!({ "Type": "Task", "Resource": "arn:aws:states:::amqp:call", "End": true }).to_string();
    for (input, wrong) in [
        (
            json!({ "definition": pass, "mock": { "result": "1" } }),
            "ValidationException: State type 'Pass' is not supported when a mock is specified",
        ),
        (
            json!({ "definition": pass, "context": "{}" }),
            "ValidationException: A context can only be specified together",
        ),
        (
            json!({ "definition": lambda, "mock": { "result": "1" }, "context": r#"{"Task":{"Token":"t"}}"# }),
            "ValidationException: Invalid Context object provided: Context object contains 'Task' when state is not a Task",
        ),
        (json!({ "definition": pass, "variables": "[]" }), "ValidationException: The variables must be a JSON object"),
        (json!({ "definition": pass, "input": "{" }), "InvalidExecutionInput: Invalid State Machine Execution Input: "),
        (
            json!({ "definition": "{\"Type\":\"Pass\",\"End\":true}},\"X\":{" }),
            "InvalidDefinition: Invalid State Machine Definition: ",
        ),
        (
            json!({ "definition": wait, "roleArn": ROLE }),
            "ValidationException: A test mock must be specified when testing a Task state that",
        ),
        (json!({ "definition": wait, "mock": {} }), "ValidationException: A test mock must have one of"),
    ] {
        assert!(refused(&input).starts_with(wrong), "{} wanted {wrong}", refused(&input));
    }
}

/// The least share of the recorded cases that must agree, in percent: error codes, messages and keys, everything. Only
/// goes up.
const FLOORS: [usize; 3] = [100, 100, 100];

#[test]
fn recorded_tests_of_states_give_what_aws_gave() {
    let shared = std::env::var_os("REVEILLE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let Ok(files) = std::fs::read_dir(shared.join("conformance/cases/test_state")) else {
        println!("skipped: the corpus does not lie beside this checkout");
        return;
    };
    let api = api();
    let (mut all, mut levels) = (0, [0; 3]);
    for file in files {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        all += 1;
        let mut answers: Vec<Value> = Vec::new();
        let mut agreed = 3;
        for step in case["steps"].as_array().unwrap() {
            let params = filled(&step["params"], &answers);
            let got = call(&api, &params);
            let level = compare(step, got.as_ref());
            if level < 3 {
                println!("{} L{}\n    wanted {}\n    got    {got:?}", case["id"], level + 1, step["expect"]);
            }
            agreed = agreed.min(level);
            answers.push(got.unwrap_or_default());
        }
        (0..agreed).for_each(|level| levels[level] += 1);
    }
    println!("test_state: L1 {}/{all}  L2 {}/{all}  L3 {}/{all}", levels[0], levels[1], levels[2]);
    for (level, floor) in levels.into_iter().zip(FLOORS) {
        assert!(level * 100 >= all * floor, "{levels:?} of {all}");
    }
}

/// How many levels a step passes: code of the error; its message, or the keys; everything.
fn compare(step: &Value, got: Result<&Value, &(String, String)>) -> usize {
    let expect = &step["expect"];
    match got {
        Ok(answer) if expect.get("value").is_some() => {
            let mut wanted = unquoted(&expect["value"]);
            wanted.as_object_mut().unwrap().remove("ResponseMetadata");
            let got = unquoted(answer);
            let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
            if keys(&wanted) != keys(&got) {
                return 1;
            }
            if matches(&wanted, &got) { 3 } else { 2 }
        }
        Err((kind, message)) => {
            if let Some(text) = expect["exception"].as_str() {
                return if text == format!("An error occurred ({kind}) when calling the TestState operation: {message}")
                {
                    3
                } else {
                    0
                };
            }
            let wanted = &expect["error"]["Error"];
            match (wanted["Code"] == json!(kind), wanted["Message"] == json!(message)) {
                (true, true) => 3,
                (true, false) => 1,
                _ => 0,
            }
        }
        _ => 0,
    }
}

/// Equal, where `@@{…}`, `<…>` and the words for moments stand for anything.
fn matches(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|other| matches(v, other)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| matches(x, y)),
        (Value::String(a), Value::String(b)) => a == b || ["date", "start-date"].contains(&a.as_str()) || fits(a, b),
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

fn fits(pattern: &str, text: &str) -> bool {
    let mut wild = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find("@@{").or_else(|| rest.find('<')) {
        wild.push_str(&rest[..at]);
        wild.push('*');
        let end = rest[at..].find(['}', '>']).map_or(rest.len(), |end| at + end + 1);
        rest = &rest[end..];
    }
    wild.push_str(rest);
    let mut parts = wild.split('*');
    let Some(mut left) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    wild.ends_with('*') || left.is_empty()
}

/// Placeholders of the request: values that the runner chose, and values of earlier answers.
fn filled(value: &Value, answers: &[Value]) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text, answers)),
        Value::Array(items) => items.iter().map(|v| filled(v, answers)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(k, v)| (k.clone(), filled(v, answers))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn fill(text: &str, answers: &[Value]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("@@{") {
        out.push_str(&rest[..at]);
        let end = at + rest[at..].find('}').unwrap();
        let name = &rest[at + 3..end];
        out.push_str(&match name.split(':').collect::<Vec<_>>().as_slice() {
            ["role_arn"] => ROLE.to_owned(),
            ["account"] => "000000000000".to_owned(),
            ["region"] => "us-east-1".to_owned(),
            ["r", step, path] => {
                let pointer = format!("/{}", path.replace('.', "/"));
                let found = answers[step.parse::<usize>().unwrap()].pointer(&pointer).cloned().unwrap_or_default();
                found.as_str().map_or_else(|| found.to_string(), str::to_owned)
            }
            other => other.join("-"),
        });
        rest = &rest[end + 1..];
    }
    out + rest
}
