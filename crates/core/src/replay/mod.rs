//! Replay: an execution that was recorded is decided again, against its own definition or another one, with its
//! answers at the times at which they came. Waits cost nothing, because time is data.
//!
//! ```text
//! recorded history ─► outside events as stimuli, time from event to event ─► decide ─► events ─► compared, one by one
//! ```
//! A history has the form that the API shows (`GetExecutionHistory` with its data), so histories of AWS can be replayed
//! too. The replay ends at the first difference: later tasks have no recorded answers.
//!
//! May enter: `interpreter`, `asl`, `clock`, `ids`, `limits`, `payload`.

use serde_json::Value;

use crate::asl::model::Machine;
use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, ExecutionId, Realm, TaskKey};
use crate::interpreter::command::Command;
use crate::interpreter::event::{Entry, Started};
use crate::interpreter::state::{State, TaskView};
use crate::interpreter::stimulus::{Stimulus, StimulusKind};
use crate::interpreter::{Bounds, Decision, Env, TokenMint, decide, due};
use crate::payload::Payload;

mod compare;
mod recorded;

use compare::difference;
use recorded::Outside;
pub use recorded::{Recorded, Unreadable};

/// Stands for a task's token, which a replay does not know.
const TOKEN: &str = "the-token-of-this-task";
/// A due time that is so close to an answer says nothing: clocks fire late, and answers wait for the store.
const CLOSE_MILLIS: i64 = 2_000;
/// Decisions in a row without a visible event. A loop of hidden events is a fault.
const SILENT_MAX: usize = 10_000;

/// Shows an entry as the API does, with its data; an entry that AWS does not show is `None`.
pub type Show<'a> = &'a dyn Fn(&Entry) -> Option<Value>;

/// How a replay ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Events that are the same.
    pub same: usize,
    /// Events that were recorded.
    pub recorded: usize,
    pub end: End,
}

#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// All events are the same.
    Same,
    Different(Box<Difference>),
    /// The rest cannot be replayed; all events until then are the same.
    Stopped(&'static str),
}

/// The first event that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// `None`: the history ends here.
    pub recorded: Option<Value>,
    /// `None`: the replay gives no event.
    pub replayed: Option<Value>,
    /// The member that differs, as a JSON pointer; empty where the events are of different kinds.
    pub at: String,
}

/// Replays an execution.
#[must_use]
pub fn replay(machine: &Machine, execution: &Recorded, show: Show<'_>) -> Report {
    let mut player =
        Player { machine, execution, show, state: State::default(), now: execution.started_at, same: 0, chance: 7 };
    let end = player.play();
    Report { same: player.same, recorded: execution.events.len(), end }
}

struct NoToken;

impl TokenMint for NoToken {
    fn token(&self, _: TaskKey) -> String {
        TOKEN.to_owned()
    }
}

struct Player<'a> {
    machine: &'a Machine,
    execution: &'a Recorded,
    show: Show<'a>,
    state: State,
    now: Timestamp,
    same: usize,
    chance: u64,
}

