//! `decide(machine, state, stimulus) → events + commands`: everything that an execution does, decided without doing it.
//!
//! A decision takes the stimulus in, then lets every frame go on until all wait for the outside again. Each event is
//! folded in as it is made, by the same `evolve` that recovery uses: the state after a decision is the state after its
//! journal.

use std::sync::Arc;

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
use super::state::{OpenTask, Phase, Position, State, Step, TaskView, Visit};
use super::stimulus::{Rejection, Stimulus, StimulusKind};
use super::test_state::{Probe, Stage};
use super::{failure, steps};

/// Turns a task's key into its token. Pure: the same key gives the same token. The core shows the token to the
/// definition (`$$.Task.Token`) and never looks into it.
pub trait TokenMint {
    fn token(&self, key: TaskKey) -> String;
}

/// What the core knows of the world around an execution.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    pub execution: ExecutionId,
    pub realm: &'a Realm,
    pub tokens: &'a dyn TokenMint,
    pub bounds: Bounds,
    /// Answers may wait that came in time: nothing that is due ends a task now (its timeout, its heartbeats, its
    /// execution's timeout). Wait states and retries go on.
    pub holds_timeouts: bool,
}

/// What a stimulus led to. The shell appends `entries`, and only then performs `commands`.
#[derive(Debug, Default, PartialEq)]
pub struct Decision {
    pub entries: Vec<Entry>,
    pub commands: Vec<Command>,
    /// Bytes that the execution holds after it ([`Bounds::held`]).
    pub held: u64,
}

/// Decides what a stimulus leads to, and folds it into `state`.
///
/// Where the append of the entries fails afterwards, the caller throws `state` away and loads it anew.
///
/// # Errors
/// Why the stimulus changes nothing; `state` is as it was.
pub fn decide(env: Env<'_>, machine: &Machine, state: &mut State, stimulus: Stimulus) -> Result<Decision, Rejection> {
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
    };
    let left = decider.left_children();
    decider.take(stimulus.kind)?;
    decider.go_on();
    decider.stop_children(&left);
    // What was ordered on the way and is over by now: a task of a branch that has failed since, more work in what has
    // closed.
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

/// When the shell must come back with [`StimulusKind::Clock`], if nothing else happens before.
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
    let express = state.started().is_some_and(|s| s.is_express());
    // A redrive starts the machine's own timeout anew, and an express child's only bound.
    let from = state.redriven_at().unwrap_or(state.started_at());
    let oldest =
        if express { from.plus(limits::EXPRESS_AGE_MAX) } else { state.started_at().plus(limits::EXECUTION_AGE_MAX) };
    // Of a map run's child that is its parent's.
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
    /// `TestState` looks on.
    pub probe: Option<Box<Probe>>,
    /// What the execution holds, when it is known.
    pub held: u64,
}

