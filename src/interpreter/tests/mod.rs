//! Tests of the core: everything here runs in microseconds, without a clock, a broker or a store.
//!
//! [`World`] plays the outside: it lets time jump to whatever is due next, and answers tasks by a function.

mod conformance;
mod recovery;
mod redrive;
mod table;

use std::sync::Arc;

use serde_json::{Value, json};

use super::command::Command;
use super::event::{Entry, Event, Failure, Started};
use super::state::{Conclusion, Phase, State};
use super::stimulus::{Rejection, Stimulus, StimulusKind};
use super::{Env, TokenMint, decide, due, owed};
use crate::asl::model::Machine;
use crate::asl::{MachineKind, parse};
use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, ExecutionId, Realm, TaskKey};

pub(super) struct Tokens;

impl TokenMint for Tokens {
    fn token(&self, key: TaskKey) -> String {
        format!("token-{}", key.scheduled)
    }
}

/// How a task is answered.
pub(super) enum Answer {
    Success(Value),
    Failure(Failure),
    Nothing,
}

/// An execution with its outside.
pub(super) struct World {
    pub machine: Arc<Machine>,
    pub state: State,
    pub journal: Vec<Entry>,
    pub now: Timestamp,
    pub realm: Realm,
    pub commands: Vec<Command>,
    /// Where the entries of the newest decision begin.
    pub decided: usize,
    pub seed: u64,
}

impl World {
    pub fn new(definition: &Value) -> Self {
        let valid = parse(&definition.to_string(), MachineKind::Standard).unwrap_or_else(|d| panic!("{d}"));
        Self::of(valid.machine)
    }

    pub fn of(machine: Arc<Machine>) -> Self {
        Self {
            machine,
            state: State::default(),
            journal: Vec::new(),
            now: Timestamp::from_millis(1_700_000_000_000),
            realm: Realm::new("us-east-1", "123456789012"),
            commands: Vec::new(),
            decided: 0,
            seed: 7,
        }
    }

    /// A stimulus, and what it led to: nothing changes where it is rejected.
    pub fn feed(&mut self, kind: StimulusKind) -> Result<(), Rejection> {
        let before = self.journal.len();
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let env = Env { execution: ExecutionId(uuid::Uuid::from_u128(1)), realm: &self.realm, tokens: &Tokens };
        let untouched = cfg!(debug_assertions).then(|| self.state.version());
        let stimulus = Stimulus { at: self.now, entropy: self.seed, kind };
        let decision = decide(env, &self.machine, &mut self.state, stimulus).inspect_err(|_| {
            assert!(untouched.is_none_or(|v| v == self.state.version()), "a rejected stimulus changed the state");
        })?;
        self.journal.extend(decision.entries);
        self.commands.extend(decision.commands);
        self.decided = before;
        Ok(())
    }

    pub fn start(&mut self, input: Value) {
        let machine = self.realm.state_machine("machine");
        let started = Started {
            input: Arc::new(input),
            role_arn: "arn:aws:iam::123456789012:role/role".into(),
            arn: Arn::new("arn:aws:states:us-east-1:123456789012:execution:machine:name"),
            name: "name".into(),
            machine,
            machine_name: "machine".into(),
            version_arn: None,
            alias_arn: None,
            parent: None,
            block: None,
            item: None,
            map_run: None,
        };
        self.feed(StimulusKind::Start(Box::new(started))).unwrap();
    }

    /// Runs to the end: every task is answered by `work`, and where nothing happens time jumps to what is due.
    pub fn run(&mut self, work: &mut dyn FnMut(&str, &Value) -> Answer) {
        let mut steps = 0;
        while self.state.is_running() {
            steps += 1;
            assert!(steps < 200_000, "the execution does not end");
            let commands = std::mem::take(&mut self.commands);
            let mut moved = false;
            for command in commands {
                match command {
                    Command::Dispatch { scheduled } => moved |= self.work(scheduled, work),
                    Command::Continue => {
                        self.feed(StimulusKind::Continue).unwrap();
                        moved = true;
                    }
                    Command::Cancel { .. } | Command::Finish => {}
                }
            }
            if !moved && self.commands.is_empty() && self.state.is_running() {
                self.now = due(&self.machine, &self.state).expect("a running execution is due some time").max(self.now);
                self.feed(StimulusKind::Clock).unwrap();
            }
        }
    }

    fn work(&mut self, scheduled: EventId, work: &mut dyn FnMut(&str, &Value) -> Answer) -> bool {
        let Ok(view) = self.state.task(scheduled) else { return false };
        let details = Arc::clone(&view.task.details);
        let _ = self.feed(StimulusKind::Dispatched { scheduled, receipt: Arc::new(json!({})), completes: false });
        let kind = match work(&details.resource, &details.parameters) {
            Answer::Success(output) => StimulusKind::TaskSucceeded { scheduled, output: Arc::new(output) },
            Answer::Failure(failure) => StimulusKind::TaskFailed { scheduled, failure },
            Answer::Nothing => return false,
        };
        self.feed(kind).unwrap();
        true
    }

    /// Throws the state away and folds it anew, as after a crash.
    pub fn crash(&mut self) {
        let mut state = State::default();
        for entry in &self.journal {
            state.evolve(entry);
        }
        self.state = state;
        self.commands = owed(&self.state, true);
    }

    pub fn conclusion(&self) -> &Conclusion {
        match self.state.phase() {
            Phase::Closed(outcome) => &outcome.result,
            other => panic!("not closed: {other:?}"),
        }
    }

    /// The visible events: `id<-previous Type`.
    pub fn shown(&self) -> Vec<String> {
        self.journal.iter().filter(|e| e.id.0 != 0).map(|e| format!("{}<-{} {}", e.id, e.previous, name(&e.event))).collect()
    }
}

/// The event's type as AWS names it.
pub(super) fn name(event: &Event) -> String {
    let family = |f: &super::event::TaskFamily| match f {
        super::event::TaskFamily::Lambda => "LambdaFunction",
        super::event::TaskFamily::Activity => "Activity",
        super::event::TaskFamily::Service { .. } => "Task",
    };
    match event {
        Event::StateEntered { kind, .. } => format!("{}StateEntered", kind.as_str()),
        Event::StateExited { kind, .. } => format!("{}StateExited", kind.as_str()),
        Event::StateAborted { kind } => format!("{}StateAborted", kind.as_str()),
        Event::TaskScheduled(t) => format!("{}Scheduled", family(&t.family)),
        Event::TaskStarted { family: f, .. } => format!("{}Started", family(f)),
        Event::TaskSubmitted { family: f, .. } => format!("{}Submitted", family(f)),
        Event::TaskSucceeded { family: f, .. } => format!("{}Succeeded", family(f)),
        Event::TaskFailed { family: f, .. } => format!("{}Failed", family(f)),
        Event::TaskTimedOut { family: f, .. } => format!("{}TimedOut", family(f)),
        Event::ParallelStarted { .. } => "ParallelStateStarted".into(),
        Event::ParallelSucceeded => "ParallelStateSucceeded".into(),
        Event::ParallelFailed => "ParallelStateFailed".into(),
        Event::MapStarted(_) => "MapStateStarted".into(),
        Event::MapSucceeded => "MapStateSucceeded".into(),
        Event::MapFailed => "MapStateFailed".into(),
        other => {
            let text = format!("{other:?}");
            text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
        }
    }
}
