//! `decide(machine, state, stimulus) → events + commands`: all decisions of an execution, without performing them.
//!
//! A decision takes the stimulus in, then lets every frame go on until all wait for the outside again. Each event is
//! folded into the state at once, by the same `evolve` that recovery uses, so the state after a decision is the fold of
//! its journal.

mod intake;

use crate::asl::model::{self, Machine};
use crate::clock::Timestamp;
use crate::ids::{EventId, ExecutionId, Realm, TaskKey};
use crate::limits;
use crate::query::Entropy;

use super::bounds::Bounds;
use super::command::{CancelReason, Command};
use super::event::{Entry, Event, Failure, FrameId, Payload, StateType};
use super::ledger::Ledger;
use super::scope::{Context, Scope};
use super::state::{Misfit, Phase, Position, State, Step, Visit};
use super::stimulus::{Rejection, Stimulus};
use super::test_state::{Probe, Stage};
use super::{failure, steps};

/// Turns a task's key into its token. Pure: the same key gives the same token. The core shows the token to the
/// definition (`$$.Task.Token`) and never reads it.
pub trait TokenMint {
    fn token(&self, key: TaskKey) -> String;
}

/// The environment of an execution.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    pub execution: ExecutionId,
    pub realm: &'a Realm,
    pub tokens: &'a dyn TokenMint,
    pub bounds: Bounds,
    /// Answers that came in time may still be queued: no timeout or missed heartbeat ends a task now, nor does the
    /// execution's timeout. Wait states and retries go on.
    pub holds_timeouts: bool,
}

/// The result of a stimulus. The shell appends `entries`, and only then performs `commands`.
#[derive(Debug, Default, PartialEq)]
pub struct Decision {
    pub entries: Vec<Entry>,
    pub commands: Vec<Command>,
    /// Bytes that the execution holds after it ([`Bounds::held`]).
    pub held: u64,
}

/// Why nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

/// Decides a stimulus and folds the events into `state`.
///
/// If the append of the entries then fails, the caller drops `state` and loads it again.
///
/// # Errors
/// The reason why the stimulus changes nothing; `state` is as before. A [`Misfit`] is a fault of ours: the caller drops
/// `state`, and its journal is whole.
pub fn decide(env: Env<'_>, machine: &Machine, state: &mut State, stimulus: Stimulus) -> Result<Decision, Undecided> {
    let entropy = Entropy::new(stimulus.at, stimulus.entropy);
    let mut decider = Decider {
        env,
        machine,
        state,
        at: stimulus.at,
        entropy,
        entries: Vec::new(),
        commands: Vec::new(),
        context: Context::default(),
        ledger: Ledger::default(),
        probe: None,
        held: 0,
        misfit: None,
    };
    let left = decider.left_children();
    decider.take(stimulus.kind)?;
    decider.go_on();
    decider.stop_children(&left);
    if let Some(misfit) = decider.misfit {
        return Err(misfit.into());
    }
    // Commands that are already void go: a task of a branch that has failed since, more work of a closed execution.
    let state = &*decider.state;
    decider.commands.retain(|command| match command {
        Command::Dispatch { scheduled } => state.task(*scheduled).is_ok(),
        Command::Continue => state.is_running(),
        Command::StartMapRun { started } => state.map_run(*started).is_some(),
        Command::Cancel { .. } | Command::StopMapRun { .. } | Command::StopChild { .. } | Command::Finish => true,
    });
    if !decider.entries.is_empty() && matches!(decider.state.phase(), Phase::Closed(_)) {
        decider.commands.push(Command::Finish);
    }
    Ok(Decision { entries: decider.entries, commands: decider.commands, held: decider.held })
}

/// When the shell must come back with [`super::stimulus::StimulusKind::Clock`], if nothing else happens before.
#[must_use]
pub fn due(machine: &Machine, state: &State) -> Option<Timestamp> {
    let deadline = execution_deadline(machine, state)?;
    Some(state.first_due().map_or(deadline, |(at, _)| at.min(deadline)))
}

/// When the execution as a whole times out: `TimeoutSeconds` of the machine, and a year at most (express: five
/// minutes). `None` unless it runs.
#[must_use]
pub fn execution_deadline(machine: &Machine, state: &State) -> Option<Timestamp> {
    if !state.is_running() {
        return None;
    }
    let express = state.is_express();
    // A redrive restarts the machine's own timeout, and the only bound of an express child.
    let from = state.redriven_at().unwrap_or(state.started_at());
    let oldest =
        if express { from.plus(limits::EXPRESS_AGE_MAX) } else { state.started_at().plus(limits::EXECUTION_AGE_MAX) };
    // The machine's timeout is not that of a map run's child.
    let is_child = state.started().is_some_and(|s| s.block.is_some());
    let own = machine.timeout_seconds.filter(|_| !is_child).map(|s| from.plus(std::time::Duration::from_secs(s)));
    Some(own.map_or(oldest, |own| own.min(oldest)))
}

