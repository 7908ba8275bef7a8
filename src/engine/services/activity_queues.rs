//! The queues of activities: declared when they are needed, and again when they were deleted.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::bus::{Address, BusError, Message, Publication, QueueKind, QueueSpec, TaskBus};

#[derive(Debug)]
pub(in crate::engine) struct Activities {
    kind: QueueKind,
    /// Queues that were declared by this process.
    declared: Mutex<HashSet<String>>,
    pub(in crate::engine) pollers: Semaphore,
}

impl Activities {
    /// `pollers`: how many may wait at once, for all activities together.
    pub fn new(kind: QueueKind, pollers: usize) -> Self {
        Self { kind, declared: Mutex::default(), pollers: Semaphore::new(pollers) }
    }

    pub fn spec(&self, bus: &dyn TaskBus, queue: &str) -> QueueSpec {
        QueueSpec::owned(queue.to_owned(), self.kind, bus.names())
    }

    /// Declares the queue of an activity, once. A queue with other arguments is used as it is.
    pub async fn declare(&self, bus: &dyn TaskBus, queue: &str) {
        if self.declared.lock().unwrap_or_else(PoisonError::into_inner).contains(queue) {
            return;
        }
        // A broker that is away declares it when it is back, before anything is published. The bus logs a refusal, and
        // the queue is used as it is.
        let _ = bus.declare(Vec::new(), vec![self.spec(bus, queue)], Vec::new()).await;
        self.declared.lock().unwrap_or_else(PoisonError::into_inner).insert(queue.to_owned());
    }

    pub fn forget(&self, queue: &str) {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner).remove(queue);
    }

    /// Puts a task into its activity's queue. A deleted queue is declared again. Room in a full queue is waited for: a
    /// task of an activity waits for its worker, and does not fail for want of a worker.
    pub async fn offer(&self, bus: &dyn TaskBus, to: Address, message: Message) -> Result<Publication, BusError> {
        loop {
            self.declare(bus, &to.routing_key).await;
            let publication = bus.publish(to.clone(), message.clone()).await?;
            match &publication {
                Publication::Confirmed | Publication::Refused { .. } => return Ok(publication),
                Publication::Unroutable { .. } | Publication::Nacked => {
                    let queue = to.routing_key.as_str();
                    tracing::warn!(
                        event = "activity.postponed",
                        queue,
                        reason = ?publication,
                        "an activity's queue did not take a task; it is offered again"
                    );
                    self.forget(queue);
                    tokio::time::sleep(crate::engine::types::RETRY_AFTER).await;
                }
            }
        }
    }
}
