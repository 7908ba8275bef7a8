//! The live stream: which topics of a page have changed. It tells topics and no data; the page asks for itself again.
//!
//! One task reads the engine's feed. It tells a change at once and then gathers for a moment, so that an execution with
//! a thousand transitions a second becomes ten messages a second. A viewer that does not keep up misses repetitions,
//! never the last one.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, Stream};
use tokio::sync::watch;

use crate::engine::{EngineHandle, Feed};
use crate::limits::TOPICS_PER_VIEWER;

/// Changes are gathered for so long after those that were told, and longer where many look: a message and the page that
/// it asks for cost the server more than the change. So up to 1,000 viewers hear 500 times a second in all.
const GATHER: Duration = Duration::from_millis(100);
const GATHER_FOR_EACH: Duration = Duration::from_millis(2);
const GATHER_MAX: Duration = Duration::from_secs(2);
/// A line without meaning comes after so long without another, so that proxies keep the connection.
const QUIET: Duration = Duration::from_secs(15);

/// The topic of all executions: the list.
pub const EXECUTIONS: &str = "executions";
/// The topic of waiting tasks.
pub const WAITS: &str = "waits";

pub struct Hub {
    engine: EngineHandle,
    /// Each with the number of its last change.
    topics: Mutex<HashMap<String, watch::Sender<u64>>>,
    /// Grows with each change that is told.
    changes: AtomicU64,
    /// Set when the server stops.
    closing: watch::Sender<bool>,
    viewers: Arc<()>,
    viewers_max: usize,
}

impl Hub {
    pub fn new(engine: EngineHandle, viewers_max: usize) -> Arc<Self> {
        let (closing, _) = watch::channel(false);
        let (topics, changes) = (Mutex::default(), AtomicU64::default());
        Arc::new(Self { engine, topics, changes, closing, viewers: Arc::new(()), viewers_max })
    }

    /// The number of the last change.
    pub fn now(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Whether a page follows these topics, and none of them has changed since that number was read.
    pub fn is_as_of(&self, topics: &str, number: u64) -> bool {
        let open = self.lock();
        let as_before = |topic: &str| open.get(topic).is_some_and(|last| *last.borrow() <= number);
        topics.split_ascii_whitespace().all(as_before)
    }

    /// Ends all streams.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Those that look now.
    fn viewers(&self) -> u32 {
        // One count is the hub's own.
        u32::try_from(Arc::strong_count(&self.viewers) - 1).unwrap_or(u32::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<u64>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream of topics that changed, as server-sent events. `None`: there are too many viewers.
    pub fn view(
        self: &Arc<Self>,
        topics: &str,
    ) -> Option<impl Stream<Item = Result<actix_web::web::Bytes, std::io::Error>> + use<>> {
        let viewers = Arc::clone(&self.viewers);
        // This one is among them.
        if self.viewers() as usize > self.viewers_max {
            return None;
        }
        let wanted: BTreeSet<&str> =
            topics.split_ascii_whitespace().filter(|topic| is_topic(topic)).take(TOPICS_PER_VIEWER).collect();
        let mut receivers = Vec::new();
        {
            let mut open = self.lock();
            if open.is_empty() {
                actix_web::rt::spawn(gather(Arc::downgrade(self), self.engine.feed()));
            }
            // Changes before this one were not seen.
            let number = self.changes.fetch_add(1, Ordering::SeqCst) + 1;
            for topic in wanted {
                let sender = open.entry(topic.to_owned()).or_insert_with(|| watch::channel(number).0);
                receivers.push((topic.to_owned(), sender.subscribe()));
            }
        }
        let closing = self.closing.subscribe();
        let first = Viewer { receivers, closing, told: false, _counted: viewers };
        Some(stream::unfold(first, |mut viewer| async move {
            let text = viewer.next().await?;
            Some((Ok(actix_web::web::Bytes::from(text)), viewer))
        }))
    }

    /// Tells the viewers of these topics; forgets topics without a viewer. `false`: there is none left.
    fn tell(&self, changed: &BTreeSet<String>, all: bool) -> bool {
        let mut open = self.lock();
        let number = self.changes.fetch_add(1, Ordering::SeqCst) + 1;
        open.retain(|topic, sender| {
            if all || changed.contains(topic) {
                sender.send_replace(number);
            }
            !sender.is_closed()
        });
        !open.is_empty()
    }
}

fn is_topic(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b':'))
}

struct Viewer {
    receivers: Vec<(String, watch::Receiver<u64>)>,
    closing: watch::Receiver<bool>,
    /// The first line is out.
    told: bool,
    /// Counts the viewers.
    _counted: Arc<()>,
}

impl Viewer {
    /// The next lines of the stream; `None`: it ends.
    async fn next(&mut self) -> Option<String> {
        if !self.told {
            self.told = true;
            return Some("retry: 2000\n\n".to_owned());
        }
        if *self.closing.borrow() {
            return None;
        }
        let changes = self.receivers.iter_mut().map(|(topic, receiver)| {
            Box::pin(async move {
                // The hub outlives its topics' viewers.
                if receiver.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                topic.clone()
            })
        });
        let changes: Vec<_> = changes.collect();
        let any = async {
            if changes.is_empty() {
                std::future::pending().await
            } else {
                futures_util::future::select_all(changes).await.0
            }
        };
        tokio::select! {
            topic = any => Some(format!("data: {topic}\n\n")),
            () = tokio::time::sleep(QUIET) => Some(":\n\n".to_owned()),
            _ = self.closing.changed() => None,
        }
    }
}

/// Reads the feed as long as there are viewers.
async fn gather(hub: Weak<Hub>, mut feed: Feed) {
    loop {
        let (mut changed, mut all) = (BTreeSet::new(), false);
        let mut news = tokio::time::timeout(QUIET, feed.next()).await.ok();
        while let Some(one) = news {
            all |= one.is_none();
            changed.extend(one.into_iter().flat_map(topics));
            news = feed.next().now_or_never();
        }
        let is_quiet = !all && changed.is_empty();
        let rest;
        {
            let Some(hub) = hub.upgrade() else { return };
            if !hub.tell(&changed, all) {
                return;
            }
            rest = gathered_for(hub.viewers());
        }
        if !is_quiet {
            tokio::time::sleep(rest).await;
        }
    }
}

fn gathered_for(viewers: u32) -> Duration {
    (GATHER_FOR_EACH * viewers).clamp(GATHER, GATHER_MAX)
}

fn topics(news: crate::engine::News) -> Vec<String> {
    let mut topics = vec![format!("execution:{}", news.execution)];
    if news.status_changed {
        topics.push(EXECUTIONS.to_owned());
    }
    if news.waits_changed {
        topics.push(WAITS.to_owned());
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_viewers_hear_less_often() {
        let rest = |viewers| gathered_for(viewers).as_millis();
        assert_eq!((rest(0), rest(50), rest(100), rest(500), rest(100_000)), (100, 100, 200, 1_000, 2_000));
        assert_eq!(gathered_for(u32::MAX), GATHER_MAX);
    }

    #[test]
    fn topics_are_plain_words() {
        assert!(is_topic("executions") && is_topic("execution:0190f3a1-27c4-7aaa-bbbb-0123456789ab"));
        for text in ["", "a b", "<b>", "data\n", &"x".repeat(65)] {
            assert!(!is_topic(text) || text.is_empty(), "{text}");
        }
    }
}
