//! News of tasks that have ended without their worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::Deserialize;
use tokio::sync::watch;
use tracing::warn;
use uuid::Uuid;

use crate::bus::{Address, Delivery, ExchangeSpec, QueueKind, QueueSpec, Settlement, TaskBus};

const PREFETCH: u16 = 100;

/// The tasks in progress, by message id.
#[derive(Debug, Default)]
pub(super) struct Cancelled(Mutex<HashMap<String, watch::Sender<bool>>>);

/// A task that is being done; forgotten when this is dropped.
pub(super) struct Watched<'a> {
    all: &'a Cancelled,
    message_id: String,
    told: watch::Receiver<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct News {
    message_id: String,
}

impl Cancelled {
    /// A queue of this process alone hears of cancellations. A worker that may not make one works without.
    pub async fn listen(bus: &dyn TaskBus) -> (Arc<Self>, BoxStream<'static, Delivery>) {
        let name = format!("{}.worker.{}", bus.names().prefix(), Uuid::new_v4().simple());
        let queue = QueueSpec::plain(name, QueueKind::Temporary);
        // The engine's exchange: a worker may start before the first engine.
        let events = ExchangeSpec { name: bus.names().events(), kind: "topic" };
        let from = Address { exchange: events.name.clone(), routing_key: "task.cancelled.#".to_owned() };
        let news = match bus.declare(vec![events], vec![queue.clone()], vec![(queue.clone(), from)]).await {
            Ok(()) => bus.consume(queue, PREFETCH),
            Err(why) => {
                warn!(event = "worker.uncancelled", error = %why, "cancelled tasks are done to their end");
                futures_util::stream::pending().boxed()
            }
        };
        (Arc::default(), news)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<bool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn watch(&self, message_id: &str) -> Watched<'_> {
        let mut all = self.lock();
        let told = all.entry(message_id.to_owned()).or_insert_with(|| watch::Sender::new(false)).subscribe();
        Watched { all: self, message_id: message_id.to_owned(), told }
    }

    pub fn tell(&self, message: Delivery) {
        if let Ok(News { message_id }) = serde_json::from_slice(&message.message.body)
            && let Some(task) = self.lock().get(&message_id)
        {
            task.send_replace(true);
        }
        message.settle(Settlement::Ack);
    }
}

impl Watched<'_> {
    /// Ends when the task is cancelled.
    pub async fn told(&self) {
        if self.told.clone().wait_for(|told| *told).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.message_id);
    }
}
