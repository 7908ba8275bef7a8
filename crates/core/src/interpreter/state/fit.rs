//! Tells whether an entry can follow the entries before it.
//!
//! A journal of ours fits by construction: `decide` folds each event as it makes it. An entry that does not fit comes
//! from a damaged or foreign journal, or from a fault in `decide`. Folding it would make a state that never was.

use std::fmt;

use crate::ids::{EventId, Version};
use crate::interpreter::event::{Entry, Event, FrameId, StateType};

use super::{Conclusion, Fork, ForkKind, Frame, OpenMapRun, OpenTask, Phase, Position, State, Step, Visit};

/// An entry that cannot follow the entries before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {} ({event}, event id {id}) does not fit: {why}", .after.0 + 1)]
pub struct Misfit {
    /// The version of the state before it.
    pub after: Version,
    /// The event's name in the journal.
    pub event: String,
    /// Its id; 0 for a hidden event.
    pub id: EventId,
    pub why: Unfit,
}

/// Reasons why an entry does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("its event id should be {0}")]
    Id(EventId),
    #[error("it follows event {0}, which is not there yet")]
    Previous(EventId),
    #[error("the execution {0}")]
    Phase(&'static str),
    #[error("frame {} is not there", .0.0)]
    NoFrame(FrameId),
    #[error("frame {} {is}", .frame.0)]
    Place { frame: FrameId, is: &'static str },
    #[error("it names {0}")]
    Other(&'static str),
}

impl State {
    /// Whether `entry` can be the next one.
    pub(super) fn fit(&self, entry: &Entry) -> Result<(), Misfit> {
        self.check(entry).map_err(|why| Misfit { after: self.version, event: name(&entry.event), id: entry.id, why })
    }

    fn check(&self, entry: &Entry) -> Result<(), Unfit> {
        let id = if entry.event.is_hidden() { EventId(0) } else { EventId(self.last_id.0 + 1) };
        if entry.id != id {
            return Err(Unfit::Id(id));
        }
        if entry.previous > self.last_id {
            return Err(Unfit::Previous(entry.previous));
        }
        match (&self.phase, &entry.event) {
            (Phase::New, Event::ExecutionStarted(_)) | (Phase::Closed(_), Event::ExecutionRedriven { .. }) => {}
            (Phase::Running, event) if !opens(event) => {}
            (Phase::New, _) => return Err(Unfit::Phase("has not started")),
            (Phase::Running, _) => return Err(Unfit::Phase("is running")),
            (Phase::Closed(_), _) => return Err(Unfit::Phase("has closed")),
        }
        At { state: self, frame: entry.frame }.takes(&entry.event)
    }
}

const fn opens(event: &Event) -> bool {
    matches!(event, Event::ExecutionStarted(_) | Event::ExecutionRedriven { .. })
}

/// The frame of an entry.
struct At<'a> {
    state: &'a State,
    frame: FrameId,
}

impl<'a> At<'a> {
    fn takes(&self, event: &Event) -> Result<(), Unfit> {
        match event {
            Event::ExecutionStarted(_)
            | Event::ExecutionFailed(_)
            | Event::ExecutionTimedOut(_)
            | Event::ExecutionAborted(_) => self.is_top(),
            Event::ExecutionSucceeded { .. } => {
                self.is_top()?;
                self.is(matches!(self.frame()?.position, Position::Finished { .. }), "is not at its end")
            }
            Event::ExecutionRedriven { redrive_count, .. } => {
                self.is_top()?;
                let again = *redrive_count == self.state.redrive_count.saturating_add(1);
                let failed =
                    !matches!(&self.state.phase, Phase::Closed(o) if matches!(o.result, Conclusion::Succeeded(_)));
                named(again, "another redrive")?;
                if failed { Ok(()) } else { Err(Unfit::Phase("has succeeded")) }
            }
            Event::MapRunStopped { started } => {
                named(self.state.stopping.contains_key(started), "a map run that is not being stopped")
            }
            Event::ChildStopped { scheduled } => {
                named(self.state.left_children.contains_key(scheduled), "a task that left no child behind")
            }
            Event::ExecutionFollowed { task } => {
                named(!self.state.followers.contains(task), "a task that follows already")
            }

            Event::StateEntered { name, .. } => match &self.frame()?.position {
                Position::At { next, .. } => named(next.as_ref().is_none_or(|next| next == name), "another state"),
                Position::In(_) => Err(self.place("is in a state")),
                Position::Finished { .. } => Err(self.place("is at its end")),
            },
            Event::StateExited { kind, name, .. } => {
                let visit = self.visit()?;
                named(visit.kind == *kind && visit.name == *name, "another state")?;
                self.at_rest(visit)
            }
            Event::StateFailed(_) => self.at_rest(self.visit()?),
            Event::StateAborted { kind } => named(self.visit()?.kind == *kind, "another type of state"),
            Event::EvaluationFailed { state, .. } => named(self.visit()?.name == *state, "another state"),
            Event::RetryScheduled { .. } => self.has_failed(self.visit()?),
            Event::ParallelFailed => self.has_failed(self.of(StateType::Parallel)?),
            Event::MapFailed => self.has_failed(self.of(StateType::Map)?),
            Event::WaitScheduled { .. } => self.begins(StateType::Wait),
            Event::WaitEnded => {
                let waits = matches!(self.visit()?.step, Step::Waiting { .. } | Step::Backoff { .. });
                self.is(waits, "does not wait")
            }
            other => self.takes_work(other),
        }
    }

    /// Tasks, forks and map runs.
    fn takes_work(&self, event: &Event) -> Result<(), Unfit> {
        match event {
            Event::TaskScheduled(_) => self.begins(StateType::Task),
            Event::TaskPublished { scheduled } | Event::TaskSubmitted { scheduled, .. } => {
                self.is(!self.task(*scheduled)?.published, "has a task that the broker has already")
            }
            Event::TaskStarted { scheduled, .. } => {
                self.is(!self.task(*scheduled)?.started, "has a task that was started already")
            }
            Event::TaskHeartbeat { scheduled, .. }
            | Event::TaskSucceeded { scheduled, .. }
            | Event::TaskFailed { scheduled, .. }
            | Event::TaskStartFailed { scheduled, .. }
            | Event::TaskSubmitFailed { scheduled, .. }
            | Event::TaskTimedOut { scheduled, .. } => self.task(*scheduled).map(drop),

            Event::ParallelStarted { .. } => self.begins(StateType::Parallel),
            Event::MapStarted(_) | Event::MapRunStarted { .. } => self.begins(StateType::Map),
            Event::MapIterationStarted { name, index, .. } => {
                named(self.of(StateType::Map)?.name == *name, "another state")?;
                let fork = self.fork()?;
                let items = if let ForkKind::Map(map) = &fork.kind { map.items.len() } else { 0 };
                named(*index < items as u64 && *index == fork.next as u64, "an iteration out of turn")
            }
            Event::MapIterationSucceeded { name, index } => {
                self.iteration(name, *index)?;
                self.is(matches!(self.frame()?.position, Position::Finished { .. }), "is not at its end")
            }
            Event::MapIterationFailed { name, index } | Event::MapIterationAborted { name, index } => {
                self.iteration(name, *index)
            }
            Event::ForkFailed(_) => self.fork().map(drop),
            Event::ParallelSucceeded => {
                self.of(StateType::Parallel)?;
                self.is(self.fork()?.is_complete(), "has branches that have not ended")
            }
            Event::MapSucceeded => match &self.of(StateType::Map)?.step {
                Step::MapRun(run) => self.is(run.output.is_some(), "has a map run that has not ended"),
                _ => self.is(self.fork()?.is_complete(), "has iterations that have not ended"),
            },
            Event::MapRunSucceeded { .. } | Event::MapRunFailed(_) => {
                self.is(self.run()?.output.is_none(), "has a map run that has ended")
            }
            Event::MapRunRedriven { arn, redrive_count } => match &self.visit()?.kept_run {
                Some(kept) => named(
                    kept.arn == *arn && kept.redrives.saturating_add(1) == *redrive_count,
                    "another redrive of a map run",
                ),
                None => Err(self.place("has no map run to redrive")),
            },
            // The others are taken above.
            _ => Ok(()),
        }
    }

    fn frame(&self) -> Result<&'a Frame, Unfit> {
        self.state.frames.get(&self.frame).ok_or(Unfit::NoFrame(self.frame))
    }

    fn visit(&self) -> Result<&'a Visit, Unfit> {
        match &self.frame()?.position {
            Position::In(visit) => Ok(visit),
            _ => Err(self.place("is in no state")),
        }
    }

    /// The visit, in a state of this type.
    fn of(&self, kind: StateType) -> Result<&'a Visit, Unfit> {
        let visit = self.visit()?;
        if visit.kind == kind { Ok(visit) } else { Err(self.place("is in a state of another type")) }
    }

    /// A visit of this type that has not begun its work.
    fn begins(&self, kind: StateType) -> Result<(), Unfit> {
        self.is(matches!(self.of(kind)?.step, Step::Entered), "has begun already")
    }

    fn task(&self, scheduled: EventId) -> Result<&'a OpenTask, Unfit> {
        match &self.visit()?.step {
            Step::Task(task) if task.scheduled == scheduled => Ok(task),
            Step::Task(_) => Err(Unfit::Other("another task")),
            _ => Err(self.place("has no open task")),
        }
    }

    fn fork(&self) -> Result<&'a Fork, Unfit> {
        match &self.visit()?.step {
            Step::Fork(fork) => Ok(fork),
            _ => Err(self.place("has neither branches nor iterations")),
        }
    }

    fn run(&self) -> Result<&'a OpenMapRun, Unfit> {
        match &self.visit()?.step {
            Step::MapRun(run) => Ok(run),
            _ => Err(self.place("has no map run")),
        }
    }

    /// An iteration of the Map with this name.
    fn iteration(&self, name: &str, index: u64) -> Result<(), Unfit> {
        let frame = self.frame()?;
        let map = frame.parent.and_then(|parent| self.state.visit(parent)).filter(|map| map.kind == StateType::Map);
        let Some(map) = map else { return Err(self.place("is no iteration")) };
        named(*map.name == *name && u64::from(frame.index) == index, "another iteration")
    }

    /// Nothing outside works on the state, and nothing is waited for.
    fn at_rest(&self, visit: &Visit) -> Result<(), Unfit> {
        let busy = matches!(
            visit.step,
            Step::Task(_) | Step::Waiting { .. } | Step::Backoff { .. } | Step::Fork(_) | Step::MapRun(_)
        );
        self.is(!busy, "has not ended its work")
    }

    fn has_failed(&self, visit: &Visit) -> Result<(), Unfit> {
        self.is(matches!(visit.step, Step::Failed(_)), "has not failed")
    }

    fn is_top(&self) -> Result<(), Unfit> {
        self.is(self.frame == FrameId::TOP, "is not the top level")
    }

    fn is(&self, so: bool, else_it: &'static str) -> Result<(), Unfit> {
        if so { Ok(()) } else { Err(self.place(else_it)) }
    }

    fn place(&self, is: &'static str) -> Unfit {
        Unfit::Place { frame: self.frame, is }
    }
}

fn named(so: bool, otherwise: &'static str) -> Result<(), Unfit> {
    if so { Ok(()) } else { Err(Unfit::Other(otherwise)) }
}

/// The name of an event's kind, as the journal has it.
fn name(event: &Event) -> String {
    struct FirstWord(String);
    impl fmt::Write for FirstWord {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            if !self.0.is_empty() {
                return Err(fmt::Error);
            }
            self.0.push_str(text);
            Ok(())
        }
    }
    let mut word = FirstWord(String::new());
    // The writer stops it behind the name, before any value.
    let _ = fmt::Write::write_fmt(&mut word, format_args!("{event:?}"));
    word.0
}
