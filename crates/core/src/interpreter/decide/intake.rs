//! Taking a stimulus in: it is refused, or becomes the first events of a decision.

use std::sync::Arc;

use crate::ids::EventId;
use crate::interpreter::command::{CancelReason, Command};
use crate::interpreter::event::{Event, Failure, FrameId, Payload};
use crate::interpreter::state::{Conclusion, OpenTask, Phase, Step, TaskView};
use crate::interpreter::steps;
use crate::interpreter::stimulus::{Rejection, StimulusKind};
use crate::limits;

use super::{Decider, execution_deadline};

impl Decider<'_> {
    pub(super) fn take(&mut self, stimulus: StimulusKind) -> Result<(), Rejection> {
        if let StimulusKind::Redrive { token: Some(token) } = &stimulus
            && self.state.redriven_with(token, self.at).is_some()
        {
            return Err(Rejection::Duplicate);
        }
        match (&stimulus, self.state.phase()) {
            (StimulusKind::Start(_), Phase::New)
            | (StimulusKind::Redrive { .. } | StimulusKind::RedriveByRun { .. }, Phase::Closed(_)) => {}
            (StimulusKind::Start(_), _) => return Err(Rejection::NotApplicable("already started")),
            (_, Phase::New) => return Err(Rejection::NotApplicable("not started")),
            (StimulusKind::Redrive { .. } | StimulusKind::RedriveByRun { .. }, Phase::Running) => {
                return Err(Rejection::NotApplicable("still running"));
            }
            (
                StimulusKind::Stop(_) | StimulusKind::Clock | StimulusKind::Continue | StimulusKind::Follow { .. },
                Phase::Closed(_),
            ) => {
                return Err(Rejection::NotApplicable("closed"));
            }
            // A message about a task of a closed execution is late or a duplicate, as the record of its tasks says.
            (_, Phase::Running | Phase::Closed(_)) => {}
        }
        match stimulus {
            StimulusKind::Start(started) => {
                self.emit(FrameId::TOP, Event::ExecutionStarted(started));
            }
            // Events that were due when a decision was cut are still due, and come before its continuation.
            StimulusKind::Continue | StimulusKind::Clock => self.clock(),
            StimulusKind::Dispatched { scheduled, receipt, completes } => {
                self.dispatched(scheduled, receipt, completes)?;
            }
            StimulusKind::DispatchFailed { scheduled, failure } => {
                let (frame, task) = self.open(scheduled)?;
                self.before_outcome(frame, &task, false);
                self.emit(
                    frame,
                    Event::TaskFailed { family: task.details.family.clone(), scheduled, failure, by: None, link: None },
                );
            }
            StimulusKind::TaskStarted { scheduled, worker_name } => {
                let (frame, task) = self.open(scheduled)?;
                if task.started {
                    return Err(Rejection::Duplicate);
                }
                self.emit(frame, Event::TaskStarted { family: task.details.family.clone(), scheduled, worker_name });
            }
            StimulusKind::TaskSucceeded { scheduled, output, by, link } => {
                let (frame, task) = self.open(scheduled)?;
                self.before_outcome(frame, &task, true);
                steps::task::take_result(self, frame, &task, output, by, link);
            }
            StimulusKind::TaskFailed { scheduled, failure, by, link } => {
                let (frame, task) = self.open(scheduled)?;
                self.before_outcome(frame, &task, true);
                self.emit(
                    frame,
                    Event::TaskFailed { family: task.details.family.clone(), scheduled, failure, by, link },
                );
            }
            StimulusKind::TaskOverflowed { scheduled } => {
                let (frame, task) = self.open(scheduled)?;
                let failure = steps::task::overflow(&task).ok_or(Rejection::TooLarge)?;
                self.before_outcome(frame, &task, true);
                self.emit(
                    frame,
                    Event::TaskFailed { family: task.details.family.clone(), scheduled, failure, by: None, link: None },
                );
            }
            StimulusKind::TaskUnreadable { scheduled, failure } => {
                let (frame, task) = self.open(scheduled)?;
                if steps::task::answers_by_token(&task) {
                    return Err(Rejection::Unreadable);
                }
                self.before_outcome(frame, &task, true);
                self.emit(
                    frame,
                    Event::TaskFailed { family: task.details.family.clone(), scheduled, failure, by: None, link: None },
                );
            }
            StimulusKind::TaskHeartbeat { scheduled } => {
                let (frame, task) = self.open(scheduled)?;
                if !task.started {
                    // A consumer of the activity's queue took the task without reporting it.
                    self.emit(
                        frame,
                        Event::TaskStarted { family: task.details.family.clone(), scheduled, worker_name: None },
                    );
                }
                // AWS writes no event. Ours is needed only where a heartbeat can be missed.
                if task.details.heartbeat_seconds.is_some() {
                    self.emit(frame, Event::TaskHeartbeat { scheduled, count: 1 });
                }
            }
            StimulusKind::Stop(failure) => {
                self.cancel_all(CancelReason::Stopped);
                // AWS: `previousEventId` 0.
                self.emit_after(FrameId::TOP, EventId(0), Event::ExecutionAborted(failure));
            }
            StimulusKind::Redrive { token } => self.redrive(None, token)?,
            StimulusKind::RedriveByRun { attempt } => self.redrive(Some(attempt), None)?,
            StimulusKind::MapRunEnded { started, result } => {
                let frame = self.state.map_run(started).ok_or(Rejection::Late)?.frame;
                match result {
                    Ok(output) => self.emit(frame, Event::MapRunSucceeded { output }),
                    Err(failure) => self.emit(frame, Event::MapRunFailed(failure)),
                };
            }
            StimulusKind::MapRunStopped { started } => {
                if self.state.stopping().all(|(id, _)| id != started) {
                    return Err(Rejection::Duplicate);
                }
                // Not even a hidden event follows the end of an execution: after it the index holds the debt.
                if self.state.is_running() {
                    self.emit(FrameId::TOP, Event::MapRunStopped { started });
                }
            }
            StimulusKind::ChildStopped { scheduled } => {
                if self.state.left_children().all(|(id, _)| id != scheduled) {
                    return Err(Rejection::Duplicate);
                }
                if self.state.is_running() {
                    self.emit(FrameId::TOP, Event::ChildStopped { scheduled });
                }
            }
            StimulusKind::Follow { task } => {
                if self.state.followers().contains(&task) {
                    return Err(Rejection::Duplicate);
                }
                if self.state.followers().len() >= limits::FOLLOWERS_MAX {
                    return Err(Rejection::NotApplicable("awaited by as many tasks as may be"));
                }
                self.emit(FrameId::TOP, Event::ExecutionFollowed { task });
            }
        }
        Ok(())
    }

    fn redrive(&mut self, attempt: Option<u32>, token: Option<Arc<str>>) -> Result<(), Rejection> {
        if matches!(self.state.phase(), Phase::Closed(o) if matches!(o.result, Conclusion::Succeeded(_))) {
            return Err(Rejection::NotApplicable("succeeded"));
        }
        // The child has failed again since, and the run repeats its request after a crash.
        if attempt.is_some_and(|attempt| attempt <= self.state.attempt()) {
            return Err(Rejection::Duplicate);
        }
        if self.state.history_is_full() {
            return Err(Rejection::NotApplicable("at the limit of its history"));
        }
        if self.env.bounds.journal_left < limits::PAYLOAD_BYTES_MAX as u64 {
            return Err(Rejection::NotApplicable("at the limit of its journal"));
        }
        let redrive_count = self.state.redrive_count() + 1;
        let last = self.state.last_id();
        self.emit_after(FrameId::TOP, last, Event::ExecutionRedriven { redrive_count, attempt, token });
        Ok(())
    }

    /// The frame and a copy of the open task.
    fn open(&self, scheduled: EventId) -> Result<(FrameId, OpenTask), Rejection> {
        let TaskView { frame, task, .. } = self.state.task(scheduled)?;
        Ok((frame, task.clone()))
    }

    /// The broker has the task. For some resources that is the whole work.
    fn dispatched(&mut self, scheduled: EventId, receipt: Payload, completes: bool) -> Result<(), Rejection> {
        let (frame, task) = self.open(scheduled)?;
        if task.published {
            return Err(Rejection::Duplicate);
        }
        let family = task.details.family.clone();
        if completes {
            self.emit(frame, Event::TaskSucceeded { family, scheduled, output: receipt, by: None, link: None });
        } else if steps::task::shows_submission(&task.details) {
            self.emit(frame, Event::TaskSubmitted { family, scheduled, output: receipt });
        } else {
            self.emit(frame, Event::TaskPublished { scheduled });
        }
        Ok(())
    }

    /// Writes the events that the history shows before an outcome: a reply may overtake `TaskStarted`, and the
    /// submission, which it proves.
    fn before_outcome(&mut self, frame: FrameId, task: &OpenTask, submitted: bool) {
        let family = &task.details.family;
        if !task.started {
            self.emit(
                frame,
                Event::TaskStarted { family: family.clone(), scheduled: task.scheduled, worker_name: None },
            );
        }
        if submitted && !task.published && steps::task::shows_submission(&task.details) {
            let output = Payload::new(serde_json::Value::Object(serde_json::Map::new()));
            self.emit(frame, Event::TaskSubmitted { family: family.clone(), scheduled: task.scheduled, output });
        }
    }

    /// Handles everything due, the soonest first, with the execution's own timeout in its turn.
    fn clock(&mut self) {
        let holds = self.env.holds_timeouts;
        let deadline = execution_deadline(self.machine, self.state).filter(|_| !holds);
        while let Some((due, frame)) = if holds { self.state.first_due_of_no_task() } else { self.state.first_due() } {
            if due > self.at || deadline.is_some_and(|d| d < due) || self.misfit.is_some() {
                break;
            }
            self.due(frame);
        }
        if deadline.is_some_and(|d| d <= self.at) {
            // Everything due before the deadline goes first.
            self.go_on();
            if self.state.is_running() {
                self.cancel_all(CancelReason::ExecutionTimedOut);
                self.emit_after(FrameId::TOP, EventId(0), Event::ExecutionTimedOut(Failure::default()));
            }
        }
    }

    fn due(&mut self, frame: FrameId) {
        let Some(visit) = self.state.visit(frame) else { return };
        match &visit.step {
            Step::Task(task) => {
                let heartbeat = task.heartbeat_due().is_some_and(|h| task.deadline().is_none_or(|d| h < d));
                let (scheduled, family) = (task.scheduled, task.details.family.clone());
                let failure = Failure { error: Some("States.Timeout".to_owned()), cause: None, heartbeat };
                let reason = if heartbeat { CancelReason::HeartbeatTimeout } else { CancelReason::Timeout };
                self.commands.push(Command::Cancel { scheduled, reason });
                self.emit(frame, Event::TaskTimedOut { family, scheduled, failure });
            }
            _ => {
                self.emit(frame, Event::WaitEnded);
            }
        }
    }
}