pub(super) struct Decider<'a> {
    pub env: Env<'a>,
    pub machine: &'a Machine,
    pub state: &'a mut State,
    pub at: Timestamp,
    pub entropy: Entropy,
    entries: Vec<Entry>,
    commands: Vec<Command>,
    context: Context,
    pub ledger: Ledger,
    /// The observer of `TestState`.
    pub probe: Option<Box<Probe>>,
    /// Bytes that the execution holds, once they are known.
    pub held: u64,
    /// An event that did not fit: the decision ends.
    misfit: Option<Misfit>,
}

impl<'a> Decider<'a> {
    /// A decider for `TestState`, which observes each step.
    pub fn probing(
        env: Env<'a>,
        machine: &'a Machine,
        state: &'a mut State,
        at: Timestamp,
        entropy: Entropy,
        probe: Probe,
    ) -> Self {
        Self {
            env,
            machine,
            state,
            at,
            entropy,
            entries: Vec::new(),
            commands: Vec::new(),
            context: Context::default(),
            ledger: Ledger::default(),
            probe: Some(Box::new(probe)),
            held: 0,
            misfit: None,
        }
    }

    /// Shows a value that flows through a state to the observer, if there is one.
    pub fn observe(&mut self, stage: Stage, value: &Payload) {
        if let Some(probe) = &mut self.probe {
            probe.see(stage, value);
        }
    }

    /// Lets every frame go on until all of them wait, or the bounds are met.
    fn go_on(&mut self) {
        while let Some(frame) = self.state.next_ready(self.state.turn()).filter(|_| self.misfit.is_none()) {
            if self.is_long_enough() {
                self.commands.push(Command::Continue);
                break;
            }
            self.advance(frame);
        }
        self.hold_within_bounds();
    }

    /// Tells whether the decision yields to the other executions of its partition. The place of the cut does not change
    /// the decisions.
    fn is_long_enough(&self) -> bool {
        let work = self.ledger.work() + self.context.spent();
        self.entries.len() >= limits::DECISION_EVENTS_MAX || work >= limits::DECISION_WORK_MAX
    }

    /// One step of one frame.
    pub fn advance(&mut self, id: FrameId) {
        let Some(frame) = self.state.frame(id) else { return };
        match &frame.position {
            Position::At { next, input } => {
                let block = self.machine.blocks.get(frame.block.0 as usize);
                let name = next.clone().or_else(|| block.map(|b| b.start_at.clone())).unwrap_or_default();
                let kind = block.and_then(|b| b.states.get(&name)).map_or(StateType::Fail, |s| state_type(&s.kind));
                let input = Payload::clone(input);
                self.emit(id, Event::StateEntered { kind, name, input });
            }
            Position::In(visit) => {
                let Some(definition) = self.definition(id) else {
                    let failure =
                        Failure::new("States.Runtime", format!("The definition has no state '{}'", visit.name));
                    self.close_failed(id, failure);
                    return;
                };
                match &visit.step {
                    Step::Entered if visit.kept_run.is_some() => steps::map_run::redrive(self, id),
                    Step::Entered => steps::enter(self, id, definition),
                    Step::Succeeded(raw) => {
                        let raw = Payload::clone(raw);
                        steps::succeeded(self, id, definition, &raw);
                    }
                    Step::WaitOver => steps::wait::over(self, id, definition),
                    Step::Fork(_) => steps::fork::go_on(self, id, definition),
                    // Its run has succeeded.
                    Step::MapRun(_) => drop(self.emit(id, Event::MapSucceeded)),
                    Step::Failed(f) => {
                        let f = f.clone();
                        failure::handle(self, id, definition, f);
                    }
                    Step::Task(task) => {
                        let (family, scheduled) = (task.details.family.clone(), task.scheduled);
                        self.emit(id, Event::TaskStarted { family, scheduled, worker_name: None });
                    }
                    Step::Waiting { .. } | Step::Backoff { .. } => {}
                }
            }
            Position::Finished { output } => {
                let output = Payload::clone(output);
                match frame.parent {
                    None => {
                        self.emit(id, Event::ExecutionSucceeded { output });
                    }
                    Some(parent) => {
                        let name = self.state.visit(parent).map(|v| v.name.clone()).unwrap_or_default();
                        let index = u64::from(frame.index);
                        self.emit(id, Event::MapIterationSucceeded { name, index });
                    }
                }
            }
        }
    }

