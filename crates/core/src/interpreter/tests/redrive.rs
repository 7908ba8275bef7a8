//! Redrive of a Parallel or an inline Map: AWS runs only those branches and iterations again that failed or were
//! aborted.

use crate::payload::Payload;

use serde_json::{Value, json};

use super::{World, name};
use crate::ids::EventId;
use crate::interpreter::command::Command;
use crate::interpreter::event::{Event, Failure};
use crate::interpreter::state::{Conclusion, State};
use crate::interpreter::stimulus::{Rejection, StimulusKind};

const CALLBACK: &str = "arn:aws:states:::sqs:sendMessage.waitForTaskToken";

fn task(parameters: &Value) -> Value {
    json!({ "Type": "Task", "Resource": CALLBACK, "Parameters": parameters, "End": true })
}

fn branch(n: u32) -> Value {
    let name = format!("T{n}");
    json!({ "StartAt": name, "States": { name.as_str(): task(&json!({ "n": n })) } })
}

fn started(states: &Value, input: Value) -> World {
    let mut world = World::new(&json!({ "StartAt": "S", "States": states }));
    world.start(input);
    world
}

/// A Parallel of so many branches, with these fields.
fn parallel(branches: u32, fields: Value) -> World {
    let mut state =
        json!({ "Type": "Parallel", "Branches": (0..branches).map(branch).collect::<Vec<_>>(), "End": true });
    if let (Value::Object(state), Value::Object(fields)) = (&mut state, fields) {
        state.extend(fields);
    }
    started(&json!({ "S": state }), json!({}))
}

/// An inline Map over `0..items`.
fn map(items: u32, concurrency: u32) -> World {
    let processor = json!({ "StartAt": "T", "States": { "T": task(&json!({ "n.$": "$" })) } });
    let state = json!({ "Type": "Map", "MaxConcurrency": concurrency, "ItemProcessor": processor, "End": true });
    started(&json!({ "S": state }), json!((0..items).collect::<Vec<_>>()))
}

impl World {
    /// The open tasks: what each was asked, and its scheduling event.
    fn open(&self) -> Vec<(u64, EventId)> {
        self.state.tasks().map(|t| (t.task.details.parameters["n"].as_u64().unwrap(), t.task.scheduled)).collect()
    }

    fn asked(&self) -> Vec<u64> {
        let mut asked: Vec<u64> = self.open().into_iter().map(|(n, _)| n).collect();
        asked.sort_unstable();
        asked
    }

    fn scheduled(&self, n: u64) -> EventId {
        self.open().into_iter().find(|(asked, _)| *asked == n).unwrap().1
    }

    fn succeed(&mut self, n: u64) {
        let output = Payload::new(json!(format!("done {n}")));
        self.feed(StimulusKind::TaskSucceeded { scheduled: self.scheduled(n), output, by: None, link: None }).unwrap();
    }

    fn fail(&mut self, n: u64) {
        let failure = Failure::new("Broken", "on purpose");
        self.feed(StimulusKind::TaskFailed { scheduled: self.scheduled(n), failure, by: None, link: None }).unwrap();
    }

    /// Redrives as the shell does: from the journal.
    fn redrive(&mut self) {
        let mut folded = State::default();
        for entry in &self.journal {
            folded.evolve(entry).unwrap();
        }
        assert_eq!(self.state, folded, "the fold of the journal is the state");
        self.state = folded;
        self.feed(StimulusKind::Redrive { token: None }).unwrap();
        while self.state.is_running() && self.state.next_ready(crate::interpreter::event::FrameId::TOP).is_some() {
            self.feed(StimulusKind::Continue).unwrap();
        }
    }

    /// Types of the events since the redrive.
    fn since_redrive(&self) -> Vec<String> {
        let at = self.journal.iter().rposition(|e| matches!(e.event, Event::ExecutionRedriven { .. })).unwrap();
        self.journal[at..].iter().filter(|e| e.id.0 != 0).map(|e| name(&e.event)).collect()
    }

