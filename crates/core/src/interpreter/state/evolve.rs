//! `evolve(state, entry) → state`: the only transition code, live and on recovery.
//!
//! An entry that does not fit the entries before it ([`Misfit`]) changes nothing.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::{BlockId, EventId, StateName};
use crate::interpreter::event::{Assigned, Entry, Event, Forked, FrameId, Payload, TaskFamily, Variables};
use crate::interpreter::size::json_bytes;

use super::{
    Conclusion, Ended, ForkKind, Frame, Misfit, OpenMapRun, OpenTask, Outcome, Phase, Position, State, Step, Visit,
};

/// Bytes of an item of a Map besides its text: its entry, and the shared value.
const ITEM_BYTES: usize = 160;

impl State {
    /// Folds one entry in.
    ///
    /// # Errors
    /// The reason why the entry cannot be the next one; the state is as before.
    pub fn evolve(&mut self, entry: &Entry) -> Result<(), Misfit> {
        self.fit(entry)?;
        self.fold(entry);
        Ok(())
    }

    fn fold(&mut self, entry: &Entry) {
        self.version.0 += u64::from(entry.event.weight());
        if entry.id.0 != 0 {
            self.last_id = entry.id;
        }
        let frame = entry.frame;
        self.turn = frame;
        match &entry.event {
            Event::ExecutionStarted(started) => self.begin(Arc::new((**started).clone()), entry.at),
            Event::ExecutionSucceeded { output } => self.close(entry.at, Conclusion::Succeeded(Payload::clone(output))),
            Event::ExecutionFailed(f) => self.close(entry.at, Conclusion::Failed(f.clone())),
            Event::ExecutionTimedOut(f) => self.close(entry.at, Conclusion::TimedOut(f.clone())),
            Event::ExecutionAborted(f) => self.close(entry.at, Conclusion::Aborted(f.clone())),
            Event::ExecutionRedriven { redrive_count, attempt, token } => {
                self.remember_redrive(token.as_ref(), entry.at);
                self.attempt = attempt.unwrap_or(self.attempt);
                self.reopen(*redrive_count, entry.at);
            }

            Event::StateEntered { kind, name, input } => {
                // The output of the state before is the input of this one: one value in memory, also when it comes from
                // a journal.
                let left = match self.frames.get(&frame).map(|f| &f.position) {
                    Some(Position::At { input, .. }) => Some(input),
                    _ => None,
                };
                let input = left.filter(|left| left.ptr_eq(input) || left.repeats(input)).unwrap_or(input);
                let visit = Visit {
                    kind: *kind,
                    name: Arc::clone(name),
                    entered: entry.id,
                    before: entry.previous,
                    entered_at: entry.at,
                    input: Payload::clone(input),
                    retries: Vec::new(),
                    step: Step::Entered,
                    kept: None,
                    tail: None,
                    kept_run: None,
                };
                self.chain(frame, entry.id);
                self.place(frame, Position::In(Box::new(visit)));
            }
            Event::StateExited { output, assigned, next, .. } => {
                self.let_go(frame);
                self.chain(frame, entry.id);
                if let Some(assigned) = assigned {
                    self.assign(frame, assigned);
                }
                let passed_on = self.visit(frame).map(|v| &v.input).filter(|input| input.repeats(output)).cloned();
                self.leave(frame, next.as_ref(), passed_on.as_ref().unwrap_or(output));
            }
            Event::StateFailed(f) | Event::ForkFailed(f) => {
                if matches!(entry.event, Event::ForkFailed(_)) {
                    self.suspend_fork(frame);
                    if entry.previous.0 != 0 {
                        self.chain(frame, entry.previous);
                    }
                }
                self.step(frame, Step::Failed(f.clone()));
            }
            // The event is shown beside the chain, which goes past it.
            Event::StateAborted { .. } | Event::MapIterationFailed { .. } | Event::MapIterationAborted { .. } => {}
            Event::EvaluationFailed { .. } | Event::ParallelFailed | Event::MapFailed => self.chain(frame, entry.id),
            Event::RetryScheduled { retrier, due } => {
                self.let_go(frame);
                if let Some(visit) = self.visit_mut(frame) {
                    let i = *retrier as usize;
                    if visit.retries.len() <= i {
                        visit.retries.resize(i + 1, 0);
                    }
                    visit.retries[i] += 1;
                }
                self.step(frame, Step::Backoff { due: *due, since: entry.at });
            }
            Event::WaitScheduled { due } => self.step(frame, Step::Waiting { due: *due }),
            Event::WaitEnded => {
                let next = match self.visit(frame).map(|v| &v.step) {
                    Some(Step::Waiting { .. }) => Step::WaitOver,
                    _ => Step::Entered,
                };
                self.step(frame, next);
            }

            Event::TaskScheduled(details) => {
                self.chain(frame, entry.id);
                self.tasks.insert(entry.id, frame);
                self.step(
                    frame,
                    Step::Task(OpenTask {
                        scheduled: entry.id,
                        scheduled_at: entry.at,
                        details: Arc::new((**details).clone()),
                        started: false,
                        published: false,
                        last_heartbeat: None,
                    }),
                );
            }
            Event::TaskPublished { .. } => self.with_task(frame, |t| t.published = true),
            Event::TaskStarted { .. } => {
                self.chain(frame, entry.id);
                self.with_task(frame, |t| {
                    t.started = true;
                    if matches!(t.details.family, TaskFamily::Activity) {
                        t.last_heartbeat = Some(entry.at);
                    }
                });
            }
            Event::TaskSubmitted { .. } => {
                self.chain(frame, entry.id);
                self.with_task(frame, |t| t.published = true);
            }
            Event::TaskHeartbeat { .. } => self.with_task(frame, |t| t.last_heartbeat = Some(entry.at)),
            Event::TaskSucceeded { scheduled, output, .. } => {
                self.end_task(frame, *scheduled, entry.id, Ended::Completed);
                self.step(frame, Step::Succeeded(Payload::clone(output)));
            }
            Event::TaskFailed { scheduled, failure, .. }
            | Event::TaskStartFailed { scheduled, failure, .. }
            | Event::TaskSubmitFailed { scheduled, failure, .. } => {
                self.end_task(frame, *scheduled, entry.id, Ended::Completed);
                self.step(frame, Step::Failed(failure.clone()));
            }
            Event::TaskTimedOut { scheduled, failure, .. } => {
                self.chain(frame, entry.id);
                self.cancel_task(*scheduled);
                self.step(frame, Step::Failed(failure.clone()));
            }

            Event::ParallelStarted { branches, input } => {
                self.chain(frame, entry.id);
                let kind = ForkKind::Parallel { branches: branches.clone(), input: Payload::clone(input) };
                self.fork(frame, kind, branches.len(), 0, entry.id);
                for (i, block) in branches.iter().enumerate() {
                    self.start_child(frame, *block, i, Payload::clone(input), None, entry.id);
                }
                self.mark(frame);
            }
            Event::MapStarted(map) => {
                self.chain(frame, entry.id);
                // A distributed one goes on by its map run, which starts in the same decision.
                if map.distributed {
                    return;
                }
                let n = map.items.len();
                let items_bytes = map.items.iter().map(|item| ITEM_BYTES + item.value.bytes()).sum();
                self.fork(frame, ForkKind::Map(Arc::new((**map).clone())), n, items_bytes, entry.id);
            }
            Event::MapIterationStarted { index, input, .. } => {
                if let Some((block, item)) = self.iteration(frame, *index) {
                    let i = usize::try_from(*index).unwrap_or(usize::MAX);
                    self.start_child(frame, block, i, Payload::clone(input), Some(item), entry.id);
                    self.mark(frame);
                }
            }
            // Written in the iteration's own frame, which ends here.
            Event::MapIterationSucceeded { .. } => self.join(frame, Some(entry.id)),
            Event::ParallelSucceeded | Event::MapSucceeded => {
                let tail = match self.visit(frame).map(|v| &v.step) {
                    Some(Step::Fork(fork)) => Some((fork.tail, fork.gathered())),
                    Some(Step::MapRun(run)) => run.output.clone().map(|output| (run.started, output)),
                    _ => None,
                };
                if let Some((tail, result)) = tail {
                    self.chain(frame, entry.id);
                    if let Some(visit) = self.visit_mut(frame) {
                        visit.tail = Some(tail);
                    }
                    self.step(frame, Step::Succeeded(result));
                }
            }
            Event::MapRunRedriven { redrive_count, .. } => {
                self.chain(frame, entry.id);
                let kept = self.visit_mut(frame).and_then(|visit| visit.kept_run.take());
                if let Some(run) = kept {
                    self.map_runs.insert(entry.id, frame);
                    self.step(
                        frame,
                        Step::MapRun(OpenMapRun {
                            started: entry.id,
                            started_at: entry.at,
                            redrives: *redrive_count,
                            ..*run
                        }),
                    );
                }
            }
            Event::MapRunStarted { arn, plan } => {
                self.chain(frame, entry.id);
                self.map_runs.insert(entry.id, frame);
                let plan = plan.as_ref().map(|p| Arc::new((**p).clone()));
                self.step(
                    frame,
                    Step::MapRun(OpenMapRun {
                        started: entry.id,
                        started_at: entry.at,
                        arn: arn.clone(),
                        redrives: 0,
                        plan,
                        output: None,
                    }),
                );
            }
            Event::MapRunSucceeded { output } => {
                self.chain(frame, entry.id);
                if let Some(Visit { step: Step::MapRun(run), .. }) = self.visit_mut(frame) {
                    run.output = Some(Payload::clone(output));
                    let started = run.started;
                    self.map_runs.remove(&started);
                    self.mark(frame);
                }
            }
            Event::MapRunFailed(f) => {
                self.chain(frame, entry.id);
                if let Some(started) = self.keep_run(frame) {
                    self.map_runs.remove(&started);
                }
                self.step(frame, Step::Failed(f.clone()));
            }
            Event::MapRunStopped { started } => drop(self.stopping.remove(started)),
            Event::ExecutionFollowed { task } => self.followers.push(*task),
            Event::ChildStopped { scheduled } => drop(self.left_children.remove(scheduled)),
        }
    }

