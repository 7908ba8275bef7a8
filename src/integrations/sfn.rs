//! `aws-sdk:sfn:*`: operations of this service's own API as tasks. The engine performs them itself, without the bus.
//!
//! Source: API reference of Step Functions; names as the SDK integrations write them (`TaskToken`, `ExecutionArn`,
//! errors `Sfn.TaskTimedOutException`, dates as ISO texts).

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::parameters::Fields;
use super::states::ChildStart;
use super::{ChildWait, Plan, PlanContext, states};
use crate::asl::resource::Pattern;
use crate::clock::Timestamp;
use crate::ids::Arn;
use crate::interpreter::event::{Failure, Payload};
use crate::payload::refusal;

/// An operation that a task asks of the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    SendTaskSuccess { token: String, output: Payload },
    SendTaskFailure { token: String, failure: Failure },
    SendTaskHeartbeat { token: String },
    StartExecution(ChildStart),
    DescribeExecution { execution: Arn },
    StopExecution { execution: Arn, failure: Failure },
    ListExecutions { machine: Option<Arn>, map_run: Option<Arn>, status: Option<String>, most: u32 },
}

/// Plans an operation. `None`: the operation is not performed here and is planned like one of any other service.
pub(super) fn call(
    action: &str,
    fields: &Fields<'_>,
    pattern: Pattern,
    context: &PlanContext<'_>,
) -> Option<Result<Plan, Failure>> {
    if pattern == Pattern::WaitForTaskToken && action == "startExecution" {
        return Some(states::start_execution(fields, pattern, context));
    }
    if pattern != Pattern::RequestResponse {
        return None;
    }
    let call = match action {
        "sendTaskSuccess" => send_success(fields),
        "sendTaskFailure" => send_failure(fields),
        "sendTaskHeartbeat" => token(fields).map(|token| Call::SendTaskHeartbeat { token }),
        "startExecution" => states::start_execution(fields, pattern, context).map(|plan| match plan {
            Plan::StartExecution(start) => Call::StartExecution(ChildStart { wait: ChildWait::Started, ..start }),
            // `start_execution` makes no other plan.
            _ => unreachable!("a start is planned as a start"),
        }),
        "describeExecution" => {
            fields.required("ExecutionArn").map(|arn| Call::DescribeExecution { execution: Arn::new(arn) })
        }
        "stopExecution" => stop(fields),
        "listExecutions" => list(fields),
        _ => return None,
    };
    Some(call.map(Plan::Call))
}

fn token(fields: &Fields<'_>) -> Result<String, Failure> {
    fields.required("TaskToken").map(str::to_owned)
}

/// A member that the API takes as JSON text. A JSON value is written as text.
fn json_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn send_success(fields: &Fields<'_>) -> Result<Call, Failure> {
    let token = token(fields)?;
    let text = match fields.get("Output") {
        Some(value) => json_text(value),
        None => fields.required("Output")?.to_owned(),
    };
    let invalid = |why: String| {
        fields.failure("InvalidOutputException", 400, "InvalidOutput", &format!("Invalid Output: '{why}'"))
    };
    if text.len() > crate::limits::PAYLOAD_BYTES_MAX {
        return Err(invalid(format!("Output exceeds the maximum of {} bytes", crate::limits::PAYLOAD_BYTES_MAX)));
    }
    let output = Payload::parse(&text).map_err(|e| invalid(refusal(&text, &e)))?;
    Ok(Call::SendTaskSuccess { token, output })
}

fn said(fields: &Fields<'_>) -> Result<Failure, Failure> {
    let member = |name| fields.text(name).map(|text| text.map(str::to_owned));
    Ok(Failure { error: member("Error")?, cause: member("Cause")?, heartbeat: false })
}

fn send_failure(fields: &Fields<'_>) -> Result<Call, Failure> {
    Ok(Call::SendTaskFailure { token: token(fields)?, failure: said(fields)? })
}

fn stop(fields: &Fields<'_>) -> Result<Call, Failure> {
    let execution = Arn::new(fields.required("ExecutionArn")?);
    Ok(Call::StopExecution { execution, failure: said(fields)? })
}

