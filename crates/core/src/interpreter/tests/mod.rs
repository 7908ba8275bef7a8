//! Tests of the core: everything here runs in microseconds, without a clock, a broker or a store.
//!
//! [`World`] holds an execution and its time; [`script`] plays its outside, [`recovery`] lets it crash.

mod breadth;
mod cases;
mod conformance;
mod fit;
mod forking;
mod generator;
mod map_run;
mod map_runs;
mod recovery;
mod redrive;
mod script;
mod spans;
mod table;

use crate::payload::Payload;
use std::sync::Arc;

use serde_json::Value;

use super::command::Command;
use super::event::{Entry, Event, Started};
use super::state::{Conclusion, Phase, State};
use super::stimulus::{Rejection, Stimulus, StimulusKind};
use super::{Bounds, Decision, Env, TokenMint, Undecided, decide, owed};
use crate::asl::model::Machine;
use crate::asl::{MachineType, parse};
use crate::clock::Timestamp;
use crate::ids::{Arn, EventId, ExecutionId, Realm, TaskKey};

pub(super) struct Tokens;

impl TokenMint for Tokens {
    fn token(&self, key: TaskKey) -> String {
        format!("token-{}", key.scheduled)
    }
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
    pub bounds: Bounds,
    pub holds_timeouts: bool,
}

impl World {
    pub fn new(definition: &Value) -> Self {
        let valid = parse(&definition.to_string(), MachineType::Standard).unwrap_or_else(|d| panic!("{d}"));
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
            bounds: Bounds::default(),
            holds_timeouts: false,
        }
    }

    /// Feeds a stimulus. Nothing changes where it is rejected.
    pub fn feed(&mut self, kind: StimulusKind) -> Result<(), Rejection> {
        let before = self.journal.len();
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let execution = ExecutionId(uuid::Uuid::from_u128(1));
        let env = Env {
            execution,
            realm: &self.realm,
            tokens: &Tokens,
            bounds: self.bounds,
            holds_timeouts: self.holds_timeouts,
        };
        let untouched = cfg!(debug_assertions).then(|| self.state.version());
        let stimulus = Stimulus { at: self.now, entropy: self.seed, kind };
        let open: Vec<EventId> = self.state.tasks().map(|t| t.task.scheduled).collect();
        let decision = decide(env, &self.machine, &mut self.state, stimulus).map_err(|why| match why {
            Undecided::Rejected(rejection) => rejection,
            Undecided::Misfit(misfit) => panic!("{misfit}"),
        });
        let decision = decision.inspect_err(|_| {
            assert!(untouched.is_none_or(|v| v == self.state.version()), "a rejected stimulus changed the state");
        })?;
        self.no_task_is_left_behind(&open, &decision);
        self.journal.extend(decision.entries);
        self.commands.extend(decision.commands);
        self.decided = before;
        Ok(())
    }

    /// A task that is open no more was ended by an event of its own, or its worker is told that it is cancelled. A
    /// closed execution has none that is open.
    fn no_task_is_left_behind(&self, open: &[EventId], decision: &Decision) {
        let ended = |id: EventId| {
            decision.entries.iter().any(|entry| match &entry.event {
                Event::TaskSucceeded { scheduled, .. }
                | Event::TaskFailed { scheduled, .. }
                | Event::TaskStartFailed { scheduled, .. }
                | Event::TaskSubmitFailed { scheduled, .. } => *scheduled == id,
                _ => false,
            })
        };
        let cancelled =
            |id| decision.commands.iter().any(|c| matches!(c, Command::Cancel { scheduled, .. } if *scheduled == id));
        for id in open {
            assert!(
                self.state.task(*id).is_ok() || ended(*id) || cancelled(*id),
                "the worker of task {id} is not told of its end: {decision:?}"
            );
        }
        assert!(
            !matches!(self.state.phase(), Phase::Closed(_)) || self.state.tasks().next().is_none(),
            "a task of a closed execution is open"
        );
    }

    pub fn start(&mut self, input: Value) {
        self.start_with(Payload::new(input));
    }

    pub fn start_with(&mut self, input: Payload) {
        let machine = self.realm.state_machine("machine");
        let started = Started {
            input,
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
            attempt: 0,
            depth: 0,
            forked: None,
            trace: None,
        };
        self.feed(StimulusKind::Start(Box::new(started))).unwrap();
    }

    /// The state as a start finds it: folded again from the journal.
    pub fn folded(&self) -> State {
        let mut state = State::default();
        for entry in &self.journal {
            state.evolve(entry).unwrap();
        }
        state
    }

    /// The process dies, with only the first `entries` of the journal on the disk, and starts again.
    pub fn crash(&mut self, entries: usize) {
        self.journal.truncate(entries);
        self.state = self.folded();
        self.now = self.journal.last().map_or(self.now, |e| e.at);
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
        self.journal
            .iter()
            .filter(|e| e.id.0 != 0)
            .map(|e| format!("{}<-{} {}", e.id, e.previous, name(&e.event)))
            .collect()
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
