//! Traces for a collector: OTLP over HTTP, as JSON.
//!
//! ```text
//! engine ─► Traces::send ─► (in memory, bounded) ─► thread `traces`: batches ─► POST ENDPOINT/v1/traces
//! ```
//! The engine never waits. A collector that is away is told once; what does not fit in memory meanwhile is dropped and
//! counted (docs/decisions/0043-traces.md).

mod encode;

pub(super) use encode::{span_id, trace_id};

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use super::metrics::Metrics;
use crate::limits::{SPANS_PER_REQUEST, SPANS_WAITING_MAX};
use crate::spans::Span;
use crate::trace::{Sampling, Trace};

/// The collector has not taken spans; logged once until it takes some again.
pub const TRACES_AWAY: &str = "traces.away";
pub const TRACES_BACK: &str = "traces.back";
/// The collector refused spans for good.
pub const TRACES_REFUSED: &str = "traces.refused";
/// All events of this file.
pub const EVENTS: [&str; 3] = [TRACES_AWAY, TRACES_BACK, TRACES_REFUSED];

/// Spans wait so long for others to share a request.
const GATHER: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// A collector's answer that is read: a partial success.
const ANSWER_BYTES: u64 = 65_536;

/// Where spans go.
#[derive(Debug, Clone)]
pub struct OtlpOptions {
    /// `http://localhost:4318`: `/v1/traces` is added.
    pub endpoint: String,
    pub headers: Vec<(String, SecretString)>,
    pub sampling: Sampling,
    /// `service.name`.
    pub service: String,
}

/// The spans of one execution, on their way.
struct Parcel {
    trace: Trace,
    spans: Vec<Span>,
}

enum Order {
    Spans(Parcel),
    /// Send all spans that are there, and confirm.
    Flush(Sender<()>),
}

/// The way of spans to the collector. All clones are one.
#[derive(Clone)]
pub struct Traces {
    inner: Arc<Inner>,
}

struct Inner {
    sampling: Sampling,
    orders: Mutex<Sender<Order>>,
    state: Arc<State>,
    metrics: Metrics,
}

/// The parts that both sides share.
#[derive(Default)]
struct State {
    /// Spans in memory.
    waiting: AtomicUsize,
    /// The collector took none last.
    is_away: AtomicBool,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("sampling", &self.inner.sampling).finish_non_exhaustive()
    }
}

impl Traces {
    /// Starts the thread that sends spans. It ends with the last clone.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(options: &OtlpOptions, metrics: Metrics) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_WITHIN))
            .max_redirects(0)
            .user_agent(concat!("reveille/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let post = Post {
            agent,
            url: format!("{}/v1/traces", options.endpoint.trim_end_matches('/')),
            headers: options.headers.clone(),
            service: options.service.clone(),
        };
        let state = Arc::new(State::default());
        let (shared, counters) = (Arc::clone(&state), metrics.clone());
        let inner = Arc::new(Inner { sampling: options.sampling, orders: Mutex::new(orders), state, metrics });
        let courier = Courier { inbox, owner: Arc::downgrade(&inner), state: shared, metrics: counters, post };
        std::thread::Builder::new().name("traces".to_owned()).spawn(move || courier.run())?;
        Ok(Self { inner })
    }

    #[must_use]
    pub fn sampling(&self) -> Sampling {
        self.inner.sampling
    }

    /// Hands spans over; dropped where too many wait.
    pub fn send(&self, trace: &Trace, spans: Vec<Span>) {
        let (waiting, count) = (&self.inner.state.waiting, spans.len());
        if waiting.fetch_add(count, Ordering::Relaxed) + count > SPANS_WAITING_MAX {
            waiting.fetch_sub(count, Ordering::Relaxed);
            self.inner.metrics.spans_dropped(count);
            return;
        }
        self.order(Order::Spans(Parcel { trace: trace.clone(), spans }));
    }

    /// Waits until the spans so far have been tried, at most so long. Not for a collector that is away.
    pub fn flush(&self, within: Duration) {
        if self.inner.state.is_away.load(Ordering::Relaxed) {
            return;
        }
        let (done, is_done) = mpsc::channel();
        self.order(Order::Flush(done));
        // It is too late, or the thread has ended.
        let _ = is_done.recv_timeout(within);
    }

