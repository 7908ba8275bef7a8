//! The story of one execution, folded from its journal for people: each stay in a state with its attempts. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::asl::model::Machine;
use crate::clock::Timestamp;
use crate::ids::{Arn, BlockId, EventId};
use crate::interpreter::event::{Assigned, By, Entry, Event, Failure, FrameId, Payload, StateType};

/// In the place of a payload that is not shown.
pub const HIDDEN: &str = "hidden: you may not see payloads";

/// How far a stay in a state has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Stopped,
    Done,
    Failed,
    Running,
    Retrying,
    /// For an answer, or for a moment.
    Waiting,
}

impl Standing {
    /// The class of the graph and of the time line.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Waiting => "waiting",
        }
    }

    pub const fn words(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Running => "running",
            Self::Retrying => "tries again",
            Self::Waiting => "waits",
        }
    }
}

/// One try of a task.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub scheduled: EventId,
    pub at: Timestamp,
    pub ended: Option<Timestamp>,
    pub failure: Option<Failure>,
    /// The person who answered.
    pub by: Option<By>,
    /// The answer.
    pub said: Option<Payload>,
}

/// One stay in a state.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The event that entered it.
    pub event: EventId,
    pub pointer: String,
    pub name: String,
    pub kind: StateType,
    pub depth: usize,
    /// Of an iteration of a Map, or the branch of a Parallel.
    pub index: Option<u64>,
    pub entered: Timestamp,
    pub left: Option<Timestamp>,
    pub standing: Standing,
    pub input: Payload,
    pub output: Option<Payload>,
    /// The parameters of the task, and its resource.
    pub task: Option<(String, Payload)>,
    pub attempts: Vec<Attempt>,
    pub failure: Option<Failure>,
    /// A wait or a backoff ends then.
    pub until: Option<Timestamp>,
    /// Of an inline Map: how far each iteration has come; `None`: it has not begun.
    pub iterations: Vec<Option<Standing>>,
    /// Of a Distributed Map.
    pub map_run: Option<Arn>,
}

/// The frame of a branch or an iteration.
struct Frame {
    block: BlockId,
    depth: usize,
    index: Option<u64>,
    /// The place of its present visit.
    visit: Option<usize>,
    /// The block of the iterations of its Map.
    map: Option<BlockId>,
    /// Of an iteration: the place of its Map's visit.
    of: Option<usize>,
}

/// The story of a journal.
#[derive(Debug, Clone, Default)]
pub struct Story {
    pub visits: Vec<Visit>,
    /// Transitions that were taken: from, to, and whether a Catch led there.
    pub taken: BTreeSet<(Option<String>, Option<String>, bool)>,
    /// Variables that the top level got, with the last event before each of its states could see them.
    pub assigned: Vec<(EventId, Assigned)>,
}

impl Story {
    /// The same without payloads, for a person who may not see them.
    #[must_use]
    pub fn without_payloads(mut self) -> Self {
        let hidden = || Payload::new(HIDDEN.into());
        let bare = |failure: &mut Option<Failure>| {
            if let Some(failure) = failure {
                failure.cause = None;
            }
        };
        self.assigned.clear();
        for visit in &mut self.visits {
            visit.input = hidden();
            visit.output = visit.output.as_ref().map(|_| hidden());
            visit.task = visit.task.take().map(|(resource, _)| (resource, hidden()));
            bare(&mut visit.failure);
            for attempt in &mut visit.attempts {
                attempt.said = None;
                bare(&mut attempt.failure);
            }
        }
        self
    }

    /// The standing of each state: that of the stay that matters most now.
    pub fn standings(&self) -> BTreeMap<&str, Standing> {
        let mut standings: BTreeMap<&str, Standing> = BTreeMap::new();
        for visit in &self.visits {
            let of_state = standings.entry(&visit.pointer).or_insert(visit.standing);
            // An open stay comes before closed ones; else the newest stay counts.
            let open = |standing: Standing| standing >= Standing::Running;
            if open(visit.standing) || !open(*of_state) {
                *of_state = visit.standing;
            }
        }
        standings
    }

    /// The stay that a page shows first: a waiting stay, else a running or failed stay, else the last.
    pub fn foremost(&self) -> Option<&Visit> {
        let with = |standing| self.visits.iter().rev().find(|visit| visit.standing == standing);
        let leaf = |standing| {
            let is_leaf = |visit: &&Visit| !matches!(visit.kind, StateType::Parallel | StateType::Map);
            self.visits.iter().rev().filter(is_leaf).find(|visit| visit.standing == standing)
        };
        with(Standing::Waiting)
            .or_else(|| with(Standing::Retrying))
            .or_else(|| leaf(Standing::Running))
            .or_else(|| leaf(Standing::Failed))
            .or_else(|| with(Standing::Failed))
            .or_else(|| self.visits.last())
    }

    /// The newest stay in a state.
    pub fn visit(&self, pointer: &str) -> Option<&Visit> {
        let of_state = || self.visits.iter().rev().filter(|visit| visit.pointer == pointer);
        of_state().find(|visit| visit.standing >= Standing::Running).or_else(|| of_state().next())
    }

