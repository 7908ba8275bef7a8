//! Words that the rooms of the engine and its callers speak; no behaviour.

mod announced;
mod delivery;
mod error;
pub mod http_tasks;
mod options;
mod request;
pub mod stand_in;
pub(in crate::engine) mod tell;

pub use announced::Announced;
pub(in crate::engine) use delivery::{Applied, AwaitEnd, Deliver, Delivered, Input, RunToEnd, Start};
pub use error::{CompletionError, EngineError, MapRunError};
pub(in crate::engine) use error::{DeliverError, RETRY_AFTER};
pub use options::{HistoryView, Options, Parts, Sharing};
pub use request::{
    ActivityTask, Asker, Completion, ForkRequest, HistoryPage, HistoryQuery, Lineage, MapRunChange, StartRequest,
    StartedExecution, SyncOutcome, WaitingQuery, WaitingTask,
};
