//! What an execution is now: the fold of [`State::evolve`] over its journal. Nothing else changes it (its fields are
//! private to this folder), live or after a crash.
//!
//! ```text
//! State ── frames ── Frame (top level, a branch, an iteration) ── Position
//!                        At ─────► In(Visit) ─────► At(next) ... ─────► Finished
//!                                    Step: Entered → Task / Waiting / Fork / MapRun → Succeeded / Ended → (exit)
//!                                                          └────► Failed → Backoff → Entered
//!                                                                     └──► (catch: exit) or (frame ends)
//! ```
//! A frame that can go on without the outside is *ready*; [`State::next_ready`] gives them. All others wait for a reply
//! or for time.

mod evolve;
mod pack;
mod redrive;
mod room;
mod sorted;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{Arn, BlockId, EventId, StateName, TaskKey, Version};

use super::event::{
    Failure, FrameId, MapItem, MapRunPlan, MapStarted, Payload, Started, StateType, TaskScheduled, Variables,
};
use super::stimulus::Rejection;

pub use pack::{PackError, Packed};
use sorted::Sorted;

/// An execution, folded from its journal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    version: Version,
    last_id: EventId,
    started: Option<Arc<Started>>,
    started_at: Timestamp,
    phase: Phase,
    /// Whose entry was the newest: branches take turns, and go on in the same order after a cut.
    turn: FrameId,
    frames: Sorted<FrameId, Frame>,
    next_frame: u32,
    ready: Sorted<FrameId, ()>,
    due: Sorted<(Timestamp, FrameId), ()>,
    /// Open tasks, by the event that scheduled them.
    tasks: Sorted<EventId, FrameId>,
    /// Open map runs, by the event that started them.
    map_runs: BTreeMap<EventId, FrameId>,
    /// Map runs whose children must be stopped, until they are.
    stopping: BTreeMap<EventId, Arn>,
    /// Tasks that ended without the child execution they waited for, until it is stopped.
    left_children: BTreeMap<EventId, Arc<TaskScheduled>>,
    /// Tasks that are over, to tell a duplicate from a late reply.
    ended: Sorted<EventId, Ended>,
    redrive_count: u32,
    redriven_at: Option<Timestamp>,
    /// The last client tokens that redrove it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    redrive_tokens: Vec<(Arc<str>, Timestamp)>,
    /// Tasks of other executions that wait for the end of this one beside its parent's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    followers: Vec<TaskKey>,
    /// Of a map run's child: the run's attempt that it works for.
    attempt: u32,
    /// Bytes of all variables (AWS: 10 MiB).
    variables_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum Phase {
    /// No event yet.
    #[default]
    New,
    Running,
    Closed(Outcome),
}

/// How the execution ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub at: Timestamp,
    pub result: Conclusion,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Conclusion {
    Succeeded(Payload),
    Failed(Failure),
    TimedOut(Failure),
    Aborted(Failure),
}

/// How a task ended, as far as a second message about it must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// By its worker.
    Completed,
    /// Without it: timeout, stop, failed sibling.
    Cancelled,
}

/// One sequential flow: the top level, a branch of a Parallel, an iteration of a Map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    pub parent: Option<FrameId>,
    /// Branch or iteration number.
    pub index: u32,
    pub block: BlockId,
    /// What the next event of this frame follows.
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
    /// At the end of its block. Ready: whoever forked it takes the result.
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
    /// What the entry itself followed: AWS chains an expression that fails on entry to this.
    pub before: EventId,
    pub entered_at: Timestamp,
    /// The state's raw input.
    pub input: Payload,
    /// How often each retrier has fired.
    pub retries: Vec<u32>,
    pub step: Step,
    /// The fork that this visit failed with, until the failure is handled. Its frames sleep.
    pub kept: Option<Box<Fork>>,
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
    /// The task's raw result is there. Ready.
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
    Backoff { due: Timestamp },
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
    /// When its timeout strikes.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.details.timeout_seconds.map(|s| self.scheduled_at.plus_seconds(seconds(s)))
    }

    /// When its heartbeat is missed.
    #[must_use]
    pub fn heartbeat_due(&self) -> Option<Timestamp> {
        // An activity's heart beats from the moment a worker takes it (`last_heartbeat` is set then), that of others
        // from the start.
        let waits_for_worker = matches!(self.details.family, super::event::TaskFamily::Activity) && !self.started;
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
    /// Bytes of the results that are there.
    pub results_bytes: usize,
    /// What the items of a Map take while it runs.
    pub items_bytes: usize,
    /// Frames that run.
    pub running: usize,
    /// How many have ended well.
    pub done: usize,
    /// The next branch or item to start.
    pub next: usize,
    /// What the fork's own next event follows.
    pub tail: EventId,
}

