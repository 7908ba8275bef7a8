//! The queues of tasks: declared with their state machine, and looked at for workers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::bus::DeclareQueues;
use crate::engine::api::EngineHandle;
use crate::engine::services::task_queues::NamedQueue;
use crate::engine::types::EngineError;
use crate::store::StoreResult;

/// A look at queues waits so long for those that are being declared.
const DECLARED_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(200);
/// Machines that are read at once.
const MACHINES_PER_PAGE: u32 = 100;

/// A queue that a definition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskQueue {
    pub queue: String,
    /// The states whose tasks go there.
    pub states: Vec<String>,
    /// `None`: the queue does not exist.
    pub consumers: Option<u32>,
}

impl EngineHandle {
    /// Declares the queues that a definition names, so that its tasks wait for their first worker. A publish waits
    /// until that is done. A broker that is away declares them when it is back.
    pub fn declare_task_queues(&self, definition: &str) {
        let services = &self.inner.services;
        if services.options.declare_queues == DeclareQueues::Never {
            return;
        }
        let queues = services.queues_to_declare(definition);
        if queues.is_empty() {
            return;
        }
        let bus = Arc::clone(&services.bus);
        // The bus logs refusals of the broker.
        let declaring = Box::pin(async move { bus.declare(Vec::new(), queues, Vec::new()).await.is_ok() });
        poll_once_then_spawn(declaring);
    }

    /// The same for all machines: the broker may be another one than before.
    pub(in crate::engine) async fn declare_all_task_queues(&self) -> StoreResult<()> {
        let services = &self.inner.services;
        if services.options.declare_queues == DeclareQueues::Never || !services.bus.is_durable() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let page = services.catalog.machines(after, MACHINES_PER_PAGE).await?;
            for machine in &page {
                self.declare_task_queues(&machine.revision.definition);
            }
            match page.last() {
                Some(last) if page.len() == MACHINES_PER_PAGE as usize => after = Some(last.arn.clone()),
                _ => return Ok(()),
            }
        }
    }

    /// The queues that a definition names, and how many consume each now. None on the embedded bus, whose queues no
    /// worker of another process can read.
    ///
    /// # Errors
    /// Where the broker cannot be asked.
    pub async fn task_queues(&self, definition: &str) -> Result<Vec<TaskQueue>, EngineError> {
        let services = &self.inner.services;
        let mut found = Vec::new();
        if !services.bus.is_durable() {
            return Ok(found);
        }
        // Those that were asked for a moment ago are on the way, also over a connection that is being made again.
        let declared = async {
            while !services.bus.declared().await {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::time::timeout(DECLARED_WITHIN, declared).await;
        for NamedQueue { queue, states } in services.queues_named(definition) {
            let consumers = services.bus.consumers(&queue).await.map_err(|e| EngineError::Busy(e.to_string()))?;
            found.push(TaskQueue { queue, states, consumers });
        }
        Ok(found)
    }
}

/// The first poll makes publishes wait, so it happens before anything else.
fn poll_once_then_spawn(mut declaring: Pin<Box<impl Future<Output = bool> + 'static>>) {
    if (&mut declaring).now_or_never().is_none() {
        actix_rt::spawn(declaring);
    }
}
