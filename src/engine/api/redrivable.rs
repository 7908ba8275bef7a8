//! `redriveStatus`: may `RedriveExecution` be asked of this execution?

use crate::clock::Timestamp;
use crate::engine::api::EngineHandle;
use crate::engine::types::EngineError;
use crate::store::{ExecutionRow, ExecutionStatus};

/// AWS: an execution can be redriven for 14 days after it ended.
const REDRIVABLE_DAYS: f64 = 14.0;
/// AWS: an execution is open for at most a year, the time before a redrive included.
const OPEN_DAYS: f64 = 365.0;

impl EngineHandle {
    /// Status and, where it is not `REDRIVABLE`, reason. The words are AWS's
    /// (`redriveStatusReason` of `DescribeExecution`).
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn redrive_status(&self, row: &ExecutionRow) -> Result<(&'static str, Option<String>), EngineError> {
        let (status, reason) = by_row(row, self.clock().now());
        if status == "REDRIVABLE" && self.history_is_full(row).await? {
            return Ok(("NOT_REDRIVABLE", Some("Execution history event limit exceeded".to_owned())));
        }
        Ok((status, reason))
    }
}

fn by_row(row: &ExecutionRow, now: Timestamp) -> (&'static str, Option<String>) {
    let status = row.summary.status;
    match status {
        ExecutionStatus::Running | ExecutionStatus::Succeeded => {
            ("NOT_REDRIVABLE", Some(format!("Execution is {status} and cannot be redriven")))
        }
        _ if row.header.map_run.is_some() => {
            ("REDRIVABLE_BY_MAP_RUN", Some("Execution is a child of a Map Run and is redriven with it".to_owned()))
        }
        _ => {
            let too_old =
                row.summary.closed.as_ref().is_some_and(|c| c.at.plus_seconds(REDRIVABLE_DAYS * 86_400.0) < now);
            if too_old {
                ("NOT_REDRIVABLE", Some("Execution redrivable period exceeded".to_owned()))
            } else if row.header.started.plus_seconds(OPEN_DAYS * 86_400.0) < now {
                ("NOT_REDRIVABLE", Some("Execution has exceeded the max execution time".to_owned()))
            } else {
                ("REDRIVABLE", None)
            }
        }
    }
}