    /// `TestState`: the top level stands before a state, with these variables.
    pub(in crate::interpreter) fn stand_before(&mut self, name: &StateName, variables: &Assigned, input: &Payload) {
        self.assign(FrameId::TOP, variables);
        self.leave(FrameId::TOP, Some(name), input);
    }

    /// `TestState`: the result of a state whose work is not done.
    pub(in crate::interpreter) fn take_for_result(&mut self, result: &Payload) {
        self.step(FrameId::TOP, Step::Succeeded(Payload::clone(result)));
    }

    fn begin(&mut self, started: Arc<super::Started>, at: Timestamp) {
        self.open_top(&started);
        self.attempt = started.attempt;
        self.started = Some(started);
        self.started_at = at;
        self.phase = Phase::Running;
    }

    /// The frame of the top level, before its first state.
    pub(super) fn open_top(&mut self, started: &super::Started) {
        let frame = Frame {
            parent: None,
            index: 0,
            block: started.block.unwrap_or(BlockId::TOP),
            // AWS: the first state event follows 0, not the start.
            last_event: EventId(0),
            variables: Variables::new(),
            item: None,
            position: match started.forked.as_deref() {
                None => Position::At { next: None, input: Payload::clone(&started.input) },
                Some(Forked { state, input, .. }) => {
                    Position::At { next: Some(Arc::clone(state)), input: Payload::clone(input) }
                }
            },
        };
        self.frames.insert(FrameId::TOP, frame);
        if let Some(forked) = &started.forked {
            self.assign(FrameId::TOP, &forked.variables);
        }
        self.next_frame = 1;
        self.mark(FrameId::TOP);
    }

