//! A run's row: the members of `DescribeMapRun`, kept as they are shown.

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::interpreter::event::Tolerance;
use crate::interpreter::map_run::{MapRun, RunLimits, Tally};
use crate::store::{ExecutionStatus, MapRunRow};

/// The limits that a row says; `UpdateMapRun` may have changed those of the definition.
pub(super) fn limits(body: &Value) -> RunLimits {
    RunLimits {
        max_concurrency: body["maxConcurrency"].as_u64().unwrap_or(0),
        tolerance: Tolerance {
            count: body["toleratedFailureCount"].as_u64(),
            percentage: body["toleratedFailurePercentage"].as_f64(),
        },
    }
}

/// A threshold that is not given stays out of the row: 0 is one that tolerates nothing. The API shows 0 for both.
pub(super) fn set_limits(body: &mut Value, limits: &RunLimits) {
    body["maxConcurrency"] = limits.max_concurrency.into();
    if let Some(count) = limits.tolerance.count {
        body["toleratedFailureCount"] = count.into();
    }
    if let Some(percentage) = limits.tolerance.percentage {
        body["toleratedFailurePercentage"] = json!(percentage);
    }
}

pub(super) fn new(limits: &RunLimits) -> Value {
    let mut body = json!({ "status": "RUNNING", "redriveCount": 0 });
    set_limits(&mut body, limits);
    body
}

/// The run goes on: shown as running, with when and how often it was redriven.
pub(super) fn set_redriven(body: &mut Value, redrives: u32, at: Timestamp) {
    body["status"] = "RUNNING".into();
    body["redriveCount"] = redrives.into();
    body["redriveDate"] = json!(at.epoch_seconds());
}

/// Since when the run is being redriven: its children that ended without success before wait for that
/// ([`ExecutionStatus::of_child`]). `None`: it is not.
#[must_use]
pub fn redriven(row: &MapRunRow) -> Option<Timestamp> {
    let at = row.body["redriveDate"].as_f64().filter(|_| row.stopped.is_none())?;
    Some(Timestamp::from_millis(0).plus_seconds(at))
}

pub(super) fn redrives(body: &Value) -> u64 {
    body["redriveCount"].as_u64().unwrap_or(0)
}

/// Brings the counts up to date. `written`: children whose results have been written.
pub(super) fn set_counts(body: &mut Value, run: &MapRun, written: u64) {
    body["executionCounts"] = counts(run.children(), written);
    // Items are not counted one by one when results are written: all of a kind, or none.
    let items = run.items();
    let written_items = if written > 0 { items.succeeded + items.unsuccessful() } else { 0 };
    body["itemCounts"] = counts(items, written_items);
}

/// Counts by status from the index, of a run that ended without its runner.
pub(super) fn set_counts_by_status(body: &mut Value, by_status: &[(ExecutionStatus, u64)]) {
    let of = |status| by_status.iter().find(|(s, _)| *s == status).map_or(0, |(_, n)| *n);
    let tally = Tally {
        pending: 0,
        running: of(ExecutionStatus::Running),
        succeeded: of(ExecutionStatus::Succeeded),
        failed: of(ExecutionStatus::Failed),
        timed_out: of(ExecutionStatus::TimedOut),
        aborted: of(ExecutionStatus::Aborted),
        pending_redrive: 0,
    };
    body["executionCounts"] = counts(&tally, 0);
}

fn counts(tally: &Tally, written: u64) -> Value {
    json!({
        "pending": tally.pending,
        "running": tally.running,
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "timedOut": tally.timed_out,
        "aborted": tally.aborted,
        "total": tally.total(),
        "resultsWritten": written,
        "failuresNotRedrivable": 0,
        "pendingRedrive": tally.pending_redrive,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_back_from_the_row_as_they_went_in() {
        for tolerance in [
            Tolerance::default(),
            Tolerance { count: Some(0), percentage: None },
            Tolerance { count: Some(3), percentage: Some(12.5) },
        ] {
            let wanted = RunLimits { max_concurrency: 7, tolerance };
            assert_eq!(limits(&new(&wanted)), wanted);
        }
    }
}
