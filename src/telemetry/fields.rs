//! The names of log fields, each defined once. In a macro: `tracing::info!({ fields::EXECUTION_ARN } = %arn, "...")`.
//!
//! Stable: dashboards and alerts are built on them. A field has one meaning in all events.

/// The name of the event, a stable word ([`super::task_log`]).
pub const EVENT: &str = "event";
pub const EXECUTION_ARN: &str = "execution.arn";
pub const EXECUTION_STATUS: &str = "execution.status";
pub const STATE_MACHINE_ARN: &str = "state_machine.arn";
pub const STATE_NAME: &str = "state.name";
/// The id of the history event that scheduled the task: with the execution it names one task.
pub const TASK_SCHEDULED_ID: &str = "task.scheduled_id";
pub const TASK_RESOURCE: &str = "task.resource";
/// The fingerprint of the token: 12 hex digits, the same in all lines about one token. It cannot be used to end the
/// task.
pub const TASK_TOKEN_ID: &str = "task.token_id";
pub const TASK_ATTEMPT: &str = "task.attempt";
/// Queue, or exchange and routing key.
pub const TASK_DESTINATION: &str = "task.destination";
pub const TASK_TIMEOUT: &str = "task.timeout";
pub const WORKER_NAME: &str = "worker.name";
/// The interface on which a reply came in: `amqp` or `api`.
pub const REPLY_FACE: &str = "reply.face";
/// The answerer of a task: an access key, a person in the console, a user of the broker.
pub const TASK_BY: &str = "task.by";
/// An approval link: half of the hash of its code.
pub const LINK_ID: &str = "link.id";
/// The person that an approval link was made for.
pub const LINK_FOR: &str = "link.for";
/// A bulk action, its kind (`STOP`, `REDRIVE`, `REPLAY`), and how many refused it.
pub const BULK_ID: &str = "bulk.id";
pub const BULK_ACTION: &str = "bulk.action";
pub const BULK_REFUSED: &str = "bulk.refused";
/// `success`, `failure`, `heartbeat`.
pub const REPLY_STATUS: &str = "reply.status";
/// `accepted`, `duplicate`, `late`, `unknown`, `forged`, `invalid-output`, `too-large`.
pub const REPLY_VERDICT: &str = "reply.verdict";
pub const ERROR_NAME: &str = "error.name";
/// The reason in plain text.
pub const REASON: &str = "reason";
pub const DURATION_MS: &str = "duration_ms";
pub const PARTITION: &str = "partition";
pub const COUNT: &str = "count";
pub const API_ADDRESS: &str = "api.address";
pub const API_OPERATION: &str = "api.operation";
pub const REQUEST_ID: &str = "request.id";
pub const STORE_URL: &str = "store.url";
pub const BUS_URL: &str = "bus.url";
/// `message_id` of a message that came in.
pub const MESSAGE_ID: &str = "message.id";
/// Id, predecessor, type and details (JSON) of an event as the history shows it.
pub const HISTORY_ID: &str = "history.id";
pub const HISTORY_PREVIOUS_ID: &str = "history.previous_id";
pub const HISTORY_TYPE: &str = "history.type";
pub const HISTORY_DETAILS: &str = "history.details";
/// The trace of an execution and the span of a task, where traces are collected.
pub const TRACE_ID: &str = "trace_id";
pub const SPAN_ID: &str = "span_id";
pub const TRACES_URL: &str = "traces.url";
pub const VERSION: &str = "version";

/// All of them.
pub const ALL: [&str; 40] = [
    EVENT,
    EXECUTION_ARN,
    EXECUTION_STATUS,
    STATE_MACHINE_ARN,
    STATE_NAME,
    TASK_SCHEDULED_ID,
    TASK_RESOURCE,
    TASK_TOKEN_ID,
    TASK_BY,
    LINK_ID,
    LINK_FOR,
    BULK_ID,
    BULK_ACTION,
    BULK_REFUSED,
    TASK_ATTEMPT,
    TASK_DESTINATION,
    TASK_TIMEOUT,
    WORKER_NAME,
    REPLY_FACE,
    REPLY_STATUS,
    REPLY_VERDICT,
    ERROR_NAME,
    REASON,
    DURATION_MS,
    PARTITION,
    COUNT,
    API_ADDRESS,
    API_OPERATION,
    REQUEST_ID,
    STORE_URL,
    BUS_URL,
    MESSAGE_ID,
    HISTORY_ID,
    HISTORY_PREVIOUS_ID,
    HISTORY_TYPE,
    HISTORY_DETAILS,
    TRACE_ID,
    SPAN_ID,
    TRACES_URL,
    VERSION,
];