impl Fork {
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.done == self.results.len()
    }

    /// The joined result is too large already, whatever the others give: its brackets and commas, what is there, and a
    /// byte at least of each that is missing.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let n = self.results.len();
        self.results_bytes + (n - self.done.min(n)) + n.max(1) + 1 > crate::limits::PAYLOAD_BYTES_MAX
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
            0 => crate::limits::INLINE_MAP_CONCURRENCY,
            n => n.min(crate::limits::INLINE_MAP_CONCURRENCY),
        }
    }
}

/// An open map run with the frame and the visit in which it runs.
#[derive(Debug, Clone, Copy)]
pub struct MapRunView<'a> {
    pub frame: FrameId,
    pub visit: &'a Visit,
    pub run: &'a OpenMapRun,
}

/// An open task with the frame and the visit in which it runs.
#[derive(Debug, Clone, Copy)]
pub struct TaskView<'a> {
    pub frame: FrameId,
    pub visit: &'a Visit,
    pub task: &'a OpenTask,
}

impl State {
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The id of the newest visible event; 0 before the first.
    #[must_use]
    pub fn last_id(&self) -> EventId {
        self.last_id
    }

    #[must_use]
    pub fn turn(&self) -> FrameId {
        self.turn
    }

    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// What the execution was started with.
    #[must_use]
    pub fn started(&self) -> Option<&Arc<Started>> {
        self.started.as_ref()
    }

    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    #[must_use]
    pub fn redrive_count(&self) -> u32 {
        self.redrive_count
    }

    /// Tasks of other executions that wait for the end of this one.
    #[must_use]
    pub fn followers(&self) -> &[TaskKey] {
        &self.followers
    }

    /// Of a map run's child: the last of its run's attempts that started or redrove it.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    #[must_use]
    pub fn redriven_at(&self) -> Option<Timestamp> {
        self.redriven_at
    }

    #[must_use]
    pub fn frame(&self, id: FrameId) -> Option<&Frame> {
        self.frames.get(&id)
    }

    pub fn frames(&self) -> impl Iterator<Item = (FrameId, &Frame)> {
        self.frames.iter().map(|(id, f)| (*id, f))
    }

    /// A frame that can go on by itself: the next one after `last`, so that branches take turns.
    #[must_use]
    pub fn next_ready(&self, last: FrameId) -> Option<FrameId> {
        if !self.is_running() {
            return None;
        }
        self.ready.after(&last).or_else(|| self.ready.first().map(|(frame, ())| frame)).copied()
    }

    /// When something is due next inside the execution (not counting the machine's own timeout).
    #[must_use]
    pub fn first_due(&self) -> Option<(Timestamp, FrameId)> {
        if self.is_running() { self.due.first().map(|(due, ())| *due) } else { None }
    }

    /// The same, tasks passed over.
    #[must_use]
    pub fn first_due_of_no_task(&self) -> Option<(Timestamp, FrameId)> {
        let mut next = self.first_due();
        while let Some((at, frame)) = next {
            if !matches!(self.visit(frame).map(|visit| &visit.step), Some(Step::Task(_))) {
                break;
            }
            next = self.due.after(&(at, frame)).copied();
        }
        next
    }

