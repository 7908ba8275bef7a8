//! The table of waiting tasks: its rows, and the questions that listings ask. An append carries the changes.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, ExecutionId, TaskKey};

/// A task that waits for the outside, as the table holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// With the execution it is the task's key.
    pub scheduled: EventId,
    pub state: String,
    pub resource: String,
    /// The queue, exchange and routing key, state machine or service that has the task.
    pub destination: String,
    /// `destination` is a queue.
    pub queue: bool,
    pub since: Timestamp,
    /// The time of its timeout.
    pub timeout: Option<Timestamp>,
    /// When its next heartbeat counts as missed.
    pub heartbeat_due: Option<Timestamp>,
    pub last_heartbeat: Option<Timestamp>,
    pub attempt: u32,
    /// The broker has the task message.
    pub submitted: bool,
}

impl Wait {
    /// When the next of timeout and heartbeat is due.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match (self.timeout, self.heartbeat_due) {
            (Some(timeout), Some(heartbeat)) => Some(timeout.min(heartbeat)),
            (timeout, heartbeat) => timeout.or(heartbeat),
        }
    }
}

/// A change of the rows of one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitChange {
    /// A row is made, or takes the place of the same task's row.
    Put(Wait),
    /// A task does not wait any more. It need not have a row.
    Gone(EventId),
}

/// A row with the execution that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitRow {
    pub execution: ExecutionId,
    pub arn: Arn,
    /// Without version or alias qualifier.
    pub state_machine: Arn,
    pub wait: Wait,
}

impl WaitRow {
    #[must_use]
    pub fn key(&self) -> TaskKey {
        TaskKey { execution: self.execution, scheduled: self.wait.scheduled }
    }

    /// Where a listing goes on after this row.
    #[must_use]
    pub fn place(&self) -> (Timestamp, TaskKey) {
        (self.wait.since, self.key())
    }
}

/// A query of the table: filters and a keyset cursor. The order is always longest waiting first; tasks of the same
/// millisecond go by execution id and event id.
#[derive(Debug, Clone, Default)]
pub struct WaitFilter {
    pub execution: Option<ExecutionId>,
    pub state_machine: Option<Arn>,
    pub destination: Option<String>,
    /// Only tasks that have waited since before this moment.
    pub before: Option<Timestamp>,
    /// [`WaitRow::place`] of the last row of the page before.
    pub after: Option<(Timestamp, TaskKey)>,
    pub limit: u32,
}

/// The names of the states of each execution that wait.
pub type WaitingStates = BTreeMap<ExecutionId, Vec<String>>;

/// The waiting tasks of one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationWaits {
    pub destination: String,
    pub queue: bool,
    pub count: u64,
    /// Since when the longest waiting one waits.
    pub oldest: Timestamp,
}
