//! Frames of an execution: where each stands, its open task, fork or map run.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{Arn, BlockId, EventId, StateName};
use crate::interpreter::event::{
    Failure, FrameId, MapItem, MapRunPlan, MapStarted, Payload, StateType, TaskFamily, TaskScheduled, Variables,
};
use crate::limits::{INLINE_MAP_CONCURRENCY, PAYLOAD_BYTES_MAX};

/// One sequential flow: the top level, a branch of a Parallel, an iteration of a Map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    pub parent: Option<FrameId>,
    /// Branch or iteration number.
    pub index: u32,
    pub block: BlockId,
    /// The event that the next event of this frame follows.
    pub last_event: EventId,
    /// This frame's own variables; those of outer frames are read through `parent`.
    pub variables: Variables,
    pub item: Option<Arc<MapItem>>,
    pub position: Position,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Position {
    /// Before a state; `None` = the block's start. Ready.
    At {
        next: Option<StateName>,
        input: Payload,
    },
    In(Box<Visit>),
    /// At the end of its block. Ready: its fork takes the result.
    Finished {
        output: Payload,
    },
}

/// A stay in a state, over all its retries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    pub kind: StateType,
    pub name: StateName,
    pub entered: EventId,
    /// The event before the entry: AWS chains an expression that fails on entry to it.
    pub before: EventId,
    pub entered_at: Timestamp,
    /// The state's raw input.
    pub input: Payload,
    /// How often each retrier has fired.
    pub retries: Vec<u32>,
    pub step: Step,
    /// The fork that this visit failed with, until the failure is handled. Its frames sleep.
    pub kept: Option<Box<Fork>>,
    /// A Parallel or Map has its result: its exit follows this event, past that of its success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<EventId>,
    /// The map run that failed, or was stopped with the execution: a redrive goes on with it.
    pub kept_run: Option<Box<OpenMapRun>>,
}

impl Visit {
    /// `$$.State.RetryCount`.
    #[must_use]
    pub fn retry_count(&self) -> u32 {
        self.retries.iter().sum()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Begins, or begins again after a backoff. Ready.
    Entered,
    /// The outside works on it.
    Task(OpenTask),
    /// The task has its raw result. Ready.
    Succeeded(Payload),
    /// A Wait state.
    Waiting { due: Timestamp },
    /// The wait is over. Ready.
    WaitOver,
    /// Branches or iterations run. Ready while it may start more of them, or all have ended.
    Fork(Box<Fork>),
    /// Child executions work on the items. Ready when it has ended well.
    MapRun(OpenMapRun),
    /// It failed; a retrier, a catcher or the frame's end follows. Ready.
    Failed(Failure),
    /// A retrier waits.
    Backoff { due: Timestamp, since: Timestamp },
}

/// A map run that has not failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenMapRun {
    /// The event that started it, or redrove it last.
    pub started: EventId,
    pub started_at: Timestamp,
    pub arn: Arn,
    /// How often it was redriven.
    pub redrives: u32,
    pub plan: Option<Arc<MapRunPlan>>,
    /// Set when it has succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::interpreter::event::present")]
    pub output: Option<Payload>,
}

/// A task that was scheduled and has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenTask {
    pub scheduled: EventId,
    pub scheduled_at: Timestamp,
    pub details: Arc<TaskScheduled>,
    /// `TaskStarted` is written.
    pub started: bool,
    /// The broker has it.
    pub published: bool,
    pub last_heartbeat: Option<Timestamp>,
}

impl OpenTask {
    /// The time of its timeout.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.details.timeout_seconds.map(|s| self.scheduled_at.plus_seconds(seconds(s)))
    }

    /// The time at which its next heartbeat counts as missed.
    #[must_use]
    pub fn heartbeat_due(&self) -> Option<Timestamp> {
        // An activity's heart beats from the moment a worker takes it (`last_heartbeat` is set then), that of others
        // from the start.
        let waits_for_worker = matches!(self.details.family, TaskFamily::Activity) && !self.started;
        if waits_for_worker {
            return None;
        }
        self.details
            .heartbeat_seconds
            .map(|s| self.last_heartbeat.unwrap_or(self.scheduled_at).plus_seconds(seconds(s)))
    }

    /// The sooner of both.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match (self.deadline(), self.heartbeat_due()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "task timeouts are below 10^8 seconds")]
fn seconds(s: u64) -> f64 {
    s as f64
}

/// A Parallel's branches or an inline Map's iterations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fork {
    pub kind: ForkKind,
    /// In branch or item order; `None` until that one has ended.
    pub results: Vec<Option<Payload>>,
    /// Bytes of the results so far.
    pub results_bytes: usize,
    /// Bytes of the items of a Map while it runs.
    pub items_bytes: usize,
    /// Frames that run.
    pub running: usize,
    /// How many have ended well.
    pub done: usize,
    /// The next branch or item to start.
    pub next: usize,
    /// The event that the fork's own next event follows.
    pub tail: EventId,
}

impl Fork {
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.done == self.results.len()
    }

    /// Tells whether the joined result is already too large: its brackets and commas, the results so far, and at least
    /// a byte for each missing one.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let n = self.results.len();
        self.results_bytes + (n - self.done.min(n)) + n.max(1) + 1 > PAYLOAD_BYTES_MAX
    }

    /// True where another branch or iteration may start now.
    #[must_use]
    pub fn may_start(&self) -> bool {
        self.next < self.results.len()
            && match &self.kind {
                ForkKind::Parallel { .. } => true,
                ForkKind::Map(map) => self.running < map.concurrency(),
            }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ForkKind {
    Parallel { branches: Vec<BlockId>, input: Payload },
    Map(Arc<MapStarted>),
}

impl MapStarted {
    /// How many iterations of an inline Map may run at once.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        match usize::try_from(self.max_concurrency).unwrap_or(usize::MAX) {
            0 => INLINE_MAP_CONCURRENCY,
            n => n.min(INLINE_MAP_CONCURRENCY),
        }
    }
}
