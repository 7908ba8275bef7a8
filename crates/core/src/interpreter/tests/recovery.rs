//! The journal is the truth. The replay property: after every stimulus, the state is what its journal folds to, also
//! through the persisted form. The cut test: an execution that crashes after any entry, even inside of a decision, ends
//! as without the crash.
//!
//! A failure prints its seed: `REVEILLE_SEED=n cargo test -p reveille-core --lib tests::recovery` plays it again,
//! `REVEILLE_CASES=n` plays more.

use crate::payload::Payload;
use std::fmt::Debug;
use std::sync::Arc;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Value, json};

use super::generator::{ERRORS, Program, programs};
use super::script::{Attempt, Play, Script, Told};
use super::{World, cases};
use crate::ids::EventId;
use crate::interpreter::command::Command;
use crate::interpreter::due;
use crate::interpreter::event::{Event, Failure};
use crate::interpreter::state::{Conclusion, Phase, State};
use crate::interpreter::stimulus::StimulusKind;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs a property over seeds; a failing one is shrunk and printed with what plays it again.
pub(super) fn property<S: Strategy>(
    cases: u64,
    strategy: &S,
    show: impl Fn(&S::Value) -> String,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) where
    S::Value: Debug + Clone,
{
    let one = setting("REVEILLE_SEED");
    let seeds = one.map_or(1..=setting("REVEILLE_CASES").unwrap_or(cases), |seed| seed..=seed);
    for seed in seeds {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config { failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let tree = strategy.new_tree(&mut runner).unwrap();
        match runner.run_one(tree, &test) {
            Ok(_) => {}
            Err(TestError::Fail(why, least)) => {
                panic!("{why}\nREVEILLE_SEED={seed} plays it again; the least that fails:\n{}", show(&least))
            }
            Err(TestError::Abort(why)) => panic!("REVEILLE_SEED={seed}: {why}"),
        }
    }
}

pub(super) fn shown((program, answers): &(Program, u64)) -> String {
    format!("answers {answers} to\n{:#}", program.definition())
}

pub(super) fn refuse(why: impl Into<String>) -> TestCaseError {
    TestCaseError::fail(why.into())
}

// The replay property

#[test]
fn after_every_stimulus_the_state_is_what_the_journal_folds_to() {
    property(300, &(programs(), proptest::num::u64::ANY), shown, |(program, seed)| by_chance(&program, seed).map(drop));
}

/// An execution to which anything happens, until it stays closed.
pub(super) fn by_chance(program: &Program, seed: u64) -> Result<World, TestCaseError> {
    let mut outside = Outside {
        rng: StdRng::seed_from_u64(seed),
        world: World::new(&program.definition()),
        persisted: State::default(),
        known: 0,
    };
    outside.world.start(json!({ "a": [1], "in": 1 }));
    outside.check()?;
    for _ in 0..3_000 {
        if matches!(outside.world.state.phase(), Phase::Closed(_)) && !outside.rng.random_ratio(1, 3) {
            return Ok(outside.world);
        }
        let kind = outside.stimulus();
        outside.tell(&kind)?;
    }
    Err(refuse("the execution does not end"))
}

/// Anything that may happen, in any order: confirms and answers, late, doubled or for tasks that never were; time;
/// stops; redrives.
struct Outside {
    rng: StdRng,
    world: World,
    /// The state folded from the persisted form, batch by batch.
    persisted: State,
    known: usize,
}

impl Outside {
    fn stimulus(&mut self) -> StimulusKind {
        let scheduled = self.some_task();
        let failure = |rng: &mut StdRng| Failure {
            error: rng.random_bool(0.9).then(|| ERRORS[rng.random_range(0..ERRORS.len())].to_owned()),
            cause: None,
            heartbeat: false,
        };
        match self.rng.random_range(0..20) {
            0..3 => StimulusKind::Dispatched {
                scheduled,
                receipt: Payload::new(json!({ "MessageId": "m" })),
                completes: self.rng.random_ratio(1, 8),
            },
            3 => StimulusKind::DispatchFailed { scheduled, failure: failure(&mut self.rng) },
            4 => StimulusKind::TaskStarted { scheduled, worker_name: Some("Ada".into()) },
            5..9 => StimulusKind::TaskSucceeded {
                scheduled,
                output: Payload::new(json!({ "a": [scheduled.0] })),
                by: None,
                link: None,
            },
            9..11 => StimulusKind::TaskFailed { scheduled, failure: failure(&mut self.rng), by: None, link: None },
            11 => StimulusKind::TaskHeartbeat { scheduled },
            12 if self.rng.random_ratio(1, 10) => StimulusKind::Stop(Failure::named("Stopped")),
            13 => StimulusKind::Redrive { token: None },
            14..16 => StimulusKind::Continue,
            16 => {
                self.world.now = self.world.now.plus_seconds(self.rng.random_range(0.0..5.0));
                StimulusKind::Clock
            }
            _ => {
                if let Some(at) = due(&self.world.machine, &self.world.state) {
                    self.world.now = at.max(self.world.now);
                }
                StimulusKind::Clock
            }
        }
    }

    /// Mostly an open task, else any number.
    fn some_task(&mut self) -> EventId {
        let open: Vec<EventId> = self.world.state.tasks().map(|t| t.task.scheduled).collect();
        if open.is_empty() || self.rng.random_ratio(1, 6) {
            return EventId(self.rng.random_range(0..=self.world.state.last_id().0 + 2));
        }
        open[self.rng.random_range(0..open.len())]
    }

    fn tell(&mut self, kind: &StimulusKind) -> Result<(), TestCaseError> {
        self.world.seed = self.rng.next_u64();
        self.world.commands.clear();
        let before = self.world.state.clone();
        if self.world.feed(kind.clone()).is_err() && self.world.state != before {
            return Err(refuse(format!("{kind:?} was rejected and changed the state")));
        }
        self.check()
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let world = &self.world;
        let batch = &world.journal[self.known..];
        let bytes = crate::record::encode(batch).map_err(|e| refuse(e.to_string()))?;
        for entry in crate::record::decode(&bytes).map_err(|e| refuse(e.to_string()))? {
            self.persisted.evolve(&entry).map_err(|misfit| refuse(misfit.to_string()))?;
        }
        self.known = world.journal.len();
        // It sleeps between any two words, and is the same when it wakes.
        let pattern = State::default().pattern();
        let packed = self.persisted.pack(&pattern).ok_or_else(|| refuse("not packed".to_owned()))?;
        self.persisted = State::unpack(&packed, &pattern).map_err(|e| refuse(e.to_string()))?;
        if self.persisted != world.state {
            return Err(refuse(format!(
                "the state is not what its journal folds to\n{:#?}\n{:#?}",
                self.persisted, world.state
            )));
        }
        laws(world).map_err(refuse)
    }
}

/// The rules for every execution at every moment.
fn laws(world: &World) -> Result<(), String> {
    let (state, journal) = (&world.state, &world.journal);
    let ids: Vec<u64> = journal.iter().map(|e| e.id.0).filter(|id| *id != 0).collect();
    if ids.iter().zip(1..).any(|(id, n)| *id != n) {
        return Err(format!("the ids of events are not 1..n: {ids:?}"));
    }
    if let Some(entry) = journal.iter().find(|e| e.id.0 != 0 && e.previous >= e.id) {
        return Err(format!("an event follows one that came later: {entry:?}"));
    }
    let mut outcomes = std::collections::BTreeSet::new();
    for entry in journal {
        if let Event::TaskSucceeded { scheduled, .. }
        | Event::TaskFailed { scheduled, .. }
        | Event::TaskTimedOut { scheduled, .. } = &entry.event
            && !outcomes.insert(*scheduled)
        {
            return Err(format!("task {scheduled} has ended twice"));
        }
    }
    for command in &world.commands {
        if let Command::Dispatch { scheduled } = command
            && state.task(*scheduled).is_err()
        {
            return Err(format!("task {scheduled} is to be dispatched and is not open"));
        }
    }
    match state.phase() {
        Phase::Running => {
            if state.next_ready(state.turn()).is_some() && !world.commands.contains(&Command::Continue) {
                return Err("work is left and no Continue was ordered".into());
            }
            for (id, frame) in state.frames() {
                if frame.parent.is_some_and(|p| state.frame(p).is_none()) {
                    return Err(format!("frame {id:?} outlives the one that forked it"));
                }
            }
            if state.tasks().count() != state.open_tasks() {
                return Err("an open task stands in no frame".into());
            }
        }
        Phase::Closed(_) => {
            let closed = journal.iter().rposition(|e| e.event.closes()).unwrap_or_default();
            if closed + 1 != journal.len() {
                return Err(format!("something was written after the end: {:?}", journal.last()));
            }
        }
        Phase::New => return Err("not started".into()),
    }
    Ok(())
}

// The cut test

/// Plays to the end without a crash, then with one after each entry.
fn cut_everywhere(world: impl Fn() -> World, script: &Script, chance: bool) -> Result<usize, String> {
    let mut whole = Play::new(world(), script);
    whole.play_out();
    let (journal, end) = (whole.world.journal.clone(), compared(&whole.world, chance));
    laws(&whole.world)?;
    // A history of 25,000 events is cut at every entry of both its ends and at some between.
    let stride =
        |cut: usize| journal.len() <= 1_000 || cut < 50 || cut + 50 > journal.len() || cut.is_multiple_of(2_500);
    for cut in (1..=journal.len()).filter(|cut| stride(*cut)) {
        let mut play = Play::new(with(&whole.world, &journal), script);
        play.crash(cut);
        play.play_out();
        let got = compared(&play.world, chance);
        if got != end {
            let shown = play.world.shown().join("\n  ");
            return Err(format!(
                "cut after {cut} of {} entries: {got:?}\nwanted {end:?}\nafter {:?}\n  {shown}",
                journal.len(),
                journal[cut - 1]
            ));
        }
    }
    Ok(journal.len())
}

/// The world of a process that has this journal before it.
fn with(world: &World, journal: &[crate::interpreter::event::Entry]) -> World {
    let mut fresh = World::of(Arc::clone(&world.machine));
    fresh.journal = journal.to_vec();
    fresh
}

#[derive(Debug, PartialEq)]
struct End {
    status: &'static str,
    error: Option<String>,
    output: Option<Value>,
}

fn compared(world: &World, chance: bool) -> End {
    let (status, output, error) = match world.conclusion() {
        Conclusion::Succeeded(output) => ("SUCCEEDED", (!chance).then(|| (**output).clone()), None),
        Conclusion::Failed(f) => ("FAILED", None, f.error.clone()),
        Conclusion::TimedOut(f) => ("TIMED_OUT", None, f.error.clone()),
        Conclusion::Aborted(f) => ("ABORTED", None, f.error.clone()),
    };
    End { status, error, output }
}

#[test]
fn every_own_case_ends_the_same_wherever_it_is_cut() {
    let (mut cuts, runs) = (0, cases::runs());
    for run in &runs {
        cuts += cut_everywhere(|| run.world(), &run.script, run.chance).unwrap_or_else(|e| panic!("{}: {e}", run.id));
    }
    println!("{cuts} cuts of {} runs", runs.len());
}

#[test]
fn every_recorded_case_ends_the_same_wherever_it_is_cut() {
    let (recorded, left_out) = super::conformance::executions();
    let (mut cuts, mut answered) = (0, 0);
    for super::conformance::Recorded { id, machine, input, script } in &recorded {
        answered += usize::from(!script.tasks.is_empty());
        let world = || {
            let mut world = World::of(Arc::clone(machine));
            world.start(input.clone());
            world
        };
        cuts += cut_everywhere(world, script, true).unwrap_or_else(|e| panic!("{id}: {e}"));
    }
    println!(
        "{cuts} cuts of {} recorded executions, {answered} of them with answers; {left_out} left out",
        recorded.len()
    );
}

#[test]
fn machines_by_chance_end_the_same_wherever_they_are_cut() {
    property(100, &(programs(), proptest::num::u64::ANY), shown, |(mut program, seed)| {
        // Jitter and the machine's own timeout let time decide, and a crash inside of a decision costs chance.
        program.timeout = None;
        let definition = without_jitter(program.definition());
        let script = answers(&definition, &mut StdRng::seed_from_u64(seed));
        let world = || {
            let mut world = World::new(&definition);
            world.start(json!({ "a": [1], "in": 1 }));
            world
        };
        cut_everywhere(world, &script, true).map(drop).map_err(refuse)
    });
}

fn without_jitter(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.shift_remove("JitterStrategy");
            fields.iter_mut().for_each(|(_, v)| *v = without_jitter(v.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|v| *v = without_jitter(v.take())),
        _ => {}
    }
    value
}

/// Answers by chance to every task of the machine, wherever it is nested.
fn answers(definition: &Value, rng: &mut StdRng) -> Script {
    fn collect(value: &Value, names: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if field["Type"] == "Task" {
                        names.push(name.clone());
                    }
                    collect(field, names);
                }
            }
            Value::Array(items) => items.iter().for_each(|v| collect(v, names)),
            _ => {}
        }
    }
    let mut names = Vec::new();
    collect(definition, &mut names);
    let mut script = Script::default();
    // Times that never meet those of the definition: at one moment, order is chance.
    let mut moment = 0.013;
    for name in names {
        let attempts = (0..rng.random_range(1..4)).map(|_| {
            moment += 0.017;
            let after = f64::from(rng.random_range(0..12)) + moment;
            let told = Told { error: Some(ERRORS[rng.random_range(0..ERRORS.len())].to_owned()), cause: None };
            match rng.random_range(0..6) {
                0 => Attempt::default(),
                1 | 2 => Attempt { after, failure: Some(told), ..Attempt::default() },
                3 => Attempt {
                    after,
                    success: Some(json!({ "a": [1] })),
                    heartbeats: vec![after / 2.0],
                    ..Attempt::default()
                },
                _ => Attempt { after, success: Some(json!({ "a": [1] })), ..Attempt::default() },
            }
        });
        script.tasks.insert(name, attempts.collect());
    }
    script
}
