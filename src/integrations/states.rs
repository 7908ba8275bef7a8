//! `states:startExecution`, alone, `.sync`, `.sync:2`, `.waitForTaskToken`: child executions.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::parameters::{Fields, Service};
use super::receipt::with_metadata;
use super::{Plan, PlanContext};
use crate::asl::resource::Pattern;
use crate::clock::Timestamp;
use crate::ids::Arn;
use crate::interpreter::event::Failure;

/// A child execution to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildStart {
    pub machine: Arn,
    /// The name of the child. Where the definition gives none, it is the same at every dispatch, so that two dispatches
    /// start one child.
    pub name: String,
    /// JSON text.
    pub input: String,
    pub wait: ChildWait,
    pub trace_header: Option<String>,
}

impl ChildStart {
    /// The machine's name, from the ARN of the machine, a version or an alias of it.
    #[must_use]
    pub fn machine_name(&self) -> Option<&str> {
        self.machine.as_str().split(':').nth(6).filter(|name| !name.is_empty())
    }
}

/// The event of the child that ends the parent's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildWait {
    /// Its start.
    Started,
    /// Its end. The output is text (`.sync`) or JSON (`.sync:2`).
    Ended { output_as_json: bool },
    /// A call with the task token, which the child gets in its input.
    Token,
}

pub(super) fn start_execution(
    fields: &Fields<'_>,
    pattern: Pattern,
    context: &PlanContext<'_>,
) -> Result<Plan, Failure> {
    let machine = Arn::new(fields.required("StateMachineArn")?);
    let name = match fields.text("Name")? {
        Some(name) => name.to_owned(),
        None => context.message_id.to_string(),
    };
    let input = match fields.get("Input") {
        None => "{}".to_owned(),
        // The API's own form: JSON text.
        Some(Value::String(text)) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => text.clone(),
        Some(value) => value.to_string(),
    };
    let wait = match pattern {
        Pattern::RequestResponse => ChildWait::Started,
        Pattern::Sync => ChildWait::Ended { output_as_json: false },
        Pattern::Sync2 => ChildWait::Ended { output_as_json: true },
        Pattern::WaitForTaskToken => ChildWait::Token,
    };
    let trace_header = fields.text("TraceHeader")?.map(str::to_owned);
    Ok(Plan::StartExecution(ChildStart { machine, name, input, wait, trace_header }))
}

/// The answer to a start: `TaskSubmitted`'s output, or the result where the task waits for nothing else. `execution`
/// and `started` are the child's.
#[must_use]
pub fn started(execution: &Arn, started: Timestamp, now: Timestamp, request_id: Uuid) -> Value {
    let body = json!({"ExecutionArn": execution, "StartDate": started.millis()});
    let headers = [("connection", "keep-alive"), ("Content-Type", "application/x-amz-json-1.0")];
    // The body that AWS sends has the date in seconds, with three digits.
    let bytes = json!({"executionArn": execution, "startDate": started.epoch_seconds()}).to_string().len();
    with_metadata(body, &headers, bytes, now, request_id)
}

/// The failure of a child that could not be started. `code` and `message` are the API's error
/// (`StateMachineDoesNotExist`, ...).
#[must_use]
pub fn start_failure(code: &str, message: &str, request_id: Uuid) -> Failure {
    Service::STATES.failure(&format!("{code}Exception"), 400, code, message, request_id)
}

/// A child as `DescribeExecution` shows it.
#[derive(Debug, Clone, Copy)]
pub struct Child<'a> {
    pub arn: &'a Arn,
    pub machine: &'a Arn,
    pub name: &'a str,
    /// AWS's word: `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED`.
    pub status: &'a str,
    /// JSON text, as it was given.
    pub input: &'a str,
    /// JSON text.
    pub output: Option<&'a str>,
    pub error: Option<&'a str>,
    pub cause: Option<&'a str>,
    pub started: Timestamp,
    pub stopped: Timestamp,
    pub redrive_count: u32,
    pub redriven: Option<Timestamp>,
    pub version: Option<&'a Arn>,
    pub alias: Option<&'a Arn>,
}

/// The result of a task that waited for the end of a child.
pub fn child_result(child: &Child<'_>, output_as_json: bool) -> Result<Value, Failure> {
    let payload = |text: &str| match serde_json::from_str(text) {
        Ok(value) if output_as_json => value,
        _ => Value::String(text.to_owned()),
    };
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    if let Some(cause) = child.cause {
        put("Cause", json!(cause));
    }
    if let Some(error) = child.error {
        put("Error", json!(error));
    }
    put("ExecutionArn", json!(child.arn));
    put("Input", payload(child.input));
    put("InputDetails", json!({"Included": true}));
    put("Name", json!(child.name));
    if let Some(output) = child.output {
        put("Output", payload(output));
        put("OutputDetails", json!({"Included": true}));
    }
    put("RedriveCount", json!(child.redrive_count));
    if let Some(at) = child.redriven {
        put("RedriveDate", json!(at.millis()));
    }
    let succeeded = child.status == "SUCCEEDED";
    if succeeded {
        put("RedriveStatus", json!("NOT_REDRIVABLE"));
        put("RedriveStatusReason", json!("Execution is SUCCEEDED and cannot be redriven"));
    } else {
        put("RedriveStatus", json!("REDRIVABLE"));
    }
    put("StartDate", json!(child.started.millis()));
    if let Some(alias) = child.alias {
        put("StateMachineAliasArn", json!(alias));
    }
    put("StateMachineArn", json!(child.machine));
    if let Some(version) = child.version {
        put("StateMachineVersionArn", json!(version));
    }
    put("Status", json!(child.status));
    put("StopDate", json!(child.stopped.millis()));
    let shown = Value::Object(shown);
    if succeeded { Ok(shown) } else { Err(Failure::new("States.TaskFailed", shown.to_string())) }
}
