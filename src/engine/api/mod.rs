//! The questions that faces may ask: [`EngineHandle`]. No rule stands here.

mod activities;
mod calls;
mod executions;
mod forks;
mod handle;
pub(in crate::engine) mod health;
mod history;
mod links;
mod map_runs;
mod metrics;
mod nodes;
mod redrivable;
mod system;
mod task_queues;
mod tasks;
mod test_task;
mod unserved;

pub(in crate::engine) use handle::Engine;
pub use handle::{EngineHandle, OwnApi};
pub use links::AskedTask;
pub use nodes::NodeView;
pub use system::System;
pub use task_queues::TaskQueue;