    /// The definition of a frame's current state.
    pub fn definition(&self, frame: FrameId) -> Option<&'a model::State> {
        let f = self.state.frame(frame)?;
        let Position::In(visit) = &f.position else { return None };
        self.machine.blocks.get(f.block.0 as usize)?.states.get(&visit.name).map(|s| &**s)
    }

    /// Writes an event that follows the frame's last one.
    pub fn emit(&mut self, frame: FrameId, event: Event) -> EventId {
        let previous = self.state.frame(frame).map(|f| f.last_event).unwrap_or_default();
        self.emit_after(frame, previous, event)
    }

    /// Writes an event that follows `previous`. Returns its id; that of a hidden one is 0.
    ///
    /// The last event for which history and journal have room is kept for closing the execution. An event that would
    /// take its place is not written; the execution fails instead, and the rest of the decision is not written either.
    pub fn emit_after(&mut self, frame: FrameId, previous: EventId, event: Event) -> EventId {
        let reopens = matches!(event, Event::ExecutionRedriven { .. });
        if matches!(self.state.phase(), Phase::Closed(_)) && !reopens {
            return EventId(0);
        }
        self.ledger.enter(&event);
        if let Some((reason, failure)) = self.no_room_for(&event) {
            self.cancel_all(reason);
            self.emit(FrameId::TOP, Event::ExecutionFailed(failure));
            return EventId(0);
        }
        let id = if event.is_hidden() { EventId(0) } else { EventId(self.state.last_id().0 + 1) };
        let entry = Entry { at: self.at, id, previous, frame, event };
        if let Err(misfit) = self.state.evolve(&entry) {
            debug_assert!(false, "{misfit}");
            self.misfit.get_or_insert(misfit);
            return EventId(0);
        }
        self.entries.push(entry);
        id
    }

    pub fn command(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Children whose stop is already ordered. A closed execution has none, because a redrive orders it again.
    fn left_children(&self) -> Vec<EventId> {
        if self.state.is_running() { self.state.left_children().map(|(id, _)| id).collect() } else { Vec::new() }
    }

    /// Orders the stop of children that tasks left behind in this decision. If the execution has closed, its end does
    /// it.
    fn stop_children(&mut self, before: &[EventId]) {
        if self.state.is_running() {
            let new = self.state.left_children().map(|(id, _)| id).filter(|id| !before.contains(id));
            self.commands.extend(new.map(|scheduled| Command::StopChild { scheduled }));
        }
    }

    /// Every open task is cancelled, every map run stopped: the execution closes.
    pub fn cancel_all(&mut self, reason: CancelReason) {
        let open: Vec<EventId> = self.state.tasks().map(|t| t.task.scheduled).collect();
        self.commands.extend(open.into_iter().map(|scheduled| Command::Cancel { scheduled, reason }));
        let runs: Vec<EventId> = self.state.map_runs().map(|view| view.run.started).collect();
        self.commands.extend(runs.into_iter().map(|started| Command::StopMapRun { started }));
    }

    /// Ends the execution with the failure of a frame.
    pub fn close_failed(&mut self, frame: FrameId, failure: Failure) {
        self.cancel_all(CancelReason::SiblingFailed);
        let previous = self.state.frame(frame).map(|f| f.last_event).unwrap_or_default();
        self.emit_after(FrameId::TOP, previous, Event::ExecutionFailed(failure));
    }

    /// The scope of expressions in a frame's state, with `$` = `input`, and the entropy.
    pub fn scope<'s>(
        &'s mut self,
        frame: FrameId,
        input: &'s Payload,
        token: Option<EventId>,
    ) -> (Scope<'s>, &'s mut Entropy) {
        let token = token.map(|scheduled| (self.env.tokens, TaskKey { execution: self.env.execution, scheduled }));
        let given = self.probe.as_deref().and_then(Probe::context);
        self.context.renew();
        (Scope::new(self.state, &self.context, frame, input, token).with_context(given), &mut self.entropy)
    }

    /// The id of the next visible event. A task that is being prepared mints its token from it.
    pub fn next_id(&self) -> EventId {
        EventId(self.state.last_id().0 + 1)
    }

    pub fn visit(&self, frame: FrameId) -> Option<&Visit> {
        self.state.visit(frame)
    }
}

/// The event word for a state's type.
pub(super) fn state_type(kind: &model::Kind) -> StateType {
    match kind {
        model::Kind::Pass(_) => StateType::Pass,
        model::Kind::Task(_) => StateType::Task,
        model::Kind::Choice(_) => StateType::Choice,
        model::Kind::Wait(_) => StateType::Wait,
        model::Kind::Succeed => StateType::Succeed,
        model::Kind::Fail(_) => StateType::Fail,
        model::Kind::Parallel(_) => StateType::Parallel,
        model::Kind::Map(_) => StateType::Map,
    }
}