    /// Open tasks in the order of their scheduling.
    pub fn tasks(&self) -> impl Iterator<Item = TaskView<'_>> {
        self.tasks.keys().filter_map(|id| self.task(*id).ok())
    }

    #[must_use]
    pub fn open_tasks(&self) -> usize {
        self.tasks.len()
    }

    /// The open task that was scheduled by this event.
    ///
    /// # Errors
    /// Why there is none: it is over (`Duplicate`, `Late`), or never was.
    pub fn task(&self, scheduled: EventId) -> Result<TaskView<'_>, Rejection> {
        let Some(frame) = self.tasks.get(&scheduled) else {
            return Err(match self.ended.get(&scheduled) {
                Some(Ended::Completed) => Rejection::Duplicate,
                Some(Ended::Cancelled) => Rejection::Late,
                None => Rejection::Unknown,
            });
        };
        match self.frames.get(frame).map(|f| &f.position) {
            Some(Position::In(visit)) => match &visit.step {
                Step::Task(task) => Ok(TaskView { frame: *frame, visit, task }),
                _ => Err(Rejection::Unknown),
            },
            _ => Err(Rejection::Unknown),
        }
    }

    /// The open map run that was started by this event.
    #[must_use]
    pub fn map_run(&self, started: EventId) -> Option<MapRunView<'_>> {
        let frame = *self.map_runs.get(&started)?;
        let visit = self.visit(frame)?;
        match &visit.step {
            Step::MapRun(run) => Some(MapRunView { frame, visit, run }),
            _ => None,
        }
    }

    /// Open map runs, in the order of their starts.
    pub fn map_runs(&self) -> impl Iterator<Item = MapRunView<'_>> {
        self.map_runs.keys().filter_map(|id| self.map_run(*id))
    }

    /// Map runs whose children must be stopped: the execution went on, or closed, without them.
    pub fn stopping(&self) -> impl Iterator<Item = (EventId, &Arn)> {
        self.stopping.iter().map(|(id, arn)| (*id, arn))
    }

    /// Children that must be stopped: the tasks that waited for them timed out, were aborted, or ended with the
    /// execution.
    pub fn left_children(&self) -> impl Iterator<Item = (EventId, &Arc<TaskScheduled>)> {
        self.left_children.iter().map(|(id, details)| (*id, details))
    }

    /// The visit of a frame that is in a state.
    #[must_use]
    pub fn visit(&self, frame: FrameId) -> Option<&Visit> {
        match self.frames.get(&frame).map(|f| &f.position) {
            Some(Position::In(visit)) => Some(visit),
            _ => None,
        }
    }

    /// A variable as a frame sees it: its own, else the nearest outer one.
    #[must_use]
    pub fn variable(&self, frame: FrameId, name: &str) -> Option<&Payload> {
        let mut at = Some(frame);
        while let Some(frame) = at.and_then(|id| self.frames.get(&id)) {
            if let Some(value) = frame.variables.get(name) {
                return Some(value);
            }
            at = frame.parent;
        }
        None
    }

    /// The item of the innermost Map iteration around a frame.
    #[must_use]
    pub fn item(&self, frame: FrameId) -> Option<&MapItem> {
        let mut at = Some(frame);
        while let Some(frame) = at.and_then(|id| self.frames.get(&id)) {
            if let Some(item) = &frame.item {
                return Some(item);
            }
            at = frame.parent;
        }
        self.started.as_ref().and_then(|s| s.item.as_ref())
    }

    /// Frames forked by `parent`, in their order.
    #[must_use]
    pub fn children(&self, parent: FrameId) -> Vec<FrameId> {
        self.frames.iter().filter(|(_, f)| f.parent == Some(parent)).map(|(id, _)| *id).collect()
    }

    #[must_use]
    pub fn variables_bytes(&self) -> usize {
        self.variables_bytes
    }
}
