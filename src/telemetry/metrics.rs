//! Metrics, typed: the shell calls a method, nobody else knows a metric's name. Prometheus' text form at `/metrics`.
//!
//! Labels come from small sets (statuses, verdicts, reasons) or from names that an operator gives (machines, held to
//! [`MACHINES_MAX`]); never from a payload, an execution or a token.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Machines that have a label of their own; those beyond share one more, so that a tenant who makes machines in a loop
/// fills no memory.
pub const MACHINES_MAX: usize = 500;
const OTHER: &str = "(other)";

/// From a millisecond to a month: an echo worker and a person answer the same kind of task.
const LATENCY_BUCKETS: [f64; 20] = [
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    60.0,
    300.0,
    1_800.0,
    7_200.0,
    86_400.0,
    604_800.0,
    2_592_000.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Machine {
    machine: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Closed {
    machine: String,
    status: &'static str,
}

/// Any label from a fixed set of words.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Verdict {
    verdict: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Form {
    form: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
    /// `ok`, or the error's name.
    outcome: &'static str,
}

/// The counters of one engine. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    machines: RwLock<HashSet<String>>,
    executions_started: Family<Machine, Counter>,
    executions_closed: Family<Closed, Counter>,
    executions_open: Gauge,
    executions_awake: Gauge,
    executions_quarantined: Gauge,
    starts_throttled: Counter,
    starts_refused: Family<Reason, Counter>,
    starts_under_way: Gauge,
    tasks_unpublished: Gauge,
    asides_dropped: Counter,
    parked: Family<Form, Counter>,
    parked_messages: Gauge,
    parking_waiting: Gauge,
    tasks_scheduled: Counter,
    tasks_published: Counter,
    tasks_confirmed: Counter,
    tasks_returned: Family<Reason, Counter>,
    tasks_timed_out: Family<Reason, Counter>,
    tasks_cancelled: Family<Reason, Counter>,
    tasks_waiting: Gauge,
    heartbeats: Counter,
    replies: Family<Verdict, Counter>,
    replies_refused: Family<Reason, Counter>,
    start_messages: Family<Verdict, Counter>,
    callback_latency: Histogram,
    store_appends: Counter,
    store_append_latency: Histogram,
    store_commit_events: Histogram,
    store_conflicts: Counter,
    bus_up: Gauge,
    bus_blocked: Gauge,
    bus_reconnects: Counter,
    api_requests: Family<Operation, Counter>,
    api_latency: Histogram,
    uptime_start: Gauge<f64, AtomicU64>,
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

/// Registers a metric and hands it back.
fn register<M: prometheus_client::registry::Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn register_seconds(
    registry: &mut Registry,
    name: &str,
    help: &str,
    buckets: impl IntoIterator<Item = f64>,
) -> Histogram {
    let histogram = Histogram::new(buckets);
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("reveille");
        let r = &mut registry;
        let inner = Inner {
            executions_started: register(
                r,
                "executions_started",
                "Executions started, by state machine",
                Family::default(),
            ),
            executions_closed: register(
                r,
                "executions_closed",
                "Executions closed, by state machine and status",
                Family::default(),
            ),
            executions_open: register(r, "executions_open", "Executions that are open now", Gauge::default()),
            executions_quarantined: register(
                r,
                "executions_quarantined",
                "Executions whose journals cannot be read",
                Gauge::default(),
            ),
            starts_refused: register(
                r,
                "starts_refused",
                "Starts refused because as many executions are open, or have started each other, as may",
                Family::default(),
            ),
            starts_throttled: register(
                r,
                "starts_throttled",
                "Starts refused because too much was under way",
                Counter::default(),
            ),
            starts_under_way: register(
                r,
                "starts_under_way",
                "Starts that the store has not taken yet",
                Gauge::default(),
            ),
            tasks_unpublished: register(
                r,
                "tasks_unpublished",
                "Task messages that the broker has not confirmed",
                Gauge::default(),
            ),
            asides_dropped: register(
                r,
                "asides_dropped",
                "Verdicts and cancellations dropped because the broker took none",
                Counter::default(),
            ),
            parked: register(
                r,
                "parked",
                "Refused messages put into the parking queue, whole or as what is left of them",
                Family::default(),
            ),
            parked_messages: register(
                r,
                "parked_messages",
                "Messages in the parking queue; at its bound the broker drops the oldest, uncounted",
                Gauge::default(),
            ),
            parking_waiting: register(
                r,
                "parking_waiting",
                "Refused messages that wait for the parking queue",
                Gauge::default(),
            ),
            executions_awake: register(
                r,
                "executions_awake",
                "Open executions that are in memory now",
                Gauge::default(),
            ),
            tasks_scheduled: register(r, "tasks_scheduled", "Tasks scheduled", Counter::default()),
            tasks_published: register(r, "tasks_published", "Task messages handed to the bus", Counter::default()),
            tasks_confirmed: register(
                r,
                "tasks_confirmed",
                "Task messages confirmed by the broker",
                Counter::default(),
            ),
            tasks_returned: register(
                r,
                "tasks_returned",
                "Task messages that the broker did not take or gave up, by reason",
                Family::default(),
            ),
            tasks_timed_out: register(r, "tasks_timed_out", "Tasks timed out, by which clock", Family::default()),
            tasks_cancelled: register(
                r,
                "tasks_cancelled",
                "Tasks ended without their worker, by reason",
                Family::default(),
            ),
            tasks_waiting: register(r, "tasks_waiting", "Tasks that wait for a reply now", Gauge::default()),
            heartbeats: register(r, "heartbeats", "Heartbeats accepted", Counter::default()),
            replies: register(r, "replies", "Replies of workers, by verdict", Family::default()),
            replies_refused: register(
                r,
                "replies_refused",
                "Replies that changed nothing, by reason",
                Family::default(),
            ),
            start_messages: register(
                r,
                "start_messages",
                "Messages that asked for an execution, by verdict",
                Family::default(),
            ),
            callback_latency: register_seconds(
                r,
                "callback_latency",
                "From the scheduling of a task to the reply that ended it",
                LATENCY_BUCKETS,
            ),
            store_appends: register(r, "store_appends", "Appends to journals", Counter::default()),
            store_append_latency: register_seconds(
                r,
                "store_append",
                "From handing an append to the store to its being durable",
                exponential_buckets(0.000_25, 2.0, 16),
            ),
            store_commit_events: register(
                r,
                "store_commit_events",
                "Events that one commit of the store gathered",
                Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            ),
            store_conflicts: register(
                r,
                "store_conflicts",
                "Appends refused because somebody else appended first",
                Counter::default(),
            ),
            bus_up: register(r, "bus_up", "1 while the broker is connected", Gauge::default()),
            bus_blocked: register(r, "bus_blocked", "1 while the broker blocks publishers", Gauge::default()),
            bus_reconnects: register(r, "bus_reconnects", "Connections to the broker made again", Counter::default()),
            api_requests: register(r, "api_requests", "API requests, by operation and outcome", Family::default()),
            api_latency: register_seconds(
                r,
                "api_latency",
                "From an API request to its answer",
                exponential_buckets(0.000_5, 2.0, 16),
            ),
            uptime_start: register(
                r,
                "start_time_seconds",
                "When this process started, in seconds since 1970",
                Gauge::default(),
            ),
            machines: RwLock::default(),
            registry,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Prometheus' text form (OpenMetrics).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.inner.registry);
        text
    }

    pub fn process_started(&self, at: crate::clock::Timestamp) {
        self.inner.uptime_start.set(at.epoch_seconds());
    }

    pub fn execution_started(&self, machine: &str) {
        self.inner.executions_started.get_or_create(&Machine { machine: self.label(machine) }).inc();
        self.inner.executions_open.inc();
    }

    /// A closed one was redriven: it is open again.
    pub fn execution_reopened(&self) {
        self.inner.executions_open.inc();
    }

    /// `status`: AWS's word.
    pub fn execution_closed(&self, machine: &str, status: &'static str) {
        self.inner.executions_closed.get_or_create(&Closed { machine: self.label(machine), status }).inc();
        self.inner.executions_open.dec();
    }

    /// Executions found open at start, or taken over from another node; negative when they are given away.
    pub fn executions_recovered(&self, count: i64) {
        self.inner.executions_open.inc_by(count);
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

    /// One more whose journal cannot be read, or one less.
    pub fn execution_quarantined(&self, change: i64) {
        self.inner.executions_quarantined.inc_by(change);
    }

    /// `open` or `nesting`: which bound refused it.
    pub fn start_refused(&self, reason: &'static str) {
        self.inner.starts_refused.get_or_create(&Reason { reason }).inc();
    }

    pub fn start_throttled(&self) {
        self.inner.starts_throttled.inc();
    }

    /// Starts that wait for the store, task messages that wait for the broker.
    pub fn under_way(&self, starts: usize, unpublished: usize) {
        self.inner.starts_under_way.set(i64::try_from(starts).unwrap_or(i64::MAX));
        self.inner.tasks_unpublished.set(i64::try_from(unpublished).unwrap_or(i64::MAX));
    }

    pub fn aside_dropped(&self) {
        self.inner.asides_dropped.inc();
    }

    /// A refused message is in the parking queue: `whole`, `stub`, `bare`.
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
        self.inner.tasks_waiting.inc();
    }

    /// Tasks found open at start, or taken over.
    pub fn tasks_recovered(&self, count: i64) {
        self.inner.tasks_waiting.inc_by(count);
    }

    pub fn task_published(&self) {
        self.inner.tasks_published.inc();
    }

    pub fn task_confirmed(&self) {
        self.inner.tasks_confirmed.inc();
    }

    /// `unroutable`, `nacked`, `refused`, or what dead-lettered it: `rejected`, `expired`, `maxlen`, `delivery_limit`.
    pub fn task_returned(&self, reason: &'static str) {
        self.inner.tasks_returned.get_or_create(&Reason { reason }).inc();
    }

    /// A task ended by a reply, `waited` after it was scheduled.
    pub fn task_completed(&self, waited: Duration) {
        self.inner.tasks_waiting.dec();
        self.inner.callback_latency.observe(waited.as_secs_f64());
    }

    /// A task ended because it could not be dispatched.
    pub fn task_undispatched(&self) {
        self.inner.tasks_waiting.dec();
    }

    /// `timeout` or `heartbeat`.
    pub fn task_timed_out(&self, reason: &'static str) {
        self.inner.tasks_waiting.dec();
        self.inner.tasks_timed_out.get_or_create(&Reason { reason }).inc();
    }

    pub fn task_cancelled(&self, reason: &'static str) {
        self.inner.tasks_waiting.dec();
        self.inner.tasks_cancelled.get_or_create(&Reason { reason }).inc();
    }

    pub fn heartbeat(&self) {
        self.inner.heartbeats.inc();
    }

    /// What became of a reply: `bus::envelope::Verdict::as_str`.
    pub fn reply(&self, verdict: &'static str) {
        self.inner.replies.get_or_create(&Verdict { verdict }).inc();
    }

    /// What became of a message that asked for an execution: `accepted`, `refused`, `postponed`.
    pub fn start_message(&self, verdict: &'static str) {
        self.inner.start_messages.get_or_create(&Verdict { verdict }).inc();
    }

    /// A reply that changed nothing, by the finer reason (a forged token and an unknown key are one verdict, two
    /// reasons).
    pub fn reply_refused(&self, reason: &'static str) {
        self.inner.replies_refused.get_or_create(&Reason { reason }).inc();
    }

    pub fn append(&self, took: Duration) {
        self.inner.store_appends.inc();
        self.inner.store_append_latency.observe(took.as_secs_f64());
    }

    /// One commit of the store's writer.
    #[expect(clippy::cast_precision_loss, reason = "a commit has at most COMMIT_EVENTS_MAX events")]
    pub fn commit(&self, events: usize) {
        self.inner.store_commit_events.observe(events as f64);
    }

    pub fn append_conflict(&self) {
        self.inner.store_conflicts.inc();
    }

    pub fn bus(&self, up: bool, blocked: bool) {
        self.inner.bus_up.set(i64::from(up));
        self.inner.bus_blocked.set(i64::from(blocked));
    }

    pub fn bus_reconnected(&self) {
        self.inner.bus_reconnects.inc();
    }

    /// `outcome`: `ok`, or the error's name.
    pub fn api_request(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        self.inner.api_requests.get_or_create(&Operation { operation, outcome }).inc();
        self.inner.api_latency.observe(took.as_secs_f64());
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
        machines.write().unwrap_or_else(PoisonError::into_inner).insert(machine.to_owned());
        machine.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.execution_started("art-event");
        metrics.execution_started("art-event");
        metrics.execution_closed("art-event", "SUCCEEDED");
        metrics.execution_woke();
        metrics.task_scheduled();
        metrics.task_scheduled();
        metrics.task_completed(Duration::from_millis(40));
        metrics.task_returned("unroutable");
        metrics.reply("late");
        metrics.reply_refused("unknown-key");
        metrics.append(Duration::from_millis(2));
        metrics.commit(100);
        metrics.bus(true, false);
        metrics.api_request("StartExecution", "ok", Duration::from_millis(1));
        let text = metrics.render();
        for line in [
            r#"reveille_executions_started_total{machine="art-event"} 2"#,
            r#"reveille_executions_closed_total{machine="art-event",status="SUCCEEDED"} 1"#,
            "reveille_executions_open 1",
            "reveille_executions_awake 1",
            "reveille_tasks_scheduled_total 2",
            "reveille_tasks_waiting 1",
            r#"reveille_tasks_returned_total{reason="unroutable"} 1"#,
            r#"reveille_replies_total{verdict="late"} 1"#,
            r#"reveille_replies_refused_total{reason="unknown-key"} 1"#,
            r#"reveille_callback_latency_seconds_bucket{le="0.05"} 1"#,
            "reveille_store_append_seconds_count 1",
            r#"reveille_store_commit_events_bucket{le="128.0"} 1"#,
            "reveille_bus_up 1",
            "reveille_bus_blocked 0",
            r#"reveille_api_requests_total{operation="StartExecution",outcome="ok"} 1"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn machines_beyond_the_bound_share_a_label() {
        let metrics = Metrics::new();
        for n in 0..MACHINES_MAX + 100 {
            metrics.execution_started(&format!("m{n}"));
        }
        let text = metrics.render();
        assert_eq!(
            text.lines().filter(|l| l.starts_with("reveille_executions_started_total{")).count(),
            MACHINES_MAX + 1
        );
        assert!(text.contains(r#"reveille_executions_started_total{machine="(other)"} 100"#));
    }
}
