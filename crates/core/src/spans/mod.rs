//! Spans of an execution, folded from its journal: of the execution, of each stay in a state, of each task, of each
//! pause before a retry. A span comes out when it is over.
//!
//! ```text
//! execution ── state ─┬─ task     (each attempt)
//!                     ├─ retry    (the pause before the next attempt)
//!                     └─ state    (in a branch or an iteration of it)
//! ```
//!
//! The fold needs no history: [`Spans::of`] begins it at any state. So the spans that end after a restart, or after a
//! year, are the same as those of an engine that never stopped.
//!
//! May enter: `interpreter` (entries and states), `trace`, `ids`, `clock`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, ExecutionId, StateName};
use crate::interpreter::event::{Entry, Event, Failure, FrameId, Started, StateType};
use crate::interpreter::state::{Phase, Position, State, Step};
use crate::trace::{Sampling, SpanContext, Trace, span_id};

/// The part of an execution that a span shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Execution,
    State,
    Task,
    Retry,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Well,
    /// By an error of this name.
    Failed(String),
    /// From outside: a stop, a failed sibling, a timeout of the execution.
    Aborted,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub id: u64,
    /// `None`: the trace begins with it.
    pub parent: Option<u64>,
    pub kind: Kind,
    pub name: Arc<str>,
    pub from: Timestamp,
    pub to: Timestamp,
    pub end: End,
    pub links: Vec<SpanContext>,
    pub attributes: Vec<(&'static str, Attribute)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    Text(Arc<str>),
    Number(u64),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// The open spans of an execution.
#[derive(Debug, Clone)]
pub struct Spans {
    execution: ExecutionId,
    sampling: Sampling,
    trace: Trace,
    subject: Option<Subject>,
    /// The start, or the last redrive.
    from: Timestamp,
    redrive: u32,
    visits: BTreeMap<FrameId, Visit>,
    /// Of each branch and iteration: the frame around it, and its number there.
    around: BTreeMap<FrameId, (FrameId, u64)>,
    next_frame: u32,
}

#[derive(Debug, Clone)]
struct Subject {
    arn: Arn,
    machine: Arn,
    machine_name: Arc<str>,
    is_express: bool,
}

impl Subject {
    fn of(started: &Started) -> Self {
        Self {
            arn: started.arn.clone(),
            machine: started.machine.clone(),
            machine_name: Arc::clone(&started.machine_name),
            is_express: started.is_express(),
        }
    }
}

/// A stay in a state.
#[derive(Debug, Clone)]
struct Visit {
    entered: EventId,
    from: Timestamp,
    kind: StateType,
    name: StateName,
    retries: u32,
    task: Option<Task>,
    paused: Option<Timestamp>,
    failed: Option<String>,
    /// Its span is out. A redrive opens the state again.
    is_over: bool,
}

#[derive(Debug, Clone)]
struct Task {
    scheduled: EventId,
    from: Timestamp,
    resource: Arc<str>,
}

impl Spans {
    /// The spans that are open in this state.
    #[must_use]
    pub fn of(execution: ExecutionId, state: &State, sampling: Sampling) -> Self {
        let started = state.started();
        let redriven = state.redriven_at();
        let is_open = state.is_running();
        let mut spans = Self {
            execution,
            sampling,
            trace: Trace::of(execution, started.and_then(|s| s.trace.as_deref()), sampling),
            subject: started.map(|s| Subject::of(s)),
            from: redriven.unwrap_or(state.started_at()),
            redrive: state.redrive_count(),
            visits: BTreeMap::new(),
            around: BTreeMap::new(),
            next_frame: state.next_frame(),
        };
        for (id, frame) in state.frames() {
            if let Some(parent) = frame.parent {
                spans.around.insert(id, (parent, u64::from(frame.index)));
            }
            let Position::In(visit) = &frame.position else { continue };
            let is_over = !is_open || !runs(state, id);
            let mut open = Visit {
                entered: visit.entered,
                from: visit.entered_at.max(redriven.unwrap_or(visit.entered_at)),
                kind: visit.kind,
                name: Arc::clone(&visit.name),
                retries: visit.retry_count(),
                task: None,
                paused: None,
                failed: None,
                is_over,
            };
            match &visit.step {
                Step::Task(task) if !is_over => {
                    open.task = Some(Task {
                        scheduled: task.scheduled,
                        from: task.scheduled_at,
                        resource: Arc::clone(&task.details.resource),
                    });
                }
                Step::Backoff { since, .. } if !is_over => open.paused = Some(*since),
                Step::Failed(failure) => open.failed = Some(name_of(failure)),
                _ => {}
            }
            spans.visits.insert(id, open);
        }
        spans
    }

    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Folds one entry in; gives the spans that it ends.
    pub fn evolve(&mut self, entry: &Entry, out: &mut Vec<Span>) {
        let (frame, at) = (entry.frame, entry.at);
        match &entry.event {
            Event::ExecutionStarted(started) => {
                self.trace = Trace::of(self.execution, started.trace.as_deref(), self.sampling);
                self.subject = Some(Subject::of(started));
                self.from = at;
                self.next_frame = 1;
            }
            Event::ExecutionSucceeded { .. } => self.close(at, "SUCCEEDED", End::Well, out),
            Event::ExecutionFailed(f) => self.close(at, "FAILED", End::Failed(name_of(f)), out),
            Event::ExecutionTimedOut(_) => self.close(at, "TIMED_OUT", End::Failed("States.Timeout".to_owned()), out),
            Event::ExecutionAborted(_) => self.close(at, "ABORTED", End::Aborted, out),
            Event::ExecutionRedriven { redrive_count, .. } => self.reopen(at, *redrive_count),

            Event::StateEntered { kind, name, .. } => {
                let visit = Visit {
                    entered: entry.id,
                    from: at,
                    kind: *kind,
                    name: Arc::clone(name),
                    retries: 0,
                    task: None,
                    paused: None,
                    failed: None,
                    is_over: false,
                };
                self.visits.insert(frame, visit);
            }
            Event::StateExited { next, .. } => {
                self.drop_below(frame);
                if let Some(visit) = self.visits.remove(&frame) {
                    out.push(self.stay(frame, &visit, at, End::Well));
                }
                if next.is_none() {
                    self.around.remove(&frame);
                }
            }
            Event::StateFailed(f) | Event::MapRunFailed(f) => self.fail(frame, f),
            Event::ForkFailed(f) => {
                let below: Vec<FrameId> = self.visits.keys().copied().filter(|id| self.is_below(*id, frame)).collect();
                for id in below {
                    self.end(id, at, out);
                }
                self.fail(frame, f);
            }
            Event::RetryScheduled { .. } => {
                self.drop_below(frame);
                if let Some(visit) = self.visits.get_mut(&frame) {
                    visit.retries += 1;
                    (visit.paused, visit.failed) = (Some(at), None);
                }
            }
            Event::WaitEnded => {
                let paused = self.visits.get_mut(&frame).and_then(|visit| visit.paused.take());
                out.extend(paused.zip(self.visits.get(&frame)).map(|(from, visit)| self.pause(visit, from, at)));
            }
            Event::TaskScheduled(details) => {
                if let Some(visit) = self.visits.get_mut(&frame) {
                    visit.task = Some(Task { scheduled: entry.id, from: at, resource: Arc::clone(&details.resource) });
                }
            }
            Event::TaskSucceeded { link, .. } => self.end_task(frame, at, End::Well, link.as_deref(), out),
            Event::TaskFailed { failure, link, .. } => {
                self.end_task(frame, at, End::Failed(name_of(failure)), link.as_deref(), out);
                self.fail(frame, failure);
            }
            Event::TaskStartFailed { failure, .. }
            | Event::TaskSubmitFailed { failure, .. }
            | Event::TaskTimedOut { failure, .. } => {
                self.end_task(frame, at, End::Failed(name_of(failure)), None, out);
                self.fail(frame, failure);
            }
            Event::ParallelStarted { branches, .. } => (0..branches.len() as u64).for_each(|n| self.fork(frame, n)),
            Event::MapIterationStarted { index, .. } => self.fork(frame, *index),
            _ => {}
        }
    }

    fn fork(&mut self, frame: FrameId, index: u64) {
        self.around.insert(FrameId(self.next_frame), (frame, index));
        self.next_frame += 1;
    }

    fn fail(&mut self, frame: FrameId, failure: &Failure) {
        if let Some(visit) = self.visits.get_mut(&frame) {
            visit.failed = Some(name_of(failure));
        }
    }

    fn is_below(&self, frame: FrameId, top: FrameId) -> bool {
        let mut at = frame;
        while let Some((around, _)) = self.around.get(&at) {
            if *around == top {
                return true;
            }
            at = *around;
        }
        false
    }

    fn drop_below(&mut self, top: FrameId) {
        let below: Vec<FrameId> = self.around.keys().copied().filter(|id| self.is_below(*id, top)).collect();
        for id in below {
            self.visits.remove(&id);
            self.around.remove(&id);
        }
    }

    /// The stay of this frame is over without its exit.
    fn end(&mut self, frame: FrameId, at: Timestamp, out: &mut Vec<Span>) {
        self.end_task(frame, at, End::Aborted, None, out);
        let Some(visit) = self.visits.get_mut(&frame).filter(|visit| !visit.is_over) else { return };
        visit.is_over = true;
        let paused = visit.paused.take();
        let Some(visit) = self.visits.get(&frame) else { return };
        out.extend(paused.map(|from| self.pause(visit, from, at)));
        let end = visit.failed.clone().map_or(End::Aborted, End::Failed);
        out.push(self.stay(frame, visit, at, end));
    }

    fn close(&mut self, at: Timestamp, status: &str, end: End, out: &mut Vec<Span>) {
        for id in self.visits.keys().rev().copied().collect::<Vec<_>>() {
            self.end(id, at, out);
        }
        out.extend(self.whole(at, status, end));
    }

    fn reopen(&mut self, at: Timestamp, redrive: u32) {
        (self.from, self.redrive) = (at, redrive);
        if self.subject.as_ref().is_some_and(|subject| subject.is_express) {
            self.visits.clear();
            self.around.clear();
            self.next_frame = 1;
        }
        for visit in self.visits.values_mut() {
            (visit.from, visit.is_over, visit.retries) = (at, false, 0);
            (visit.task, visit.paused, visit.failed) = (None, None, None);
        }
    }

    fn whole(&self, at: Timestamp, status: &str, end: End) -> Option<Span> {
        let subject = self.subject.as_ref()?;
        let mut attributes = vec![
            ("aws.step_functions.state_machine.arn", subject.machine.as_str().into()),
            ("reveille.execution.arn", subject.arn.as_str().into()),
            ("reveille.execution.status", status.into()),
        ];
        let mut links: Vec<SpanContext> = self.trace.link.into_iter().collect();
        if self.redrive > 0 {
            attributes.push(("reveille.execution.redrive_count", Attribute::Number(u64::from(self.redrive))));
            links.push(self.context(self.own(self.redrive - 1)));
        }
        Some(Span {
            id: self.own(self.redrive),
            parent: self.trace.parent,
            kind: Kind::Execution,
            name: Arc::clone(&subject.machine_name),
            from: self.from,
            to: at,
            end,
            links,
            attributes,
        })
    }

    /// The id of the execution's own span.
    fn own(&self, redrive: u32) -> u64 {
        span_id(self.execution, EventId(1), 0, redrive)
    }

    fn id_of(&self, visit: &Visit) -> u64 {
        span_id(self.execution, visit.entered, 0, self.redrive)
    }

    fn context(&self, span: u64) -> SpanContext {
        SpanContext { trace: self.trace.id, span, sampled: self.trace.sampled }
    }

    fn stay(&self, frame: FrameId, visit: &Visit, at: Timestamp, end: End) -> Span {
        let around = self.around.get(&frame);
        let above = around.and_then(|(around, _)| self.visits.get(around)).map(|around| self.id_of(around));
        let mut attributes = vec![
            ("reveille.state.name", Attribute::Text(Arc::clone(&visit.name))),
            ("reveille.state.type", visit.kind.as_str().into()),
        ];
        if let Some((_, index)) = around {
            attributes.push(("reveille.state.index", Attribute::Number(*index)));
        }
        if let (End::Well, Some(caught)) = (&end, &visit.failed) {
            attributes.push(("reveille.state.caught", caught.as_str().into()));
        }
        Span {
            id: self.id_of(visit),
            parent: Some(above.unwrap_or_else(|| self.own(self.redrive))),
            kind: Kind::State,
            name: Arc::clone(&visit.name),
            from: visit.from,
            to: at,
            end,
            links: Vec::new(),
            attributes,
        }
    }

    fn pause(&self, visit: &Visit, from: Timestamp, at: Timestamp) -> Span {
        Span {
            id: span_id(self.execution, visit.entered, visit.retries, self.redrive),
            parent: Some(self.id_of(visit)),
            kind: Kind::Retry,
            name: "retry".into(),
            from,
            to: at,
            end: End::Well,
            links: Vec::new(),
            attributes: vec![
                ("reveille.state.name", Attribute::Text(Arc::clone(&visit.name))),
                ("reveille.retry.number", Attribute::Number(u64::from(visit.retries))),
            ],
        }
    }

    fn end_task(
        &mut self,
        frame: FrameId,
        at: Timestamp,
        end: End,
        answered: Option<&SpanContext>,
        out: &mut Vec<Span>,
    ) {
        let Some(task) = self.visits.get_mut(&frame).and_then(|visit| visit.task.take()) else { return };
        let Some(visit) = self.visits.get(&frame) else { return };
        let short = task.resource.strip_prefix("arn:aws:states:::").unwrap_or(&task.resource);
        out.push(Span {
            id: span_id(self.execution, task.scheduled, 0, 0),
            parent: Some(self.id_of(visit)),
            kind: Kind::Task,
            name: short.into(),
            from: task.from,
            to: at,
            end,
            links: answered.copied().into_iter().collect(),
            attributes: vec![
                ("reveille.state.name", Attribute::Text(Arc::clone(&visit.name))),
                ("reveille.task.resource", Attribute::Text(Arc::clone(&task.resource))),
                ("reveille.task.attempt", Attribute::Number(u64::from(visit.retries) + 1)),
                ("reveille.task.scheduled_id", Attribute::Number(task.scheduled.0)),
            ],
        });
    }
}

/// The frame and all around it run: no fork of them has failed.
fn runs(state: &State, frame: FrameId) -> bool {
    let mut at = frame;
    while let Some(around) = state.frame(at).and_then(|frame| frame.parent) {
        if !matches!(state.visit(around).map(|visit| &visit.step), Some(Step::Fork(_))) {
            return false;
        }
        at = around;
    }
    matches!(state.phase(), Phase::Running)
}

fn name_of(failure: &Failure) -> String {
    failure.error.clone().unwrap_or_else(|| "(none)".to_owned())
}