    /// Variables of the top level when this stay began; of none: as of now.
    pub fn variables(&self, at: Option<&Visit>) -> Assigned {
        let before = |event: EventId| at.is_none_or(|visit| event < visit.event);
        let seen = self.assigned.iter().filter(|(event, _)| before(*event));
        seen.flat_map(|(_, assigned)| assigned.clone()).collect()
    }

    /// The stay whose task was scheduled by this event.
    pub fn visit_of(&self, scheduled: EventId) -> Option<&Visit> {
        self.visits.iter().rev().find(|visit| visit.attempts.iter().any(|attempt| attempt.scheduled == scheduled))
    }
}

/// Folds a journal into its story, entry by entry.
pub struct Reader {
    /// None: the definition cannot be read, and there is no story.
    machine: Option<Arc<Machine>>,
    frames: BTreeMap<FrameId, Frame>,
    /// The number of the next frame.
    next: u32,
    story: Story,
}

impl Reader {
    pub fn new(machine: Option<Arc<Machine>>) -> Self {
        Self { machine, frames: BTreeMap::new(), next: 1, story: Story::default() }
    }

    pub fn story(&self) -> &Story {
        &self.story
    }

    fn visit(&mut self, frame: FrameId) -> Option<&mut Visit> {
        let place = self.frames.get(&frame)?.visit?;
        self.story.visits.get_mut(place)
    }

    fn change(&mut self, frame: FrameId, change: impl FnOnce(&mut Visit)) {
        if let Some(visit) = self.visit(frame) {
            change(visit);
        }
    }

    pub fn read(&mut self, entry: &Entry) {
        let (frame, at) = (entry.frame, entry.at);
        match &entry.event {
            Event::ExecutionStarted(started) => {
                let block = started.block.unwrap_or(BlockId(0));
                self.frames
                    .insert(FrameId::TOP, Frame { block, depth: 0, index: None, visit: None, map: None, of: None });
                if let Some(forked) = &started.forked {
                    self.story.assigned.push((entry.id, forked.variables.clone()));
                }
            }
            Event::ExecutionFailed(_) | Event::ExecutionTimedOut(_) | Event::ExecutionAborted(_) => self.close(at),
            Event::StateEntered { kind, name, input } => self.enter(entry, *kind, name, input),
            Event::StateExited { output, next, assigned, .. } => {
                if let Some(assigned) = assigned.as_deref().filter(|_| frame == FrameId::TOP) {
                    self.story.assigned.push((entry.id, assigned.clone()));
                }
                self.change(frame, |visit| {
                    visit.left = Some(at);
                    visit.output = Some(output.clone());
                    visit.until = None;
                    // Where a Catch leads on, the failure is told and the state was left.
                    visit.standing = if visit.failure.is_some() { Standing::Failed } else { Standing::Done };
                });
                if next.is_none()
                    && let Some(visit) = self.visit(frame)
                {
                    let from = visit.pointer.clone();
                    self.story.taken.insert((Some(from), None, false));
                }
            }
            Event::StateAborted { .. } => self.change(frame, |visit| {
                visit.left = Some(at);
                visit.standing = Standing::Stopped;
            }),
            Event::StateFailed(failure) | Event::ForkFailed(failure) | Event::MapRunFailed(failure) => {
                self.fail(frame, at, failure);
            }
            Event::RetryScheduled { due, .. } => self.change(frame, |visit| {
                visit.until = Some(*due);
                visit.standing = Standing::Retrying;
                visit.left = None;
            }),
            Event::WaitScheduled { due } => self.change(frame, |visit| {
                visit.until = Some(*due);
                visit.standing = Standing::Waiting;
            }),
            Event::WaitEnded => self.change(frame, |visit| {
                visit.until = None;
                visit.standing = Standing::Running;
            }),
            Event::ParallelStarted { branches, .. } => {
                let depth = self.frames.get(&frame).map_or(0, |frame| frame.depth) + 1;
                for (index, block) in (0..).zip(branches) {
                    self.begin(Frame { block: *block, depth, index: Some(index), visit: None, map: None, of: None });
                }
            }
            Event::MapStarted(map) => {
                if let Some(frame) = self.frames.get_mut(&frame) {
                    frame.map = Some(map.block);
                }
                if !map.distributed {
                    self.change(frame, |visit| visit.iterations = vec![None; map.items.len()]);
                }
            }
            Event::MapIterationStarted { index, .. } => {
                let of_map = self.frames.get(&frame).and_then(|frame| Some((frame.map?, frame.depth + 1, frame.visit)));
                if let Some((block, depth, of)) = of_map {
                    self.begin(Frame { block, depth, index: Some(*index), visit: None, map: None, of });
                }
                self.iteration(frame, *index, Standing::Running);
            }
            Event::MapIterationSucceeded { index, .. } => self.iteration(frame, *index, Standing::Done),
            Event::MapIterationFailed { index, .. } => self.iteration(frame, *index, Standing::Failed),
            Event::MapIterationAborted { index, .. } => self.iteration(frame, *index, Standing::Stopped),
            Event::MapRunStarted { arn, .. } | Event::MapRunRedriven { arn, .. } => {
                self.change(frame, |visit| visit.map_run = Some(arn.clone()));
            }
            _ => self.task(entry),
        }
    }

