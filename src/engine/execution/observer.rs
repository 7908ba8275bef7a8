//! Log lines and counts of an execution, from the entries that its journal now holds.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, ExecutionId, StateName, TaskKey};
use crate::interpreter::event::{Entry, Event, Failure, Started};
use crate::interpreter::state::{State, TaskView};
use crate::telemetry::task_log::{self, Face, TaskLog};
use crate::trace::Trace;

use crate::engine::execution::express::ExpressSlot;
use crate::engine::services::Services;
use crate::engine::services::events::TaskChange;
use crate::engine::services::logging::Logging;

/// The facts of a task that are needed after it has left the state.
#[derive(Debug, Clone)]
pub(in crate::engine) struct TaskSnapshot {
    pub scheduled: EventId,
    state: StateName,
    attempt: u32,
    since: Timestamp,
}

impl TaskSnapshot {
    pub fn of(view: TaskView<'_>) -> Self {
        Self {
            scheduled: view.task.scheduled,
            state: Arc::clone(&view.visit.name),
            attempt: view.visit.retry_count() + 1,
            since: view.task.scheduled_at,
        }
    }
}

/// An execution, as its log lines name it.
pub(in crate::engine) struct Observer<'a> {
    pub services: &'a Arc<Services>,
    /// Of an express execution.
    pub express: Option<&'a ExpressSlot>,
    pub arn: &'a Arn,
    pub id: ExecutionId,
    /// After the entries.
    pub state: &'a State,
    /// Tasks that were open before them.
    pub before: &'a [TaskSnapshot],
    /// `amqp` or `api`: where a reply came in.
    pub face: Face,
    pub logging: Logging,
}

