//! Those that look at one node hear what happens at the others, while they look and no longer.
//!
//! A node with viewers says so to each other node every few seconds. A node that heard it sends it the news of its own
//! feed, gathered for a moment, until it has not been told again for a while. All of it goes through the nodes' queues
//! of answers, and may be lost: a page that shows too little asks again by itself after some seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::services::Services;
use crate::engine::services::feed::News;
use crate::engine::types::tell::{Aside, Change};
use crate::ids::ExecutionId;
use crate::limits::NEWS_PER_MESSAGE;

/// A node with viewers tells the others again after so long.
const AGAIN: Duration = Duration::from_secs(3);
/// Viewers that come one after the other are told of once.
const CALM: Duration = Duration::from_millis(200);
/// News are gathered for so long.
const GATHER: Duration = Duration::from_millis(100);

/// Tells the nodes of these slots that a person looks here, whenever that is so.
pub(in crate::engine) async fn look(services: Arc<Services>, slots: impl Fn() -> Vec<u16>) {
    let mut viewers = services.feed.viewers();
    loop {
        if *viewers.borrow_and_update() == 0 {
            if viewers.changed().await.is_err() {
                return;
            }
            continue;
        }
        if let Some(slot) = services.seat.slot() {
            send(&services, slots().into_iter().filter(|other| *other != slot), &Aside::Looks { slot });
        }
        tokio::time::sleep(CALM).await;
        tokio::select! {
            _ = viewers.changed() => {}
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Sends the news of this node to those that look.
pub(in crate::engine) async fn relay(services: Arc<Services>) {
    let onlookers = &services.courier.away().onlookers;
    let mut changes = onlookers.changes();
    loop {
        if changes.borrow_and_update().is_empty() {
            if changes.changed().await.is_err() {
                return;
            }
            continue;
        }
        let mut feed = services.feed.relay();
        loop {
            onlookers.forget();
            let slots = onlookers.slots();
            if slots.is_empty() {
                break;
            }
            let Ok(first) = tokio::time::timeout(AGAIN, feed.next()).await else { continue };
            let mut gathered = Gathered::default();
            gathered.add(first);
            let until = Instant::now() + GATHER;
            while let Ok(news) = tokio::time::timeout_at(until, feed.next()).await {
                gathered.add(news);
            }
            send(&services, slots.into_iter(), &gathered.into_aside());
        }
    }
}

fn send(services: &Arc<Services>, slots: impl Iterator<Item = u16>, aside: &Aside) {
    for slot in slots {
        let (to, message) = services.courier.away().aside(slot, aside);
        services.publish_best_effort(to, message);
    }
}

/// News of a moment, one for each execution.
#[derive(Debug, Default)]
struct Gathered {
    all: bool,
    changes: BTreeMap<ExecutionId, (bool, bool)>,
}

impl Gathered {
    fn add(&mut self, news: Option<News>) {
        match news {
            Some(News { execution, status_changed, waits_changed }) => {
                if self.changes.len() >= NEWS_PER_MESSAGE && !self.changes.contains_key(&execution) {
                    self.all = true;
                    return;
                }
                let (status, waits) = self.changes.entry(execution).or_default();
                (*status, *waits) = (*status || status_changed, *waits || waits_changed);
            }
            None => self.all = true,
        }
    }

    fn into_aside(self) -> Aside {
        // Where all may have changed, names tell nothing more.
        let changes = if self.all { BTreeMap::new() } else { self.changes };
        let change = |(execution, (status, waits))| Change { execution, status, waits };
        Aside::News { all: self.all, news: changes.into_iter().map(change).collect() }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;
    use crate::engine::services::feed::Feeder;
    use crate::engine::services::onlookers::Onlookers;

    fn news(n: u128, status_changed: bool) -> News {
        News { execution: ExecutionId(Uuid::from_u128(n)), status_changed, waits_changed: false }
    }

    #[tokio::test]
    async fn news_are_gathered_by_execution_and_come_out_of_the_other_feed() {
        let mut gathered = Gathered::default();
        for one in [news(1, false), news(2, false), news(1, true)] {
            gathered.add(Some(one));
        }
        let body = gathered.into_aside().encode(crate::engine::types::tell::NEWEST);
        let feed = Arc::<Feeder>::default();
        let other = Onlookers::new(Arc::clone(&feed));
        let mut viewer = feed.read();
        other.hear(&body);
        other.hear(b"{\"v\":1,\"tell\":{\"unknown\":{}}}");
        other.hear(b"no json");
        assert_eq!(viewer.next().now_or_never(), Some(Some(news(1, true))));
        assert_eq!(viewer.next().now_or_never(), Some(Some(news(2, false))));
        assert_eq!(viewer.next().now_or_never(), None);
    }

    #[tokio::test]
    async fn too_many_news_say_that_anything_changed() {
        let mut gathered = Gathered::default();
        for n in 0..=NEWS_PER_MESSAGE as u128 {
            gathered.add(Some(news(n, true)));
        }
        assert_eq!(gathered.into_aside(), Aside::News { all: true, news: Vec::new() });
    }
}
