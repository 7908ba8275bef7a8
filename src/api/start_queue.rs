//! Starting over AMQP: a message in `reveille.start` is the body of `StartExecution`, and its answer is that
//! operation's answer.
//!
//! Two things differ from HTTP: `stateMachineArn` may be the machine's name alone, and `input` may be JSON instead of
//! JSON text.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value, json};

use crate::engine::EngineHandle;
use crate::engine::StartMessage;
use crate::ids::Realm;

use super::error::ApiError;
use super::model::Model;
use super::operations::start_execution::Input;
use super::validate;
use super::wire::EpochSeconds;

/// Takes messages ([`EngineHandle::start_messages`]) until the engine stops. All messages are handled at once; the bus
/// bounds their number.
pub async fn run(engine: EngineHandle, mut messages: BoxStream<'static, StartMessage>) {
    while let Some(message) = messages.next().await {
        let engine = engine.clone();
        actix_web::rt::spawn(async move { receive(&engine, message).await });
    }
}

async fn receive(engine: &EngineHandle, message: StartMessage) {
    if let Some(why) = message.unreadable() {
        let error = ApiError::serialization(why);
        message.refuse(error.kind, &error.message, error.body()).await;
        return;
    }
    let started = match read(message.body(), engine.realm()) {
        Ok(input) => match input.into_request(message.trace().map(Box::new)) {
            Ok(request) => engine.start_by_message(request, message.message_id()).await.map_err(ApiError::from),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match started {
        Ok(started) => {
            let answer = json!({ "executionArn": started.arn, "startDate": EpochSeconds(started.started) });
            message.accept(answer.to_string().into_bytes()).await;
        }
        // A missing store or broker will come back. An internal error may be caused by this message (tried once more)
        // or by a server that stops (the next one takes it).
        Err(error) if error.status == 503 || error.kind == "ThrottlingException" => message.postpone(&error.message),
        Err(error) if error.status >= 500 && !message.is_redelivered() => message.postpone(&error.message),
        Err(error) => message.refuse(error.kind, &error.message, error.body()).await,
    }
}

/// The body as input of `StartExecution`, checked against AWS's model.
fn read(body: &[u8], realm: &Realm) -> Result<Input, ApiError> {
    let mut members: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => members,
        Ok(_) => return Err(ApiError::serialization("The body of a start must be a JSON object")),
        Err(error) => return Err(ApiError::serialization(format!("The body of a start is not valid JSON: {error}"))),
    };
    if let Some(Value::String(machine)) = members.get_mut("stateMachineArn")
        && !machine.is_empty()
        && !machine.starts_with("arn:")
    {
        *machine = realm.state_machine(machine).to_string();
    }
    if let Some(input) = members.get_mut("input")
        && !matches!(input, Value::String(_) | Value::Null)
    {
        *input = Value::String(input.to_string());
    }
    let model = Model::get();
    if let Some(shapes) = model.operations.get("StartExecution") {
        validate::check(model, &shapes.input, &mut members)?;
    }
    serde_json::from_value(Value::Object(members)).map_err(|e| ApiError::serialization(e.to_string()))
}
