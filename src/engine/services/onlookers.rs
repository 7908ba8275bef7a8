//! Other nodes that people look at, and the news of those nodes. `delivery::news` speaks to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::types::tell::{Aside, Change};

use super::feed::{Feeder, News};

/// A node that was not told again within this time sends no more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// Slots of nodes that people look at, each with the end of that.
pub(in crate::engine) type Lookers = HashMap<u16, Instant>;

#[derive(Debug)]
pub(in crate::engine) struct Onlookers {
    feed: Arc<Feeder>,
    lookers: watch::Sender<Lookers>,
}

impl Onlookers {
    pub fn new(feed: Arc<Feeder>) -> Self {
        Self { feed, lookers: watch::Sender::default() }
    }

    /// A word of another node. One of a newer version does nothing.
    pub fn hear(&self, body: &[u8]) {
        match Aside::decode(body) {
            Some(Aside::Looks { slot }) => self.lookers.send_modify(|lookers| {
                lookers.insert(slot, Instant::now() + FORGOTTEN_AFTER);
            }),
            Some(Aside::News { all, news }) => {
                for Change { execution, status, waits } in news {
                    let news = News { execution, status_changed: status, waits_changed: waits };
                    self.feed.tell_elsewhere(Some(news));
                }
                if all {
                    self.feed.tell_elsewhere(None);
                }
            }
            None => {}
        }
    }

    /// Those that have not said it again are forgotten.
    pub fn forget(&self) {
        let now = Instant::now();
        self.lookers.send_if_modified(|lookers| {
            let before = lookers.len();
            lookers.retain(|_, until| *until > now);
            lookers.len() < before
        });
    }

    pub fn slots(&self) -> Vec<u16> {
        self.lookers.borrow().keys().copied().collect()
    }

    /// Told when one comes or goes.
    pub fn changes(&self) -> watch::Receiver<Lookers> {
        self.lookers.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_looks_no_more_is_forgotten() {
        let onlookers = Onlookers::new(Arc::default());
        onlookers.hear(&Aside::Looks { slot: 7 }.encode(crate::engine::types::tell::NEWEST));
        onlookers.forget();
        assert_eq!(onlookers.slots(), [7]);
        tokio::time::advance(FORGOTTEN_AFTER).await;
        onlookers.forget();
        assert!(onlookers.slots().is_empty());
    }
}
