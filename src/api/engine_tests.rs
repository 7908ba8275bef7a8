//! Operations over a running engine (store in memory, embedded bus), through the protocol.

use std::future::ready;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::engine::{EngineHandle, support};
use crate::ids::Arn;
use crate::store::memory::Memory;
use crate::telemetry::Metrics;

use super::auth::Keys;
use super::context::Context;
use super::model::Model;
use super::page::Pages;
use super::protocol::{Api, CONTENT_TYPE, Incoming};

const BASE: &str = "arn:aws:states:us-east-1:000000000000";
const WAIT: Duration = Duration::from_secs(10);

struct Given {
    api: Api,
    engine: EngineHandle,
}

async fn given() -> Given {
    let engine = support::engine(&Memory::new()).await;
    let context = Context::new(engine.clone(), Pages::new(b"test"), WAIT);
    Given { api: Api::new(context, Keys::default(), Metrics::new()), engine }
}

impl Given {
    /// The answer, held against the operation's output in the model; or error and message.
    async fn call(&self, target: &str, input: Value) -> Result<Value, String> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(HeaderName::from_static("x-amz-target"), HeaderValue::from_str(target).unwrap());
        let body = input.to_string();
        let answer = self
            .api
            .answer(Incoming { method: "POST", path: "/", query: "", headers: &headers }, ready(Ok(&body)))
            .await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        if answer.status == 200 { Ok(body) } else { Err(format!("{}: {}", body["__type"], body["message"])) }
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        let answer = self.call(&format!("AWSStepFunctions.{operation}"), input).await.unwrap();
        let model = Model::get();
        let output = model.shape(&model.operations[operation].output).unwrap();
        for member in answer.as_object().unwrap().keys() {
            assert!(output.member_shape(member).is_some(), "{member} is no member of {operation}'s output");
        }
        assert!(
            output.required.iter().all(|required| answer.get(required).is_some()),
            "{operation} lacks a required member"
        );
        answer
    }

    async fn refused(&self, operation: &str, input: Value) -> String {
        self.call(&format!("AWSStepFunctions.{operation}"), input).await.unwrap_err()
    }

    /// Starts a new machine with this one state; gives the execution's ARN.
    async fn start(&self, name: &str, state: Value, kind: &str) -> String {
        let definition = json!({"StartAt": "S", "States": {"S": state}}).to_string();
        let role = "arn:aws:iam::000000000000:role/r";
        self.ok(
            "CreateStateMachine",
            json!({"name": name, "definition": definition, "roleArn": role, "type": kind, "publish": true}),
        )
        .await;
        if kind == "EXPRESS" {
            return String::new();
        }
        let start =
            json!({"stateMachineArn": format!("{BASE}:stateMachine:{name}:1"), "name": "e", "input": "{\"a\":1}"});
        self.ok("StartExecution", start).await["executionArn"].as_str().unwrap().to_owned()
    }

    async fn ended(&self, execution: &str) -> Value {
        let arn = Arn::new(execution);
        tokio::time::timeout(WAIT, self.engine.await_end(&arn)).await.expect("it ends").unwrap();
        self.ok("DescribeExecution", json!({"executionArn": execution})).await
    }
}

#[actix_web::test]
async fn an_execution_is_described_listed_and_told_event_by_event() {
    let given = given().await;
    let execution = given.start("m", json!({"Type": "Pass", "End": true}), "STANDARD").await;
    let described = given.ended(&execution).await;
    assert_eq!(
        (&described["status"], &described["output"], &described["redriveStatusReason"]),
        (&json!("SUCCEEDED"), &json!("{\"a\":1}"), &json!("Execution is SUCCEEDED and cannot be redriven"))
    );
    assert_eq!(described["stateMachineVersionArn"], format!("{BASE}:stateMachine:m:1"));
    let bare = given.ok("DescribeExecution", json!({"executionArn": execution, "includedData": "METADATA_ONLY"})).await;
    assert_eq!((bare.get("output"), &bare["outputDetails"]), (None, &json!({"included": false})));

    let first = given.ok("GetExecutionHistory", json!({"executionArn": execution, "maxResults": 3})).await;
    let token = &first["nextToken"];
    let rest = given.ok("GetExecutionHistory", json!({"executionArn": execution, "nextToken": token})).await;
    let types: Vec<&Value> =
        [&first, &rest].into_iter().flat_map(|page| page["events"].as_array().unwrap()).map(|e| &e["type"]).collect();
    assert_eq!(types, ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]);
    let refused = given
        .refused("GetExecutionHistory", json!({"executionArn": execution, "reverseOrder": true, "nextToken": token}))
        .await;
    assert!(refused.contains("InvalidToken"));

    let listed = given.ok("ListExecutions", json!({"stateMachineArn": format!("{BASE}:stateMachine:m")})).await;
    assert_eq!(listed["executions"][0]["executionArn"], execution);
    let ran = given.ok("DescribeStateMachineForExecution", json!({"executionArn": execution})).await;
    assert_eq!(ran["stateMachineArn"], format!("{BASE}:stateMachine:m"));
    assert_eq!(given.ok("ListMapRuns", json!({"executionArn": execution})).await, json!({"mapRuns": []}));
    given.engine.stop(WAIT).await;
}

