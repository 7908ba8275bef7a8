//! The figures of a scrape at its moment.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::gauge::Gauge;

use super::families::{How, Queue, Reason};
use super::{Metrics, OTHER, QUEUES_MAX};

/// Values at the moment of a scrape. They come from the store, the bus and the engine and are not counted here, where a
/// restart would forget them.
#[derive(Debug, Clone, Default)]
pub struct Now {
    pub executions_open: u64,
    pub executions_bytes: u64,
    pub tasks_waiting: u64,
    /// Waiting tasks by destination; `None`: not known now, and the shown values stay.
    pub queues: Option<Vec<QueueNow>>,
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
    pub store_failovers: u64,
}

/// The tasks that wait for one queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueNow {
    /// Empty: another destination.
    pub queue: String,
    pub waiting: u64,
    /// How long the oldest one has waited.
    pub oldest_seconds: f64,
}

/// The queues with most tasks, and all others as one.
fn bounded(mut queues: Vec<QueueNow>) -> Vec<QueueNow> {
    queues.sort_by_key(|queue| std::cmp::Reverse(queue.waiting));
    let (mut shown, mut other) = (Vec::new(), None::<QueueNow>);
    for queue in queues {
        if shown.len() < QUEUES_MAX && !queue.queue.is_empty() {
            shown.push(queue);
            continue;
        }
        let other = other.get_or_insert(QueueNow { queue: OTHER.to_owned(), waiting: 0, oldest_seconds: 0.0 });
        other.waiting += queue.waiting;
        other.oldest_seconds = other.oldest_seconds.max(queue.oldest_seconds);
    }
    shown.extend(other);
    shown
}

impl Metrics {
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
        if let Some(queues) = &now.queues {
            // A queue without tasks is not in the listing.
            inner.queue_tasks_waiting.clear();
            inner.queue_oldest_task.clear();
            for QueueNow { queue, waiting, oldest_seconds } in bounded(queues.clone()) {
                gauge(&inner.queue_tasks_waiting.get_or_create(&Queue { queue: queue.clone() }), waiting);
                inner.queue_oldest_task.get_or_create(&Queue { queue }).set(oldest_seconds);
            }
        }
        gauge(&inner.store_bytes, now.store_bytes);
        gauge(&inner.store_log_bytes, now.store_log_bytes);
        inner.store_failovers.inner().store(now.store_failovers, Ordering::Relaxed);
        inner.process.look();
        inner.store_commit_events.set(now.commit_events, now.commits.clone());
        self.inner.book.render()
    }
}
