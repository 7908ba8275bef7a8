//! Operations of the API, called for a person.

use actix_web::http::StatusCode;
use serde_json::{Map, Value};

use crate::api::error::ApiError;
use crate::telemetry::fields;

use super::read::Asking;
use super::serve::Reply;

/// Calls an operation of the API as this person.
pub(super) async fn call(asking: &Asking<'_>, operation: &'static str, input: Value) -> Result<Value, ApiError> {
    let by = asking.who.by();
    let input = if let Value::Object(members) = input { members } else { Map::new() };
    let answered = asking.api.call(operation, input, |class| asking.who.may(class), by.clone()).await;
    let error = answered.as_ref().err().map(|error| error.kind);
    tracing::info!(
        { fields::EVENT } = "console.action",
        { fields::TASK_BY } = %by,
        { fields::API_OPERATION } = operation,
        { fields::ERROR_NAME } = error,
        "a person acted in the console"
    );
    answered
}

/// The page of an operation that was refused.
pub(super) fn refused(title: &str, error: &ApiError) -> Reply {
    let status = if error.kind == "AccessDeniedException" { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
    Reply::trouble(status, title, &error.message)
}
