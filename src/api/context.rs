//! The context of every operation.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use crate::asl::resource::Resource;
use crate::clock::{Clock, Timestamp};
use crate::engine::{Asker, EngineHandle};
use crate::ids::Realm;
use crate::store::{Catalog, Journal};

use super::configuration::Kms;
use super::page::Pages;

/// One per server; operations get a reference, with the caller where he is known.
#[derive(Clone)]
pub struct Context {
    engine: EngineHandle,
    pub catalog: Arc<dyn Catalog>,
    pub journal: Arc<dyn Journal>,
    pub clock: Arc<dyn Clock>,
    pub realm: Realm,
    pub pages: Pages,
    /// How long `GetActivityTask` waits for a task.
    pub activity_poll: Duration,
    pub kms: Kms,
    /// ARNs and signatures of other regions and accounts are taken for those of this server.
    pub any_region: bool,
    /// The settings in force, secrets left out.
    pub settings: Arc<[(String, String)]>,
    /// The caller.
    pub asker: Asker,
    /// Whether he may see inputs and outputs.
    pub payloads: bool,
    /// Wakes the keeper of bulk actions.
    pub bulk: Arc<Notify>,
}

impl Context {
    pub fn new(engine: EngineHandle, pages: Pages, activity_poll: Duration) -> Self {
        Self {
            catalog: engine.catalog().clone(),
            journal: engine.journal().clone(),
            clock: engine.clock().clone(),
            realm: engine.realm().clone(),
            pages,
            activity_poll,
            kms: Kms::default(),
            any_region: false,
            settings: Arc::from([]),
            asker: Asker::default(),
            payloads: true,
            bulk: Arc::default(),
            engine,
        }
    }

    pub fn engine(&self) -> &EngineHandle {
        &self.engine
    }

    /// Why no task of this state can ever be sent, as far as its text says.
    pub fn refused_by_text(&self, resource: &Resource, template: &Value) -> Option<String> {
        self.engine.refused_by_text(resource, template)
    }

    /// The same for this caller.
    #[must_use]
    pub fn asked_by(&self, asker: Asker, payloads: bool) -> Self {
        Self { asker, payloads, ..self.clone() }
    }

    /// Declares the queues that a definition names, so that its tasks can wait for their workers.
    pub fn declare_task_queues(&self, definition: &str) {
        self.engine.declare_task_queues(definition);
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    #[cfg(test)]
    pub fn for_test(engine: EngineHandle) -> Self {
        Self::new(engine, Pages::new(b"test"), Duration::from_secs(1))
    }
}