impl<'a> Decider<'a> {
    /// For `TestState`: nothing is written, each step is looked at.
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
        }
    }

    /// Shows a value that flows through a state to whoever looks on.
    pub fn observe(&mut self, stage: Stage, value: &Payload) {
        if let Some(probe) = &mut self.probe {
            probe.see(stage, value);
        }
    }

    fn take(&mut self, stimulus: StimulusKind) -> Result<(), Rejection> {
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
            // What was due when a decision was cut short is due still, and comes before what it leads to.
            StimulusKind::Continue | StimulusKind::Clock => self.clock(),
            StimulusKind::Dispatched { scheduled, receipt, completes } => {
                self.dispatched(scheduled, receipt, completes)?;
            }
            StimulusKind::DispatchFailed { scheduled, failure } => {
                let (frame, task) = self.open(scheduled)?;
                self.before_outcome(frame, &task, false);
                self.emit(frame, Event::TaskFailed { family: task.details.family.clone(), scheduled, failure });
            }
            StimulusKind::TaskStarted { scheduled, worker_name } => {
                let (frame, task) = self.open(scheduled)?;
                if task.started {
                    return Err(Rejection::Duplicate);
                }
                self.emit(frame, Event::TaskStarted { family: task.details.family.clone(), scheduled, worker_name });
            }
            StimulusKind::TaskSucceeded { scheduled, output } => {
                let (frame, task) = self.open(scheduled)?;
                self.before_outcome(frame, &task, true);
                steps::task::take_result(self, frame, &task, output);
            }
            StimulusKind::TaskFailed { scheduled, failure } => {
                let (frame, task) = self.open(scheduled)?;
                self.before_outcome(frame, &task, true);
                self.emit(frame, Event::TaskFailed { family: task.details.family.clone(), scheduled, failure });
            }
            StimulusKind::TaskOverflowed { scheduled } => {
                let (frame, task) = self.open(scheduled)?;
                let failure = steps::task::overflow(&task).ok_or(Rejection::TooLarge)?;
                self.before_outcome(frame, &task, true);
                self.emit(frame, Event::TaskFailed { family: task.details.family.clone(), scheduled, failure });
            }
            StimulusKind::TaskUnreadable { scheduled, failure } => {
                let (frame, task) = self.open(scheduled)?;
                if steps::task::answers_by_token(&task) {
                    return Err(Rejection::Unreadable);
                }
                self.before_outcome(frame, &task, true);
                self.emit(frame, Event::TaskFailed { family: task.details.family.clone(), scheduled, failure });
            }
            StimulusKind::TaskHeartbeat { scheduled } => {
                let (frame, task) = self.open(scheduled)?;
                if !task.started {
                    // A consumer of the activity's queue took it without saying so.
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
                // Not even a hidden event follows the end of an execution: there the index says that it owes news.
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
        if matches!(self.state.phase(), Phase::Closed(o) if matches!(o.result, super::state::Conclusion::Succeeded(_)))
        {
            return Err(Rejection::NotApplicable("succeeded"));
        }
        // It failed once more since, and the run asks again after a crash.
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
            self.emit(frame, Event::TaskSucceeded { family, scheduled, output: receipt });
        } else if steps::task::shows_submission(&task.details) {
            self.emit(frame, Event::TaskSubmitted { family, scheduled, output: receipt });
        } else {
            self.emit(frame, Event::TaskPublished { scheduled });
        }
        Ok(())
    }

    /// A reply may overtake what the history shows before it: `TaskStarted`, and (unless it was told to the shell in
    /// time) the submission, which the reply proves.
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

    /// Time: everything due happens, the soonest first; the execution's own timeout in its turn.
    fn clock(&mut self) {
        let holds = self.env.holds_timeouts;
        let deadline = execution_deadline(self.machine, self.state).filter(|_| !holds);
        while let Some((due, frame)) = if holds { self.state.first_due_of_no_task() } else { self.state.first_due() } {
            if due > self.at || deadline.is_some_and(|d| d < due) {
                break;
            }
            self.due(frame);
        }
        if deadline.is_some_and(|d| d <= self.at) {
            // What came due before the deadline has its say first.
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

    /// Lets every frame go on until all of them wait, or the bounds are met.
    fn go_on(&mut self) {
        while let Some(frame) = self.state.next_ready(self.state.turn()) {
            if self.is_long_enough() {
                self.commands.push(Command::Continue);
                break;
            }
            self.advance(frame);
        }
        self.hold_within_bounds();
    }

    /// The others of the partition have their turn now. Where a decision is cut changes nothing of what is decided.
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

    /// The state in which a frame stands, from the definition.
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
    /// The last event that the history and the journal have room for is the one that closes the execution: an event that
    /// would take its place is not written, the execution fails instead, and what the decision would still write is not
    /// written either.
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
        self.state.evolve(&entry);
        self.entries.push(entry);
        id
    }

    /// AWS bounds the history of standard executions only; express ones end by their age.
    pub fn is_express(&self) -> bool {
        self.state.started().is_some_and(|s| s.is_express())
    }

    pub fn command(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// What is ordered to be stopped already. Of an execution that is closed, nothing: a redrive orders it anew.
    fn left_children(&self) -> Vec<EventId> {
        if self.state.is_running() { self.state.left_children().map(|(id, _)| id).collect() } else { Vec::new() }
    }

    /// Orders that the children are stopped which tasks left behind by this decision. Where the execution has closed,
    /// its end does it.
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

    /// The execution fails with what a frame failed with.
    pub fn close_failed(&mut self, frame: FrameId, failure: Failure) {
        self.cancel_all(CancelReason::SiblingFailed);
        let previous = self.state.frame(frame).map(|f| f.last_event).unwrap_or_default();
        self.emit_after(FrameId::TOP, previous, Event::ExecutionFailed(failure));
    }

    /// What expressions of a frame's state may read, with `$` = `input`; and the entropy beside it.
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

    /// The id that the next visible event gets: a task that is being prepared mints its token from it.
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
