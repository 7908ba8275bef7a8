//! The log events of executions and tasks, one function per event, so that every caller logs an event with the same
//! words and fields.
//!
//! ```text
//! execution.started
//!   task.scheduled ─▶ task.published ─▶ task.confirmed ─▶ [task.started] ─▶ [task.heartbeat]*
//!                                   └▶ task.returned             ─▶ reply.accepted | task.timed_out | task.cancelled
//!   reply.refused: a reply that changed nothing, and why
//! execution.closed
//! ```

use std::time::Duration;

use tracing::{info, warn};

use super::{fields, otlp};
use crate::ids::{Arn, EventId};
use crate::token::fingerprint;
use crate::trace::{SpanContext, Trace};

pub const EXECUTION_STARTED: &str = "execution.started";
pub const EXECUTION_CLOSED: &str = "execution.closed";
pub const EXECUTION_REDRIVEN: &str = "execution.redriven";
pub const TASK_SCHEDULED: &str = "task.scheduled";
pub const TASK_PUBLISHED: &str = "task.published";
pub const TASK_CONFIRMED: &str = "task.confirmed";
pub const TASK_RETURNED: &str = "task.returned";
pub const TASK_STARTED: &str = "task.started";
pub const TASK_HEARTBEAT: &str = "task.heartbeat";
pub const TASK_TIMED_OUT: &str = "task.timed_out";
pub const TASK_CANCELLED: &str = "task.cancelled";
pub const REPLY_ACCEPTED: &str = "reply.accepted";
pub const REPLY_REFUSED: &str = "reply.refused";

/// All events of this file.
pub const ALL: [&str; 13] = [
    EXECUTION_STARTED,
    EXECUTION_CLOSED,
    EXECUTION_REDRIVEN,
    TASK_SCHEDULED,
    TASK_PUBLISHED,
    TASK_CONFIRMED,
    TASK_RETURNED,
    TASK_STARTED,
    TASK_HEARTBEAT,
    TASK_TIMED_OUT,
    TASK_CANCELLED,
    REPLY_ACCEPTED,
    REPLY_REFUSED,
];

/// The way by which the news of a task came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    Amqp,
    Api,
    /// The engine's own: time, the broker's word, the end of a child.
    Engine,
}

impl Face {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::Api => "api",
            Self::Engine => "engine",
        }
    }
}

/// The task that a line is about. The token is reduced to its fingerprint here, so that no caller can log it by
/// mistake.
#[derive(Debug, Clone)]
pub struct TaskLog<'a> {
    execution: &'a Arn,
    scheduled: EventId,
    state: &'a str,
    attempt: u32,
    token_id: String,
    /// Where traces are collected: the ids of trace and span.
    span: Option<(String, String)>,
}

/// One line about a task: the common fields, then those of the event.
macro_rules! task_line {
    ($level:ident, $task:expr, $event:expr, { $($name:expr => $value:expr),* }, $($message:tt)+) => {
        $level!(
            { fields::EVENT } = $event,
            { fields::EXECUTION_ARN } = %$task.execution,
            { fields::STATE_NAME } = $task.state,
            { fields::TASK_SCHEDULED_ID } = $task.scheduled.0,
            { fields::TASK_ATTEMPT } = $task.attempt,
            { fields::TASK_TOKEN_ID } = $task.token_id.as_str(),
            { fields::TRACE_ID } = $task.span.as_ref().map(|(trace, _)| trace.as_str()),
            { fields::SPAN_ID } = $task.span.as_ref().map(|(_, span)| span.as_str()),
            $({ $name } = $value,)*
            $($message)+
        )
    };
}

impl<'a> TaskLog<'a> {
    #[must_use]
    pub fn new(execution: &'a Arn, scheduled: EventId, state: &'a str, attempt: u32, token: &str) -> Self {
        Self { execution, scheduled, state, attempt, token_id: fingerprint(token), span: None }
    }

    /// The same, of a task whose span is this.
    #[must_use]
    pub fn within(self, span: SpanContext) -> Self {
        Self { span: Some((otlp::trace_id(span.trace), otlp::span_id(span.span))), ..self }
    }

