//! THE SHELL: actix actors around the core. [`EngineHandle`] is its only face; API, console and CLI see nothing else of it.
//!
//! May enter: the ports `store` and `bus` (never an adapter), `integrations`, `interpreter` and below.

pub mod handle;

/// What the actors share.
pub(crate) struct Shared;

pub use handle::{
    ActivityTask, Completion, CompletionError, EngineError, EngineHandle, HistoryPage, HistoryQuery, StartRequest, StartedExecution,
    SyncOutcome, WaitingTask,
};