    fn close(&mut self, at: Timestamp, result: Conclusion) {
        for id in self.tasks.keys().copied().collect::<Vec<_>>() {
            self.cancel_task(id);
        }
        for id in self.map_runs.keys().copied().collect::<Vec<_>>() {
            self.stop_map_run(id);
        }
        self.ready.clear();
        self.due.clear();
        // A redrive goes on from the failure; a success never goes on.
        if matches!(result, Conclusion::Succeeded(_)) {
            self.frames.clear();
        }
        self.phase = Phase::Closed(Outcome { at, result });
    }

    pub(super) fn chain(&mut self, frame: FrameId, id: EventId) {
        if let Some(frame) = self.frames.get_mut(&frame) {
            frame.last_event = id;
        }
    }

    fn place(&mut self, frame: FrameId, position: Position) {
        if let Some(old) = self.due_of(frame) {
            self.due.remove(&(old, frame));
        }
        if let Some(f) = self.frames.get_mut(&frame) {
            f.position = position;
        }
        self.mark(frame);
    }

    pub(super) fn step(&mut self, frame: FrameId, step: Step) {
        if let Some(old) = self.due_of(frame) {
            self.due.remove(&(old, frame));
        }
        if let Some(visit) = self.visit_mut(frame) {
            visit.step = step;
        }
        self.mark(frame);
    }

