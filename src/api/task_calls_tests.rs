//! `aws-sdk:sfn:*` over a running engine: tokens, starts, descriptions, stops.

use std::sync::Arc;

use serde_json::{Value, json};

use super::configuration::Kms;
use super::task_calls::TaskCalls;
use crate::engine::support::{self, realm, request};
use crate::engine::{EngineHandle, StartRequest};
use crate::interpreter::event::Failure;
use crate::interpreter::state::Conclusion;
use crate::store::MachineType;
use crate::store::memory::Memory;

/// An engine whose tasks have the API.
async fn engine(store: &Memory) -> EngineHandle {
    let engine = support::engine(store).await;
    engine.answer_calls(Arc::new(TaskCalls::new(b"test", Kms::Refuse, false)));
    engine
}

fn task(action: &str, parameters: &Value, next: &Value) -> Value {
    let mut task = json!({ "Type": "Task", "Resource": format!("arn:aws:states:::aws-sdk:sfn:{action}"), "Parameters": parameters });
    task.as_object_mut().unwrap().extend(next.as_object().unwrap().clone());
    task
}

async fn run(engine: &EngineHandle, machine: &str, input: &str) -> Conclusion {
    let request: StartRequest = request(&realm().state_machine(machine), "run", input);
    let arn = engine.start_execution(request).await.unwrap().arn;
    engine.await_end(&arn).await.unwrap().result
}

fn succeeded(conclusion: Conclusion) -> Value {
    match conclusion {
        Conclusion::Succeeded(output) => (*output).clone(),
        other => panic!("{other:?}"),
    }
}

/// Waits for the receiver of its token: an execution of `worker`.
fn asks(worker: &str) -> Value {
    json!({ "StartAt": "T", "States": { "T": { "Type": "Task", "End": true,
        "Resource": "arn:aws:states:::states:startExecution.waitForTaskToken",
        "Parameters": { "StateMachineArn": realm().state_machine(worker), "Input": { "token.$": "$$.Task.Token" } } } } })
}

#[actix_rt::test]
async fn a_task_ends_another_task_by_its_token() {
    let store = Memory::new();
    let engine = engine(&store).await;
    let beat =
        task("sendTaskHeartbeat", &json!({ "TaskToken.$": "$.token" }), &json!({ "ResultPath": null, "Next": "S" }));
    let send =
        task("sendTaskSuccess", &json!({ "TaskToken.$": "$.token", "Output": { "a": 1 } }), &json!({ "End": true }));
    support::machine(&store, "worker", &json!({ "StartAt": "B", "States": { "B": beat, "S": send } })).await;
    support::machine(&store, "asks", &asks("worker")).await;
    assert_eq!(succeeded(run(&engine, "asks", "{}").await), json!({ "a": 1 }));

    let parameters = json!({ "TaskToken.$": "$.token", "Error": "No", "Cause": "why" });
    let fails = task("sendTaskFailure", &parameters, &json!({ "End": true }));
    support::machine(&store, "refuser", &json!({ "StartAt": "F", "States": { "F": fails } })).await;
    support::machine(&store, "refused", &asks("refuser")).await;
    assert_eq!(run(&engine, "refused", "{}").await, Conclusion::Failed(Failure::new("No", "why")));
}