impl Observer<'_> {
    /// Tells everything that these entries mean.
    pub fn record(&self, entries: &[Entry]) {
        let announced = self.services.announces(self.state).then(|| self.state.started()).flatten();
        for entry in entries {
            self.count(entry);
            if let Some(started) = announced {
                self.announce(started, entry);
            }
            if tracing::enabled!(tracing::Level::INFO) {
                self.log(entry);
            }
        }
        if let Some(slot) = self.express
            && self.state.tasks().count() != self.before.len()
        {
            // Those of standard executions the store counts.
            slot.set_tasks(self.state.tasks().count());
        }
        self.services.log_history(self.logging, self.id, self.arn, &self.machine(), entries);
    }

    /// Its trace, where traces are collected.
    fn trace(&self) -> Option<Trace> {
        let sampling = self.services.options.traces.as_ref()?.sampling();
        Some(Trace::of(self.id, self.state.started().and_then(|started| started.trace.as_deref()), sampling))
    }

    /// An event for other systems, where the entry is about a task.
    fn announce(&self, started: &Started, entry: &Entry) {
        let (kind, scheduled, error) = match &entry.event {
            Event::TaskScheduled(_) => ("task.scheduled", entry.id, None),
            Event::TaskSucceeded { scheduled, .. } => ("task.succeeded", *scheduled, None),
            Event::TaskFailed { scheduled, failure, .. }
            | Event::TaskStartFailed { scheduled, failure, .. }
            | Event::TaskSubmitFailed { scheduled, failure, .. } => ("task.failed", *scheduled, Some(failure)),
            Event::TaskTimedOut { scheduled, failure, .. } => ("task.timed_out", *scheduled, Some(failure)),
            _ => return,
        };
        let Some(task) = self.snapshot(scheduled) else { return };
        let change = TaskChange {
            kind,
            scheduled,
            at: entry.at,
            state: &task.state,
            attempt: task.attempt,
            error: error.and_then(|failure| failure.error.as_deref()),
        };
        self.services.announce_task(self.id, started, &change);
    }

    fn machine(&self) -> Arn {
        self.state.started().map_or_else(|| Arn::new(""), |s| s.machine.clone())
    }

    fn count(&self, entry: &Entry) {
        let metrics = &self.services.metrics;
        let waited =
            |scheduled: &EventId| self.snapshot(*scheduled).map(|n| entry.at.since(n.since)).unwrap_or_default();
        match &entry.event {
            Event::ExecutionStarted(s) => metrics.execution_started(&s.machine_name),
            Event::ExecutionSucceeded { .. } => self.closed("SUCCEEDED", entry),
            Event::ExecutionFailed(_) => self.closed("FAILED", entry),
            Event::ExecutionTimedOut(_) => self.closed("TIMED_OUT", entry),
            Event::ExecutionAborted(_) => self.closed("ABORTED", entry),
            Event::TaskScheduled(_) => metrics.task_scheduled(),
            Event::TaskSucceeded { scheduled, .. } | Event::TaskFailed { scheduled, .. } => {
                metrics.task_completed(waited(scheduled));
            }
            Event::TaskTimedOut { failure, .. } => metrics.task_timed_out(which(failure)),
            Event::TaskHeartbeat { .. } => metrics.heartbeat(),
            _ => {}
        }
    }

    fn closed(&self, status: &'static str, entry: &Entry) {
        let name = self.state.started().map(|s| Arc::clone(&s.machine_name)).unwrap_or_default();
        self.services.metrics.execution_closed(&name, status, entry.at.since(self.state.started_at()));
    }

    fn log(&self, entry: &Entry) {
        let closed = |status: &str, error: Option<&str>| {
            let took = entry.at.since(self.state.started_at());
            task_log::execution_closed(self.arn, &self.machine(), status, error, took, self.trace().as_ref());
        };
        match &entry.event {
            Event::ExecutionStarted(s) => {
                task_log::execution_started(self.arn, &s.machine, self.trace().as_ref());
            }
            Event::ExecutionRedriven { redrive_count, .. } => {
                task_log::execution_redriven(self.arn, &self.machine(), *redrive_count, self.trace().as_ref());
            }
            Event::ExecutionSucceeded { .. } => closed("SUCCEEDED", None),
            Event::ExecutionFailed(f) => closed("FAILED", f.error.as_deref()),
            Event::ExecutionTimedOut(f) => closed("TIMED_OUT", f.error.as_deref()),
            Event::ExecutionAborted(f) => closed("ABORTED", f.error.as_deref()),
            Event::TaskScheduled(details) => {
                self.task(entry.id, |log, _| {
                    log.scheduled(&details.resource, details.timeout_seconds.map(std::time::Duration::from_secs));
                });
            }
            Event::TaskStarted { scheduled, worker_name: Some(worker), .. } => {
                self.task(*scheduled, |log, _| log.started(Some(worker)));
            }
            Event::TaskHeartbeat { scheduled, .. } => self.task(*scheduled, |log, _| log.heartbeat(self.face)),
            Event::TaskSucceeded { scheduled, by, .. } => {
                self.task(*scheduled, |log, task| {
                    let by = by.as_ref().map(ToString::to_string);
                    log.reply_accepted(self.face, "success", None, by.as_deref(), entry.at.since(task.since));
                });
            }
            Event::TaskFailed { scheduled, failure, by, .. } => self.task(*scheduled, |log, task| {
                let (error, by) = (failure.error.as_deref(), by.as_ref().map(ToString::to_string));
                log.reply_accepted(self.face, "failure", error, by.as_deref(), entry.at.since(task.since));
            }),
            Event::TaskTimedOut { scheduled, failure, .. } => {
                self.task(*scheduled, |log, task| log.timed_out(which(failure), entry.at.since(task.since)));
            }
            _ => {}
        }
    }

    fn snapshot(&self, scheduled: EventId) -> Option<TaskSnapshot> {
        self.before
            .iter()
            .find(|n| n.scheduled == scheduled)
            .cloned()
            .or_else(|| self.state.task(scheduled).ok().map(TaskSnapshot::of))
    }

    /// One line about a task. A task that began and ended within one decision has no line: no message of it went out.
    pub fn task(&self, scheduled: EventId, line: impl FnOnce(&TaskLog<'_>, &TaskSnapshot)) {
        let Some(task) = self.snapshot(scheduled) else { return };
        let token = self.services.token(&TaskKey { execution: self.id, scheduled });
        let log = TaskLog::new(self.arn, scheduled, &task.state, task.attempt, &token);
        let log = match self.trace() {
            Some(trace) => log.within(trace.task(self.id, scheduled)),
            None => log,
        };
        line(&log, &task);
    }
}

/// Which of a task's two clocks ran out.
fn which(failure: &Failure) -> &'static str {
    if failure.heartbeat { "heartbeat" } else { "timeout" }
}
