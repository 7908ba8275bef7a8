//! Resources: turn a Task's ARN and its evaluated parameters into messages, and the answer into a result. Pure.
//!
//! ```text
//! plan ──▶ messages ──▶ broker ──▶ refusal? ── no ──▶ receipt   (TaskSubmitted; or the result, where a confirm
//!                                                  │             completes the task)
//!                                                  └▶ worker ──▶ result | failure   (TaskSucceeded, TaskFailed)
//! ```
//!
//! One file per service. Other services go by the `[[integrations]]` table of the settings, or else to the queue
//! `<service>.<action>`. AWS's services keep AWS's shapes and error names, so that definitions written for AWS run
//! unchanged; `amqp:*` and the table have the broker's own error names (`Amqp.Unroutable`, ...).
//!
//! All functions are deterministic: a task that is dispatched again after a crash gets the same messages. May enter:
//! the words of `bus` (addresses, headers), `interpreter::event::Failure`, `asl::resource`, `forms`, `query`,
//! `payload`, `ids`, `clock`, `limits`.

use std::time::Duration;

use uuid::Uuid;

use crate::asl::resource::{Pattern, Resource, ResourceKind};
use crate::bus::{Address, Headers, Names, Text};
use crate::clock::Timestamp;
use crate::ids::{Arn, Realm};
use crate::interpreter::event::{Failure, Payload};

mod amqp;
mod answers;
mod ask;
mod boundary;
mod events;
mod failure;
mod lambda;
mod named;
mod parameters;
mod receipt;
pub mod sfn;
pub mod shapes;
mod sns;
mod sqs;
mod states;
mod table;

pub use answers::{Answer, ReplyForm, answer};
pub use ask::is_name;
pub use boundary::refused_by_text;
pub use failure::{dead_lettered, failure, refusal, unreadable, with_remedy};
pub use named::{PayloadWritten, payload_written, queue_named};
pub use receipt::receipt;
pub use states::{Child, ChildStart, ChildWait, child_result, start_failure};
pub use table::{ServiceTable, TableEntry, TableError};

/// The context of a plan.
#[derive(Debug, Clone, Copy)]
pub struct PlanContext<'a> {
    pub realm: &'a Realm,
    pub table: &'a ServiceTable,
    /// The names of the engine's own queues and exchanges.
    pub names: &'a Names,
    /// The task's message id: made once per task and the same at every dispatch.
    pub message_id: Uuid,
    /// When the task was scheduled, not when this dispatch happens.
    pub at: Timestamp,
    pub execution: &'a Arn,
    pub machine: &'a Arn,
}

/// How a task is dispatched.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    Publish(Publishing),
    /// A child execution.
    StartExecution(ChildStart),
    /// An operation of this service itself.
    Call(sfn::Call),
    /// The activity's queue: `GetActivityTask` and AMQP consumers share it.
    Activity {
        activity: Arn,
        queue: String,
        body: Vec<u8>,
    },
}

/// Messages to publish, all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Publishing {
    pub messages: Vec<Outgoing>,
    pub completes_on: CompletesOn,
    /// The task fails with this when the messages are out (`events:putEvents` sends its good entries, then fails for
    /// the bad ones).
    pub failure: Option<Failure>,
}

/// The event that ends the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompletesOn {
    /// The broker's confirm; the receipt is the result. The message carries neither token nor `reply_to`.
    Confirm,
    /// A reply with the token.
    Reply,
}

/// The meaning of a message that no queue took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnUnroutable {
    Fails,
    /// A topic or an event bus without listeners: the message counts as accepted, as on AWS.
    Accepted,
}

/// One message to publish, without the properties that the engine adds to each (token, `reply_to`, execution, deadline,
/// trace).
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    pub address: Address,
    pub body: Vec<u8>,
    pub content_type: Text,
    pub headers: Headers,
    pub message_id: Uuid,
    pub priority: Option<u8>,
    /// Shorter than the task's own timeout, where the definition says so.
    pub expiration: Option<Duration>,
    /// AMQP `type`; absent: `task`.
    pub kind: Option<Text>,
    pub user_id: Option<String>,
    /// Set only where the confirm completes the task. Otherwise the engine sets this and `reply_to`.
    pub correlation_id: Option<String>,
    pub reply_to: Option<String>,
    pub on_unroutable: OnUnroutable,
    /// It tells of the task and does not ask for it: without the token, though the task waits for one.
    pub is_notice: bool,
    /// The engine adds an approval link to the body.
    pub link: Option<LinkWish>,
    /// Additional fields of the service's answer to this message.
    pub answer: serde_json::Map<String, serde_json::Value>,
}

