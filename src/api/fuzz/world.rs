//! The world of the fuzz: an engine over memory, with at least one of everything that has a name.

use std::future::ready;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::auth::Keys;
use crate::api::context::Context;
use crate::api::model::Model;
use crate::api::page::Pages;
use crate::api::protocol::{Api, CONTENT_TYPE, Incoming};
use crate::engine::{EngineHandle, support};
use crate::store::memory::Memory;
use crate::telemetry::Metrics;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// Longer than any answer takes, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// How long `GetActivityTask` waits: nearly always for nothing.
const POLL: Duration = Duration::from_millis(2);
const BASE: &str = "arn:aws:states:us-east-1:000000000000";
const ROLE: &str = "arn:aws:iam::000000000000:role/r";

pub struct World {
    pub api: Api,
    pub operations: Vec<String>,
    /// ARNs of resources that exist, of deleted ones, and of ones that never existed.
    pub arns: Vec<String>,
    /// Task tokens and page tokens, good ones among them.
    pub tokens: Vec<String>,
    engine: EngineHandle,
}

/// The operations of the model and our own.
pub fn operations() -> Vec<String> {
    let mut names: Vec<String> = Model::get().operations.keys().cloned().collect();
    names.push("Reveille.ListWaitingTasks".to_owned());
    names.sort_unstable();
    names
}

impl World {
    pub async fn new() -> Self {
        let engine = support::engine(&Memory::new()).await;
        let context = Context::new(engine.clone(), Pages::new(b"fuzz"), POLL);
        let api = Api::new(context, Keys::default(), Metrics::new());
        let mut world = Self { api, operations: operations(), arns: Vec::new(), tokens: Vec::new(), engine };
        world.furnish().await;
        world
    }

    async fn furnish(&mut self) {
        let activity = self.arn(self.call("CreateActivity", json!({"name": "a"})).await, "activityArn");
        let pass = json!({"Type": "Pass", "End": true});
        let wait = json!({"Type": "Wait", "Seconds": 600, "End": true});
        let machine = self.machine("m", &pass, "STANDARD").await;
        self.machine("x", &pass, "EXPRESS").await;
        let waits = self.machine("w", &wait, "STANDARD").await;
        let fails = self.machine("f", &json!({"Type": "Fail", "Error": "E"}), "STANDARD").await;
        let asks = self.machine("t", &json!({"Type": "Task", "Resource": activity, "End": true}), "STANDARD").await;
        let processor = json!({"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "I", "States": {"I": wait}});
        let items = json!([1, 2]);
        let maps = json!({"Type": "Map", "Label": "l", "ItemProcessor": processor, "End": true});
        let maps = self.machine("map", &maps, "STANDARD").await;
        let route = json!([{"stateMachineVersionArn": format!("{machine}:1"), "weight": 100}]);
        let alias = self.call("CreateStateMachineAlias", json!({"name": "live", "routingConfiguration": route})).await;
        self.arn(alias, "stateMachineAliasArn");
        for (machine, input) in
            [(&machine, &json!({})), (&waits, &json!({})), (&fails, &json!({})), (&asks, &json!(1)), (&maps, &items)]
        {
            let start = json!({"stateMachineArn": machine, "name": "e", "input": input.to_string()});
            let started = self.call("StartExecution", start).await;
            self.arn(started, "executionArn");
        }
        for name in ["new", "nothing", "n:1"] {
            let kinds = ["stateMachine", "execution", "activity", "mapRun", "express"];
            self.arns.extend(kinds.map(|kind| format!("{BASE}:{kind}:{name}")));
        }
        self.arns.extend([
            format!("{BASE}:execution:m:nothing"),
            format!("{BASE}:stateMachine:map/l"),
            ROLE.to_owned(),
        ]);
        self.map_run().await;
        let task = self.until("GetActivityTask", json!({"activityArn": activity}), "taskToken").await;
        let page = self.call("ListStateMachines", json!({"maxResults": 1})).await;
        let texts = [&task["taskToken"], &page["nextToken"]].map(|text| text.as_str().expect("a token").to_owned());
        self.tokens.extend(texts);
        self.tokens.extend(["", "nonsense", "AAAA"].map(str::to_owned));
    }

    async fn map_run(&mut self) {
        let of = json!({"executionArn": format!("{BASE}:execution:map:e")});
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let listed = self.call("ListMapRuns", of.clone()).await;
            if let Some(run) = listed["mapRuns"][0]["mapRunArn"].as_str() {
                return self.arns.push(run.to_owned());
            }
            assert!(tokio::time::Instant::now() < deadline, "no map run");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn until(&self, operation: &str, input: Value, member: &str) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.call(operation, input.clone()).await;
            if answer.get(member).is_some() {
                return answer;
            }
            assert!(tokio::time::Instant::now() < deadline, "{operation} never gives {member}");
        }
    }

    async fn machine(&mut self, name: &str, state: &Value, kind: &str) -> String {
        let definition = json!({"StartAt": "S", "States": {"S": state}}).to_string();
        let given = json!({"name": name, "definition": definition, "roleArn": ROLE, "type": kind, "publish": true});
        let made = self.call("CreateStateMachine", given).await;
        let arn = self.arn(made, "stateMachineArn");
        self.arns.push(format!("{arn}:1"));
        arn
    }

    #[expect(clippy::needless_pass_by_value, reason = "an answer is used up")]
    fn arn(&mut self, answer: Value, member: &str) -> String {
        let arn = answer[member].as_str().expect("an ARN").to_owned();
        self.arns.push(arn.clone());
        arn
    }

    async fn call(&self, operation: &str, input: Value) -> Value {
        let target = format!("AWSStepFunctions.{operation}");
        let header = |name, value: &str| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        let headers: HeaderMap =
            [header("content-type", CONTENT_TYPE), header("x-amz-target", &target)].into_iter().collect();
        let body = input.to_string();
        let answer = self
            .api
            .answer(Incoming { method: "POST", path: "/", query: "", headers: &headers }, ready(Ok(&body)))
            .await;
        assert_eq!(answer.status, 200, "{operation}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap()
    }

    pub async fn end(self) {
        self.engine.stop(PATIENCE).await;
    }
}