    fn order(&self, order: Order) {
        // The thread ends after its last sender.
        let _ = self.inner.orders.lock().unwrap_or_else(PoisonError::into_inner).send(order);
    }
}

struct Courier {
    inbox: Receiver<Order>,
    owner: Weak<Inner>,
    state: Arc<State>,
    metrics: Metrics,
    post: Post,
}

impl Courier {
    fn run(self) {
        while let Ok(first) = self.inbox.recv() {
            let (batch, flushed) = self.gather(first);
            self.deliver(&batch, flushed.is_some());
            self.state.waiting.fetch_sub(count(&batch), Ordering::Relaxed);
            if let Some(done) = flushed {
                // It may have given up.
                let _ = done.send(());
            }
        }
    }

    /// Spans for one request: what comes within a moment, up to its size.
    fn gather(&self, first: Order) -> (Vec<Parcel>, Option<Sender<()>>) {
        let (mut batch, until) = (Vec::new(), Instant::now() + GATHER);
        let mut next = Ok(first);
        loop {
            match next {
                Ok(Order::Spans(parcel)) => batch.push(parcel),
                Ok(Order::Flush(done)) => return (batch, Some(done)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return (batch, None),
            }
            if count(&batch) >= SPANS_PER_REQUEST {
                return (batch, None);
            }
            next = self.inbox.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
    }

    /// Until the collector has taken them or refused them for good. `once`: the process ends.
    fn deliver(&self, batch: &[Parcel], once: bool) {
        if batch.is_empty() {
            return;
        }
        let body = encode::request(&self.post.service, batch);
        let mut pause = PAUSE_FIRST;
        loop {
            match self.post.send(&body) {
                Taken::All => break self.sent(count(batch)),
                Taken::Refused(why, spans) => {
                    tracing::warn!(
                        event = TRACES_REFUSED,
                        traces.url = self.post.url,
                        count = spans.unwrap_or(count(batch)),
                        reason = why,
                        "the collector refused spans: {why}"
                    );
                    let lost = spans.unwrap_or(count(batch)).min(count(batch));
                    self.metrics.spans_dropped(lost);
                    break self.sent(count(batch) - lost);
                }
                Taken::Later(why) => {
                    if !self.state.is_away.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            event = TRACES_AWAY,
                            traces.url = self.post.url,
                            reason = why,
                            "the collector does not take spans: {why}"
                        );
                    }
                    if once || self.owner.strong_count() == 0 {
                        return self.metrics.spans_dropped(count(batch));
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE_MOST);
                }
            }
        }
    }

    fn sent(&self, spans: usize) {
        self.metrics.spans_sent(spans);
        if self.state.is_away.swap(false, Ordering::Relaxed) {
            tracing::info!(event = TRACES_BACK, traces.url = self.post.url, "the collector takes spans again");
        }
    }
}

fn count(batch: &[Parcel]) -> usize {
    batch.iter().map(|parcel| parcel.spans.len()).sum()
}

struct Post {
    agent: ureq::Agent,
    url: String,
    headers: Vec<(String, SecretString)>,
    service: String,
}

enum Taken {
    All,
    /// So many of them (`None`: all) are lost.
    Refused(String, Option<usize>),
    Later(String),
}

impl Post {
    fn send(&self, body: &[u8]) -> Taken {
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value.expose_secret());
        }
        let mut answer = match request.send(body) {
            Ok(answer) => answer,
            Err(why) => return Taken::Later(why.to_string()),
        };
        match answer.status().as_u16() {
            200..=299 => {
                let text = answer.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec().unwrap_or_default();
                encode::partly_refused(&text).map_or(Taken::All, |(why, spans)| Taken::Refused(why, Some(spans)))
            }
            // As the protocol says; all else would be refused again.
            status @ (408 | 429 | 502 | 503 | 504) => Taken::Later(format!("it answered with status {status}")),
            status => Taken::Refused(format!("it answered with status {status}"), None),
        }
    }
}

#[cfg(test)]
mod tests;
