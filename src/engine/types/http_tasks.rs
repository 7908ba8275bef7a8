//! HTTP Tasks that are done beside the bus: `TestState` shows request and response, which no reply carries.

use std::fmt;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::interpreter::event::{Failure, Payload};

/// A request or a response, in the words of `InspectionData`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exchanged {
    pub protocol: String,
    /// Method and URL, or status code and reason.
    pub line: (String, String),
    pub headers: String,
    pub body: String,
}

/// A call with its request and response.
#[derive(Debug, Clone)]
pub struct SeenCall {
    pub result: Result<Payload, Failure>,
    pub request: Option<Exchanged>,
    pub response: Option<Exchanged>,
}

/// Makes calls in this process.
pub trait HttpTasks: fmt::Debug + Send + Sync {
    /// `reveal`: request and response hold the secrets of connections.
    fn call(&self, parameters: Value, reveal: bool) -> BoxFuture<'static, SeenCall>;
}
