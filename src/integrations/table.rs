//! The `[[integrations]]` table of the settings: destinations of the tasks of other services.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::parameters::{header, kind_of};
use super::{CompletesOn, Outgoing, Plan, PlanContext, ReplyForm};
use crate::asl::resource::Pattern;
use crate::bus::HeaderValue;
use crate::interpreter::event::Failure;

/// The entries in their order. The first that matches is used.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceTable(Vec<TableEntry>);

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableEntry {
    /// The resources of this row, as `service:action`. `*` stands for any text.
    pub resource: String,
    /// Empty: the default exchange.
    pub exchange: String,
    /// Template: `{service}`, `{action}`, `{message_id}` (a UUID, the same at every dispatch of a task), and
    /// `{parameters.Field.Inner}` for a text or number among the parameters.
    pub routing_key: String,
    /// The parameter that becomes the body, as a dotted path. Empty: all parameters.
    pub body: String,
    /// The event that ends a request-response task: a `reply` (default), or the broker's `confirm`. A callback always
    /// ends by its token.
    pub completes: CompletesOn,
    /// Headers of every message; values are templates too.
    pub headers: BTreeMap<String, String>,
    /// The form of the answer that ends a request.
    pub reply: ReplyForm,
}

impl Default for TableEntry {
    fn default() -> Self {
        Self {
            resource: "*".to_owned(),
            exchange: String::new(),
            routing_key: "{service}.{action}".to_owned(),
            body: String::new(),
            completes: CompletesOn::Reply,
            headers: BTreeMap::new(),
            reply: ReplyForm::Plain,
        }
    }
}

/// A faulty row. It is found at start, not at the first task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("integrations[{row}].{field} {why}")]
pub struct TableError {
    pub row: usize,
    pub field: &'static str,
    pub why: String,
}

impl ServiceTable {
    /// Checks each row.
    pub fn new(entries: Vec<TableEntry>) -> Result<Self, TableError> {
        for (row, entry) in entries.iter().enumerate() {
            let error = |field, why: String| TableError { row, field, why };
            if entry.resource.split_once(':').is_none() && entry.resource != "*" {
                return Err(error(
                    "resource",
                    format!("is '{}'; allowed: service:action, such as glue:startJobRun or glue:*", entry.resource),
                ));
            }
            if entry.exchange.is_empty() && entry.routing_key.is_empty() {
                return Err(error(
                    "routing_key",
                    "is empty, and so is exchange: the message has no destination".to_owned(),
                ));
            }
            pieces(&entry.routing_key).map_err(|why| error("routing_key", why))?;
            for template in entry.headers.values() {
                pieces(template).map_err(|why| error("headers", why))?;
            }
        }
        Ok(Self(entries))
    }

    /// Exchanges through which answers come: those of nameko's rows. Its services answer through the exchange that the
    /// call came by.
    pub fn reply_exchanges(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|row| row.reply == ReplyForm::Nameko && !row.exchange.is_empty()).map(|row| &*row.exchange)
    }

    #[must_use]
    pub fn find(&self, service: &str, action: &str) -> Option<&TableEntry> {
        if self.0.is_empty() {
            return None;
        }
        let name = format!("{service}:{action}");
        self.0.iter().find(|entry| matches(&entry.resource, &name))
    }
}

impl TableEntry {
    pub(super) fn plan(
        &self,
        service: &str,
        action: &str,
        pattern: Pattern,
        parameters: &Value,
        context: &PlanContext<'_>,
    ) -> Result<Plan, Failure> {
        let fill = |template: &str| {
            fill(template, service, action, parameters, context.message_id)
                .map_err(|why| Failure::new("Amqp.InvalidParameter", why))
        };
        let routing_key = fill(&self.routing_key)?;
        if routing_key.len() > 255 {
            let why = format!("The routing key of {service}:{action} has {} bytes; AMQP allows 255", routing_key.len());
            return Err(Failure::new("Amqp.InvalidParameter", why));
        }
        let body = if self.body.is_empty() {
            parameters
        } else {
            lookup(parameters, &self.body).ok_or_else(|| {
                Failure::new(
                    "Amqp.InvalidParameter",
                    format!("The parameters of {service}:{action} have no field {}", self.body),
                )
            })?
        };
        let mut message = Outgoing::to(&self.exchange, &routing_key, body.to_string().into_bytes(), context);
        for (name, template) in &self.headers {
            let value = match typed(template, parameters) {
                Some(value) => value,
                None => HeaderValue::Text(fill(template)?),
            };
            message.headers.insert(name.clone().into(), value);
        }
        // A callback does not end with the confirm but with its token.
        let completes = if pattern == Pattern::RequestResponse { self.completes } else { CompletesOn::Reply };
        Ok(message.alone(completes))
    }
}

impl TableEntry {
    /// The queue of this row, where the written parameters fill its name.
    pub(super) fn queue_written(&self, service: &str, action: &str, parameters: &Value) -> Option<String> {
        let queue = fill(&self.routing_key, service, action, parameters, Uuid::nil()).ok()?;
        if self.routing_key.contains("{message_id}") {
            return None;
        }
        // JSONata of a parameter.
        (self.exchange.is_empty() && !queue.is_empty() && !queue.contains("{%")).then_some(queue)
    }
}

/// The value of a template that is only one parameter. It keeps its type.
fn typed(template: &str, parameters: &Value) -> Option<HeaderValue> {
    let path = template.strip_prefix("{parameters.")?.strip_suffix('}').filter(|path| !path.contains(['{', '}']))?;
    lookup(parameters, path).and_then(header)
}

/// A part of a template.
enum Piece<'a> {
    Text(&'a str),
    Service,
    Action,
    MessageId,
    Parameter(&'a str),
}

fn pieces(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        pieces.push(Piece::Text(text));
        let (name, after) = after.split_once('}').ok_or_else(|| format!("is '{template}': a {{ has no }}"))?;
        pieces.push(match name {
            "service" => Piece::Service,
            "action" => Piece::Action,
            "message_id" => Piece::MessageId,
            _ => match name.strip_prefix("parameters.") {
                Some(path) if !path.is_empty() => Piece::Parameter(path),
                _ => {
                    return Err(format!(
                        "has {{{name}}}; allowed: {{service}}, {{action}}, {{message_id}}, {{parameters.Field}}"
                    ));
                }
            },
        });
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn fill(template: &str, service: &str, action: &str, parameters: &Value, message_id: Uuid) -> Result<String, String> {
    let mut filled = String::new();
    for piece in pieces(template)? {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Service => filled.push_str(service),
            Piece::Action => filled.push_str(action),
            Piece::MessageId => filled.push_str(&message_id.to_string()),
            Piece::Parameter(path) => match lookup(parameters, path) {
                Some(Value::String(text)) => filled.push_str(text),
                Some(Value::Number(number)) => filled.push_str(&number.to_string()),
                Some(other) => {
                    return Err(format!(
                        "The parameter {path} of {service}:{action} must be a text, not {}",
                        kind_of(other)
                    ));
                }
                None => return Err(format!("The parameters of {service}:{action} have no field {path}")),
            },
        }
    }
    Ok(filled)
}

fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, name| value.get(name))
}

/// `*` stands for any text, also none.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name
            .strip_prefix(start)
            .is_some_and(|tail| (0..=tail.len()).any(|at| tail.is_char_boundary(at) && matches(rest, &tail[at..]))),
    }
}
