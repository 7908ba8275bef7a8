//! THE SHELL: actix actors around the core. [`EngineHandle`] is its only face; API, console and CLI see nothing else of
//! it.
//!
//! ```text
//! EngineHandle ─┐
//!   replies ────┼─► Partition (finds or revives) ─► ExecutionActor: decide → append → perform ─► bus
//!   timers  ────┘        one per partition, pinned to an arbiter          └──► store (group commit)
//! ```
//! May enter: the ports `store` and `bus` (never an adapter), `objects`, `integrations`, `record`, `interpreter`,
//! `telemetry`, `memory` and below.

mod api;
mod coordination;
mod delivery;
mod execution;
mod journal;
mod lifecycle;
mod ownership;
mod partition;
mod services;
#[cfg(test)]
mod sim;
mod starting;
#[cfg(test)]
pub(crate) mod support;
#[cfg(test)]
mod tests;
mod types;

pub use crate::token::link::Link;
pub use api::{AskedTask, EngineHandle, NodeView, OwnApi, System, TaskQueue};
pub use coordination::map_run::redriven;
pub use delivery::parked_messages;
pub use delivery::start_queue::StartMessage;
pub use execution::effects::CallError;
pub use lifecycle::start;
pub use services::feed::{Feed, News};
pub use services::quarantine::QUARANTINED;
pub use types::{
    ActivityTask, Announced, Asker, Completion, CompletionError, EngineError, ForkRequest, HistoryPage, HistoryQuery,
    HistoryView, Lineage, MapRunChange, MapRunError, Options, Parts, Sharing, StartRequest, StartedExecution,
    SyncOutcome, WaitingQuery, WaitingTask,
};
pub use types::{http_tasks, stand_in};
