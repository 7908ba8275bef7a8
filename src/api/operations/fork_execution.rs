//! `Reveille.ForkExecution`, our own operation: a new execution of the same revision that begins at a state of another
//! one, with the input and the variables recorded there or with others.

use serde::Deserialize;
use serde_json::Value;

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::json_text;
use crate::engine::ForkRequest;
use crate::ids::EventId;
use crate::interpreter::event::Assigned;
use crate::interpreter::forking::ForkWish;
use crate::limits::VARIABLES_BYTES_MAX;
use crate::payload::Payload;

use super::start_execution::Output;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub struct Input {
    execution_arn: String,
    /// A state of the top level.
    state_name: String,
    /// The event that entered it; absent: the last time.
    event_id: Option<u64>,
    name: Option<String>,
    /// JSON text: the state's input.
    input: Option<String>,
    /// JSON text: an object with all variables.
    variables: Option<String>,
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    let source = arn::execution(&input.execution_arn)?;
    if let Some(name) = &input.name {
        arn::name(name)?;
    }
    let payload = input.input.map(|text| payload(&text)).transpose()?;
    let variables = input.variables.map(|text| variables(&text)).transpose()?;
    let event = input.event_id.map(EventId);
    let wish = ForkWish { state: input.state_name, event, input: payload, variables };
    Ok(ctx.engine().fork_execution(ForkRequest { source, name: input.name, wish }).await?.into())
}

fn payload(text: &str) -> Result<Payload, ApiError> {
    let invalid = |why: String| ApiError::new("InvalidExecutionInput", format!("Invalid State Input: '{why}'"));
    json_text("Input", text).map_err(invalid)?;
    Payload::parse(text).map_err(|why| invalid(why.to_string()))
}

fn variables(text: &str) -> Result<Assigned, ApiError> {
    if text.len() > VARIABLES_BYTES_MAX {
        return Err(ApiError::validation(format!("variables exceed the maximum of {VARIABLES_BYTES_MAX} bytes")));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(variables)) => Ok(variables),
        Ok(_) => Err(ApiError::validation("variables: an object is expected, whose members are the variables")),
        Err(why) => Err(ApiError::validation(format!("variables are no JSON: {why}"))),
    }
}