impl Player<'_> {
    fn play(&mut self) -> End {
        let started = self.started();
        if let Err(end) = self.feed(StimulusKind::Start(Box::new(started))) {
            return end;
        }
        let mut silent = 0;
        loop {
            let Some(next) = self.execution.events.get(self.same) else {
                // A running execution has more to come.
                return End::Same;
            };
            let before = self.same;
            let fed = match next.outside(&self.execution.events) {
                Some(Outside::Unknown(why)) => return End::Stopped(why),
                Some(Outside::Stimulus(kind)) => self.answer(next.at, kind),
                None => self.pass(next.at, next.is_timeout()),
            };
            match fed {
                Err(end) => return end,
                Ok(()) if self.same > before => silent = 0,
                Ok(()) => silent += 1,
            }
            if silent > SILENT_MAX {
                return self.nothing();
            }
        }
    }

    /// Something came from outside, unless the definition had given up waiting for it long before.
    fn answer(&mut self, at: Timestamp, kind: StimulusKind) -> Result<(), End> {
        self.now = self.now.max(at);
        self.beat()?;
        match due(self.machine, &self.state) {
            Some(due) if self.now.millis() - due.millis() > CLOSE_MILLIS => self.feed(StimulusKind::Clock),
            _ => self.feed(kind),
        }
    }

    /// Time goes on: to the recorded event, or beyond it to the moment at which something is due.
    fn pass(&mut self, recorded: Timestamp, is_timeout: bool) -> Result<(), End> {
        if !self.state.is_running() {
            return Err(self.nothing());
        }
        self.now = self.now.max(recorded);
        for _ in 0..SILENT_MAX {
            if !is_timeout {
                self.beat()?;
            }
            let Some(due) = due(self.machine, &self.state) else { break };
            if due <= self.now {
                return self.feed(StimulusKind::Clock);
            }
            self.now = due;
        }
        Err(self.nothing())
    }

    /// Workers were alive as long as no timeout says otherwise; a history shows no heartbeats.
    fn beat(&mut self) -> Result<(), End> {
        let beats = |task: &TaskView<'_>| task.task.started && task.task.details.heartbeat_seconds.is_some();
        let alive: Vec<EventId> = self.state.tasks().filter(beats).map(|task| task.task.scheduled).collect();
        alive.into_iter().try_for_each(|scheduled| self.feed(StimulusKind::TaskHeartbeat { scheduled }))
    }

    /// The recorded event does not come.
    fn nothing(&self) -> End {
        let recorded = self.execution.events.get(self.same).map(|event| event.shown.clone());
        End::Different(Box::new(Difference { recorded, replayed: None, at: String::new() }))
    }

    fn started(&self) -> Started {
        let Recorded { arn, name, machine, machine_name, input, role_arn, version_arn, alias_arn, .. } = self.execution;
        Started {
            input: Payload::clone(input),
            role_arn: role_arn.as_str().into(),
            arn: arn.clone(),
            name: name.as_str().into(),
            machine: machine.clone(),
            machine_name: machine_name.as_str().into(),
            version_arn: version_arn.clone(),
            alias_arn: alias_arn.clone(),
            parent: None,
            block: None,
            item: None,
            map_run: None,
            attempt: 0,
            depth: 0,
            forked: None,
            trace: None,
        }
    }

    /// Decides a stimulus, and compares the events that come of it.
    fn feed(&mut self, kind: StimulusKind) -> Result<(), End> {
        let mut kind = Some(kind);
        while let Some(stimulus) = kind.take() {
            // Any chance does: a jitter changes times alone.
            self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let env = Env {
                execution: ExecutionId(uuid::Uuid::nil()),
                realm: &self.execution.realm,
                tokens: &NoToken,
                bounds: Bounds::default(),
                holds_timeouts: false,
            };
            let stimulus = Stimulus { at: self.now, entropy: self.chance, kind: stimulus };
            let Ok(Decision { entries, commands, .. }) = decide(env, self.machine, &mut self.state, stimulus) else {
                return Err(self.nothing());
            };
            for entry in &entries {
                self.compare(entry)?;
            }
            if commands.contains(&Command::Continue) {
                kind = Some(StimulusKind::Continue);
            }
        }
        Ok(())
    }

    fn compare(&mut self, entry: &Entry) -> Result<(), End> {
        let Some(shown) = (self.show)(entry) else { return Ok(()) };
        let Some(recorded) = self.execution.events.get(self.same) else {
            if self.execution.is_open {
                // The record was made while it ran.
                return Err(End::Same);
            }
            let difference = Difference { recorded: None, replayed: Some(shown), at: String::new() };
            return Err(End::Different(Box::new(difference)));
        };
        match difference(&recorded.shown, &shown) {
            None => {
                self.same += 1;
                Ok(())
            }
            Some(at) => {
                let recorded = Some(recorded.shown.clone());
                Err(End::Different(Box::new(Difference { recorded, replayed: Some(shown), at })))
            }
        }
    }
}

/// Region and account of an ARN; a text that is none has the defaults of AWS's examples.
fn realm_of(arn: &str) -> Realm {
    let mut parts = arn.split(':').skip(3);
    Realm::new(parts.next().unwrap_or("us-east-1"), parts.next().unwrap_or("123456789012"))
}

/// The machine of an execution's ARN: `arn:…:execution:NAME:…`.
fn machine_of(execution: &Arn) -> Option<(Arn, String)> {
    let parts: Vec<&str> = execution.as_str().split(':').collect();
    let name = (*parts.get(6)?).to_owned();
    (parts.get(5) == Some(&"execution")).then(|| (realm_of(execution.as_str()).state_machine(&name), name))
}
