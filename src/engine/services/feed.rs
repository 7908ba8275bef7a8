//! News of executions for those that look: what changed, after it is durable. Without payloads and tokens.
//!
//! A feed without a reader costs one load of an atomic per append.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast;

use crate::ids::ExecutionId;
use crate::limits::FEED_NEWS_MAX;

/// What one append changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    pub execution: ExecutionId,
    /// It began, ended or was redriven.
    pub status_changed: bool,
    /// A row of the table of waiting tasks came, went or changed.
    pub waits_changed: bool,
}

#[derive(Debug)]
pub(in crate::engine) struct Feeder {
    readers: Arc<AtomicUsize>,
    ring: broadcast::Sender<News>,
}

impl Default for Feeder {
    fn default() -> Self {
        Self { readers: Arc::default(), ring: broadcast::Sender::new(FEED_NEWS_MAX) }
    }
}

impl Feeder {
    pub fn tell(&self, news: News) {
        if self.readers.load(Ordering::Relaxed) > 0 {
            // Without a reader any more it goes nowhere.
            let _ = self.ring.send(news);
        }
    }

    pub fn read(&self) -> Feed {
        self.readers.fetch_add(1, Ordering::Relaxed);
        Feed { ring: self.ring.subscribe(), readers: Arc::clone(&self.readers) }
    }
}

/// A reader of the news.
#[derive(Debug)]
pub struct Feed {
    ring: broadcast::Receiver<News>,
    readers: Arc<AtomicUsize>,
}

impl Feed {
    /// The next news; `None`: some were missed, and anything may have changed. It ends with the engine only.
    pub async fn next(&mut self) -> Option<News> {
        match self.ring.recv().await {
            Ok(news) => Some(news),
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn news(n: u128) -> News {
        News { execution: ExecutionId(uuid::Uuid::from_u128(n)), status_changed: false, waits_changed: true }
    }

    #[test]
    fn a_reader_gets_what_comes_after_it_and_hears_of_what_it_missed() {
        let feeder = Feeder::default();
        feeder.tell(news(0));
        let mut feed = feeder.read();
        assert_eq!(feed.next().now_or_never(), None, "nothing from before");
        feeder.tell(news(1));
        assert_eq!(feed.next().now_or_never(), Some(Some(news(1))));
        for n in 0..=FEED_NEWS_MAX as u128 {
            feeder.tell(news(n));
        }
        assert_eq!(feed.next().now_or_never(), Some(None), "some were missed");
        assert_eq!(feed.next().now_or_never(), Some(Some(news(1))), "the rest is there");
        drop(feed);
        assert_eq!(feeder.readers.load(Ordering::Relaxed), 0);
    }
}