    /// Written in the iteration's own frame, or in that of its Map.
    fn iteration(&mut self, frame: FrameId, index: u64, standing: Standing) {
        let Some(at) = self.frames.get(&frame).and_then(|frame| frame.of.or(frame.visit)) else { return };
        let Ok(index) = usize::try_from(index) else { return };
        let visit = self.story.visits.get_mut(at);
        if let Some(place) = visit.and_then(|visit| visit.iterations.get_mut(index)) {
            *place = Some(standing);
        }
    }

    fn task(&mut self, entry: &Entry) {
        let (frame, at) = (entry.frame, entry.at);
        match &entry.event {
            Event::TaskScheduled(details) => {
                let callback =
                    details.resource.ends_with(".waitForTaskToken") || details.resource.contains(":activity:");
                self.change(frame, |visit| {
                    visit.task = Some((details.resource.to_string(), details.parameters.clone()));
                    visit.until = None;
                    visit.failure = None;
                    visit.standing = if callback { Standing::Waiting } else { Standing::Running };
                    let scheduled = entry.id;
                    visit.attempts.push(Attempt { scheduled, at, ended: None, failure: None, by: None, said: None });
                });
            }
            Event::TaskSucceeded { by, output, .. } => self.change(frame, |visit| {
                visit.standing = Standing::Running;
                if let Some(attempt) = visit.attempts.last_mut() {
                    (attempt.ended, attempt.by) = (Some(at), by.as_deref().cloned());
                    attempt.said = Some(output.clone());
                }
            }),
            Event::TaskFailed { failure, by, .. } => {
                self.change(frame, |visit| {
                    if let Some(attempt) = visit.attempts.last_mut() {
                        attempt.by = by.as_deref().cloned();
                    }
                });
                self.fail(frame, at, failure);
            }
            Event::TaskTimedOut { failure, .. }
            | Event::TaskStartFailed { failure, .. }
            | Event::TaskSubmitFailed { failure, .. } => self.fail(frame, at, failure),
            _ => {}
        }
    }

    fn fail(&mut self, frame: FrameId, at: Timestamp, failure: &Failure) {
        self.change(frame, |visit| {
            visit.standing = Standing::Failed;
            visit.left = Some(at);
            visit.failure = Some(failure.clone());
            if let Some(attempt) = visit.attempts.last_mut().filter(|attempt| attempt.ended.is_none()) {
                (attempt.ended, attempt.failure) = (Some(at), Some(failure.clone()));
            }
        });
    }

    /// Closes the stays that were open when the execution ended.
    fn close(&mut self, at: Timestamp) {
        for visit in self.story.visits.iter_mut().filter(|visit| visit.left.is_none()) {
            (visit.left, visit.standing, visit.until) = (Some(at), Standing::Stopped, None);
            if let Some(attempt) = visit.attempts.last_mut().filter(|attempt| attempt.ended.is_none()) {
                attempt.ended = Some(at);
            }
        }
    }

    fn begin(&mut self, frame: Frame) {
        self.frames.insert(FrameId(self.next), frame);
        self.next += 1;
    }

    fn enter(&mut self, entry: &Entry, kind: StateType, name: &str, input: &Payload) {
        let Some(machine) = self.machine.clone() else { return };
        let known = self.frames.get(&entry.frame).map(|frame| frame.block);
        let holds = |block: &BlockId| {
            let block = machine.blocks.get(block.0 as usize);
            block.and_then(|block| block.states.get(name)).map(|state| state.pointer.clone())
        };
        // A frame that this reader does not know has its state in some block.
        let elsewhere = || {
            let mut blocks = machine.blocks.iter();
            blocks.find_map(|block| block.states.get(name)).map(|state| state.pointer.clone())
        };
        let Some(pointer) = known.as_ref().and_then(holds).or_else(elsewhere) else { return };
        let place = self.story.visits.len();
        let frame = self.frames.entry(entry.frame).or_insert(Frame {
            block: BlockId(0),
            depth: 1,
            index: None,
            visit: None,
            map: None,
            of: None,
        });
        let before = frame.visit.replace(place).and_then(|before| self.story.visits.get(before));
        let caught = before.is_some_and(|before| before.standing == Standing::Failed);
        self.story.taken.insert((before.map(|before| before.pointer.clone()), Some(pointer.clone()), caught));
        self.story.visits.push(Visit {
            event: entry.id,
            pointer,
            name: name.to_owned(),
            kind,
            depth: frame.depth,
            index: frame.index,
            entered: entry.at,
            left: None,
            standing: Standing::Running,
            input: input.clone(),
            output: None,
            task: None,
            attempts: Vec::new(),
            failure: None,
            until: None,
            iterations: Vec::new(),
            map_run: None,
        });
    }
}
