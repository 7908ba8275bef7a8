//! AWS JSON 1.0: one URL, `POST /`; the operation is in `X-Amz-Target`, input and output are JSON, errors are JSON with
//! `__type`.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use actix_web::http::header::{self, HeaderMap};
use futures_util::FutureExt;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::auth::Keys;
use super::context::Context;
use super::error::ApiError;
use super::model::Model;
use super::operations::{self, Operation};
use super::sigv4::Signed;
use super::validate;
use crate::telemetry::{Metrics, fields};

/// The content type of requests and answers.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// The event of a request in the log.
const REQUEST: &str = "api.request";
/// What stands before our own operations in `X-Amz-Target`.
const OWN_PREFIX: &str = "Reveille.";

/// A request, as HTTP brings it.
pub struct Incoming<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    /// What went wrong where the body did not arrive whole.
    pub body: Result<&'a [u8], ApiError>,
}

/// An answer, for HTTP to bring back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub request_id: Uuid,
    pub body: Vec<u8>,
}

/// The API without its HTTP server.
pub struct Api {
    ctx: Context,
    keys: Keys,
    metrics: Metrics,
}

impl Api {
    pub fn new(ctx: Context, keys: Keys, metrics: Metrics) -> Self {
        Self { ctx, keys, metrics }
    }

    pub fn context(&self) -> &Context {
        &self.ctx
    }

    /// Answers one request; never fails, never panics.
    pub async fn answer(&self, request: Incoming<'_>) -> Answer {
        let (request_id, began) = (Uuid::new_v4(), Instant::now());
        let operation = operation(&request);
        let name = operation.as_ref().map_or("(none)", |operation| operation.name);
        let result = match operation {
            Ok(operation) => self.perform(operation, request, request_id).await,
            Err(error) => Err(error),
        };
        let (status, body, outcome) = match result {
            Ok(body) => (200, body, "ok"),
            Err(error) => (error.status, error.body(), error.kind),
        };
        let took = began.elapsed();
        self.metrics.api_request(name, outcome, took);
        log(name, request_id, status, outcome, took);
        Answer { status, request_id, body }
    }

    async fn perform(
        &self,
        operation: &'static Operation,
        request: Incoming<'_>,
        id: Uuid,
    ) -> Result<Vec<u8>, ApiError> {
        let body = request.body.clone()?;
        if !self.keys.is_empty() {
            self.authorize(operation, &request, body)?;
        }
        let mut input = parse(body)?;
        let model = Model::get();
        if let Some(shapes) = model.operations.get(operation.name) {
            validate::check(model, &shapes.input, &mut input)?;
        }
        // A fault of ours in one handler is the end of its request, not of the server.
        let caught = AssertUnwindSafe((operation.run)(&self.ctx, input)).catch_unwind().await;
        caught.unwrap_or_else(|_| {
            tracing::error!({ fields::REQUEST_ID } = %id, { fields::API_OPERATION } = operation.name, "the handler of an operation panicked");
            Err(ApiError::internal())
        })
    }

    fn authorize(&self, operation: &Operation, request: &Incoming<'_>, body: &[u8]) -> Result<(), ApiError> {
        let headers: Vec<(&str, &str)> =
            request.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let signed =
            Signed { method: request.method, path: request.path, query: request.query, headers: &headers, body };
        self.keys.authorize(&signed, operation, &self.ctx.realm, self.ctx.now())
    }
}

/// One line a request: at `debug`, or at `warn` where it was our fault.
fn log(operation: &str, id: Uuid, status: u16, outcome: &str, took: Duration) {
    let duration_ms = took.as_secs_f64() * 1_000.0;
    let error = Some(outcome).filter(|outcome| *outcome != "ok");
    macro_rules! tell {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                { fields::EVENT } = REQUEST,
                { fields::API_OPERATION } = operation,
                { fields::REQUEST_ID } = %id,
                { fields::ERROR_NAME } = error,
                { fields::DURATION_MS } = duration_ms,
                $message
            )
        };
    }
    if status >= 500 {
        tell!(warn, "a request failed");
    } else {
        tell!(debug, "a request was answered");
    }
}

/// Which operation a request asks for. AWS answers 404 where the request is none of its protocol, 400 where the
/// operation is unknown.
fn operation(request: &Incoming<'_>) -> Result<&'static Operation, ApiError> {
    let text =
        |name| request.headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok()).map(str::trim);
    if request.method != "POST" || request.path != "/" {
        let message = format!("Send POST / with the header X-Amz-Target; this was {} {}", request.method, request.path);
        return Err(ApiError::unknown_operation(404, message));
    }
    let content_type = text("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(CONTENT_TYPE) {
        return Err(ApiError::unknown_operation(
            404,
            format!("Send the header Content-Type: {CONTENT_TYPE}; this was '{essence}'"),
        ));
    }
    let Some(target) = text("x-amz-target") else {
        return Err(ApiError::unknown_operation(404, "Send the header X-Amz-Target: AWSStepFunctions.<Operation>"));
    };
    let aws = target.strip_prefix(&Model::get().target_prefix).and_then(|rest| rest.strip_prefix('.'));
    let found = match aws {
        Some(name) if !name.starts_with(OWN_PREFIX) => operations::find(name),
        None if target.starts_with(OWN_PREFIX) => operations::find(target),
        _ => None,
    };
    found.ok_or_else(|| ApiError::unknown_operation(400, format!("There is no operation '{target}'")))
}

/// The members of the body; an empty body has none.
fn parse(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(ApiError::serialization("The body of a request must be a JSON object")),
        Err(error) => Err(ApiError::serialization(format!("The body of the request is not valid JSON: {error}"))),
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
