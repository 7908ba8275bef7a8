//! The state of an execution: the fold of [`State::evolve`] over its journal. Nothing else changes it (its fields are
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
mod fit;
mod fork;
mod frame;
mod pack;
mod redrive;
mod room;
mod sorted;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, TaskKey, Version};

use super::event::{Failure, FrameId, MapItem, Payload, Started, TaskScheduled};
use super::stimulus::Rejection;

pub use fit::{Misfit, Unfit};
pub use frame::{Fork, ForkKind, Frame, OpenMapRun, OpenTask, Position, Step, Visit};
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
    /// The frame of the newest entry: branches take turns, and go on in the same order after a cut.
    turn: FrameId,
    frames: Sorted<FrameId, Frame>,
    next_frame: u32,
    ready: Sorted<FrameId, ()>,
    due: Sorted<(Timestamp, FrameId), ()>,
    /// Open tasks, by the event that scheduled them.
    tasks: Sorted<EventId, FrameId>,
    /// Open map runs, by the event that started them.
    map_runs: BTreeMap<EventId, FrameId>,
    /// Map runs whose children must still be stopped.
    stopping: BTreeMap<EventId, Arn>,
    /// Tasks that ended before the child execution that they waited for, until the child is stopped.
    left_children: BTreeMap<EventId, Arc<TaskScheduled>>,
    /// Tasks that are over, to tell a duplicate from a late reply.
    ended: Sorted<EventId, Ended>,
    redrive_count: u32,
    redriven_at: Option<Timestamp>,
    /// The client tokens of the last redrives, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    redrive_tokens: Vec<(Arc<str>, Timestamp)>,
    /// Tasks of other executions, besides its parent's, that wait for the end of this one.
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

/// How a task ended, for the answer to a second message about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// By its worker.
    Completed,
    /// Without it: timeout, stop, failed sibling.
    Cancelled,
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

    /// The start of the execution.
    #[must_use]
    pub fn started(&self) -> Option<&Arc<Started>> {
        self.started.as_ref()
    }

    /// An express execution: five minutes at most, no bound on its events, nothing written.
    #[must_use]
    pub fn is_express(&self) -> bool {
        self.started.as_ref().is_some_and(|started| started.is_express())
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

    /// The number of the next branch or iteration.
    #[must_use]
    pub fn next_frame(&self) -> u32 {
        self.next_frame
    }

    /// A frame that can go on by itself: the next one after `last`, so that branches take turns.
    #[must_use]
    pub fn next_ready(&self, last: FrameId) -> Option<FrameId> {
        if !self.is_running() {
            return None;
        }
        self.ready.after(&last).or_else(|| self.ready.first().map(|(frame, ())| frame)).copied()
    }

    /// The next due time inside the execution, without the machine's own timeout.
    #[must_use]
    pub fn first_due(&self) -> Option<(Timestamp, FrameId)> {
        if self.is_running() { self.due.first().map(|(due, ())| *due) } else { None }
    }

    /// The next due time of a frame without an open task.
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
    /// The reason why there is no such task: it is over (`Duplicate`, `Late`), or never existed.
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

    /// As if the events so far had been more: the next ids follow this one.
    #[cfg(test)]
    pub(in crate::interpreter) fn count_from(&mut self, last: EventId) {
        self.last_id = last;
    }
}