    /// The task is in the journal and owed to its worker.
    pub fn scheduled(&self, resource: &str, timeout: Option<Duration>) {
        let timeout = timeout.map(|t| t.as_secs());
        task_line!(info, self, TASK_SCHEDULED, { fields::TASK_RESOURCE => resource, fields::TASK_TIMEOUT => timeout },
            "task of state `{}` scheduled", self.state);
    }

    /// The message is on its way to the broker.
    pub fn published(&self, destination: &str) {
        task_line!(info, self, TASK_PUBLISHED, { fields::TASK_DESTINATION => destination },
            "task of state `{}` published to {destination}", self.state);
    }

    /// The broker has it.
    pub fn confirmed(&self, destination: &str, took: Duration) {
        task_line!(info, self, TASK_CONFIRMED, {
            fields::TASK_DESTINATION => destination, fields::DURATION_MS => millis(took) },
            "task of state `{}` confirmed by the broker", self.state);
    }

    /// The broker refused the message (unroutable, nacked, refused) or gave it up (dead-lettered): the task fails with
    /// `error`.
    pub fn returned(&self, destination: &str, error: &str, reason: &str) {
        task_line!(warn, self, TASK_RETURNED,
            { fields::TASK_DESTINATION => destination, fields::ERROR_NAME => error, fields::REASON => reason },
            "task of state `{}` came back from {destination}: {reason}", self.state);
    }

    /// A worker took it (activities).
    pub fn started(&self, worker: Option<&str>) {
        task_line!(
            info,
            self,
            TASK_STARTED,
            { fields::WORKER_NAME => worker },
            "task of state `{}` taken by a worker",
            self.state
        );
    }

    pub fn heartbeat(&self, face: Face) {
        task_line!(
            info,
            self,
            TASK_HEARTBEAT,
            { fields::REPLY_FACE => face.as_str() },
            "heartbeat for the task of state `{}`",
            self.state
        );
    }

    /// The task has ended by this reply; `waited` since it was scheduled. `status`: `success` or `failure`.
    /// `by`: who answered, where that is known.
    pub fn reply_accepted(&self, face: Face, status: &str, error: Option<&str>, by: Option<&str>, waited: Duration) {
        task_line!(info, self, REPLY_ACCEPTED,
            { fields::REPLY_FACE => face.as_str(), fields::REPLY_STATUS => status, fields::TASK_BY => by,
                fields::ERROR_NAME => error, fields::DURATION_MS => millis(waited) },
            "task of state `{}` ended by a reply: {status}", self.state);
    }

    /// `which`: `timeout` or `heartbeat`.
    pub fn timed_out(&self, which: &str, waited: Duration) {
        task_line!(warn, self, TASK_TIMED_OUT, { fields::REASON => which, fields::DURATION_MS => millis(waited) },
            "task of state `{}` timed out ({which})", self.state);
    }

    /// The task ended without its worker: [`crate::interpreter::command::CancelReason::as_str`] says why.
    pub fn cancelled(&self, reason: &str) {
        task_line!(
            info,
            self,
            TASK_CANCELLED,
            { fields::REASON => reason },
            "task of state `{}` cancelled: {reason}",
            self.state
        );
    }
}

/// A reply that changed nothing. `task` where the token was genuine; a forged one names no execution of ours.
pub fn reply_refused(task: Option<(&Arn, EventId)>, token: Option<&str>, face: Face, verdict: &str, reason: &str) {
    warn!(
        { fields::EVENT } = REPLY_REFUSED,
        { fields::EXECUTION_ARN } = task.map(|(arn, _)| arn.as_str()),
        { fields::TASK_SCHEDULED_ID } = task.map(|(_, scheduled)| scheduled.0),
        { fields::TASK_TOKEN_ID } = token.map(fingerprint),
        { fields::REPLY_FACE } = face.as_str(),
        { fields::REPLY_VERDICT } = verdict,
        { fields::REASON } = reason,
        "reply refused ({verdict}): {reason}"
    );
}