#[actix_web::test]
async fn a_task_is_seen_waiting_and_completed_by_its_token() {
    let given = given().await;
    let activity = given.ok("CreateActivity", json!({"name": "a"})).await["activityArn"].clone();
    let execution = given.start("m", json!({"Type": "Task", "Resource": activity, "End": true}), "STANDARD").await;
    let task = given.ok("GetActivityTask", json!({"activityArn": activity, "workerName": "w"})).await;
    assert_eq!(task["input"], "{\"a\":1}");
    let waiting = given.call("Reveille.ListWaitingTasks", json!({"executionArn": execution})).await.unwrap();
    assert_eq!(
        (&waiting["tasks"][0]["taskToken"], &waiting["tasks"][0]["stateName"]),
        (&task["taskToken"], &json!("S"))
    );

    given.ok("SendTaskHeartbeat", json!({"taskToken": task["taskToken"]})).await;
    let refused = given.refused("SendTaskSuccess", json!({"taskToken": task["taskToken"], "output": "{secret"})).await;
    assert!(refused.contains("InvalidOutput") && !refused.contains("secret"), "{refused}");
    let refused = given.refused("SendTaskSuccess", json!({"taskToken": "nonsense", "output": "{}"})).await;
    assert_eq!(refused, "\"InvalidToken\": \"Invalid Token: 'Invalid token'\"");
    given.ok("SendTaskSuccess", json!({"taskToken": task["taskToken"], "output": "[1]"})).await;
    assert_eq!(given.ended(&execution).await["output"], "[1]");
    given.engine.stop(WAIT).await;
}

#[actix_web::test]
async fn an_execution_is_stopped_once() {
    let given = given().await;
    let execution = given.start("m", json!({"Type": "Wait", "Seconds": 600, "End": true}), "STANDARD").await;
    let stopped = given.ok("StopExecution", json!({"executionArn": execution, "error": "E", "cause": "C"})).await;
    let described = given.ended(&execution).await;
    assert_eq!(
        (&described["status"], &described["error"], &described["cause"]),
        (&json!("ABORTED"), &json!("E"), &json!("C"))
    );
    assert_eq!(described["redriveStatus"], "REDRIVABLE");
    assert_eq!(given.ok("StopExecution", json!({"executionArn": execution})).await, stopped);
    given.engine.stop(WAIT).await;
}

#[actix_web::test]
async fn an_express_execution_answers_with_its_end() {
    let given = given().await;
    given.start("x", json!({"Type": "Fail", "Error": "E", "Cause": "C"}), "EXPRESS").await;
    let answer = given
        .ok("StartSyncExecution", json!({"stateMachineArn": format!("{BASE}:stateMachine:x"), "name": "one"}))
        .await;
    assert_eq!((&answer["status"], &answer["error"], &answer["name"]), (&json!("FAILED"), &json!("E"), &json!("one")));
    assert!(answer["executionArn"].as_str().unwrap().starts_with(&format!("{BASE}:express:x:one:")));
    given.start("m", json!({"Type": "Pass", "End": true}), "STANDARD").await;
    let refused =
        given.refused("StartSyncExecution", json!({"stateMachineArn": format!("{BASE}:stateMachine:m")})).await;
    assert_eq!(
        refused,
        "\"StateMachineTypeNotSupported\": \"This operation is not supported by this type of state machine\""
    );
    given.engine.stop(WAIT).await;
}

/// AWS: `redriveStatus` says beforehand what `RedriveExecution` would say.
#[actix_web::test]
async fn an_execution_whose_history_is_full_is_not_redrivable() {
    let given = given().await;
    let states = json!({
        "Again": {"Type": "Pass", "Next": "Enough"},
        "Enough": {"Type": "Choice", "Choices": [{"Variable": "$.enough", "IsPresent": true, "Next": "Done"}], "Default": "Again"},
        "Done": {"Type": "Succeed"},
    });
    let definition = json!({"StartAt": "Again", "States": states}).to_string();
    let machine = json!({"name": "m", "definition": definition, "roleArn": "arn:aws:iam::000000000000:role/r"});
    let machine = given.ok("CreateStateMachine", machine).await["stateMachineArn"].clone();
    let execution = given.ok("StartExecution", json!({"stateMachineArn": machine})).await["executionArn"].clone();
    let arn = Arn::new(execution.as_str().unwrap());
    tokio::time::timeout(Duration::from_mins(2), given.engine.await_end(&arn)).await.expect("it ends").unwrap();
    let described = given.ok("DescribeExecution", json!({"executionArn": execution})).await;
    assert_eq!((&described["status"], &described["redriveStatus"]), (&json!("FAILED"), &json!("NOT_REDRIVABLE")));
    assert_eq!(described["redriveStatusReason"], "Execution history event limit exceeded");
    let refused = given.refused("RedriveExecution", json!({"executionArn": execution})).await;
    assert!(refused.contains("ExecutionNotRedrivable") && refused.contains("history event limit"), "{refused}");
    given.engine.stop(WAIT).await;
}

