//! A run's row: the members of `DescribeMapRun`, kept as they are shown.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId};
use crate::interpreter::event::Tolerance;
use crate::interpreter::map_run::{MapRun, RunLimits, Tally};
use crate::store::{ExecutionStatus, MapRunRow};

/// The row of a run. The store keeps its members as a document.
#[derive(Debug)]
pub(super) struct Row {
    kept: MapRunRow,
    members: Members,
}

/// A member that is not given stays out of the document. A threshold of 0 tolerates nothing; the API shows 0 for both.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Members {
    status: RunStatus,
    redrive_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    redrive_date: Option<f64>,
    max_concurrency: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerated_failure_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerated_failure_percentage: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_counts: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_counts: Option<Counts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum RunStatus {
    #[default]
    Running,
    Succeeded,
    Failed,
    Aborted,
}

impl RunStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Counts {
    pending: u64,
    running: u64,
    succeeded: u64,
    failed: u64,
    timed_out: u64,
    aborted: u64,
    total: u64,
    results_written: u64,
    failures_not_redrivable: u64,
    pending_redrive: u64,
}

impl From<MapRunRow> for Row {
    fn from(kept: MapRunRow) -> Self {
        let members = members(&kept);
        Self { kept, members }
    }
}

fn members(kept: &MapRunRow) -> Members {
    Members::deserialize(&kept.body).unwrap_or_default()
}

impl Row {
    pub fn new(arn: Arn, execution: ExecutionId, started: Timestamp, limits: &RunLimits) -> Self {
        let kept = MapRunRow { arn, execution, started, stopped: None, body: serde_json::Value::Null };
        let mut row = Self { kept, members: Members::default() };
        row.set_limits(limits);
        row
    }

    /// As the store keeps it.
    pub fn to_store(&self) -> MapRunRow {
        let body = serde_json::to_value(&self.members).unwrap_or_default();
        MapRunRow { body, ..self.kept.clone() }
    }

    pub fn is_stopped(&self) -> bool {
        self.kept.stopped.is_some()
    }

    /// The limits in force; `UpdateMapRun` may have changed those of the definition.
    pub fn limits(&self) -> RunLimits {
        RunLimits {
            max_concurrency: self.members.max_concurrency,
            tolerance: Tolerance {
                count: self.members.tolerated_failure_count,
                percentage: self.members.tolerated_failure_percentage,
            },
        }
    }

    pub fn set_limits(&mut self, limits: &RunLimits) {
        let Tolerance { count, percentage } = limits.tolerance;
        self.members.max_concurrency = limits.max_concurrency;
        self.members.tolerated_failure_count = count.or(self.members.tolerated_failure_count);
        self.members.tolerated_failure_percentage = percentage.or(self.members.tolerated_failure_percentage);
    }

    pub fn redrives(&self) -> u32 {
        self.members.redrive_count
    }

    /// The run goes on: shown as running, with the number and the moment of its redrive.
    pub fn redrive(&mut self, redrives: u32, at: Timestamp) {
        self.kept.stopped = None;
        self.members.status = RunStatus::Running;
        self.members.redrive_count = redrives;
        self.members.redrive_date = Some(at.epoch_seconds());
    }

    /// Brings the counts up to date. `written`: children whose results have been written.
    pub fn count(&mut self, run: &MapRun, written: u64) {
        self.members.execution_counts = Some(Counts::of(run.children(), written));
        // Items are not counted one by one when results are written: all of a kind, or none.
        let items = run.items();
        let written_items = if written > 0 { items.succeeded + items.unsuccessful() } else { 0 };
        self.members.item_counts = Some(Counts::of(items, written_items));
    }

    /// Counts by status from the index, of a run that ended without its runner.
    pub fn count_by_status(&mut self, by_status: &[(ExecutionStatus, u64)]) {
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
        self.members.execution_counts = Some(Counts::of(&tally, 0));
    }

    pub fn end(&mut self, status: RunStatus, at: Timestamp) {
        self.members.status = status;
        self.kept.stopped = Some(at);
    }
}

impl Counts {
    fn of(tally: &Tally, results_written: u64) -> Self {
        Self {
            pending: tally.pending,
            running: tally.running,
            succeeded: tally.succeeded,
            failed: tally.failed,
            timed_out: tally.timed_out,
            aborted: tally.aborted,
            total: tally.total(),
            results_written,
            failures_not_redrivable: 0,
            pending_redrive: tally.pending_redrive,
        }
    }
}

/// Since when the run is being redriven: its children that ended without success before wait for that
/// ([`ExecutionStatus::of_child`]). `None`: it is not.
#[must_use]
pub fn redriven(row: &MapRunRow) -> Option<Timestamp> {
    let at = members(row).redrive_date.filter(|_| row.stopped.is_none())?;
    Some(Timestamp::from_millis(0).plus_seconds(at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_come_back_from_the_row_as_they_went_in() {
        let (arn, execution) = (Arn::new("run"), ExecutionId(uuid::Uuid::nil()));
        for tolerance in [
            Tolerance::default(),
            Tolerance { count: Some(0), percentage: None },
            Tolerance { count: Some(3), percentage: Some(12.5) },
        ] {
            let wanted = RunLimits { max_concurrency: 7, tolerance };
            let row = Row::new(arn.clone(), execution, Timestamp::from_millis(1), &wanted);
            assert_eq!(Row::from(row.to_store()).limits(), wanted);
        }
    }

    /// As the last version wrote it.
    #[test]
    fn a_row_of_the_store_keeps_its_members() {
        let counts = json!({
            "pending": 0, "running": 1, "succeeded": 2, "failed": 3, "timedOut": 4, "aborted": 5, "total": 15,
            "resultsWritten": 6, "failuresNotRedrivable": 0, "pendingRedrive": 7
        });
        let body = json!({
            "status": "RUNNING", "redriveCount": 2, "redriveDate": 1.5, "maxConcurrency": 7,
            "toleratedFailureCount": 3, "toleratedFailurePercentage": 12.5,
            "executionCounts": counts, "itemCounts": counts
        });
        let (arn, execution) = (Arn::new("run"), ExecutionId(uuid::Uuid::nil()));
        let kept = MapRunRow { arn, execution, started: Timestamp::from_millis(1), stopped: None, body: body.clone() };
        assert_eq!(redriven(&kept), Some(Timestamp::from_millis(1_500)));
        let mut row = Row::from(kept);
        assert_eq!(row.to_store().body, body);
        row.end(RunStatus::Aborted, Timestamp::from_millis(2));
        assert_eq!(row.to_store().body["status"], RunStatus::Aborted.as_str());
    }
}
