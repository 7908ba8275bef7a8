//! AWS JSON 1.0: one URL, `POST /`; the operation is in `X-Amz-Target`, input and output are JSON, errors are JSON with
//! `__type`.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use actix_web::http::header::{self, HeaderMap};
use futures_util::FutureExt;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::auth::{Caller, Keys};
use super::context::Context;
use super::error::ApiError;
use super::model::Model;
use super::operations::{self, Operation};
use super::sigv4::Signed;
use super::validate;
use crate::engine::Asker;
use crate::ids::Realm;
use crate::telemetry::{Metrics, fields};
use crate::trace::TraceOrigin;

/// The content type of requests and answers.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// The event of a request in the log.
const REQUEST: &str = "api.request";
/// The prefix of our own operations in `X-Amz-Target`.
const OWN_PREFIX: &str = "Reveille.";

/// The head of an HTTP request.
pub struct Incoming<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
}

/// An answer, to be sent over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub request_id: Uuid,
    pub body: Vec<u8>,
    /// Whether the request was let in. The connection of a refused request is closed.
    pub is_let_in: bool,
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

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub fn context(&self) -> &Context {
        &self.ctx
    }

    /// Answers one request. It never fails and never panics. `body` is read only after the head was accepted, because a
    /// body may be long and slow and come from any client.
    pub async fn answer<B: AsRef<[u8]>>(
        &self,
        request: Incoming<'_>,
        body: impl Future<Output = Result<B, ApiError>>,
    ) -> Answer {
        let (request_id, began) = (Uuid::new_v4(), Instant::now());
        let operation = operation(&request);
        let name = operation.as_ref().map_or("(none)", |operation| operation.name);
        let let_in = match operation {
            Ok(operation) => self.let_in(&request, body).await.map(|(body, caller)| (operation, body, caller)),
            Err(error) => Err(error),
        };
        let is_let_in = let_in.is_ok();
        let result = match let_in {
            Ok((operation, body, caller)) => {
                self.perform(operation, body.as_ref(), (caller, self.trace_of(request.headers)), request_id).await
            }
            Err(error) => Err(error),
        };
        Answer { is_let_in, ..self.told(name, result, request_id, began) }
    }

    /// Answers a request that is refused before its head is read.
    pub fn refuse(&self, error: ApiError) -> Answer {
        self.told("(none)", Err(error), Uuid::new_v4(), Instant::now())
    }

    fn told(&self, name: &'static str, result: Result<Vec<u8>, ApiError>, request_id: Uuid, began: Instant) -> Answer {
        let (status, body, outcome) = match result {
            Ok(body) => (200, body, "ok"),
            Err(error) => (error.status, error.body(), error.kind),
        };
        let took = began.elapsed();
        self.metrics.api_request(name, outcome, took);
        log(name, request_id, status, outcome, took);
        Answer { status, request_id, body, is_let_in: false }
    }

    /// The body of a request and, where there are keys, its verified caller.
    async fn let_in<B: AsRef<[u8]>>(
        &self,
        request: &Incoming<'_>,
        body: impl Future<Output = Result<B, ApiError>>,
    ) -> Result<(B, Option<Caller<'_>>), ApiError> {
        if self.keys.is_empty() {
            return Ok((body.await?, None));
        }
        let headers = texts(request)?;
        let signed = Signed { method: request.method, path: request.path, query: request.query, headers: &headers };
        let region = (!self.ctx.any_region).then_some(&*self.ctx.realm.region);
        let claim = self.keys.claim(&signed, region, self.ctx.now())?;
        let body = body.await?;
        let caller = claim.prove(&signed, body.as_ref())?;
        Ok((body, Some(caller)))
    }

    /// The trace that a request is a part of: W3C's header, else X-Ray's.
    fn trace_of(&self, headers: &HeaderMap) -> Option<Box<TraceOrigin>> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let w3c = text("traceparent").and_then(|parent| TraceOrigin::of_w3c(parent, text("tracestate")));
        let origin = w3c.or_else(|| TraceOrigin::of_x_ray(text("x-amzn-trace-id")?, self.ctx.engine().sampling()));
        origin.map(Box::new)
    }

    async fn perform(
        &self,
        operation: &'static Operation,
        body: &[u8],
        (caller, trace): (Option<Caller<'_>>, Option<Box<TraceOrigin>>),
        id: Uuid,
    ) -> Result<Vec<u8>, ApiError> {
        let realm = &self.ctx.realm;
        if let Some(caller) = caller {
            caller.may(operation, operation.class, realm)?;
        }
        let input = checked(&self.ctx, operation, parse(body)?)?;
        if let (Some(caller), Some(class)) = (caller, operation.demands(&input)) {
            caller.may(operation, class, realm)?;
        }
        let payloads = caller.is_none_or(Caller::sees_payloads);
        run(&self.ctx, operation, input, (Asker { by: caller.map(Caller::by), trace }, payloads), id).await
    }
}