    fn with_task(&mut self, frame: FrameId, change: impl FnOnce(&mut OpenTask)) {
        if let Some(old) = self.due_of(frame) {
            self.due.remove(&(old, frame));
        }
        if let Some(Visit { step: Step::Task(task), .. }) = self.visit_mut(frame) {
            change(task);
        }
        self.mark(frame);
    }

    /// The task ends without its worker, and leaves its child behind where it waited for one.
    pub(super) fn cancel_task(&mut self, scheduled: EventId) {
        let child = self.task(scheduled).ok().filter(|view| view.task.details.waits_for_child());
        if let Some(details) = child.map(|view| Arc::clone(&view.task.details)) {
            self.left_children.insert(scheduled, details);
        }
        self.tasks.remove(&scheduled);
        self.ended.insert(scheduled, Ended::Cancelled);
    }

    fn end_task(&mut self, frame: FrameId, scheduled: EventId, id: EventId, how: Ended) {
        self.chain(frame, id);
        self.tasks.remove(&scheduled);
        self.ended.insert(scheduled, how);
    }

    pub(super) fn visit_mut(&mut self, frame: FrameId) -> Option<&mut Visit> {
        match self.frames.get_mut(&frame).map(|f| &mut f.position) {
            Some(Position::In(visit)) => Some(visit),
            _ => None,
        }
    }

    pub(super) fn due_of(&self, frame: FrameId) -> Option<Timestamp> {
        match &self.visit(frame)?.step {
            Step::Task(task) => task.due(),
            Step::Waiting { due } | Step::Backoff { due, .. } => Some(*due),
            _ => None,
        }
    }

    /// Puts a frame into the sets that it belongs to now.
    pub(super) fn mark(&mut self, frame: FrameId) {
        let ready = match self.frames.get(&frame).map(|f| &f.position) {
            None => false,
            Some(Position::At { .. } | Position::Finished { .. }) => true,
            Some(Position::In(visit)) => match &visit.step {
                Step::Entered | Step::Succeeded(_) | Step::WaitOver | Step::Failed(_) => true,
                Step::Fork(fork) => fork.may_start() || fork.is_complete() || fork.is_over(),
                Step::Task(task) => needs_started(task),
                Step::MapRun(run) => run.output.is_some(),
                Step::Waiting { .. } | Step::Backoff { .. } => false,
            },
        };
        if ready {
            self.ready.insert(frame, ());
        } else {
            self.ready.remove(&frame);
        }
        if let Some(due) = self.due_of(frame) {
            self.due.insert((due, frame), ());
        }
    }

    fn leave(&mut self, frame: FrameId, next: Option<&StateName>, output: &Payload) {
        let position = match next {
            Some(next) => Position::At { next: Some(Arc::clone(next)), input: Payload::clone(output) },
            None => Position::Finished { output: Payload::clone(output) },
        };
        self.place(frame, position);
        // A branch has no event of its own for its end; an iteration has.
        if next.is_none() && self.frames.get(&frame).and_then(|f| f.parent).is_some_and(|p| self.is_parallel(p)) {
            self.join(frame, None);
        }
    }

    /// An open map run is left behind: its children must be stopped.
    pub(super) fn stop_map_run(&mut self, started: EventId) {
        let arn = self.map_run(started).map(|view| view.run.arn.clone());
        if self.map_runs.remove(&started).is_some()
            && let Some(arn) = arn
        {
            self.stopping.insert(started, arn);
        }
    }

    fn assign(&mut self, frame: FrameId, assigned: &Assigned) {
        let Some(f) = self.frames.get_mut(&frame) else { return };
        for (name, value) in assigned {
            let new = json_bytes(value);
            let old =
                f.variables.insert(name.as_str().into(), Payload::new(value.clone())).map_or(0, |v| json_bytes(&v));
            self.variables_bytes = (self.variables_bytes + new).saturating_sub(old);
        }
    }

    pub(super) fn forget(&mut self, frame: &Frame) {
        let bytes: usize = frame.variables.values().map(|v| json_bytes(v)).sum();
        self.variables_bytes = self.variables_bytes.saturating_sub(bytes);
    }
}

/// `TaskStarted` follows `TaskScheduled` in the same decision, but for activities, where a worker's poll brings it.
fn needs_started(task: &OpenTask) -> bool {
    !task.started && !matches!(task.details.family, TaskFamily::Activity)
}
