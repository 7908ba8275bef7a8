//! Metrics, typed: the shell calls a method, and only this room knows a metric's name. `/metrics` shows them in
//! Prometheus' text form.
//!
//! Labels come from small sets (statuses, verdicts, reasons) or from names that an operator gives (machines, held to
//! [`MACHINES_MAX`]; queues, held to [`QUEUES_MAX`]); never from a payload, an execution or a token.

mod book;
mod families;
mod now;
mod process;

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub use book::Described;
use families::{Build, Closed, Form, Inner, Machine, Operation, Reason, Requested, Told, VerdictLabel, Why};
pub use now::{Now, QueueNow};

/// Machines that have a label of their own. All further machines share one label, so that a tenant who creates machines
/// in a loop cannot fill the memory.
pub const MACHINES_MAX: usize = 500;
/// Queues that have a label of their own: those with most waiting tasks.
pub const QUEUES_MAX: usize = 200;
const OTHER: &str = "(other)";

/// The metrics of one engine. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner::new()) }
    }

    /// All metrics, in the order of `docs/METRICS.md`.
    #[must_use]
    pub fn described(&self) -> &[Described] {
        self.inner.book.described()
    }

    pub fn process_started(&self, at: crate::clock::Timestamp) {
        self.inner.build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        self.inner.process.started(at.epoch_seconds());
        self.inner.uptime_start.set(at.epoch_seconds());
    }

    pub fn execution_started(&self, machine: &str) {
        self.inner.executions_started.get_or_create(&Machine { machine: self.label(machine) }).inc();
    }

    /// `status`: AWS's word. `took`: since its start.
    pub fn execution_closed(&self, machine: &str, status: &'static str, took: Duration) {
        let closed = Closed { machine: self.label(machine), status };
        self.inner.executions_closed.get_or_create(&closed).inc();
        self.inner.execution_duration.get_or_create(&closed).observe(took.as_secs_f64());
    }

    /// An execution came into memory.
    pub fn execution_woke(&self) {
        self.inner.executions_awake.inc();
    }

    /// An execution left memory (passivated or closed).
    pub fn execution_slept(&self) {
        self.inner.executions_awake.dec();
    }

    /// Executions that are in memory now.
    #[must_use]
    pub fn awake(&self) -> i64 {
        self.inner.executions_awake.get()
    }

    /// Changes the number of executions whose journals cannot be read.
    pub fn execution_quarantined(&self, change: i64) {
        self.inner.executions_quarantined.inc_by(change);
    }

    /// `reason` is the bound that refused the start: `open` or `nesting`.
    pub fn start_refused(&self, reason: &'static str) {
        self.inner.starts_refused.get_or_create(&Reason { reason }).inc();
    }

    pub fn start_throttled(&self) {
        self.inner.starts_throttled.inc();
    }

    pub fn aside_dropped(&self) {
        self.inner.asides_dropped.inc();
    }

    pub fn spans_sent(&self, spans: usize) {
        self.inner.spans_sent.inc_by(spans as u64);
    }

    pub fn spans_dropped(&self, spans: usize) {
        self.inner.spans_dropped.inc_by(spans as u64);
    }

    /// A refused message is in the parking queue. `form`: `whole`, `stub` or `bare`.
    pub fn parked(&self, form: &'static str) {
        self.inner.parked.get_or_create(&Form { form }).inc();
    }

    /// Messages in the parking queue now.
    pub fn parked_now(&self, messages: u64) {
        self.inner.parked_messages.set(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    /// Refused messages that cannot be parked now.
    pub fn parking_waiting(&self, messages: usize) {
        self.inner.parking_waiting.set(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    pub fn task_scheduled(&self) {
        self.inner.tasks_scheduled.inc();
    }

    pub fn task_published(&self) {
        self.inner.tasks_published.inc();
    }

    pub fn task_confirmed(&self) {
        self.inner.tasks_confirmed.inc();
    }

    /// `reason`: `unroutable`, `nacked`, `refused`, or the reason of its dead-lettering: `rejected`, `expired`,
    /// `maxlen`, `delivery_limit`.
    pub fn task_returned(&self, reason: &'static str) {
        self.inner.tasks_returned.get_or_create(&Reason { reason }).inc();
    }

    /// A message came to the queue of dead letters; `reason` as above.
    pub fn dead_letter(&self, reason: &'static str) {
        self.inner.dead_letters.get_or_create(&Reason { reason }).inc();
    }

    /// A task ended by a reply, `waited` after it was scheduled.
    pub fn task_completed(&self, waited: Duration) {
        self.inner.callback_latency.observe(waited.as_secs_f64());
    }

    /// `timeout` or `heartbeat`.
    pub fn task_timed_out(&self, reason: &'static str) {
        self.inner.tasks_timed_out.get_or_create(&Reason { reason }).inc();
    }

    pub fn task_cancelled(&self, reason: &'static str) {
        self.inner.tasks_cancelled.get_or_create(&Reason { reason }).inc();
    }

    pub fn heartbeat(&self) {
        self.inner.heartbeats.inc();
    }

    /// A reply was handled. `verdict`: `bus::envelope::Verdict::as_str`.
    pub fn reply(&self, verdict: &'static str) {
        self.inner.replies.get_or_create(&VerdictLabel { verdict }).inc();
    }

    /// A start message was handled. `verdict`: `accepted`, `refused` or `postponed`.
    pub fn start_message(&self, verdict: &'static str) {
        self.inner.start_messages.get_or_create(&VerdictLabel { verdict }).inc();
    }

    /// A reply that changed nothing, by the finer reason (a forged token and an unknown key are one verdict, two
    /// reasons).
    pub fn reply_refused(&self, reason: &'static str) {
        self.inner.replies_refused.get_or_create(&Reason { reason }).inc();
    }

    /// A request to another node: `answered` or `unanswered`. A message that says it is one and is not carried out:
    /// `malformed`, `forged`, `expired`.
    pub fn tell(&self, outcome: &'static str) {
        self.inner.tells.get_or_create(&Told { outcome }).inc();
    }

    /// An append became durable, `took` after it was handed to the store.
    pub fn append(&self, took: Duration) {
        self.inner.store_appends.inc();
        self.inner.store_append.observe(took.as_secs_f64());
    }

    /// An append was refused by a version conflict.
    pub fn append_conflict(&self) {
        self.inner.store_conflicts.inc();
    }

    /// An append was refused: another node owns its partition.
    pub fn append_fenced(&self) {
        self.inner.store_fenced.inc();
    }

    /// A partition came to this node or went, and so many are here now.
    pub fn partition_moved(&self, why: &'static str, now: usize) {
        self.inner.partition_moves.get_or_create(&Why { why }).inc();
        self.partitions_owned(now);
    }

    /// So many partitions are here.
    pub fn partitions_owned(&self, now: usize) {
        self.inner.node_partitions.set(i64::try_from(now).unwrap_or(i64::MAX));
    }

    /// `outcome`: `ok`, or the error's name.
    pub fn api_request(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        self.inner.api_requests.get_or_create(&Operation { operation, outcome }).inc();
        self.inner.api_latency.observe(took.as_secs_f64());
        self.inner.api_duration.get_or_create(&Requested { operation }).observe(took.as_secs_f64());
    }

    fn label(&self, machine: &str) -> String {
        let machines = &self.inner.machines;
        {
            let known = machines.read().unwrap_or_else(PoisonError::into_inner);
            if known.contains(machine) {
                return machine.to_owned();
            }
            if known.len() >= MACHINES_MAX {
                return OTHER.to_owned();
            }
        }
        let mut machines = machines.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have taken the last place meanwhile.
        if machines.len() >= MACHINES_MAX && !machines.contains(machine) {
            return OTHER.to_owned();
        }
        machines.insert(machine.to_owned());
        machine.to_owned()
    }
}

#[cfg(test)]
mod tests;
