//! Express executions through the engine's face: memory store, embedded bus.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bus::embedded::EmbeddedBus;
use crate::engine::api::EngineHandle;
use crate::engine::support::{self, machine_of_kind, realm};
use crate::engine::types::{EngineError, HistoryQuery, StartRequest};
use crate::ids::Arn;
use crate::interpreter::event::Failure;
use crate::store::memory::Memory;
use crate::store::{ExecutionFilter, ExecutionStatus, Journal, MachineType};

struct Given {
    engine: EngineHandle,
    store: Memory,
    bus: EmbeddedBus,
}

async fn engine() -> Given {
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    Given { engine: support::engine_on(&store, &bus).await, store, bus }
}

impl Given {
    async fn machine(&self, name: &str, definition: &Value) -> Arn {
        machine_of_kind(&self.store, &realm(), name, MachineType::Express, definition).await
    }
}

fn request(machine: &Arn, input: &Value) -> StartRequest {
    support::request(machine, "same", &input.to_string())
}

#[actix_rt::test]
async fn a_synchronous_start_answers_with_the_end_and_writes_nothing() {
    let given = engine().await;
    let pass = json!({ "StartAt": "A", "States": { "A": { "Type": "Pass", "End": true } } });
    let machine = given.machine("m", &pass).await;
    // The name is free at once, and the start not idempotent.
    let mut arns = Vec::new();
    for _ in 0..2 {
        let row = given.engine.start_sync_execution(request(&machine, &json!({ "a": 1 }))).await.unwrap().row;
        assert_eq!(row.summary.status, ExecutionStatus::Succeeded);
        assert_eq!(row.summary.closed.unwrap().output.as_deref(), Some(r#"{"a":1}"#));
        assert!(row.header.arn.as_str().starts_with("arn:aws:states:us-east-1:000000000000:express:m:same:"));
        arns.push(row.header.arn);
    }
    assert_ne!(arns[0], arns[1]);
    let all = ExecutionFilter { limit: 10, ..Default::default() };
    assert!(given.store.list(all).await.unwrap().is_empty(), "no row in the store");
    assert_eq!(given.engine.execution(&arns[0]).await.unwrap().summary.status, ExecutionStatus::Succeeded);
    let history = given.engine.history(&arns[0], HistoryQuery::default()).await;
    assert!(matches!(history, Err(EngineError::TypeNotSupported { .. })));
    given.engine.stop(Duration::from_secs(1)).await;
}

#[actix_rt::test]
async fn a_started_one_runs_can_be_awaited_and_stopped() {
    let given = engine().await;
    let wait = json!({ "StartAt": "W", "States": { "W": { "Type": "Wait", "SecondsPath": "$.s", "End": true } } });
    let machine = given.machine("w", &wait).await;
    let long = given.engine.start_execution(request(&machine, &json!({ "s": 250 }))).await.unwrap().arn;
    let short = given.engine.start_execution(request(&machine, &json!({ "s": 0.05 }))).await.unwrap().arn;
    given.engine.await_end(&short).await.unwrap();
    assert_eq!(given.engine.execution(&long).await.unwrap().summary.status, ExecutionStatus::Running);
    given.engine.stop_execution(&long, Failure::new("E", "c")).await.unwrap();
    let row = given.engine.execution(&long).await.unwrap();
    assert_eq!(row.summary.status, ExecutionStatus::Aborted);
    assert_eq!(row.summary.closed.unwrap().error.as_deref(), Some("E"));
    given.engine.stop(Duration::from_secs(1)).await;
}

#[actix_rt::test]
async fn a_failure_is_told_and_a_task_that_nobody_answers_times_out() {
    let given = engine().await;
    let fail = json!({ "StartAt": "F", "States": { "F": { "Type": "Fail", "Error": "E", "Cause": "C" } } });
    let machine = given.machine("f", &fail).await;
    let row = given.engine.start_sync_execution(request(&machine, &json!({}))).await.unwrap().row;
    let closed = row.summary.closed.unwrap();
    assert_eq!(
        (row.summary.status, closed.error.as_deref(), closed.cause.as_deref()),
        (ExecutionStatus::Failed, Some("E"), Some("C"))
    );

    let call = json!({ "StartAt": "T", "States": { "T": { "Type": "Task", "End": true, "TimeoutSeconds": 1,
        "Resource": "arn:aws:lambda:us-east-1:000000000000:function:nobody",
        "Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "P" }] }, "P": { "Type": "Pass", "End": true } } });
    let machine = given.machine("c", &call).await;
    let row = given.engine.start_sync_execution(request(&machine, &json!({}))).await.unwrap().row;
    let output = row.summary.closed.unwrap().output;
    assert_eq!(output.as_deref(), Some(r#"{"Error":"States.Timeout","Cause":""}"#));
    given.engine.stop(Duration::from_secs(1)).await;
}

#[actix_rt::test]
async fn a_task_under_test_is_called_for_real() {
    let given = engine().await;
    let nobody = "arn:aws:lambda:us-east-1:000000000000:function:nobody";
    let (nothing, role) = (json!({}), "arn:aws:iam::000000000000:role/r");
    let called = |seconds| given.engine.call_task(nobody, &nothing, Some(seconds), role);
    match called(60).await.unwrap_err() {
        EngineError::Unserved { queue } => assert_eq!(queue, "nobody"),
        other => panic!("{other}"),
    }
    // A worker that reads the queue and says nothing.
    let _worker = given.bus.worker("nobody", 1);
    let failure = called(1).await.unwrap().unwrap_err();
    assert_eq!(failure.error.as_deref(), Some("States.Timeout"));
    let event = json!({ "Entries": [{ "Detail": "{}", "DetailType": "d", "Source": "s", "EventBusName": "default" }] });
    let result = given.engine.call_task("arn:aws:states:::events:putEvents", &event, None, "").await.unwrap().unwrap();
    assert_eq!(result["FailedEntryCount"], 0, "{result}");
    given.engine.stop(Duration::from_secs(1)).await;
}

/// Two states that follow each other for ever.
fn endless() -> Value {
    let rule = json!({ "Variable": "$$.State.Name", "StringEquals": "no", "Next": "Z" });
    json!({ "StartAt": "A", "States": { "A": { "Type": "Pass", "Next": "B" },
        "B": { "Type": "Choice", "Choices": [rule], "Default": "A" }, "Z": { "Type": "Succeed" } } })
}

/// Counted in turns, not in time: the others are answered while the loops run on.
#[actix_rt::test]
async fn loops_that_wait_for_nothing_leave_the_thread_to_others() {
    let given = engine().await;
    let pass = json!({ "StartAt": "A", "States": { "A": { "Type": "Pass", "End": true } } });
    let machine = given.machine("m", &pass).await;
    let endless = given.machine("loop", &endless()).await;
    let mut loops = Vec::new();
    for _ in 0..6 {
        loops.push(given.engine.start_execution(request(&endless, &json!({}))).await.unwrap().arn);
    }
    for n in 0..8 {
        let row = given.engine.start_sync_execution(request(&machine, &json!({ "n": n }))).await.unwrap().row;
        assert_eq!(row.summary.status, ExecutionStatus::Succeeded);
    }
    for arn in &loops {
        assert_eq!(given.engine.execution(arn).await.unwrap().summary.status, ExecutionStatus::Running);
    }
    for arn in &loops {
        given.engine.stop_execution(arn, Failure::new("E", "c")).await.unwrap();
        assert_eq!(given.engine.execution(arn).await.unwrap().summary.status, ExecutionStatus::Aborted);
    }
    given.engine.stop(Duration::from_secs(1)).await;
}
