//! The state from which a redrive goes on.
//!
//! AWS: a redriven Parallel or inline Map runs only those branches and iterations again that failed or were aborted. So
//! a fork that fails keeps its frames, asleep, with the results that are there, until the failure is handled: a retrier
//! or a catcher lets them go; where the execution fails they stay, and a redrive wakes them. An execution that has
//! failed leaves memory, so nothing is held for long.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::EventId;
use crate::interpreter::event::FrameId;
use crate::limits::{HISTORY_EVENTS_MAX, REDRIVE_TOKEN_SECONDS, REDRIVE_TOKENS_MAX};

use super::{Phase, State, Step, Visit};

impl State {
    /// The fork of this frame has failed: its frames sleep, their tasks are over.
    pub(super) fn suspend_fork(&mut self, parent: FrameId) {
        self.suspend_children(parent);
        if let Some(visit) = self.visit_mut(parent)
            && let Step::Fork(fork) = std::mem::replace(&mut visit.step, Step::Entered)
        {
            visit.kept = Some(fork);
        }
    }

    fn suspend_children(&mut self, parent: FrameId) {
        for child in self.children(parent) {
            self.suspend_children(child);
            if let Some(due) = self.due_of(child) {
                self.due.remove(&(due, child));
            }
            if let Some(Visit { step: Step::Task(task), .. }) = self.visit(child) {
                let id = task.scheduled;
                self.cancel_task(id);
            }
            if let Some(Visit { step: Step::MapRun(run), .. }) = self.visit(child) {
                let id = run.started;
                self.stop_map_run(id);
            }
            self.ready.remove(&child);
        }
    }

    /// The failure of the frame's fork was handled: nothing goes on from it any more.
    pub(super) fn let_go(&mut self, parent: FrameId) {
        let kept = self.visit_mut(parent).and_then(|visit| {
            visit.kept_run = None;
            visit.kept.take()
        });
        if kept.is_some() {
            self.drop_children(parent);
        }
    }

    /// Removes everything below a frame that sleeps.
    fn drop_children(&mut self, parent: FrameId) {
        for child in self.children(parent) {
            self.drop_children(child);
            if let Some(frame) = self.frames.remove(&child) {
                self.forget(&frame);
            }
        }
    }

    /// The map run of this frame has not succeeded: a redrive would go on with it.
    pub(super) fn keep_run(&mut self, frame: FrameId) -> Option<EventId> {
        let visit = self.visit_mut(frame)?;
        let Step::MapRun(run) = std::mem::replace(&mut visit.step, Step::Entered) else { return None };
        let started = run.started;
        visit.kept_run = Some(Box::new(run));
        Some(started)
    }

    /// AWS: a history of 24,999 events or more is not redriven. Those of express executions are not bounded.
    #[must_use]
    pub fn history_is_full(&self) -> bool {
        self.last_id().0 + 1 >= HISTORY_EVENTS_MAX && !self.is_express()
    }

    /// When this client token redrove this execution: AWS answers a repeated request with the last 10 tokens, for 15
    /// minutes.
    #[must_use]
    pub fn redriven_with(&self, token: &str, now: Timestamp) -> Option<Timestamp> {
        let (_, at) = self.redrive_tokens.iter().find(|(known, _)| &**known == token)?;
        Some(*at).filter(|at| now < at.plus_seconds(REDRIVE_TOKEN_SECONDS))
    }

    pub(super) fn remember_redrive(&mut self, token: Option<&Arc<str>>, at: Timestamp) {
        let Some(token) = token else { return };
        self.redrive_tokens.retain(|(known, _)| known != token);
        if self.redrive_tokens.len() >= REDRIVE_TOKENS_MAX {
            self.redrive_tokens.remove(0);
        }
        self.redrive_tokens.push((Arc::clone(token), at));
    }

    /// Redrive: every frame that stands in a state does it again, with its retries forgotten; a fork goes on with the
    /// frames it has.
    pub(super) fn reopen(&mut self, redrive_count: u32, at: Timestamp) {
        self.redrive_count = redrive_count;
        self.redriven_at = Some(at);
        self.phase = Phase::Running;
        // They have ended before a redrive is requested, and their waiting tasks have been told.
        self.stopping.clear();
        self.followers.clear();
        if self.is_express() {
            return self.begin_again();
        }
        let ids: Vec<FrameId> = self.frames.keys().copied().collect();
        for id in ids {
            if matches!(self.visit(id).map(|v| &v.step), Some(Step::MapRun(run)) if run.output.is_none()) {
                self.keep_run(id);
            }
            if let Some(visit) = self.visit_mut(id) {
                visit.retries.clear();
                if let Some(fork) = visit.kept.take() {
                    visit.step = Step::Fork(fork);
                } else if !matches!(visit.step, Step::Fork(_) | Step::Succeeded(_) | Step::MapRun(_)) {
                    visit.step = Step::Entered;
                }
            }
            self.mark(id);
        }
    }

    /// An express execution keeps nothing of its first attempt: AWS restarts such a child.
    fn begin_again(&mut self) {
        let Some(started) = self.started.clone() else { return };
        self.frames = super::Sorted::default();
        self.left_children.clear();
        self.variables_bytes = 0;
        self.open_top(&started);
    }
}
