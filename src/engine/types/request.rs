//! Requests of the faces, and their answers.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, TaskKey};
use crate::interpreter::event::{By, Entry, Failure, Forked, Payload, Tolerance};
use crate::interpreter::forking::ForkWish;
use crate::interpreter::map_run::RunLimits;
use crate::store::{ExecutionRow, Wait};
use crate::trace::TraceOrigin;

/// A worker's report on its task. Sizes and JSON have been checked by the face.
#[derive(Debug, Clone, PartialEq)]
pub enum Completion {
    Success(Payload),
    Failure(Failure),
    Heartbeat,
    /// An answer that is no JSON: it ends a request, a callback waits for a better one.
    Unreadable {
        why: String,
    },
}

/// `StartExecution`, checked by the face: name and input are well-formed.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// State machine ARN, or that of a version or an alias.
    pub machine: Arn,
    /// Absent: a UUID.
    pub name: Option<String>,
    /// JSON text.
    pub input: String,
    /// X-Ray's form, as AWS's `traceHeader`.
    pub trace_header: Option<String>,
    /// The trace in which it is asked for, where `trace_header` names none.
    pub trace: Option<Box<TraceOrigin>>,
}

/// The caller, as far as the request tells.
#[derive(Debug, Clone, Default)]
pub struct Asker {
    pub by: Option<By>,
    /// The trace of the request.
    pub trace: Option<Box<TraceOrigin>>,
}

impl Asker {
    /// The request tells nothing.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.by.is_none() && self.trace.is_none()
    }
}

/// `Reveille.ForkExecution`, checked by the face.
#[derive(Debug, Clone)]
pub struct ForkRequest {
    pub source: Arn,
    /// Absent: a UUID.
    pub name: Option<String>,
    pub wish: ForkWish,
}

/// The origins and the descendants of an execution; lists are in the order of starts, up to a limit.
#[derive(Debug, Clone)]
pub struct Lineage {
    pub row: ExecutionRow,
    /// The beginning of a fork; and its source, unless that is gone.
    pub forked: Option<(Box<Forked>, Option<ExecutionRow>)>,
    /// The execution whose task waits for this one.
    pub parent: Option<ExecutionRow>,
    pub forks: Vec<ExecutionRow>,
    pub children: Vec<ExecutionRow>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StartedExecution {
    pub arn: Arn,
    pub started: Timestamp,
}

/// The end of an express execution that was started synchronously.
#[derive(Debug, Clone)]
pub struct SyncOutcome {
    pub row: ExecutionRow,
}

/// A page of a history: visible events only.
#[derive(Debug, Clone, Default)]
pub struct HistoryQuery {
    pub reverse: bool,
    /// Begin after this event (before it, in reverse).
    pub after: Option<EventId>,
    pub limit: usize,
}

#[derive(Debug, Clone)]
pub struct HistoryPage {
    pub entries: Vec<Entry>,
    /// There are more after the last of `entries`.
    pub more: bool,
}

/// A task that waits for the outside.
#[derive(Debug, Clone)]
pub struct WaitingTask {
    pub execution: Arn,
    /// Without version or alias qualifier.
    pub state_machine: Arn,
    pub key: TaskKey,
    /// The token itself: shown to callers that may complete tasks, never logged.
    pub token: String,
    pub wait: Wait,
}

/// A query for waiting tasks. The default is all, longest waiting first.
#[derive(Debug, Clone, Default)]
pub struct WaitingQuery {
    pub state_machine: Option<Arn>,
    /// The queue, or another destination in the words of the listing.
    pub destination: Option<String>,
    /// Only tasks that have waited since before this moment.
    pub before: Option<Timestamp>,
    /// `since` and key of the last task of the page before.
    pub after: Option<(Timestamp, TaskKey)>,
    pub limit: u32,
}

/// A task handed out by `GetActivityTask`.
#[derive(Debug, Clone)]
pub struct ActivityTask {
    pub token: String,
    pub input: String,
}

/// `UpdateMapRun`: the given values are changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MapRunChange {
    pub max_concurrency: Option<u64>,
    pub tolerated_failure_count: Option<u64>,
    pub tolerated_failure_percentage: Option<f64>,
}

impl MapRunChange {
    pub(in crate::engine) fn apply(&self, limits: RunLimits) -> RunLimits {
        RunLimits {
            max_concurrency: self.max_concurrency.unwrap_or(limits.max_concurrency),
            tolerance: Tolerance {
                count: self.tolerated_failure_count.or(limits.tolerance.count),
                percentage: self.tolerated_failure_percentage.or(limits.tolerance.percentage),
            },
        }
    }
}
