//! Workers by script: what each attempt of each task is answered, and when. See `tests/cases/README.md` for the form.
//!
//! An answer depends on the task alone (its state, its iteration, how often it was scheduled before), never on how the
//! execution came there: an execution gets the same answers with a crash anywhere and without.

use crate::payload::Payload;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::World;
use crate::clock::Timestamp;
use crate::ids::EventId;
use crate::interpreter::command::Command;
use crate::interpreter::due;
use crate::interpreter::event::{Event, Failure, FrameId};
use crate::interpreter::state::State;
use crate::interpreter::stimulus::StimulusKind;

/// By state: the answers to its attempts in order; the last one answers all that follow. A state that is not named is
/// never answered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Script {
    pub tasks: BTreeMap<String, Vec<Attempt>>,
    pub stop: Option<Stop>,
    /// How often the execution is redriven after it has closed without success.
    pub redrives: usize,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Attempt {
    /// Seconds from the scheduling to the answer.
    pub after: f64,
    pub success: Option<Value>,
    pub failure: Option<Told>,
    /// The broker cannot take it.
    pub undeliverable: Option<Told>,
    /// Publishing is all: the receipt is the result.
    pub receipt: Option<Value>,
    /// The publisher confirm comes after the answer.
    pub unconfirmed: bool,
    /// Seconds from the scheduling to each heartbeat.
    pub heartbeats: Vec<f64>,
    /// Seconds from the scheduling until a worker takes it.
    pub taken: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Told {
    pub error: Option<String>,
    pub cause: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stop {
    /// Seconds from the start.
    pub at: f64,
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub cause: Option<String>,
}

/// Runs to the end; every task is left alone.
pub(super) fn without_answers(world: World) -> World {
    let script = Script::default();
    let mut play = Play::new(world, &script);
    play.play_out();
    play.world
}

impl From<Told> for Failure {
    fn from(told: Told) -> Self {
        Self { error: told.error, cause: told.cause, heartbeat: false }
    }
}

/// Where a task stands: its state and the indexes of the branches and iterations around it.
type Place = (String, Vec<u32>);

fn place(state: &State, frame: FrameId) -> Option<Place> {
    let name = state.visit(frame)?.name.to_string();
    let mut path = Vec::new();
    let mut at = frame;
    while let Some((parent, index)) = state.frame(at).and_then(|f| Some((f.parent?, f.index))) {
        path.push(index);
        at = parent;
    }
    Some((name, path))
}

/// Plays a script to an execution until it has closed for good.
pub(super) struct Play<'s> {
    pub world: World,
    pub script: &'s Script,
    attempts: BTreeMap<Place, usize>,
    /// The outside's actions for each open task, in the order of time.
    plans: BTreeMap<EventId, Vec<(Timestamp, StimulusKind)>>,
    seen: usize,
}

impl<'s> Play<'s> {
    pub fn new(world: World, script: &'s Script) -> Self {
        let mut play = Self { world, script, attempts: BTreeMap::new(), plans: BTreeMap::new(), seen: 0 };
        play.watch();
        play
    }

    /// The process dies with `entries` on the disk. The workers do not notice.
    pub fn crash(&mut self, entries: usize) {
        self.world.crash(entries);
        (self.attempts, self.plans, self.seen) = (BTreeMap::new(), BTreeMap::new(), 0);
        self.watch();
        let now = self.world.now;
        for plan in self.plans.values_mut() {
            plan.retain(|(at, _)| *at >= now);
        }
    }

    /// Plans the answers to tasks that were scheduled since the last look. Places are read from states folded up to the
    /// scheduling.
    fn watch(&mut self) {
        let fresh = &self.world.journal[self.seen..];
        if fresh.iter().any(|e| matches!(e.event, Event::TaskScheduled(_))) {
            let mut state = State::default();
            for (i, entry) in self.world.journal.iter().enumerate() {
                state.evolve(entry).unwrap();
                if i < self.seen || !matches!(entry.event, Event::TaskScheduled(_)) {
                    continue;
                }
                let Some(place) = place(&state, entry.frame) else { continue };
                let nth = self.attempts.entry(place.clone()).or_default();
                let attempts = self.script.tasks.get(&place.0);
                if let Some(attempt) = attempts.and_then(|a| a.get(*nth).or(a.last())) {
                    self.plans.insert(entry.id, plan(attempt, entry.id, entry.at));
                }
                *nth += 1;
            }
        }
        self.seen = self.world.journal.len();
    }

    pub fn feed(&mut self, kind: StimulusKind) {
        // A rejection is the verdict that a worker gets; the script has no use for it.
        let _ = self.world.feed(kind);
        self.watch();
    }

    pub fn play_out(&mut self) {
        for _ in 0..100_000 {
            if self.perform() {
                continue;
            }
            if self.world.state.is_running() {
                self.next_moment();
            } else if self.redrives_left() {
                self.feed(StimulusKind::Redrive { token: None });
                if self.world.state.is_running() {
                    continue;
                }
                return;
            } else {
                return;
            }
        }
        panic!("the execution does not end");
    }

    fn redrives_left(&self) -> bool {
        let done = self.world.journal.iter().filter(|e| matches!(e.event, Event::ExecutionRedriven { .. })).count();
        done < self.script.redrives
    }

    /// Does what the core ordered. False where there was nothing.
    fn perform(&mut self) -> bool {
        let commands = std::mem::take(&mut self.world.commands);
        let mut worked = false;
        for command in commands {
            match command {
                Command::Dispatch { scheduled } => {
                    worked = true;
                    let instead = self
                        .plans
                        .get_mut(&scheduled)
                        .and_then(|p| p.iter().position(|(_, k)| speaks_for_the_broker(k)).map(|i| p.remove(i).1));
                    let confirm = instead.or_else(|| {
                        let late = self
                            .plans
                            .get(&scheduled)
                            .is_some_and(|p| p.iter().any(|(_, k)| matches!(k, StimulusKind::Dispatched { .. })));
                        (!late).then(|| confirm(scheduled))
                    });
                    if let Some(kind) = confirm {
                        self.feed(kind);
                    }
                }
                Command::Continue => {
                    worked = true;
                    self.feed(StimulusKind::Continue);
                }
                Command::StartMapRun { started } => {
                    worked = true;
                    self.map_run(started);
                }
                Command::StopMapRun { started } => {
                    worked = true;
                    self.feed(StimulusKind::MapRunStopped { started });
                }
                Command::StopChild { scheduled } => {
                    worked = true;
                    self.feed(StimulusKind::ChildStopped { scheduled });
                }
                Command::Cancel { .. } | Command::Finish => {}
            }
        }
        worked
    }

    /// Time jumps to the next event. An answer comes before timers of the same moment.
    fn next_moment(&mut self) {
        let open: Vec<EventId> = self.world.state.tasks().map(|t| t.task.scheduled).collect();
        let answer = open.iter().filter_map(|id| Some((self.plans.get(id)?.first()?.0, *id))).min();
        let stop = self.script.stop.as_ref().map(|s| self.world.state.started_at().plus_seconds(s.at));
        let due = due(&self.world.machine, &self.world.state).expect("a running execution is due some time");
        let now = self.world.now;
        match (answer, stop) {
            (_, Some(stop))
                if stop >= now
                    && stop <= due
                    && answer.is_none_or(|(at, _)| stop <= at)
                    && self.world.state.redrive_count() == 0 =>
            {
                self.world.now = stop;
                let told = self.script.stop.clone().expect("it is there");
                self.feed(StimulusKind::Stop(Failure { error: told.error, cause: told.cause, heartbeat: false }));
            }
            (Some((at, id)), _) if at <= due => {
                self.world.now = at.max(now);
                let (_, kind) = self.plans.get_mut(&id).expect("it has a plan").remove(0);
                self.feed(kind);
            }
            _ => {
                self.world.now = due.max(now);
                self.feed(StimulusKind::Clock);
            }
        }
    }
}

fn confirm(scheduled: EventId) -> StimulusKind {
    StimulusKind::Dispatched { scheduled, receipt: Payload::new(json!({ "MessageId": "m" })), completes: false }
}

fn speaks_for_the_broker(kind: &StimulusKind) -> bool {
    matches!(kind, StimulusKind::DispatchFailed { .. } | StimulusKind::Dispatched { completes: true, .. })
}

fn plan(attempt: &Attempt, scheduled: EventId, at: Timestamp) -> Vec<(Timestamp, StimulusKind)> {
    let attempt = attempt.clone();
    let mut plan = Vec::new();
    if let Some(taken) = attempt.taken {
        plan.push((at.plus_seconds(taken), StimulusKind::TaskStarted { scheduled, worker_name: Some("Ada".into()) }));
    }
    plan.extend(attempt.heartbeats.iter().map(|s| (at.plus_seconds(*s), StimulusKind::TaskHeartbeat { scheduled })));
    let answer = at.plus_seconds(attempt.after);
    if let Some(output) = attempt.success {
        plan.push((
            answer,
            StimulusKind::TaskSucceeded { scheduled, output: Payload::new(output), by: None, link: None },
        ));
    }
    if let Some(told) = attempt.failure {
        plan.push((answer, StimulusKind::TaskFailed { scheduled, failure: told.into(), by: None, link: None }));
    }
    if let Some(told) = attempt.undeliverable {
        plan.push((answer, StimulusKind::DispatchFailed { scheduled, failure: told.into() }));
    }
    if let Some(receipt) = attempt.receipt {
        plan.push((answer, StimulusKind::Dispatched { scheduled, receipt: Payload::new(receipt), completes: true }));
    }
    if attempt.unconfirmed {
        plan.push((answer, confirm(scheduled)));
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
}
