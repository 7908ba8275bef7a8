//! HTTP Task (`arn:aws:states:::http:invoke`): a worker on the queue `http.invoke` that makes the call and answers with
//! `{Headers, ResponseBody, StatusCode, StatusText}`, or with `States.Http.StatusCode.…` or `States.Http.Socket`.
//!
//! ```text
//! parameters ─ request.rs, form.rs ─► Request ─ connections.rs ─► + authorization ─ client.rs, guard.rs ─► Response
//! ```
//! A definition is written by people who may not reach what this server reaches: private addresses are refused unless
//! the settings name the host, and redirects are not followed. A call may be made twice where the worker dies before
//! its answer is safe, as with every worker.
//!
//! Source: AWS developer guide, "Call HTTPS APIs in Step Functions workflows".

use std::fmt;
use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::{Map, Value, json};

use crate::bus::{
    Address, BusError, Delivery, HTTP_TASKS, HeaderValue, Message, Properties, QueueKind, QueueSpec, Settlement,
    TaskBus,
};
use crate::limits::{CAUSE_CHARS_MAX, HTTP_CALLS_MAX};

mod client;
mod connections;
mod form;
mod guard;
mod request;
#[cfg(test)]
mod tests;

use connections::Connections;
pub use connections::{Authorization, Connection, ConnectionError};
use guard::Guard;
use request::Request;

/// Settings of the worker.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Hosts that may have private addresses, and be spoken to without TLS; `*`: all.
    pub private_hosts: Vec<String>,
    pub connections: Vec<Connection>,
    /// A call that takes longer has failed with `States.Http.Socket`.
    pub timeout: std::time::Duration,
    /// In the header `User-Agent`.
    pub region: String,
}

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub error: String,
    pub cause: String,
}

impl Failed {
    fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        let cause: String = cause.into();
        Self { error: error.into(), cause: cause.chars().take(CAUSE_CHARS_MAX).collect() }
    }

    /// The parameters make no request. Trying again does not help: neither Retry nor Catch see it.
    fn parameters(why: impl Into<String>) -> Self {
        Self::new("States.Runtime", why)
    }

    /// A response that cannot be a result: neither Retry nor Catch see it (AWS's guide).
    fn response(why: impl Into<String>) -> Self {
        Self::new("States.Runtime", why)
    }

    /// AWS's errors of a connection are `Events.ConnectionResource.…`.
    fn connection(word: &str, why: impl Into<String>) -> Self {
        Self::new(format!("Events.ConnectionResource.{word}"), why)
    }

    fn socket(why: impl Into<String>) -> Self {
        Self::new("States.Http.Socket", why)
    }
}

/// A request or response, as `TestState` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub protocol: String,
    /// Method and URL, or status code and reason.
    pub line: (String, String),
    pub headers: String,
    pub body: String,
}

/// A call with all that was seen of it.
#[derive(Debug, Clone)]
pub struct Traced {
    pub outcome: Result<Value, Failed>,
    pub request: Option<Shown>,
    pub response: Option<Shown>,
}

/// Makes calls. Cheap to clone.
#[derive(Clone)]
pub struct HttpClient {
    inner: Arc<Inner>,
}

struct Inner {
    guard: Guard,
    connections: Connections,
    client: reqwest::Client,
    region: String,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

impl HttpClient {
    /// # Errors
    /// Where the system's certificates cannot be read.
    pub fn new(options: Options) -> Result<Self, String> {
        let guard = Guard::new(options.private_hosts);
        let client = client::make(&guard, options.timeout).map_err(|e| client::told(&e))?;
        let connections = Connections::new(options.connections);
        Ok(Self { inner: Arc::new(Inner { guard, connections, client, region: options.region }) })
    }

    /// Makes the call that these parameters describe; `reveal` shows what a connection adds.
    pub async fn call(&self, parameters: &Value, reveal: bool) -> Traced {
        let inner = &*self.inner;
        let mut traced = Traced { outcome: Err(Failed::parameters("")), request: None, response: None };
        let asked = match Request::read(parameters, &inner.region, &inner.guard) {
            Ok(asked) => asked,
            Err(failed) => return Traced { outcome: Err(failed), ..traced },
        };
        traced.request = Some(asked.shown());
        let mut renewed = false;
        loop {
            let authorized = match inner.connections.authorize(&asked, &inner.client, renewed).await {
                Ok(authorized) => authorized,
                Err(failed) => return Traced { outcome: Err(failed), ..traced },
            };
            if reveal {
                traced.request = Some(authorized.shown());
            }
            match client::send(&inner.client, authorized).await {
                // A token may have been withdrawn before its time.
                Ok(response) if response.status == 401 && !renewed && inner.connections.renews(&asked) => {
                    renewed = true;
                }
                Ok(response) => {
                    traced.response = Some(response.shown());
                    traced.outcome = response.outcome();
                    return traced;
                }
                Err(failed) => return Traced { outcome: Err(failed), ..traced },
            }
        }
    }
}

/// Works on the queue until the bus closes.
pub async fn run(bus: Arc<dyn TaskBus>, client: HttpClient, kind: QueueKind) {
    let spec = QueueSpec::plain(HTTP_TASKS.to_owned(), kind);
    let mut tasks = bus.consume(spec, HTTP_CALLS_MAX);
    while let Some(task) = tasks.next().await {
        let (bus, client) = (Arc::clone(&bus), client.clone());
        tokio::spawn(async move {
            // A bus that is closing: the task comes again.
            let _ = work(&*bus, &client, task).await;
        });
    }
}

async fn work(bus: &dyn TaskBus, client: &HttpClient, task: Delivery) -> Result<(), BusError> {
    let asked = &task.message.properties;
    let Some(to) = asked.reply_to.clone() else {
        // No caller waits for an answer.
        task.settle(Settlement::Ack);
        return Ok(());
    };
    let outcome = match serde_json::from_slice::<Value>(&task.message.body) {
        Ok(parameters) => client.call(&parameters, false).await.outcome,
        Err(why) => Err(Failed::parameters(format!("The parameters of an HTTP Task are not JSON: {why}"))),
    };
    let (status, body) = match outcome {
        Ok(result) => ("success", result),
        Err(Failed { error, cause }) => ("failure", json!({ "error": error, "cause": cause })),
    };
    let properties = Properties {
        content_type: Some("application/json".into()),
        correlation_id: asked.correlation_id.clone(),
        persistent: true,
        headers: [("task-status".into(), HeaderValue::Text(status.to_owned()))].into(),
        ..Properties::default()
    };
    let mut message = Message { body: body.to_string().into_bytes(), properties };
    if let Some(token) = asked.headers.get("task-token") {
        message.properties.headers.insert("task-token".into(), token.clone());
    }
    bus.publish(Address { exchange: String::new(), routing_key: to }, message).await?;
    task.settle(Settlement::Ack);
    Ok(())
}

/// Names and values as AWS shows headers: `[name: value, name: value]`.
fn shown_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let lines: Vec<String> = headers.map(|(name, value)| format!("{name}: {value}")).collect();
    format!("[{}]", lines.join(", "))
}

/// Values of one name come together, in the order in which they came.
fn gathered<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in headers {
        match all.entry(name.to_owned()).or_insert_with(|| json!([])) {
            Value::Array(values) => values.push(value.into()),
            other => *other = json!([value]),
        }
    }
    Value::Object(all)
}
