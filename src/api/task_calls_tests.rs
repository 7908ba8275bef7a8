//! `aws-sdk:sfn:*` over a running engine: tokens, starts, descriptions, stops.

use serde_json::{Value, json};

use crate::engine::api::EngineHandle;
use crate::engine::support::{self, realm, request};
use crate::engine::types::StartRequest;
use crate::interpreter::event::Failure;
use crate::interpreter::state::Conclusion;
use crate::store::memory::Memory;

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

/// Waits for whoever gets its token: an execution of `worker`.
fn asks(worker: &str) -> Value {
    json!({ "StartAt": "T", "States": { "T": { "Type": "Task", "End": true,
        "Resource": "arn:aws:states:::states:startExecution.waitForTaskToken",
        "Parameters": { "StateMachineArn": realm().state_machine(worker), "Input": { "token.$": "$$.Task.Token" } } } } })
}

#[actix_rt::test]
async fn a_task_ends_another_task_by_its_token() {
    let store = Memory::new();
    let engine = support::engine(&store).await;
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
    let engine = support::engine(&store).await;
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
    let engine = support::engine(&store).await;
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