#[actix_rt::test]
async fn what_the_api_refuses_fails_the_task_in_the_words_of_the_sdk() {
    let store = Memory::new();
    let engine = engine(&store).await;
    let table = [
        ("sendTaskSuccess", json!({ "TaskToken": "x", "Output": "1" }), "Sfn.InvalidTokenException"),
        ("sendTaskSuccess", json!({ "TaskToken": "x", "Output": "{" }), "Sfn.InvalidOutputException"),
        (
            "describeExecution",
            json!({ "ExecutionArn": realm().execution("m", "none") }),
            "Sfn.ExecutionDoesNotExistException",
        ),
        (
            "stopExecution",
            json!({ "ExecutionArn": realm().execution("m", "none") }),
            "Sfn.ExecutionDoesNotExistException",
        ),
        (
            "startExecution",
            json!({ "StateMachineArn": realm().state_machine("none") }),
            "Sfn.StateMachineDoesNotExistException",
        ),
        (
            "listExecutions",
            json!({ "StateMachineArn": realm().state_machine("none") }),
            "Sfn.StateMachineDoesNotExistException",
        ),
        (
            "startSyncExecution",
            json!({ "StateMachineArn": realm().state_machine("none") }),
            "Sfn.StateMachineDoesNotExistException",
        ),
        (
            "startExecution",
            json!({ "StateMachineArn": realm().state_machine("m0"), "Input": "{" }),
            "Sfn.InvalidExecutionInputException",
        ),
        (
            "describeMapRun",
            json!({ "MapRunArn": "arn:aws:states:us-east-1:000000000000:mapRun:m/x:1" }),
            "Sfn.ResourceNotFoundException",
        ),
        ("redriveExecution", json!({ "ExecutionArn": "x" }), "Sfn.InvalidArnException"),
        ("describeStateMachine", json!({}), "Sfn.ValidationException"),
        ("listExecutions", json!({}), "Sfn.ValidationException"),
    ];
    for (i, (action, parameters, error)) in table.into_iter().enumerate() {
        let name = format!("m{i}");
        let calls = json!({ "StartAt": "C", "States": { "C": task(action, &parameters, &json!({ "End": true })) } });
        support::machine(&store, &name, &calls).await;
        match run(&engine, &name, "{}").await {
            Conclusion::Failed(failure) => assert_eq!(failure.error.as_deref(), Some(error), "{action}: {failure:?}"),
            other => panic!("{action}: {other:?}"),
        }
    }
}

#[actix_rt::test]
async fn executions_are_started_described_listed_and_stopped() {
    let store = Memory::new();
    let engine = engine(&store).await;
    let long = json!({ "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": 10_000, "End": true } } });
    let machine = support::machine(&store, "long", &long).await;
    let start = json!({ "StateMachineArn": machine, "Name": "one", "Input": { "n": 1 } });
    let of = json!({ "ExecutionArn.$": "$.s.ExecutionArn" });
    let stop = json!({ "ExecutionArn.$": "$.s.ExecutionArn", "Error": "E" });
    let states = json!({ "StartAt": "S", "States": {
        "S": task("startExecution", &start, &json!({ "ResultPath": "$.s", "Next": "D" })),
        "D": task("describeExecution", &of, &json!({ "ResultPath": "$.d", "Next": "L" })),
        "L": task("listExecutions", &json!({ "StateMachineArn": machine, "StatusFilter": "RUNNING" }), &json!({ "ResultPath": "$.l", "Next": "X" })),
        "X": task("stopExecution", &stop, &json!({ "ResultPath": "$.x", "Next": "E" })),
        "E": task("describeExecution", &of, &json!({ "ResultPath": "$.e", "End": true })),
    }});
    support::machine(&store, "manager", &states).await;
    let output = succeeded(run(&engine, "manager", "{}").await);
    assert_eq!(output["d"]["Status"], "RUNNING");
    assert_eq!(output["d"]["Input"], r#"{"n":1}"#);
    assert_eq!(output["l"]["Executions"][0]["ExecutionArn"], output["s"]["ExecutionArn"]);
    assert!(output["s"]["StartDate"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&output["e"]["Status"], &output["e"]["Error"]), (&json!("ABORTED"), &json!("E")));
    assert_eq!(output["e"]["StopDate"], output["x"]["StopDate"]);
}

