//! Metrics, typed: the shell calls a method, and only this room knows a metric's name. `/metrics` shows them in
//! Prometheus' text form.
//!
//! Labels come from small sets (statuses, verdicts, reasons) or from names that an operator gives (machines, held to
//! [`MACHINES_MAX`]); never from a payload, an execution or a token.

mod book;
mod process;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

pub use book::Described;
use book::{Book, Sizes};
use process::Process;

/// Machines that have a label of their own. All further machines share one label, so that a tenant who creates machines
/// in a loop cannot fill the memory.
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

/// From a tenth of a second to a month: the durations of executions.
const DURATION_BUCKETS: [f64; 10] = [0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0, 2_592_000.0];
/// API requests by operation: fewer than for all together, because each operation has its own.
const REQUEST_BUCKETS: [f64; 8] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];

/// A histogram for each label.
type HistogramsBy<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Requested {
    operation: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

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
struct Why {
    why: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct How {
    how: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabel {
    verdict: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Told {
    outcome: &'static str,
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

/// Values at the moment of a scrape. They come from the store, the bus and the engine and are not counted here, where a
/// restart would forget them.
#[derive(Debug, Clone, Default)]
pub struct Now {
    pub executions_open: u64,
    pub executions_bytes: u64,
    pub tasks_waiting: u64,
    pub starts_under_way: u64,
    pub tasks_unpublished: u64,
    pub bus_up: bool,
    pub bus_blocked: bool,
    pub bus_reconnects: u64,
    pub bus_deaf_queues: u64,
    pub bus_refused: u64,
    /// Messages that were damaged or too deeply nested to be read, by reason.
    pub unreadable_messages: BTreeMap<&'static str, u64>,
    /// Messages that were put aside because connections ended at them, by how.
    pub set_aside_messages: BTreeMap<&'static str, u64>,
    /// Every reason why an engine may not be ready, and whether it holds now.
    pub not_ready: Vec<(&'static str, bool)>,
    /// Commits of the store by size: the greatest number of events of each bucket (`f64::INFINITY` last), and the
    /// commits in it.
    pub commits: Vec<(f64, u64)>,
    pub commit_events: u64,
    pub store_bytes: u64,
    pub store_log_bytes: u64,
}

/// The metrics of one engine. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    book: Book,
    machines: RwLock<HashSet<String>>,
    executions_started: Family<Machine, Counter>,
    executions_closed: Family<Closed, Counter>,
    execution_duration: HistogramsBy<Closed>,
    executions_open: Gauge,
    executions_awake: Gauge,
    executions_bytes: Gauge,
    executions_quarantined: Gauge,
    starts_throttled: Counter,
    starts_refused: Family<Reason, Counter>,
    starts_under_way: Gauge,
    tasks_unpublished: Gauge,
    asides_dropped: Counter,
    spans_sent: Counter,
    spans_dropped: Counter,
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
    replies: Family<VerdictLabel, Counter>,
    replies_refused: Family<Reason, Counter>,
    tells: Family<Told, Counter>,
    start_messages: Family<VerdictLabel, Counter>,
    callback_latency: Histogram,
    store_appends: Counter,
    store_append: Histogram,
    store_commit_events: Sizes,
    store_conflicts: Counter,
    store_fenced: Counter,
    node_partitions: Gauge,
    partition_moves: Family<Why, Counter>,
    bus_up: Gauge,
    bus_blocked: Gauge,
    bus_reconnects: Counter,
    bus_deaf_queues: Gauge,
    bus_refused: Gauge,
    messages_unreadable: Family<Reason, Counter>,
    messages_set_aside: Family<How, Counter>,
    not_ready: Family<Reason, Gauge>,
    api_requests: Family<Operation, Counter>,
    api_latency: Histogram,
    api_duration: HistogramsBy<Requested>,
    uptime_start: Gauge<f64, AtomicU64>,
    build: Family<Build, Gauge>,
    store_bytes: Gauge,
    store_log_bytes: Gauge,
    process: Process,
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
        let mut book = Book::new("reveille");
        let b = &mut book;
        let inner = Inner {
            executions_started: b.counters("executions_started", &["machine"], "Executions started, by state machine"),
            executions_closed: b.counters(
                "executions_closed",
                &["machine", "status"],
                "Executions closed, by state machine and status",
            ),
            execution_duration: b.seconds_by(
                "execution_duration",
                &["machine", "status"],
                || Histogram::new(DURATION_BUCKETS),
                "From the start of an execution to its end, by state machine and status",
            ),
            executions_open: b.gauge("executions_open", "Executions that are open now"),
            executions_awake: b.gauge("executions_awake", "Open executions that are in memory now"),
            executions_bytes: b.gauge("executions_bytes", "Bytes of data that the executions in memory hold"),
            executions_quarantined: b.gauge("executions_quarantined", "Executions whose journals cannot be read"),
            starts_refused: b.counters(
                "starts_refused",
                &["reason"],
                "Starts refused by a bound: too many open executions, or too deep a nesting of executions",
            ),
            starts_throttled: b.counter("starts_throttled", "Starts refused because too much work was in progress"),
            starts_under_way: b.gauge("starts_under_way", "Starts that the store has not taken yet"),
            tasks_unpublished: b.gauge("tasks_unpublished", "Task messages that the broker has not confirmed"),
            asides_dropped: b
                .counter("asides_dropped", "Verdicts and cancellations dropped because the broker took none"),
            spans_sent: b.counter("spans_sent", "Spans that the collector of traces took"),
            spans_dropped: b
                .counter("spans_dropped", "Spans that the collector refused, or that had no room while it was away"),
            parked: b.counters(
                "parked",
                &["form"],
                "Refused messages put into the parking queue, whole or reduced to the readable part",
            ),
            parked_messages: b.gauge(
                "parked_messages",
                "Messages in the parking queue; at its bound the broker drops the oldest, uncounted",
            ),
            parking_waiting: b.gauge("parking_waiting", "Refused messages that wait for the parking queue"),
            tasks_scheduled: b.counter("tasks_scheduled", "Tasks scheduled"),
            tasks_published: b.counter("tasks_published", "Task messages handed to the bus"),
            tasks_confirmed: b.counter("tasks_confirmed", "Task messages confirmed by the broker"),
            tasks_returned: b.counters(
                "tasks_returned",
                &["reason"],
                "Task messages that the broker refused or gave up, by reason",
            ),
            tasks_timed_out: b.counters("tasks_timed_out", &["reason"], "Tasks timed out, by which clock"),
            tasks_cancelled: b.counters("tasks_cancelled", &["reason"], "Tasks ended without their worker, by reason"),
            tasks_waiting: b.gauge("tasks_waiting", "Tasks that wait for a reply now"),
            heartbeats: b.counter("heartbeats", "Heartbeats accepted"),
            replies: b.counters("replies", &["verdict"], "Replies of workers, by verdict"),
            replies_refused: b.counters("replies_refused", &["reason"], "Replies that changed nothing, by reason"),
            tells: b.counters(
                "tells",
                &["outcome"],
                "Requests to other nodes, answered or not, and messages that only said they were such",
            ),
            start_messages: b.counters("start_messages", &["verdict"], "Messages that start an execution, by verdict"),
            callback_latency: b.seconds(
                "callback_latency",
                LATENCY_BUCKETS,
                "From the scheduling of a task to the reply that ended it",
            ),
            store_appends: b.counter("store_appends", "Appends to journals"),
            store_append: b.seconds(
                "store_append",
                exponential_buckets(0.000_25, 2.0, 16),
                "From handing an append to the store to its being durable",
            ),
            store_commit_events: b.sizes("store_commit_events", "Events that one commit of the store gathered"),
            store_conflicts: b.counter("store_conflicts", "Appends refused by a version conflict"),
            store_fenced: b.counter("store_fenced", "Appends refused because another node owns the partition"),
            node_partitions: b.gauge("node_partitions", "Partitions that this node owns now"),
            partition_moves: b.counters(
                "partition_moves",
                &["why"],
                "Partitions that came to this node (`claimed`, `received`) or went (`given`, `lost`)",
            ),
            bus_up: b.gauge("bus_up", "1 while the broker is connected"),
            bus_blocked: b.gauge("bus_blocked", "1 while the broker blocks publishers"),
            bus_reconnects: b.counter("bus_reconnects", "Connections to the broker that were lost and made again"),
            bus_deaf_queues: b.gauge("bus_deaf_queues", "Queues that the engine needs and does not consume now"),
            bus_refused: b.gauge("bus_refused", "Queues and exchanges that the broker refuses to declare now"),
            messages_unreadable: b.counters(
                "messages_unreadable",
                &["reason"],
                "Messages that were damaged or too deeply nested to be read, by reason",
            ),
            messages_set_aside: b.counters(
                "messages_set_aside",
                &["how"],
                "Messages put aside because connections ended at them again and again, by how (`parked`, `rejected`)",
            ),
            not_ready: b.gauges("not_ready", &["reason"], "1 while the engine is not ready for this reason"),
            api_requests: b.counters(
                "api_requests",
                &["operation", "outcome"],
                "API requests, by operation and outcome (`ok` or the error's name)",
            ),
            api_latency: b.seconds(
                "api_latency",
                exponential_buckets(0.000_5, 2.0, 16),
                "From an API request to its answer",
            ),
            api_duration: b.seconds_by(
                "api_request_duration",
                &["operation"],
                || Histogram::new(REQUEST_BUCKETS),
                "From an API request to its answer, by operation",
            ),
            uptime_start: b.moment("start_time_seconds", "When this process started, in seconds since 1970"),
            build: b.gauges("build_info", &["version"], "1, by the version of this build"),
            store_bytes: b.gauge("store_bytes", "Bytes of the store's file"),
            store_log_bytes: b.gauge("store_log_bytes", "Bytes of the store's log, not yet moved into its file"),
            process: Process::new(b),
            machines: RwLock::default(),
            book,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Prometheus' text form (OpenMetrics), with the current values of `now`.
    #[must_use]
    pub fn render(&self, now: &Now) -> String {
        let gauge = |gauge: &Gauge, value: u64| _ = gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        let inner = &self.inner;
        gauge(&inner.executions_open, now.executions_open);
        gauge(&inner.executions_bytes, now.executions_bytes);
        gauge(&inner.tasks_waiting, now.tasks_waiting);
        gauge(&inner.starts_under_way, now.starts_under_way);
        gauge(&inner.tasks_unpublished, now.tasks_unpublished);
        gauge(&inner.bus_up, u64::from(now.bus_up));
        gauge(&inner.bus_blocked, u64::from(now.bus_blocked));
        inner.bus_reconnects.inner().store(now.bus_reconnects, Ordering::Relaxed);
        gauge(&inner.bus_deaf_queues, now.bus_deaf_queues);
        gauge(&inner.bus_refused, now.bus_refused);
        for (reason, count) in &now.unreadable_messages {
            let counter = inner.messages_unreadable.get_or_create(&Reason { reason });
            counter.inner().store(*count, Ordering::Relaxed);
        }
        for (how, count) in &now.set_aside_messages {
            let counter = inner.messages_set_aside.get_or_create(&How { how });
            counter.inner().store(*count, Ordering::Relaxed);
        }
        for (reason, so) in &now.not_ready {
            inner.not_ready.get_or_create(&Reason { reason }).set(i64::from(*so));
        }
        gauge(&inner.store_bytes, now.store_bytes);
        gauge(&inner.store_log_bytes, now.store_log_bytes);
        inner.process.look();
        inner.store_commit_events.set(now.commit_events, now.commits.clone());
        self.inner.book.render()
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
