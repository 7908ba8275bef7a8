//! Tasks whose queue has no consumer. `TestState` says so at once, because its caller waits for the answer.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::asl::resource::Resource;
use crate::engine::api::EngineHandle;
use crate::ids::Arn;
use crate::integrations::{self, CompletesOn, Plan, PlanContext};
use crate::interpreter::event::Payload;

/// A worker that is starting, or connecting again, has so long to come.
const WORKER_COMES: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(200);

impl EngineHandle {
    /// The queue that a task with these parameters would wait in, where no worker consumes it.
    ///
    /// A queue that the broker does not have is not told here: the task itself fails at once, with the broker's words.
    pub(super) async fn unserved(&self, resource: &Resource, parameters: &Payload) -> Option<String> {
        let queue = self.queue_of(resource, parameters)?;
        let until = tokio::time::Instant::now() + WORKER_COMES;
        loop {
            match self.inner.services.bus.consumers(&queue).await {
                Ok(Some(0)) => {}
                // On the embedded bus a task makes its queue.
                Ok(None) if !self.inner.services.bus.is_durable() => {}
                // A broker that is away is told by the task's own timeout.
                Ok(_) | Err(_) => return None,
            }
            if tokio::time::Instant::now() >= until {
                return Some(queue);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Why no task of this state can ever be sent, as far as its text says: to a destination of the engine's own.
    pub fn refused_by_text(&self, resource: &Resource, template: &Value) -> Option<String> {
        self.with_plan_context(|context| integrations::refused_by_text(resource, template, context))
    }

    /// The context of a plan, where no execution is at hand.
    fn with_plan_context<T>(&self, plan: impl FnOnce(&PlanContext<'_>) -> T) -> T {
        let nobody = Arn::new("");
        plan(&PlanContext {
            realm: &self.inner.services.realm,
            table: &self.inner.services.table,
            names: self.inner.services.bus.names(),
            message_id: Uuid::nil(),
            at: self.inner.services.clock.now(),
            execution: &nobody,
            machine: &nobody,
        })
    }

    /// Where a worker's reply ends the task: the queue that it must read.
    fn queue_of(&self, resource: &Resource, parameters: &Payload) -> Option<String> {
        match self.with_plan_context(|context| integrations::plan(resource, parameters, context)).ok()? {
            Plan::Activity { queue, .. } => Some(queue),
            Plan::Publish(publishing) if publishing.completes_on == CompletesOn::Reply => {
                let address = &publishing.messages.first()?.address;
                address.exchange.is_empty().then(|| address.routing_key.clone())
            }
            _ => None,
        }
    }
}
