//! Every metric: its labels, its buckets, its name and its help text.

use std::collections::HashSet;
use std::sync::RwLock;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::book::{Book, Sizes};
use super::process::Process;

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
pub(super) type HistogramsBy<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Requested {
    pub operation: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Build {
    pub version: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Machine {
    pub machine: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Closed {
    pub machine: String,
    pub status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Queue {
    pub queue: String,
}

/// Any label from a fixed set of words.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Reason {
    pub reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Why {
    pub why: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct How {
    pub how: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct VerdictLabel {
    pub verdict: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Told {
    pub outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Form {
    pub form: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Operation {
    pub operation: &'static str,
    /// `ok`, or the error's name.
    pub outcome: &'static str,
}

pub(super) struct Inner {
    pub book: Book,
    pub machines: RwLock<HashSet<String>>,
    pub executions_started: Family<Machine, Counter>,
    pub executions_closed: Family<Closed, Counter>,
    pub execution_duration: HistogramsBy<Closed>,
    pub executions_open: Gauge,
    pub executions_awake: Gauge,
    pub executions_bytes: Gauge,
    pub executions_quarantined: Gauge,
    pub starts_throttled: Counter,
    pub starts_refused: Family<Reason, Counter>,
    pub starts_under_way: Gauge,
    pub tasks_unpublished: Gauge,
    pub asides_dropped: Counter,
    pub spans_sent: Counter,
    pub spans_dropped: Counter,
    pub parked: Family<Form, Counter>,
    pub parked_messages: Gauge,
    pub parking_waiting: Gauge,
    pub tasks_scheduled: Counter,
    pub tasks_published: Counter,
    pub tasks_confirmed: Counter,
    pub tasks_returned: Family<Reason, Counter>,
    pub tasks_timed_out: Family<Reason, Counter>,
    pub tasks_cancelled: Family<Reason, Counter>,
    pub tasks_waiting: Gauge,
    pub queue_tasks_waiting: Family<Queue, Gauge>,
    pub queue_oldest_task: Family<Queue, Gauge<f64, AtomicU64>>,
    pub dead_letters: Family<Reason, Counter>,
    pub heartbeats: Counter,
    pub replies: Family<VerdictLabel, Counter>,
    pub replies_refused: Family<Reason, Counter>,
    pub tells: Family<Told, Counter>,
    pub start_messages: Family<VerdictLabel, Counter>,
    pub callback_latency: Histogram,
    pub store_appends: Counter,
    pub store_append: Histogram,
    pub store_commit_events: Sizes,
    pub store_conflicts: Counter,
    pub store_fenced: Counter,
    pub node_partitions: Gauge,
    pub partition_moves: Family<Why, Counter>,
    pub bus_up: Gauge,
    pub bus_blocked: Gauge,
    pub bus_reconnects: Counter,
    pub bus_deaf_queues: Gauge,
    pub bus_refused: Gauge,
    pub messages_unreadable: Family<Reason, Counter>,
    pub messages_set_aside: Family<How, Counter>,
    pub not_ready: Family<Reason, Gauge>,
    pub api_requests: Family<Operation, Counter>,
    pub api_latency: Histogram,
    pub api_duration: HistogramsBy<Requested>,
    pub uptime_start: Gauge<f64, AtomicU64>,
    pub build: Family<Build, Gauge>,
    pub store_bytes: Gauge,
    pub store_log_bytes: Gauge,
    pub store_failovers: Counter,
    pub process: Process,
}

impl Inner {
    pub fn new() -> Self {
        let mut book = Book::new("reveille");
        let b = &mut book;
        Self {
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
            queue_tasks_waiting: b.gauges(
                "queue_tasks_waiting",
                &["queue"],
                "Tasks that have waited for a moment, by queue, in the whole store",
            ),
            queue_oldest_task: b.moments(
                "queue_oldest_task_seconds",
                &["queue"],
                "How long the longest waiting task of a queue has waited",
            ),
            dead_letters: b.counters(
                "dead_letters",
                &["reason"],
                "Messages that came to the queue of dead letters, by reason",
            ),
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
            store_failovers: b
                .counter("store_failovers", "Connections to PostgreSQL that came back on another primary"),
            process: Process::new(b),
            machines: RwLock::default(),
            book,
        }
    }
}
