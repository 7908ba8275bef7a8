//! The one place that turns errors into AWS's words: `__type`, HTTP status, message.
//!
//! Texts marked *recorded* are AWS's own, from recorded answers. The other texts follow AWS's manner.

use serde::Serialize;

use crate::engine::{CompletionError, EngineError};
use crate::ids::Arn;
use crate::store::StoreError;

/// An error for the client. `message` is for people; it never holds a token, an input or an output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct ApiError {
    /// AWS's name of the error: `__type`.
    pub kind: &'static str,
    pub status: u16,
    pub message: String,
    /// `ValidationException` only.
    pub reason: Option<&'static str>,
    /// `ResourceNotFound` and `TooManyTags` only.
    pub resource: Option<String>,
}

/// The body of an error in AWS JSON 1.0.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(rename = "__type")]
    kind: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<&'a str>,
}

impl ApiError {
    /// An error of the caller: HTTP 400.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, status: 400, message: message.into(), reason: None, resource: None }
    }

    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// A `ValidationException` with one of the model's `ValidationExceptionReason`s.
    pub fn validation_because(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason: Some(reason), ..Self::validation(message) }
    }

    /// Recorded: `Invalid Arn: 'Invalid ARN prefix: not_a_valid_arn'`.
    pub fn invalid_arn(why: impl std::fmt::Display) -> Self {
        Self::new("InvalidArn", format!("Invalid Arn: '{why}'"))
    }

    /// Recorded: `Invalid Name: 'activity name'`.
    pub fn invalid_name(name: &str) -> Self {
        Self::new("InvalidName", format!("Invalid Name: '{name}'"))
    }

    /// Recorded: `Invalid Token: 'Invalid token'`, for page tokens and task tokens alike.
    pub fn invalid_token() -> Self {
        Self::new("InvalidToken", "Invalid Token: 'Invalid token'")
    }

    /// Recorded: `State Machine Does Not Exist: 'arn:…'`.
    pub fn machine_does_not_exist(arn: &str) -> Self {
        Self::new("StateMachineDoesNotExist", format!("State Machine Does Not Exist: '{arn}'"))
    }

    /// Recorded: `State Machine Already Exists: 'arn:…'`.
    pub fn machine_already_exists(arn: &Arn) -> Self {
        Self::new("StateMachineAlreadyExists", format!("State Machine Already Exists: '{arn}'"))
    }

    pub fn machine_deleting(arn: &str) -> Self {
        Self::new("StateMachineDeleting", format!("State Machine is being deleted: '{arn}'"))
    }

    /// Recorded: `Execution Does Not Exist: 'arn:…'`.
    pub fn execution_does_not_exist(arn: &str) -> Self {
        Self::new("ExecutionDoesNotExist", format!("Execution Does Not Exist: '{arn}'"))
    }

    /// Recorded: `Activity Does Not Exist: 'arn:…'`.
    pub fn activity_does_not_exist(arn: &str) -> Self {
        Self::new("ActivityDoesNotExist", format!("Activity Does Not Exist: '{arn}'"))
    }

    /// Recorded: `This operation is not supported by this type of state machine`.
    pub fn type_not_supported() -> Self {
        Self::new("StateMachineTypeNotSupported", "This operation is not supported by this type of state machine")
    }

    /// The error of a missing alias, version or map run.
    pub fn resource_not_found(resource: &str) -> Self {
        Self {
            resource: Some(resource.into()),
            ..Self::new("ResourceNotFound", format!("Resource not found: '{resource}'"))
        }
    }

    pub fn too_many_tags(resource: &str, max: usize) -> Self {
        let message = format!("A resource can have at most {max} tags: '{resource}'");
        Self { resource: Some(resource.into()), ..Self::new("TooManyTags", message) }
    }

    /// The error of a body that is not the operation's JSON.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }

    /// The error of an unknown operation or of a request of another protocol. AWS: 404 where no operation is named at
    /// all.
    pub fn unknown_operation(status: u16, message: impl Into<String>) -> Self {
        Self { status, ..Self::new("UnknownOperationException", message) }
    }

    pub fn body_too_large(max: usize) -> Self {
        let message = format!("The body of a request may have at most {max} bytes");
        Self { status: 413, ..Self::new("RequestEntityTooLargeException", message) }
    }

    /// The error of a fault of the server. The log has its cause under the request id.
    pub fn internal() -> Self {
        let message = "An internal error occurred; the server's log has it under the request id of this answer";
        Self { status: 500, ..Self::new("InternalServerError", message) }
    }

    /// The error of a missing store or broker. The same request may succeed later; clients retry it by themselves.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { status: 503, ..Self::new("ServiceUnavailable", message) }
    }

    /// Tells whether the error names a missing resource.
    pub fn is_missing(&self) -> bool {
        self.kind.ends_with("DoesNotExist") || matches!(self.kind, "ResourceNotFound")
    }

    pub fn body(&self) -> Vec<u8> {
        let body = Body {
            kind: self.kind,
            message: &self.message,
            reason: self.reason,
            resource_name: self.resource.as_deref(),
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::MachineDoesNotExist(arn) => Self::machine_does_not_exist(arn.as_str()),
            EngineError::MachineDeleting(arn) => Self::machine_deleting(arn.as_str()),
            EngineError::ExecutionDoesNotExist(arn) => Self::execution_does_not_exist(arn.as_str()),
            // Recorded: `Execution Already Exists: 'arn:…'`.
            EngineError::ExecutionAlreadyExists(arn) => {
                Self::new("ExecutionAlreadyExists", format!("Execution Already Exists: '{arn}'"))
            }
            error @ EngineError::NotRedrivable { .. } => Self::new("ExecutionNotRedrivable", error.to_string()),
            EngineError::NotForkable { ref why, .. } => Self::validation(format!("Execution cannot be forked: {why}")),
            EngineError::ActivityDoesNotExist(arn) => Self::activity_does_not_exist(arn.as_str()),
            EngineError::TypeNotSupported { .. } => Self::type_not_supported(),
            error @ EngineError::TooManyPollers => Self::new("ActivityWorkerLimitExceeded", error.to_string()),
            error @ EngineError::Unserved { .. } => Self::validation(error.to_string()),
            EngineError::LimitReached(message) => Self::new("ExecutionLimitExceeded", message),
            EngineError::Busy(message) => Self::new("ThrottlingException", message),
            EngineError::Store(error) => error.into(),
            EngineError::Internal(why) => {
                tracing::error!(error = %why, "the engine failed on a request");
                Self::internal()
            }
        }
    }
}