#[actix_web::test]
async fn forms_stand_beside_definitions_and_are_checked_when_they_are_put() {
    let given = given().await;
    let form = json!({"Title.$": "$.title", "Schema": {"type": "object", "properties": {"n": {"type": "integer"}}}});
    given.call("Reveille.PutForm", json!({"name": "pay", "form": form})).await.unwrap();
    given.call("Reveille.PutForm", json!({"name": "ask", "form": {"Text": "once"}})).await.unwrap();
    given.call("Reveille.PutForm", json!({"name": "ask", "form": {"Text": "twice"}})).await.unwrap();
    let found = given.call("Reveille.GetForm", json!({"name": "pay"})).await.unwrap();
    assert_eq!(found, json!({"name": "pay", "form": form}));
    let first = given.call("Reveille.ListForms", json!({"maxResults": 1})).await.unwrap();
    assert_eq!(first["forms"], json!([{"name": "ask"}]));
    let next = given.call("Reveille.ListForms", json!({"nextToken": first["nextToken"]})).await.unwrap();
    assert_eq!(next, json!({"forms": [{"name": "pay"}]}));
    let wrong = json!({"name": "x", "form": {"Schema": {"type": "object", "properties": {"n": {"type": "number", "multipleOf": 2}}}}});
    let why = given.call("Reveille.PutForm", wrong).await.unwrap_err();
    assert!(why.contains("multipleOf") && why.contains("/Schema/properties/n/multipleOf"), "{why}");
    let why = given.call("Reveille.PutForm", json!({"name": "a/b", "form": {}})).await.unwrap_err();
    assert!(why.contains("InvalidName"), "{why}");
    let large = json!({"name": "x", "form": {"Text": "x".repeat(70_000)}});
    assert!(given.call("Reveille.PutForm", large).await.unwrap_err().contains("65536"));
    given.call("Reveille.DeleteForm", json!({"name": "ask"})).await.unwrap();
    for operation in ["Reveille.DeleteForm", "Reveille.GetForm"] {
        assert!(given.call(operation, json!({"name": "ask"})).await.unwrap_err().contains("ResourceNotFound"));
    }
}

#[actix_web::test]
async fn a_claim_tells_others_and_is_taken_over_by_force_alone() {
    let given = given().await;
    let state = json!({"Type": "Task", "Resource": "arn:aws:states:::reveille:ask.waitForTaskToken",
        "Parameters": {}, "End": true});
    let execution = given.start("asks", state, "STANDARD").await;
    let waiting = given.call("Reveille.ListWaitingTasks", json!({"executionArn": execution})).await.unwrap();
    let (id, destination) = (&waiting["tasks"][0]["scheduledEventId"], &waiting["tasks"][0]["destination"]);
    assert_eq!(destination, "inbox");
    let task = json!({"executionArn": execution, "scheduledEventId": id});
    let context = |by: &str| {
        let by = crate::interpreter::event::By::Person(by.into());
        let asker = crate::engine::Asker { by: Some(by), trace: None };
        Context::new(given.engine.clone(), Pages::new(b"test"), WAIT).asked_by(asker, true)
    };
    let run = async |by: &str, name: &str, input: &Value| {
        let operation = super::operations::find(name).unwrap();
        let Value::Object(input) = input.clone() else { unreachable!("an object") };
        (operation.run)(&context(by), input).await.map(|body| serde_json::from_slice::<Value>(&body).unwrap())
    };
    let claimed = run("olga", "Reveille.ClaimTask", &task).await.unwrap();
    assert_eq!(claimed["claimedBy"], "olga (console)");
    run("olga", "Reveille.ClaimTask", &task).await.unwrap();
    let refused = run("ada", "Reveille.ClaimTask", &task).await.unwrap_err();
    assert!(refused.kind == "ConflictException" && refused.message.contains("olga"), "{refused:?}");
    run("ada", "Reveille.ReleaseTask", &task).await.unwrap();
    assert!(run("ada", "Reveille.ClaimTask", &task).await.is_err(), "a claim of another stays");
    let mut by_force = task.clone();
    by_force["force"] = json!(true);
    assert_eq!(run("ada", "Reveille.ClaimTask", &by_force).await.unwrap()["claimedBy"], "ada (console)");
    run("ada", "Reveille.ReleaseTask", &task).await.unwrap();
    run("olga", "Reveille.ClaimTask", &task).await.unwrap();
    let gone = json!({"executionArn": execution, "scheduledEventId": 99});
    assert_eq!(run("olga", "Reveille.ClaimTask", &gone).await.unwrap_err().kind, "TaskDoesNotExist");
}
