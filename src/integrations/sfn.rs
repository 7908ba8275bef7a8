//! `aws-sdk:sfn:*`: operations of this service's own API as tasks. The API performs them itself, without the bus.
//!
//! Source: API reference of Step Functions; names as the SDK integrations write them (`TaskToken`, `ExecutionArn`,
//! errors `Sfn.TaskTimedOutException`, dates as ISO texts).

use serde_json::{Map, Value};
use uuid::Uuid;

use super::parameters::Fields;
use super::{Plan, PlanContext, states};
use crate::asl::resource::Pattern;
use crate::interpreter::event::{Failure, Payload};

/// An operation that a task asks of the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// AWS's name: `StartExecution`.
    pub operation: String,
    /// The names of the SDK integrations: `StateMachineArn`.
    pub parameters: Map<String, Value>,
    pub request_id: Uuid,
}

/// Plans an operation. `None`: a pattern that the SDK integration does not have. It is planned as for any other
/// service.
pub(super) fn call(
    action: &str,
    parameters: &Payload,
    pattern: Pattern,
    context: &PlanContext<'_>,
) -> Option<Result<Plan, Failure>> {
    match (pattern, action) {
        (Pattern::WaitForTaskToken, "startExecution") => {
            let fields = Fields::of(parameters, "aws-sdk:sfn", context.message_id);
            Some(fields.and_then(|fields| states::start_execution(&fields, pattern, context)))
        }
        (Pattern::RequestResponse, _) => Some(request(action, parameters, context)),
        _ => None,
    }
}

fn request(action: &str, parameters: &Payload, context: &PlanContext<'_>) -> Result<Plan, Failure> {
    // Refuses parameters that are no object, as every other service does.
    Fields::of(parameters, "aws-sdk:sfn", context.message_id)?;
    let mut parameters = parameters.as_object().cloned().unwrap_or_default();
    // A call that is made again after a crash is the same one.
    let repeatable = match action {
        "startExecution" | "startSyncExecution" => Some("Name"),
        "redriveExecution" => Some("ClientToken"),
        _ => None,
    };
    if let Some(name) = repeatable.filter(|name| parameters.get(*name).is_none_or(Value::is_null)) {
        parameters.insert(name.to_owned(), context.message_id.to_string().into());
    }
    let (first, rest) = action.split_at_checked(1).unwrap_or((action, ""));
    let operation = first.to_ascii_uppercase() + rest;
    Ok(Plan::Call(Call { operation, parameters, request_id: context.message_id }))
}

/// The failure of a task whose call the API refuses. `code` and `message` are the API's error.
#[must_use]
pub fn refused(code: &str, message: &str, status: u16, request_id: Uuid) -> Failure {
    let name = code.strip_suffix("Exception").unwrap_or(code);
    Failure::new(
        format!("Sfn.{name}Exception"),
        format!("{message} (Service: Sfn, Status Code: {status}, Request ID: {request_id})"),
    )
}
