//! The registry. It keeps a description of each metric, so that a test can compare them with the document.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Metric, Registry, Unit};

/// The description of a metric for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The full name, with prefix and suffix.
    pub name: String,
    pub kind: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

impl Described {
    /// Its item in the list of `docs/METRICS.md`, on one line.
    #[must_use]
    pub fn item(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|label| format!("`{label}`")).collect();
        let by = if labels.is_empty() { String::new() } else { format!(", by {}", labels.join(", ")) };
        format!("- `{}` ({}{by}): {}", self.name, self.kind, self.help)
    }
}

pub(super) struct Book {
    prefix: &'static str,
    registry: Registry,
    /// Metrics of the process, under names of their own.
    process: Registry,
    described: Vec<Described>,
}

impl Book {
    pub fn new(prefix: &'static str) -> Self {
        Self { prefix, registry: Registry::with_prefix(prefix), process: Registry::default(), described: Vec::new() }
    }

    pub fn described(&self) -> &[Described] {
        &self.described
    }

    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode_registry(&mut text, &self.registry);
        let _ = encode_registry(&mut text, &self.process);
        let _ = encode_eof(&mut text);
        text
    }

    fn describe(&mut self, name: &str, kind: &'static str, labels: &'static [&'static str], help: &'static str) {
        let name = format!("{}_{name}", self.prefix);
        self.described.push(Described { name, kind, labels, help });
    }

    fn register<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.registry.register(name, help, metric.clone());
        metric
    }

    pub fn counter(&mut self, name: &str, help: &'static str) -> Counter {
        self.describe(&format!("{name}_total"), "counter", &[], help);
        self.register(name, help, Counter::default())
    }

    pub fn counters<L>(&mut self, name: &str, labels: &'static [&'static str], help: &'static str) -> Family<L, Counter>
    where
        L: EncodeLabelSet + Clone + Debug + Hash + Eq + Send + Sync + 'static,
    {
        self.describe(&format!("{name}_total"), "counter", labels, help);
        self.register(name, help, Family::default())
    }

    pub fn gauge(&mut self, name: &str, help: &'static str) -> Gauge {
        self.describe(name, "gauge", &[], help);
        self.register(name, help, Gauge::default())
    }

    pub fn gauges<L>(&mut self, name: &str, labels: &'static [&'static str], help: &'static str) -> Family<L, Gauge>
    where
        L: EncodeLabelSet + Clone + Debug + Hash + Eq + Send + Sync + 'static,
    {
        self.describe(name, "gauge", labels, help);
        self.register(name, help, Family::default())
    }

    /// A gauge that holds fractions.
    pub fn moment(&mut self, name: &str, help: &'static str) -> Gauge<f64, AtomicU64> {
        self.describe(name, "gauge", &[], help);
        self.register(name, help, Gauge::default())
    }

    /// The same by labels.
    pub fn moments<L>(
        &mut self,
        name: &str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Family<L, Gauge<f64, AtomicU64>>
    where
        L: EncodeLabelSet + Clone + Debug + Hash + Eq + Send + Sync + 'static,
    {
        self.describe(name, "gauge", labels, help);
        self.register(name, help, Family::default())
    }

    pub fn seconds(&mut self, name: &str, buckets: impl IntoIterator<Item = f64>, help: &'static str) -> Histogram {
        self.describe(&format!("{name}_seconds"), "histogram", &[], help);
        let histogram = Histogram::new(buckets);
        self.registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        histogram
    }

    /// The same by labels: a histogram for each.
    pub fn seconds_by<L>(
        &mut self,
        name: &str,
        labels: &'static [&'static str],
        empty: fn() -> Histogram,
        help: &'static str,
    ) -> Family<L, Histogram, fn() -> Histogram>
    where
        L: EncodeLabelSet + Clone + Debug + Hash + Eq + Send + Sync + 'static,
    {
        self.describe(&format!("{name}_seconds"), "histogram", labels, help);
        let family = Family::new_with_constructor(empty);
        self.registry.register_with_unit(name, help, Unit::Seconds, family.clone());
        family
    }

    /// A gauge of the process; the name is whole.
    pub fn process(&mut self, name: &str, help: &'static str) -> Gauge {
        self.of_process(name, "gauge", help, Gauge::default())
    }

    pub fn process_moment(&mut self, name: &str, help: &'static str) -> Gauge<f64, AtomicU64> {
        self.of_process(name, "gauge", help, Gauge::default())
    }

    /// A counter of seconds; the text form adds `_total`.
    pub fn process_seconds(&mut self, name: &str, help: &'static str) -> Counter<f64, AtomicU64> {
        self.of_process(name, "counter", help, Counter::default())
    }

    fn of_process<M: Metric + Clone>(&mut self, name: &str, kind: &'static str, help: &'static str, metric: M) -> M {
        let shown = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        self.described.push(Described { name: shown, kind, labels: &[], help });
        self.process.register(name, help, metric.clone());
        metric
    }

    pub fn sizes(&mut self, name: &str, help: &'static str) -> Sizes {
        self.describe(name, "histogram", &[], help);
        self.register(name, help, Sizes::default())
    }
}

/// A histogram that is counted elsewhere and handed over whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Sizes(Arc<Mutex<Counted>>);

/// The sum of all, and the upper bound and the count of each bucket.
type Counted = (u64, Vec<(f64, u64)>);

impl Sizes {
    /// Replaces the counts: `sum` over all values, and for each bucket its upper bound and its count.
    pub fn set(&self, sum: u64, buckets: Vec<(f64, u64)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (sum, buckets);
    }
}

impl TypedMetric for Sizes {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Sizes {
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 events")]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (sum, buckets) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(*sum as f64, count, buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
