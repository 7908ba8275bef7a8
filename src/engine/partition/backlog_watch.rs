//! The backlog of a partition's reply queue is taken in, and then the timeouts of tasks go on.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::bus::BusError;
use crate::engine::execution::host::Host;
use crate::limits;

use super::backlog::LATE;
use super::state::PartitionState;

/// Between two looks at a broker that does not answer.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl PartitionState {
    /// Releases the timeouts of tasks when the backlog is taken in; again after each pause. Runs as long as the
    /// partition. `counted` is told when the queue may be consumed: messages that come in before that would not be
    /// counted.
    pub(super) async fn watch_backlog(self: Rc<Self>, counted: Rc<Notify>) {
        loop {
            let why = tokio::select! {
                () = self.take_backlog(&counted) => None,
                why = self.stands_still() => Some(why),
            };
            counted.notify_one();
            if let Some(reason) = why {
                tracing::warn!(
                    event = "backlog.left",
                    partition = %self.id,
                    queue = self.reply_queue,
                    reason,
                    "timeouts of tasks go on although answers may wait in the queue: {reason}"
                );
            }
            let backlog = &self.backlog;
            backlog.held.set(false);
            backlog.released.notify_waiters();
            backlog.seen.take();
            let now = self.services.clock.now();
            for execution in backlog.late.take() {
                self.arm(execution, Some(now));
            }
            backlog.again.notified().await;
        }
    }

    /// Ends when it is no use to wait longer.
    async fn stands_still(&self) -> &'static str {
        let began = Instant::now();
        let mut last = (self.backlog.received.get(), began);
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.backlog.received.get();
            if now != last.0 {
                last = (now, Instant::now());
            }
            if last.1.elapsed() >= limits::BACKLOG_STILL_MAX {
                return "none came in for half a minute (BACKLOG_STILL_MAX)";
            }
            if began.elapsed() >= limits::BACKLOG_TAKEN_WITHIN {
                return "there are too many (BACKLOG_TAKEN_WITHIN)";
            }
        }
    }

    async fn take_backlog(&self, counted: &Notify) {
        let backlog = &self.backlog;
        let before = backlog.received.get();
        let waiting = self.waiting().await;
        counted.notify_one();
        let all = before + waiting;
        loop {
            backlog.dry().await;
            if backlog.received.get() >= all {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Messages that were on the way while the queue was counted have come in when a second answer has.
        self.waiting().await;
        backlog.dry().await;
        backlog.settled().await;
    }

    /// Replies that wait in the queue.
    async fn waiting(&self) -> u64 {
        loop {
            match self.services.bus.waiting(&self.reply_queue).await {
                Ok(count) => return count.unwrap_or(0),
                Err(BusError::Closed) => return 0,
                // It may not be looked at; only messages that come in within a moment are known.
                Err(BusError::Refused { .. } | BusError::BadUrl(_)) => {
                    tokio::time::sleep(LATE).await;
                    return 0;
                }
                Err(BusError::Unavailable(_)) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }
}