impl From<CompletionError> for ApiError {
    fn from(error: CompletionError) -> Self {
        match error {
            CompletionError::InvalidToken => Self::invalid_token(),
            // Recorded: `Task Timed Out: 'Provided task does not exist anymore'`.
            CompletionError::Closed => {
                Self::new("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
            }
            CompletionError::Unknown => Self::new("TaskDoesNotExist", "Task does not exist"),
            CompletionError::Engine(error) => error.into(),
        }
    }
}

/// Operations handle the store's `AlreadyExists` and `NotFound` themselves where AWS has a name for it. All other
/// errors of the store are mapped here.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Fenced { .. } => {
                tracing::warn!(error = %error, "a request found the store unavailable");
                Self::unavailable(error.to_string())
            }
            StoreError::AlreadyExists { .. } | StoreError::VersionConflict { .. } => {
                Self::new("ConflictException", "Another request changed this at the same time; please try again")
            }
            StoreError::NotFound { ref key, .. } => Self::resource_not_found(key),
            StoreError::Corrupt { .. } | StoreError::Unusable(_) => {
                tracing::error!(error = %error, "the store could not read a row for a request");
                Self::internal()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_type_and_message_and_only_what_there_is() {
        let text = |e: &ApiError| String::from_utf8(e.body()).unwrap();
        assert_eq!(
            text(&ApiError::invalid_arn("Invalid ARN prefix: x")),
            r#"{"__type":"InvalidArn","message":"Invalid Arn: 'Invalid ARN prefix: x'"}"#
        );
        assert_eq!(
            text(&ApiError::validation_because("MISSING_REQUIRED_PARAMETER", "m")),
            r#"{"__type":"ValidationException","message":"m","reason":"MISSING_REQUIRED_PARAMETER"}"#
        );
        assert_eq!(
            text(&ApiError::resource_not_found("r")),
            r#"{"__type":"ResourceNotFound","message":"Resource not found: 'r'","resourceName":"r"}"#
        );
    }

    #[test]
    fn what_the_engine_says_becomes_what_aws_says() {
        let arn = Arn::new("a");
        let table: [(ApiError, &str, u16); 7] = [
            (
                EngineError::ExecutionAlreadyExists(arn.clone()).into(),
                "ExecutionAlreadyExists: Execution Already Exists: 'a'",
                400,
            ),
            (
                EngineError::MachineDoesNotExist(arn.clone()).into(),
                "StateMachineDoesNotExist: State Machine Does Not Exist: 'a'",
                400,
            ),
            (
                EngineError::ExecutionDoesNotExist(arn).into(),
                "ExecutionDoesNotExist: Execution Does Not Exist: 'a'",
                400,
            ),
            (CompletionError::InvalidToken.into(), "InvalidToken: Invalid Token: 'Invalid token'", 400),
            (
                CompletionError::Closed.into(),
                "TaskTimedOut: Task Timed Out: 'Provided task does not exist anymore'",
                400,
            ),
            (EngineError::Busy("slow down".into()).into(), "ThrottlingException: slow down", 400),
            (
                StoreError::Unavailable("disk full".into()).into(),
                "ServiceUnavailable: the store cannot take writes now: disk full",
                503,
            ),
        ];
        for (error, text, status) in table {
            assert_eq!((error.to_string().as_str(), error.status), (text, status));
        }
    }
}
