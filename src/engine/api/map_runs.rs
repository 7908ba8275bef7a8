//! Map runs: changed while they go on.

use crate::engine::types::{MapRunChange, MapRunError};
use crate::ids::Arn;

use super::handle::EngineHandle;

impl EngineHandle {
    /// Changes concurrency and tolerance of a run that goes on; in force and durable when it returns.
    ///
    /// # Errors
    /// There is no such run, or it has ended.
    pub async fn update_map_run(&self, run: &Arn, change: MapRunChange) -> Result<(), MapRunError> {
        self.inner.coordinator.change_map_run(run, change).await
    }
}