/// An approval link that a message is to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkWish {
    /// The person that it is for.
    pub audience: String,
    /// The buttons of the form that it allows, as bits.
    pub actions: u16,
    pub seconds: Option<u64>,
}

impl Outgoing {
    fn to(exchange: &str, routing_key: &str, body: Vec<u8>, context: &PlanContext<'_>) -> Self {
        Self {
            address: Address { exchange: exchange.to_owned(), routing_key: routing_key.to_owned() },
            body,
            content_type: JSON.into(),
            headers: Headers::new(),
            message_id: context.message_id,
            priority: None,
            expiration: None,
            kind: None,
            user_id: None,
            correlation_id: None,
            reply_to: None,
            on_unroutable: OnUnroutable::Fails,
            is_notice: false,
            link: None,
            answer: serde_json::Map::new(),
        }
    }

    /// One message on its own.
    fn alone(self, completes_on: CompletesOn) -> Plan {
        Plan::Publish(Publishing { messages: vec![self], completes_on, failure: None })
    }
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// Plans a task.
///
/// # Errors
/// The failure of the task, where its parameters do not fit its service. Retry and Catch see it.
pub fn plan(resource: &Resource, parameters: &Payload, context: &PlanContext<'_>) -> Result<Plan, Failure> {
    let plan = meant(resource, parameters, context)?;
    if let Plan::Publish(publishing) = &plan {
        publishing.messages.iter().try_for_each(|message| boundary::check(message, context.names))?;
    }
    Ok(plan)
}

fn meant(resource: &Resource, parameters: &Payload, context: &PlanContext<'_>) -> Result<Plan, Failure> {
    match &resource.kind {
        ResourceKind::LambdaFunction { name } => Ok(lambda::call_function(name, parameters, context)),
        ResourceKind::Activity { name } => Ok(Plan::Activity {
            activity: Arn::new(resource.arn.clone()),
            queue: context.names.activity(name),
            body: parameters.text().as_bytes().to_vec(),
        }),
        ResourceKind::Service { service, action, pattern } => {
            let fields = || parameters::Fields::of(parameters, service, context.message_id);
            let ends = if *pattern == Pattern::RequestResponse { CompletesOn::Confirm } else { CompletesOn::Reply };
            if resource.is_ask() {
                return ask::ask(&fields()?, context);
            }
            // A table entry comes before the built-in services, so that the owner of an installation decides.
            if let Some(entry) = context.table.find(service, action) {
                return entry.plan(service, action, *pattern, parameters, context);
            }
            match (service.as_str(), action.as_str()) {
                ("amqp", "publish") => amqp::publish(&fields()?, ends, context),
                ("amqp", "call") => amqp::publish(&fields()?, CompletesOn::Reply, context),
                ("sqs", "sendMessage") => sqs::send_message(&fields()?, ends, context),
                ("sns", "publish") => sns::publish(&fields()?, ends, context),
                ("events", "putEvents") => events::put_events(&fields()?, ends, context),
                ("lambda", "invoke") => lambda::invoke(&fields()?, *pattern, context),
                ("states", "startExecution") => states::start_execution(&fields()?, *pattern, context),
                ("aws-sdk:sfn", action) => match sfn::call(action, parameters, *pattern, context) {
                    Some(plan) => plan,
                    None => TableEntry::default().plan(service, action, *pattern, parameters, context),
                },
                _ => TableEntry::default().plan(service, action, *pattern, parameters, context),
            }
        }
    }
}

/// The result that a worker's answer to these parameters gives: Lambda's shape around it for `lambda:invoke`, the
/// answer itself for all others.
#[must_use]
pub fn result(resource: &Resource, parameters: &Payload, answer: Payload, now: Timestamp, request_id: Uuid) -> Payload {
    match &resource.kind {
        ResourceKind::Service { service, action, pattern: Pattern::RequestResponse }
            if service == "lambda" && action == "invoke" =>
        {
            Payload::new(lambda::invoked(&answer, parameters, now, request_id))
        }
        _ => answer,
    }
}

#[cfg(test)]
mod tests;