#[actix_rt::test]
async fn an_express_execution_is_waited_for() {
    let store = Memory::new();
    let engine = engine(&store).await;
    let pass = json!({ "StartAt": "P", "States": { "P": { "Type": "Pass", "End": true } } });
    let quick = support::machine_of_kind(&store, &realm(), "quick", MachineType::Express, &pass).await;
    let start = json!({ "StateMachineArn": quick, "Input.$": "$" });
    let calls =
        json!({ "StartAt": "S", "States": { "S": task("startSyncExecution", &start, &json!({ "End": true })) } });
    support::machine(&store, "asks", &calls).await;
    let output = succeeded(run(&engine, "asks", r#"{"n":1}"#).await);
    assert_eq!((&output["Status"], &output["Output"]), (&json!("SUCCEEDED"), &json!(r#"{"n":1}"#)));
    assert_eq!(output["OutputDetails"], json!({ "Included": true }));
    assert_eq!(output["BillingDetails"]["BilledMemoryUsedInMB"], 64);
    assert!(output["StopDate"].as_str().unwrap().ends_with('Z'));

    // A failure of the execution is an answer, not a failure of the task.
    let fail = json!({ "StartAt": "F", "States": { "F": { "Type": "Fail", "Error": "E", "Cause": "C" } } });
    let fails = support::machine_of_kind(&store, &realm(), "fails", MachineType::Express, &fail).await;
    let start = json!({ "StateMachineArn": fails });
    let calls =
        json!({ "StartAt": "S", "States": { "S": task("startSyncExecution", &start, &json!({ "End": true })) } });
    support::machine(&store, "asks again", &calls).await;
    let output = succeeded(run(&engine, "asks again", "{}").await);
    assert_eq!((&output["Status"], &output["Error"], &output["Cause"]), (&json!("FAILED"), &json!("E"), &json!("C")));
}

#[actix_rt::test]
async fn map_runs_histories_machines_and_redrives_have_the_names_of_the_sdk() {
    let store = Memory::new();
    let engine = engine(&store).await;
    let item = json!({ "StartAt": "P", "States": { "P": { "Type": "Fail", "Error": "E" } },
        "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" } });
    let map = json!({ "StartAt": "M", "States": { "M": { "Type": "Map", "End": true, "ItemProcessor": item } } });
    let machine = support::machine(&store, "maps", &map).await;
    assert!(matches!(run(&engine, "maps", "[1,2]").await, Conclusion::Failed(_)));

    let of = json!({ "ExecutionArn": realm().execution("maps", "run") });
    let next = |path: &str, next: &str| json!({ "ResultPath": format!("$.{path}"), "Next": next });
    let states = json!({ "StartAt": "L", "States": {
        "L": task("listMapRuns", &of, &next("l", "R")),
        "R": task("describeMapRun", &json!({ "MapRunArn.$": "$.l.MapRuns[0].MapRunArn" }), &next("r", "H")),
        "H": task("getExecutionHistory", &json!({ "ExecutionArn": of["ExecutionArn"], "MaxResults": 2 }), &next("h", "M")),
        "M": task("describeStateMachine", &json!({ "StateMachineArn": machine }), &next("m", "T")),
        "T": task("tagResource", &json!({ "ResourceArn": machine, "Tags": [{ "Key": "k", "Value": "v" }] }), &next("t", "G")),
        "G": task("listTagsForResource", &json!({ "ResourceArn": machine }), &next("g", "D")),
        "D": task("redriveExecution", &of, &json!({ "ResultPath": "$.d", "End": true })),
    }});
    support::machine(&store, "manager", &states).await;
    let output = succeeded(run(&engine, "manager", "{}").await);
    assert_eq!((&output["r"]["Status"], &output["r"]["ItemCounts"]["Total"]), (&json!("FAILED"), &json!(2)));
    assert_eq!(output["r"]["ExecutionArn"], of["ExecutionArn"]);
    assert!(output["r"]["StartDate"].as_str().unwrap().ends_with('Z'));
    let first = &output["h"]["Events"][0];
    assert_eq!((&first["Type"], &first["Id"]), (&json!("ExecutionStarted"), &json!(1)));
    assert_eq!(first["ExecutionStartedEventDetails"]["Input"], "[1,2]");
    assert!(output["h"]["NextToken"].is_string());
    assert_eq!(output["m"]["Definition"], map.to_string());
    assert_eq!(output["g"], json!({ "Tags": [{ "Key": "k", "Value": "v" }] }));
    assert!(output["d"]["RedriveDate"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_definition_may_name_each_operation_of_the_model() {
    let lower = |name: &String| name[..1].to_ascii_lowercase() + &name[1..];
    let mut known: Vec<String> = super::model::Model::get().operations.keys().map(lower).collect();
    known.sort();
    let mut named = crate::asl::resource::SFN_OPERATIONS.to_vec();
    named.sort_unstable();
    assert_eq!(named, known);
}
