//! The engine, as faces see it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use crate::bus::{BusError, QueueView};
use crate::clock::Clock;
use crate::engine::coordination::Coordinator;
use crate::engine::delivery::parking::Parking;
use crate::engine::execution::effects::CallError;
use crate::engine::execution::express::Express;
use crate::engine::ownership::Keeper;
use crate::engine::partition::manager::PartitionManager;
use crate::engine::services::Services;
use crate::engine::services::feed::Feed;
use crate::ids::{ExecutionId, Realm};
use crate::integrations::sfn::Call;
use crate::store::{Catalog, Journal};
use crate::trace::Sampling;

use super::health::Health;

/// How often a stop looks whether the last express execution has ended.
const EXPRESS_LOOK: Duration = Duration::from_millis(10);

/// The operations of this service, for its own tasks.
pub trait OwnApi: Send + Sync {
    /// Performs an operation of this engine.
    fn call(&self, engine: EngineHandle, call: Call) -> LocalBoxFuture<'static, Result<Value, CallError>>;
}

/// Cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    pub(super) inner: Arc<Engine>,
}

/// The rooms of a running engine.
pub(in crate::engine) struct Engine {
    pub services: Arc<Services>,
    pub express: Arc<Express>,
    pub coordinator: Arc<Coordinator>,
    pub parking: Arc<Parking>,
    pub partitions: Arc<PartitionManager>,
    /// Where other processes share the store.
    pub keeper: Option<Arc<Keeper>>,
    pub health: Health,
    /// The operations that tasks call.
    pub own_api: OnceLock<Arc<dyn OwnApi>>,
}

impl std::fmt::Debug for EngineHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineHandle")
    }
}

impl EngineHandle {
    pub(in crate::engine) fn new(engine: Engine) -> Self {
        Self { inner: Arc::new(engine) }
    }

    pub(in crate::engine) fn engine(&self) -> &Arc<Engine> {
        &self.inner
    }

    /// Lets tasks call this API from now on. Only the first one counts.
    pub fn answer_calls(&self, api: Arc<dyn OwnApi>) {
        let _ = self.inner.own_api.set(api);
    }

    /// Region and account of all ARNs.
    pub fn realm(&self) -> &Realm {
        &self.inner.services.realm
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.services.clock
    }

    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.inner.services.catalog
    }

    /// For reading only: rows and listings. Everything that changes an execution goes through the engine.
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.inner.services.journal
    }

    /// The share of traces that are collected where the caller says nothing.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        self.inner.services.sampling()
    }

    /// News of executions from now on.
    #[must_use]
    pub fn feed(&self) -> Feed {
        self.inner.services.feed.read()
    }

    /// A queue as the broker counts it; `None`: there is no such queue.
    pub async fn look(&self, queue: &str) -> Result<Option<QueueView>, BusError> {
        self.inner.services.bus.look(queue).await
    }

    /// Lets work in progress end, then lets the bus send its messages; both together take at most `within`. Waiting
    /// executions go on after the next start.
    pub async fn stop(&self, within: Duration) {
        self.inner.health.stop();
        let until = tokio::time::Instant::now() + within;
        if let Some(keeper) = &self.inner.keeper {
            let _ = tokio::time::timeout_at(until, keeper.hand_over()).await;
        }
        // No other server goes on with express executions.
        let _ = tokio::time::timeout_at(until - within / 4, self.express_end()).await;
        let _ = tokio::time::timeout_at(until, self.inner.partitions.drain()).await;
        self.inner.services.bus.close(until.saturating_duration_since(tokio::time::Instant::now())).await;
        let _ = tokio::time::timeout_at(until, self.inner.partitions.release_all()).await;
        if let Some(keeper) = &self.inner.keeper {
            keeper.leave().await;
        }
        self.inner.partitions.stop();
    }

    /// Returns when no express execution is open.
    async fn express_end(&self) {
        while self.inner.express.open().0 > 0 {
            tokio::time::sleep(EXPRESS_LOOK).await;
        }
    }

    /// Ends when this engine can never go on beside another process that has its store; says why.
    pub async fn barred(&self) -> String {
        match &self.inner.keeper {
            Some(keeper) => keeper.barred().await,
            None => std::future::pending().await,
        }
    }

    /// Why an execution stands still whose journal cannot be read; `None` for all others.
    #[must_use]
    pub fn quarantined(&self, execution: ExecutionId) -> Option<String> {
        self.inner.services.quarantine.why(execution)
    }
}