    fn output(&self) -> &Value {
        match self.conclusion() {
            Conclusion::Succeeded(output) => output,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn branches_that_had_succeeded_are_not_run_again() {
    let mut world = parallel(3, json!({}));
    world.succeed(0);
    world.fail(1);
    assert!(!world.state.is_running());
    world.redrive();
    assert_eq!(world.asked(), [1, 2], "the failed one and the aborted one");
    assert_eq!(
        world.since_redrive(),
        ["ExecutionRedriven", "TaskScheduled", "TaskScheduled", "TaskStarted", "TaskStarted"]
    );
    world.succeed(2);
    world.succeed(1);
    assert_eq!(world.output(), &json!(["done 0", "done 1", "done 2"]));
}

#[test]
fn iterations_go_on_where_they_were_and_those_not_begun_begin() {
    let mut world = map(5, 2);
    world.succeed(0);
    world.succeed(1);
    world.fail(3);
    world.redrive();
    assert_eq!(world.asked(), [2, 3]);
    assert!(!world.since_redrive().contains(&"MapStateStarted".to_owned()));
    world.succeed(2);
    assert_eq!(world.asked(), [3, 4], "the next one begins");
    world.succeed(4);
    world.succeed(3);
    assert_eq!(world.output(), &json!(["done 0", "done 1", "done 2", "done 3", "done 4"]));
}

#[test]
fn a_fork_that_fails_again_is_redriven_again() {
    let mut world = map(3, 0);
    world.succeed(0);
    world.fail(1);
    world.redrive();
    world.succeed(2);
    world.fail(1);
    assert!(!world.state.is_running());
    world.redrive();
    assert_eq!((world.asked(), world.state.redrive_count()), (vec![1], 2));
    world.succeed(1);
    assert_eq!(world.output(), &json!(["done 0", "done 1", "done 2"]));
}

#[test]
fn a_fork_in_a_fork_keeps_what_it_has_too() {
    let inner = json!({ "Type": "Parallel", "Branches": [branch(0), branch(1)], "End": true });
    let outer = json!({ "Type": "Parallel", "End": true, "Branches": [
        { "StartAt": "I", "States": { "I": inner } }, branch(2), branch(3),
    ] });
    let mut world = started(&json!({ "S": outer }), json!({}));
    world.succeed(0);
    world.succeed(2);
    world.fail(1);
    assert!(!world.state.is_running());
    let aborted = world.journal.iter().filter(|e| matches!(e.event, Event::StateAborted { .. })).count();
    world.redrive();
    assert_eq!(world.asked(), [1, 3]);
    assert_eq!(aborted, 2, "the failed state and the sibling, each once");
    world.succeed(3);
    world.succeed(1);
    assert_eq!(world.output(), &json!([["done 0", "done 1"], "done 2", "done 3"]));
}

#[test]
fn tokens_of_the_aborted_branches_stay_dead() {
    let mut world = parallel(2, json!({}));
    let aborted = world.scheduled(1);
    world.fail(0);
    world.redrive();
    let late = StimulusKind::TaskSucceeded { scheduled: aborted, output: Payload::new(json!(1)), by: None, link: None };
    assert_eq!(world.feed(late), Err(Rejection::Late));
}

#[test]
fn a_retrier_runs_the_whole_fork_again_and_nothing_is_kept() {
    let mut world = parallel(2, json!({ "Retry": [{ "ErrorEquals": ["Broken"], "MaxAttempts": 1 }] }));
    world.succeed(0);
    world.fail(1);
    assert_eq!(world.state.frames().count(), 1, "the branches are gone");
    world.now = world.now.plus_seconds(1.0);
    world.feed(StimulusKind::Clock).unwrap();
    assert_eq!(world.asked(), [0, 1]);
    world.succeed(0);
    world.fail(1);
    world.redrive();
    assert_eq!(world.asked(), [1]);
    world.fail(1);
    assert!(world.state.is_running(), "the retrier counts from zero after a redrive");
}

#[test]
fn a_catcher_lets_the_branches_go() {
    let catch = json!([{ "ErrorEquals": ["States.ALL"], "Next": "S2" }]);
    let state = json!({ "Type": "Parallel", "Branches": [branch(0), branch(1)], "Catch": catch, "End": true });
    let mut world = started(&json!({ "S": state, "S2": task(&json!({ "n": 9 })) }), json!({}));
    world.succeed(0);
    world.fail(1);
    assert_eq!((world.asked(), world.state.frames().count()), (vec![9], 1));
    assert_eq!(world.state.variables_bytes(), 0);
}

#[test]
fn a_stopped_map_goes_on_with_what_it_has() {
    let mut world = map(3, 0);
    world.succeed(1);
    world.feed(StimulusKind::Stop(Failure::default())).unwrap();
    world.redrive();
    assert_eq!(world.asked(), [0, 2]);
    world.succeed(0);
    world.succeed(2);
    assert_eq!(world.output(), &json!(["done 0", "done 1", "done 2"]));
}

#[test]
fn the_context_tells_the_redrive() {
    let mut world = started(&json!({ "S": task(&json!({ "n.$": "$$.Execution.RedriveCount" })) }), json!({}));
    world.fail(0);
    world.now = world.now.plus_seconds(60.0);
    world.redrive();
    assert_eq!(world.asked(), [1]);
    assert_eq!(world.state.redriven_at(), Some(world.now));
}

#[test]
fn a_child_is_redriven_once_in_each_attempt_of_its_run() {
    let again = |attempt| StimulusKind::RedriveByRun { attempt };
    let mut world = started(&json!({ "S": task(&json!({ "n": 0 })) }), json!({}));
    assert_eq!(world.feed(again(1)), Err(Rejection::NotApplicable("still running")));
    world.fail(0);
    world.feed(again(1)).unwrap();
    world.fail(0);
    assert_eq!(world.feed(again(1)), Err(Rejection::Duplicate), "a crash let the run ask again");
    world.feed(again(3)).unwrap();
    assert_eq!(world.state.redrive_count(), 2, "its own count, not the run's");
    world.succeed(0);
    assert_eq!(world.feed(again(4)), Err(Rejection::NotApplicable("succeeded")));
}

#[test]
fn a_redrive_cancels_nothing_since_the_end_before_it_did() {
    let mut world = parallel(3, json!({}));
    let (left, failed) = (world.scheduled(1), world.scheduled(0));
    world.fail(0);
    let cancelled = |world: &World| -> Vec<EventId> {
        let ids = world
            .commands
            .iter()
            .filter_map(|c| if let Command::Cancel { scheduled, .. } = c { Some(*scheduled) } else { None });
        ids.collect()
    };
    assert_eq!(cancelled(&world).len(), 2, "the workers of both siblings have been told: {:?}", world.commands);
    assert!(cancelled(&world).contains(&left) && !cancelled(&world).contains(&failed));
    world.commands.clear();
    world.redrive();
    assert_eq!(cancelled(&world), [], "nothing was open");
    assert_eq!(world.asked(), [0, 1, 2], "each is asked again, under another id");
    assert!(world.open().iter().all(|(_, id)| *id != left && *id != failed));
    // The worker that did not heed it is late.
    let output = Payload::new(json!("done"));
    let late = world.feed(StimulusKind::TaskSucceeded { scheduled: left, output, by: None, link: None }).unwrap_err();
    assert!(matches!(late, Rejection::Late), "{late:?}");
}