/// Checks an operation's input against the model. Where ARNs of any region are taken, they become those of this server.
pub(super) fn checked(
    ctx: &Context,
    operation: &Operation,
    mut input: Map<String, Value>,
) -> Result<Map<String, Value>, ApiError> {
    let model = Model::get();
    if let Some(shapes) = model.operations.get(operation.name) {
        validate::check(model, &shapes.input, &mut input)?;
    }
    if ctx.any_region {
        input.iter_mut().for_each(|(name, value)| adopt(name, value, &ctx.realm));
    }
    Ok(input)
}

/// Runs an operation whose caller (and whether he may see payloads) and input have been checked.
pub(super) async fn run(
    ctx: &Context,
    operation: &'static Operation,
    input: Map<String, Value>,
    (asker, payloads): (Asker, bool),
    id: Uuid,
) -> Result<Vec<u8>, ApiError> {
    let elsewhere = elsewhere(&input, &ctx.realm);
    let asked;
    let ctx = if asker.is_unknown() && payloads {
        ctx
    } else {
        asked = ctx.asked_by(asker, payloads);
        &asked
    };
    // A panic in one handler ends its request, not the server.
    let caught = AssertUnwindSafe((operation.run)(ctx, input)).catch_unwind().await;
    let result = caught.unwrap_or_else(|_| {
        tracing::error!(
            { fields::REQUEST_ID } = %id,
            { fields::API_OPERATION } = operation.name,
            "the handler of an operation panicked"
        );
        Err(ApiError::internal())
    });
    result.map_err(|error| match elsewhere {
        Some(hint) if error.is_missing() => ApiError { message: error.message + &hint, ..error },
        _ => error,
    })
}

/// Checks and runs an operation for this process itself, which needs the answer as a value.
pub(super) async fn answer(
    ctx: &Context,
    operation: &'static Operation,
    input: Map<String, Value>,
    asker: (Asker, bool),
    id: Uuid,
) -> Result<Value, ApiError> {
    let input = checked(ctx, operation, input)?;
    let answer = run(ctx, operation, input, asker, id).await?;
    serde_json::from_slice(&answer).map_err(|_| ApiError::internal())
}

/// The headers that are text, for the signature. An `x-amz-` header that is not text cannot have been signed.
fn texts<'a>(request: &Incoming<'a>) -> Result<Vec<(&'a str, &'a str)>, ApiError> {
    let mut texts = Vec::with_capacity(16);
    for (name, value) in request.headers {
        match value.to_str() {
            Ok(value) => texts.push((name.as_str(), value)),
            Err(_) if name.as_str().starts_with("x-amz-") => {
                let message =
                    format!("The value of the header '{name}' has characters that a signature does not cover.");
                return Err(ApiError::new("InvalidSignatureException", message));
            }
            Err(_) => {}
        }
    }
    Ok(texts)
}

/// Takes an ARN of another region or account for the resource of this server. Payloads are texts and stay as they are.
fn adopt(name: &str, value: &mut Value, realm: &Realm) {
    match value {
        Value::String(arn) if name.ends_with("Arn") => {
            if let Some(own) = realm.adopt(arn) {
                *arn = own;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| adopt(name, item, realm)),
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| adopt(name, value, realm)),
        _ => {}
    }
}

/// A hint for the error of a missing resource whose ARN names another region or account.
fn elsewhere(input: &Map<String, Value>, realm: &Realm) -> Option<String> {
    let is_foreign = |arn: &&str| {
        let mut parts = arn.split(':').skip(2);
        parts.next() == Some("states")
            && (parts.next(), parts.next()) != (Some(realm.region.as_ref()), Some(realm.account.as_ref()))
    };
    input.values().filter_map(Value::as_str).filter(|text| text.starts_with("arn:")).find(is_foreign).map(|_| {
        format!(
            " (the ARN names another region or account: this server's are '{}' and '{}', its settings engine.region \
             and engine.account)",
            realm.region, realm.account
        )
    })
}

/// Logs one line per request: at `debug`, or at `warn` for a fault of the server.
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

/// The operation of a request. AWS answers 404 for a request of another protocol and 400 for an unknown operation.
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
