//! The API as tasks call it: `aws-sdk:sfn:*`, every operation of the model.
//!
//! The SDK integrations write all names in `PascalCase` and all dates as ISO texts. The model tells which is which.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::engine::{Asker, CallError, EngineHandle, OwnApi};
use crate::integrations::sfn::{self, Call};

use super::configuration::Kms;
use super::context::Context;
use super::error::ApiError;
use super::model::{Kind, Model, Shape};
use super::page::Pages;
use super::{operations, protocol};

/// The shapes of texts that hold JSON. A task may give the JSON itself.
const JSON_TEXTS: [&str; 2] = ["SensitiveData", "Definition"];

/// Answers the calls of an engine's tasks.
pub struct TaskCalls {
    pages: Pages,
    activity_poll: Duration,
    kms: Kms,
    any_region: bool,
}

impl TaskCalls {
    /// `secret`: the one of the server, so that a page token of a task is good there too.
    pub fn new(secret: &[u8], kms: Kms, any_region: bool) -> Self {
        let activity_poll = Duration::from_secs(super::Options::default().activity_poll_seconds);
        Self { pages: Pages::new(secret), activity_poll, kms, any_region }
    }
}

impl OwnApi for TaskCalls {
    fn call(&self, engine: EngineHandle, call: Call) -> LocalBoxFuture<'static, Result<Value, CallError>> {
        let mut ctx = Context::new(engine, self.pages.clone(), self.activity_poll);
        (ctx.kms, ctx.any_region) = (self.kms, self.any_region);
        async move {
            let id = call.request_id;
            answer(&ctx, call).await.map_err(|error| match error.kind {
                // The store or the engine cannot now.
                "ServiceUnavailable" | "ThrottlingException" => CallError::Passing(error.to_string()),
                kind => CallError::Failed(sfn::refused(kind, &error.message, error.status, id)),
            })
        }
        .boxed_local()
    }
}

async fn answer(ctx: &Context, call: Call) -> Result<Value, ApiError> {
    let model = Model::get();
    let Some((operation, shapes)) = operations::find(&call.operation).zip(model.operations.get(&call.operation)) else {
        let message = format!("There is no operation '{}'", call.operation);
        return Err(ApiError::unknown_operation(400, message));
    };
    let input = match model.shape(&shapes.input) {
        Some(shape) => asked(model, shape, call.parameters),
        None => Map::new(),
    };
    let mut answer = protocol::answer(ctx, operation, input, (Asker::default(), true), call.request_id).await?;
    told(model, &shapes.output, &mut answer);
    Ok(answer)
}

/// The members of a structure under the API's names. Other members are left out, as the API ignores them.
fn asked(model: &Model, shape: &Shape, mut given: Map<String, Value>) -> Map<String, Value> {
    let member = |(name, inner): (&str, &str)| {
        let value = given.remove(&pascal(name))?;
        Some((name.to_owned(), asked_value(model, inner, value)))
    };
    shape.members().filter_map(member).collect()
}

fn asked_value(model: &Model, name: &str, value: Value) -> Value {
    let Some(shape) = model.shape(name) else { return value };
    match (shape.kind, value) {
        (Kind::Structure, Value::Object(given)) => Value::Object(asked(model, shape, given)),
        (Kind::List, Value::Array(items)) => {
            let inner = shape.member.as_deref().unwrap_or_default();
            items.into_iter().map(|item| asked_value(model, inner, item)).collect()
        }
        (Kind::Map, Value::Object(entries)) => {
            let inner = shape.value.as_deref().unwrap_or_default();
            Value::Object(entries.into_iter().map(|(key, value)| (key, asked_value(model, inner, value))).collect())
        }
        (_, Value::Null) => Value::Null,
        (Kind::String, value) if !value.is_string() && JSON_TEXTS.contains(&name) => value.to_string().into(),
        (_, value) => value,
    }
}

/// Writes an answer of this shape as the SDK integrations do.
fn told(model: &Model, name: &str, value: &mut Value) {
    let Some(shape) = model.shape(name) else { return };
    match (shape.kind, &mut *value) {
        (Kind::Structure, Value::Object(members)) => {
            *members = std::mem::take(members)
                .into_iter()
                .map(|(name, mut value)| {
                    told(model, shape.member_shape(&name).unwrap_or_default(), &mut value);
                    (pascal(&name), value)
                })
                .collect();
        }
        (Kind::List, Value::Array(items)) => {
            for item in items {
                told(model, shape.member.as_deref().unwrap_or_default(), item);
            }
        }
        (Kind::Map, Value::Object(entries)) => {
            for entry in entries.values_mut() {
                told(model, shape.value.as_deref().unwrap_or_default(), entry);
            }
        }
        (Kind::Timestamp, Value::Number(seconds)) => {
            let seconds = seconds.as_f64().unwrap_or_default();
            *value = Timestamp::from_millis(0).plus_seconds(seconds).iso().into();
        }
        _ => {}
    }
}

/// `stateMachineArn` → `StateMachineArn`.
fn pascal(name: &str) -> String {
    let (first, rest) = name.split_at_checked(1).unwrap_or((name, ""));
    first.to_ascii_uppercase() + rest
}