/// `trace`: where traces are collected.
pub fn execution_started(execution: &Arn, machine: &Arn, trace: Option<&Trace>) {
    info!(
        { fields::EVENT } = EXECUTION_STARTED,
        { fields::EXECUTION_ARN } = %execution,
        { fields::STATE_MACHINE_ARN } = %machine,
        { fields::TRACE_ID } = trace.map(|trace| otlp::trace_id(trace.id)),
        "execution started"
    );
}

/// `status` is AWS's word. A failed execution is no fault of the server, so it is logged at `info`.
pub fn execution_closed(
    execution: &Arn,
    machine: &Arn,
    status: &str,
    error: Option<&str>,
    took: Duration,
    trace: Option<&Trace>,
) {
    info!(
        { fields::EVENT } = EXECUTION_CLOSED,
        { fields::EXECUTION_ARN } = %execution,
        { fields::STATE_MACHINE_ARN } = %machine,
        { fields::TRACE_ID } = trace.map(|trace| otlp::trace_id(trace.id)),
        { fields::EXECUTION_STATUS } = status,
        { fields::ERROR_NAME } = error,
        { fields::DURATION_MS } = millis(took),
        "execution closed: {status}"
    );
}

pub fn execution_redriven(execution: &Arn, machine: &Arn, count: u32, trace: Option<&Trace>) {
    info!(
        { fields::EVENT } = EXECUTION_REDRIVEN,
        { fields::EXECUTION_ARN } = %execution,
        { fields::STATE_MACHINE_ARN } = %machine,
        { fields::TRACE_ID } = trace.map(|trace| otlp::trace_id(trace.id)),
        { fields::COUNT } = count,
        "execution redriven"
    );
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};

    use serde_json::Value;

    use super::*;
    use crate::telemetry::logs::{self, LogFormat, LogOptions};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(tell: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let options = LogOptions { format: LogFormat::Json, ..LogOptions::default() };
        tracing::subscriber::with_default(logs::subscriber(&options, move || writer.clone()).unwrap(), tell);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    const TOKEN: &str = "AasAAwEjRWeJq33vgSNFZ4mrze8FeVUzhvhAtvYGR9tm8ILq8g";

    fn whole_story() {
        let (execution, machine) = (Arn::new("arn:e"), Arn::new("arn:m"));
        let id = crate::ids::ExecutionId(uuid::Uuid::from_u128(7));
        let trace = Trace::of(id, None, crate::trace::Sampling(1.0));
        let task = TaskLog::new(&execution, EventId(5), "Hire", 1, TOKEN).within(trace.task(id, EventId(5)));
        execution_started(&execution, &machine, Some(&trace));
        task.scheduled("arn:aws:states:::amqp:call", Some(Duration::from_mins(1)));
        task.published("queue 'q'");
        task.confirmed("queue 'q'", Duration::from_millis(3));
        task.returned("queue 'q'", "Amqp.Unroutable", "no queue");
        task.started(Some("worker-1"));
        task.heartbeat(Face::Amqp);
        task.reply_accepted(
            Face::Amqp,
            "failure",
            Some("Busy"),
            Some("queue user kitchen"),
            Duration::from_millis(1_500),
        );
        task.timed_out("timeout", Duration::from_mins(1));
        task.cancelled("stopped");
        reply_refused(Some((&execution, EventId(5))), Some(TOKEN), Face::Api, "late", "the task is no longer open");
        reply_refused(None, None, Face::Amqp, "unknown", "no token");
        execution_closed(&execution, &machine, "FAILED", Some("Busy"), Duration::from_secs(2), None);
        execution_redriven(&execution, &machine, 1, None);
    }

    #[test]
    fn each_event_is_one_flat_json_object_with_the_documented_fields() {
        let text = logged(whole_story);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), ALL.len() + 1);
        let mut told: Vec<&str> = lines.iter().map(|line| line[fields::EVENT].as_str().unwrap()).collect();
        told.sort_unstable();
        told.dedup();
        let mut all = ALL.to_vec();
        all.sort_unstable();
        assert_eq!(told, all);
        for line in &lines {
            for (name, value) in line.as_object().unwrap() {
                assert!(
                    fields::ALL.contains(&name.as_str())
                        || ["timestamp", "level", "target", "message"].contains(&name.as_str()),
                    "{name}"
                );
                assert!(!value.is_object(), "{name} is not flat");
            }
        }
        let accepted = lines.iter().find(|line| line["event"] == REPLY_ACCEPTED).unwrap();
        assert_eq!(
            (&accepted["duration_ms"], &accepted["error.name"], &accepted["task.scheduled_id"]),
            (&1_500.into(), &"Busy".into(), &5.into())
        );
        assert_eq!(accepted["task.token_id"], fingerprint(TOKEN).as_str());
        assert_eq!(accepted["trace_id"], "00000000000000000000000000000007");
        assert_eq!(accepted["span_id"], "000000000000000c");
    }

    #[test]
    fn no_line_holds_a_token() {
        assert!(!logged(whole_story).contains(TOKEN));
        let (execution, token) = (Arn::new("arn:e"), TOKEN);
        assert!(!format!("{:?}", TaskLog::new(&execution, EventId(1), "s", 0, token)).contains(TOKEN));
    }

    /// Finds every `event = "..."` in the sources.
    fn events_in(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                events_in(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let sign = concat!("event = ", "\"");
                found.extend(text.split(sign).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn the_document_lists_the_events_that_other_rooms_log() {
        let mut found = Vec::new();
        events_in(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.iter().any(|event| event == "broker.connected"), "{found:?}");
        let document = include_str!("../../docs/LOGGING.md");
        // Matches such as `...` come from comments.
        for event in found.iter().filter(|event| event.starts_with(|c: char| c.is_ascii_lowercase())) {
            assert!(document.contains(&format!("`{event}`")), "docs/LOGGING.md lacks `{event}`");
        }
    }

    /// The fields of each `error!`, `warn!` and `info!` in the sources of the server: `a.b = …`, `%a` and `?a`.
    fn fields_in(folder: &std::path::Path, found: &mut std::collections::BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                fields_in(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for sign in ["error", "warn", "info"].map(|level| format!("{level}!(")) {
                    text.split(&sign)
                        .skip(1)
                        .for_each(|rest| found.extend(arguments(rest).iter().filter_map(|a| field(a))));
                }
            }
        }
    }

    /// The arguments of a macro, from behind its opening parenthesis.
    fn arguments(text: &str) -> Vec<String> {
        let (mut all, mut one, mut depth, mut quoted, mut escaped) = (Vec::new(), String::new(), 1, false, false);
        for c in text.chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '(' | '[' | '{' if !quoted => depth += 1,
                ')' | ']' | '}' if !quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if c == ',' && depth == 1 && !quoted { all.push(std::mem::take(&mut one)) } else { one.push(c) }
        }
        all.push(one);
        all
    }

    fn field(argument: &str) -> Option<String> {
        let argument = argument.trim();
        let name = match argument.strip_prefix(['%', '?']) {
            Some(short) => short,
            None => argument.split_once(" = ")?.0,
        };
        name.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_').then(|| name.to_owned())
    }

    #[test]
    fn the_document_lists_the_fields_that_other_rooms_log() {
        let (mut found, sources) =
            (std::collections::BTreeSet::new(), std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        for entry in std::fs::read_dir(sources).unwrap() {
            let path = entry.unwrap().path();
            // The document is about the server; a command's own output is not its log.
            if path.is_dir() && !path.ends_with("cli") {
                fields_in(&path, &mut found);
            }
        }
        assert!(["bus.url", "execution.id", "error"].iter().all(|known| found.contains(*known)), "{found:?}");
        let document = include_str!("../../docs/LOGGING.md");
        for name in &found {
            assert!(document.contains(&format!("`{name}`")), "docs/LOGGING.md lacks the field `{name}`");
        }
    }

    #[test]
    fn the_document_lists_every_event_and_field() {
        let document = include_str!("../../docs/LOGGING.md");
        for word in ALL.iter().chain(fields::ALL.iter()).chain(logs::EVENTS.iter()).chain(otlp::EVENTS.iter()) {
            assert!(document.contains(&format!("`{word}`")), "docs/LOGGING.md lacks `{word}`");
        }
    }
}