fn list(fields: &Fields<'_>) -> Result<Call, Failure> {
    let arn = |name| fields.text(name).map(|text| text.map(Arn::new));
    let (machine, map_run) = (arn("StateMachineArn")?, arn("MapRunArn")?);
    if machine.is_none() && map_run.is_none() {
        return Err(fields.invalid("Must provide a StateMachine ARN or MapRun ARN"));
    }
    let most = fields.integer("MaxResults", 0, 1_000)?.filter(|n| *n > 0).unwrap_or(100);
    let status = fields.text("StatusFilter")?.map(str::to_owned);
    Ok(Call::ListExecutions { machine, map_run, status, most: u32::try_from(most).unwrap_or(100) })
}

/// An execution, for answers.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub arn: &'a Arn,
    pub machine: &'a Arn,
    pub name: &'a str,
    pub status: &'a str,
    /// JSON texts.
    pub input: &'a str,
    pub output: Option<&'a str>,
    pub error: Option<&'a str>,
    pub cause: Option<&'a str>,
    pub started: Timestamp,
    pub stopped: Option<Timestamp>,
    pub redrive_count: u32,
    pub redriven: Option<Timestamp>,
    /// `REDRIVABLE` and its kin, with the reason why not; a listing has neither.
    pub redrive_status: Option<(&'a str, Option<&'a str>)>,
    pub version: Option<&'a Arn>,
    pub alias: Option<&'a Arn>,
    pub map_run: Option<&'a Arn>,
    pub trace_header: Option<&'a str>,
}

/// The answer of `sendTask*`.
#[must_use]
pub fn nothing() -> Value {
    json!({})
}

#[must_use]
pub fn started(execution: &Arn, at: Timestamp) -> Value {
    json!({ "ExecutionArn": execution, "StartDate": at.iso() })
}

#[must_use]
pub fn stopped(at: Timestamp) -> Value {
    json!({ "StopDate": at.iso() })
}

#[must_use]
pub fn described(seen: &Seen<'_>) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown.insert(name.to_owned(), value);
        }
    };
    put("Cause", seen.cause.map(Value::from));
    put("Error", seen.error.map(Value::from));
    put("ExecutionArn", Some(json!(seen.arn)));
    put("Input", Some(seen.input.into()));
    put("InputDetails", Some(json!({ "Included": true })));
    put("MapRunArn", seen.map_run.map(|arn| json!(arn)));
    put("Name", Some(seen.name.into()));
    put("Output", seen.output.map(Value::from));
    put("OutputDetails", seen.output.map(|_| json!({ "Included": true })));
    put("RedriveCount", Some(seen.redrive_count.into()));
    put("RedriveDate", seen.redriven.map(|at| at.iso().into()));
    put("RedriveStatus", seen.redrive_status.map(|(status, _)| status.into()));
    put("RedriveStatusReason", seen.redrive_status.and_then(|(_, why)| why).map(Value::from));
    put("StartDate", Some(seen.started.iso().into()));
    put("StateMachineAliasArn", seen.alias.map(|arn| json!(arn)));
    put("StateMachineArn", Some(json!(seen.machine)));
    put("StateMachineVersionArn", seen.version.map(|arn| json!(arn)));
    put("Status", Some(seen.status.into()));
    put("StopDate", seen.stopped.map(|at| at.iso().into()));
    put("TraceHeader", seen.trace_header.map(Value::from));
    Value::Object(shown)
}

#[must_use]
pub fn listed(seen: &[Seen<'_>]) -> Value {
    let item = |seen: &Seen<'_>| {
        let mut item = json!({
            "ExecutionArn": seen.arn,
            "Name": seen.name,
            "RedriveCount": seen.redrive_count,
            "StartDate": seen.started.iso(),
            "StateMachineArn": seen.machine,
            "Status": seen.status,
        });
        let more = [
            ("StopDate", seen.stopped.map(|at| json!(at.iso()))),
            ("RedriveDate", seen.redriven.map(|at| json!(at.iso()))),
            ("MapRunArn", seen.map_run.map(|arn| json!(arn))),
            ("StateMachineVersionArn", seen.version.map(|arn| json!(arn))),
            ("StateMachineAliasArn", seen.alias.map(|arn| json!(arn))),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                item[name] = value;
            }
        }
        item
    };
    json!({ "Executions": seen.iter().map(item).collect::<Vec<_>>() })
}

/// The failure of a task whose call the API refuses. `code` and `message` are the API's error.
#[must_use]
pub fn refused(code: &str, message: &str, request_id: Uuid) -> Failure {
    let name = code.strip_suffix("Exception").unwrap_or(code);
    Failure::new(
        format!("Sfn.{name}Exception"),
        format!("{message} (Service: Sfn, Status Code: 400, Request ID: {request_id})"),
    )
}
