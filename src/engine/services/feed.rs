//! News of executions for observers: durable changes, without payloads and tokens.
//!
//! A feed without a reader costs one load of an atomic per append. `delivery::news` brings those of other nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{broadcast, watch};

use crate::ids::ExecutionId;
use crate::limits::FEED_NEWS_MAX;

/// The changes of one append.
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
    /// Readers that show the news here.
    viewers: Arc<watch::Sender<usize>>,
    ring: broadcast::Sender<Item>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    /// `None`: anything may have changed.
    news: Option<News>,
    /// Another node told it.
    is_elsewhere: bool,
}

impl Default for Feeder {
    fn default() -> Self {
        let viewers = Arc::new(watch::Sender::new(0));
        Self { readers: Arc::default(), viewers, ring: broadcast::Sender::new(FEED_NEWS_MAX) }
    }
}

impl Feeder {
    pub fn tell(&self, news: News) {
        self.send(Item { news: Some(news), is_elsewhere: false });
    }

    /// News of another node; `None`: anything may have changed there.
    pub fn tell_elsewhere(&self, news: Option<News>) {
        self.send(Item { news, is_elsewhere: true });
    }

    fn send(&self, item: Item) {
        if self.readers.load(Ordering::Relaxed) > 0 {
            // Without a reader any more it goes nowhere.
            let _ = self.ring.send(item);
        }
    }

    /// For a face.
    pub fn read(&self) -> Feed {
        self.viewers.send_modify(|n| *n += 1);
        let mut feed = self.relay();
        feed.viewers = Some(Arc::clone(&self.viewers));
        feed
    }

    /// For other nodes: the news of this one.
    pub fn relay(&self) -> Feed {
        self.readers.fetch_add(1, Ordering::Relaxed);
        Feed { ring: self.ring.subscribe(), readers: Arc::clone(&self.readers), viewers: None }
    }

    /// How many faces read it.
    pub fn viewers(&self) -> watch::Receiver<usize> {
        self.viewers.subscribe()
    }
}

/// A reader of the news.
#[derive(Debug)]
pub struct Feed {
    ring: broadcast::Receiver<Item>,
    readers: Arc<AtomicUsize>,
    /// Of a face.
    viewers: Option<Arc<watch::Sender<usize>>>,
}

impl Feed {
    /// The next news; `None`: some were missed, and anything may have changed. It ends with the engine only.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            match self.ring.recv().await {
                // News of other nodes is not told to them again.
                Ok(item) if item.is_elsewhere && self.viewers.is_none() => {}
                Ok(item) => return item.news,
                Err(broadcast::error::RecvError::Lagged(_)) => return None,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
        if let Some(viewers) = &self.viewers {
            viewers.send_modify(|n| *n -= 1);
        }
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

    #[test]
    fn news_of_other_nodes_reach_those_who_look_and_are_not_passed_on() {
        let feeder = Feeder::default();
        let (mut here, mut relay, viewers) = (feeder.read(), feeder.relay(), feeder.viewers());
        assert_eq!(*viewers.borrow(), 1, "a relay shows nothing to anybody");
        feeder.tell_elsewhere(Some(news(1)));
        feeder.tell_elsewhere(None);
        feeder.tell(news(2));
        assert_eq!(here.next().now_or_never(), Some(Some(news(1))));
        assert_eq!(here.next().now_or_never(), Some(None));
        assert_eq!(here.next().now_or_never(), Some(Some(news(2))));
        assert_eq!(relay.next().now_or_never(), Some(Some(news(2))));
        drop(here);
        assert_eq!((*viewers.borrow(), feeder.readers.load(Ordering::Relaxed)), (0, 1));
    }
}
