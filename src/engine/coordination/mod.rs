//! Executions that wait for executions: children of tasks, and map runs.

mod children;
mod counted;
mod effects;
pub(in crate::engine) mod map_run;
mod settling;

use std::sync::Arc;

use crate::engine::services::Services;
use crate::ids::{ExecutionId, TaskKey};

use counted::Counted;
use map_run::runs::Runs;

/// Effects of executions on each other.
pub(in crate::engine) struct Coordinator {
    services: Arc<Services>,
    map_runs: Runs,
    /// Tasks whose children are being started now.
    pending_starts: Counted<TaskKey>,
    /// Executions whose ends are being brought to all that they concern.
    settling: Counted<ExecutionId>,
}

impl Coordinator {
    pub fn new(services: Arc<Services>) -> Arc<Self> {
        Arc::new(Self {
            services,
            map_runs: Runs::default(),
            pending_starts: Counted::default(),
            settling: Counted::default(),
        })
    }
}

#[cfg(test)]
impl Coordinator {
    pub(in crate::engine) fn map_runs(&self) -> &Runs {
        &self.map_runs
    }
}
