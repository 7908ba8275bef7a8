//! `redriveStatus`: may `RedriveExecution` be asked of this execution?

use crate::engine::api::EngineHandle;
use crate::engine::services::redrivable::{self, Execution};
use crate::engine::types::EngineError;
use crate::store::ExecutionRow;

impl EngineHandle {
    /// Status and, where it is not `REDRIVABLE`, reason. The words are AWS's
    /// (`redriveStatusReason` of `DescribeExecution`).
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn redrive_status(&self, row: &ExecutionRow) -> Result<(&'static str, Option<String>), EngineError> {
        let of = Execution {
            status: row.summary.status.as_str(),
            is_child_of_map_run: row.header.map_run.is_some(),
            started: row.header.started,
            closed: row.summary.closed.as_ref().map(|closing| closing.at),
        };
        let (status, reason) = redrivable::status(of, self.clock().now());
        if status == "REDRIVABLE" && self.history_is_full(row).await? {
            return Ok(redrivable::full());
        }
        Ok((status, reason))
    }
}
