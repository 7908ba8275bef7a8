//! Distributed Map on the pure core: the run's own machine, and each child as a [`World`] of its own.

#![expect(clippy::needless_pass_by_value, reason = "tables of JSON values read best without &")]

use crate::payload::Payload;
use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};

use super::script::{Play, without_answers};
use super::{World, name};
use crate::ids::{Arn, EventId};
use crate::interpreter::event::{Event, Failure, ItemSource, Started};
use crate::interpreter::map_items::{Child, Item, Shaper};
use crate::interpreter::map_run::{ChildStatus, MapRun, RunCommand, RunEvent, RunLimits, RunOutcome};
use crate::interpreter::state::Conclusion;
use crate::interpreter::stimulus::StimulusKind;

/// The items of state data, as the shell reads them.
pub(super) fn items(value: &Value) -> Vec<Item> {
    match value {
        Value::Array(values) => values.iter().map(|v| Item { value: v.clone(), key: None }).collect(),
        Value::Object(pairs) => pairs.iter().map(|(k, v)| Item { value: v.clone(), key: Some(k.clone()) }).collect(),
        other => panic!("no items: {other}"),
    }
}

impl Play<'_> {
    /// Plays a map run to its end.
    pub(super) fn map_run(&mut self, started: EventId) {
        let Some(view) = self.world.state.map_run(started) else { return };
        let (plan, arn) = (view.run.plan.clone().unwrap(), view.run.arn.clone());
        let ItemSource::StateData { items: data } = &plan.source else { panic!("the pure core reads no objects") };
        let mut shaper =
            Shaper::new(Arc::clone(&self.world.machine), self.world.state.clone(), started, Some("STATE_DATA".into()))
                .unwrap();
        let mut source: VecDeque<Item> = items(data).into();
        let mut run = MapRun::new(
            RunLimits { max_concurrency: plan.max_concurrency, tolerance: plan.tolerance },
            Vec::new(),
            false,
        );
        let mut outputs: Vec<(u64, Value)> = Vec::new();
        let mut events = VecDeque::from([RunEvent::Begin]);
        let outcome = loop {
            let mut outcome = None;
            for command in run.take(events.pop_front().expect("a run that does not end has something to wait for")) {
                match command {
                    RunCommand::Read { children } => events.push_back(read(&mut shaper, &mut source, children)),
                    RunCommand::Start(child) => {
                        let index = child.index;
                        events.push_back(RunEvent::Started { index });
                        let status = match self.child(&arn, plan.block, child) {
                            Conclusion::Succeeded(output) => {
                                outputs.push((index, (*output).clone()));
                                ChildStatus::Succeeded
                            }
                            Conclusion::Failed(_) => ChildStatus::Failed,
                            Conclusion::TimedOut(_) => ChildStatus::TimedOut,
                            Conclusion::Aborted(_) => ChildStatus::Aborted,
                        };
                        events.push_back(RunEvent::Closed { index, status });
                    }
                    RunCommand::Abort => events.push_back(RunEvent::Aborted),
                    RunCommand::Finish(v) => outcome = Some(v),
                }
            }
            if let Some(outcome) = outcome {
                break outcome;
            }
        };
        outputs.sort_by_key(|(index, _)| *index);
        let result = match outcome {
            RunOutcome::Succeeded => Ok(Payload::new(Value::Array(outputs.into_iter().map(|(_, v)| v).collect()))),
            RunOutcome::Failed(failure) => Err(failure),
            RunOutcome::Aborted => return,
        };
        self.feed(StimulusKind::MapRunEnded { started, result });
    }

    fn child(&mut self, run: &Arn, block: crate::ids::BlockId, child: Child) -> Conclusion {
        let mut world = World::of(Arc::clone(&self.world.machine));
        world.now = self.world.now;
        let parent = Arc::clone(self.world.state.started().unwrap());
        let started = Started {
            input: child.input,
            block: Some(block),
            item: child.item,
            map_run: Some(run.clone()),
            ..(*parent).clone()
        };
        world.feed(StimulusKind::Start(Box::new(started))).unwrap();
        let mut play = Play::new(world, self.script);
        play.play_out();
        self.world.now = play.world.now;
        play.world.conclusion().clone()
    }
}

fn read(shaper: &mut Shaper, source: &mut VecDeque<Item>, children: usize) -> RunEvent {
    let mut read = Vec::new();
    while read.len() < children {
        let Some(item) = source.pop_front() else {
            read.extend(shaper.finish());
            return RunEvent::Read { children: read, last: true };
        };
        match shaper.push(item) {
            Ok(child) => read.extend(child),
            Err(failure) => return RunEvent::ReadFailed(failure),
        }
    }
    RunEvent::Read { children: read, last: false }
}

/// A machine whose one state is a Distributed Map over its input; `more` adds to the state. `Work` may go on to `Fail`
/// and `Pass`.
pub(super) fn machine(more: Value, processor: Value) -> Value {
    let mut map = json!({
        "Type": "Map",
        "ItemProcessor": { "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" }, "StartAt": "Work", "States": { "Work": processor } },
        "End": true
    });
    map.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    if map["ItemProcessor"]["States"]["Work"]["Type"] == "Choice" {
        map["ItemProcessor"]["States"]["Fail"] = json!({ "Type": "Fail", "Error": "Broken" });
        map["ItemProcessor"]["States"]["Pass"] = echo();
    }
    let mut states = json!({});
    if map.get("Catch").is_some() {
        states["Caught"] = json!({ "Type": "Pass", "End": true });
    }
    states["All"] = map;
    json!({ "StartAt": "All", "States": states })
}

fn outcome(more: Value, processor: Value, input: Value) -> (World, Conclusion) {
    let mut world = World::new(&machine(more, processor));
    world.start(input);
    let world = without_answers(world);
    let conclusion = world.conclusion().clone();
    (world, conclusion)
}

fn echo() -> Value {
    json!({ "Type": "Pass", "End": true })
}

fn task() -> Value {
    json!({ "Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:work", "End": true })
}

/// Fails where the item, or the first of a batch, says so.
fn choice() -> Value {
    let rule = |path: &str| json!({ "Variable": path, "IsPresent": true, "Next": "Fail" });
    json!({ "Type": "Choice", "Choices": [rule("$.fail"), rule("$.Items[0].fail")], "Default": "Pass" })
}

fn succeeded(value: Value) -> Conclusion {
    Conclusion::Succeeded(Payload::new(value))
}

#[test]
fn a_map_run_shows_five_events_of_its_own() {
    let (world, conclusion) = outcome(json!({}), echo(), json!(["a", "b"]));
    assert_eq!(conclusion, succeeded(json!(["a", "b"])));
    let shown: Vec<String> = world.journal.iter().filter(|e| e.id.0 != 0).map(|e| name(&e.event)).collect();
    assert_eq!(
        shown,
        [
            "ExecutionStarted",
            "MapStateEntered",
            "MapStateStarted",
            "MapRunStarted",
            "MapRunSucceeded",
            "MapStateSucceeded",
            "MapStateExited",
            "ExecutionSucceeded"
        ]
    );
}

#[test]
fn results_come_in_the_order_of_items() {
    for (more, input, wanted) in [
        (json!({}), json!([]), json!([])),
        (json!({ "MaxConcurrency": 1 }), json!([3, 1, 2]), json!([3, 1, 2])),
        // An object's pairs are its items.
        (json!({}), json!({ "a": 1 }), json!([{ "Key": "a", "Value": 1 }])),
        (
            json!({ "ItemSelector": { "i.$": "$$.Map.Item.Index", "k.$": "$$.Map.Item.Key", "v.$": "$$.Map.Item.Value", "from.$": "$$.Map.Item.Source" } }),
            json!({ "a": 1, "b": 2 }),
            json!([{ "i": 0, "k": "a", "v": 1, "from": "STATE_DATA" }, { "i": 1, "k": "b", "v": 2, "from": "STATE_DATA" }]),
        ),
        (
            json!({ "ItemBatcher": { "MaxItemsPerBatch": 2, "BatchInput": { "x": 1 } } }),
            json!([1, 2, 3]),
            json!([{ "BatchInput": { "x": 1 }, "Items": [1, 2] }, { "BatchInput": { "x": 1 }, "Items": [3] }]),
        ),
        // `{"Items":["aaaa","bbbb"]}` is 25 bytes, with a third item 32.
        (
            json!({ "ItemBatcher": { "MaxInputBytesPerBatch": 31 } }),
            json!(["aaaa", "bbbb", "cccc"]),
            json!([{ "Items": ["aaaa", "bbbb"] }, { "Items": ["cccc"] }]),
        ),
    ] {
        let (_, conclusion) = outcome(more.clone(), echo(), input.clone());
        assert_eq!(conclusion, succeeded(wanted), "{more} {input}");
    }
}

#[test]
fn a_child_reads_its_own_item_in_the_context() {
    let processor = json!({ "Type": "Pass", "Parameters": { "i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value" }, "End": true });
    let (_, conclusion) = outcome(json!({}), processor, json!(["x"]));
    assert_eq!(conclusion, succeeded(json!([{ "i": 0, "v": "x" }])));
}

#[test]
fn failures_are_tolerated_up_to_the_threshold() {
    let input = json!([{ "fail": true }, {}, {}, {}]);
    for (more, fails) in [
        (json!({}), true),
        (json!({ "ToleratedFailureCount": 1 }), false),
        (json!({ "ToleratedFailureCount": 0 }), true),
        (json!({ "ToleratedFailurePercentage": 25 }), false),
        (json!({ "ToleratedFailurePercentage": 24 }), true),
        (json!({ "ToleratedFailureCount": 1, "ToleratedFailurePercentage": 10 }), true),
        // A batch fails with all its items.
        (json!({ "ToleratedFailureCount": 3, "ItemBatcher": { "MaxItemsPerBatch": 4 } }), true),
        (json!({ "ToleratedFailureCount": 4, "ItemBatcher": { "MaxItemsPerBatch": 4 } }), false),
    ] {
        let (world, conclusion) = outcome(more.clone(), choice(), input.clone());
        if fails {
            let error = Failure::new(
                "States.ExceedToleratedFailureThreshold",
                "The specified tolerated failure threshold was exceeded",
            );
            assert_eq!(conclusion, Conclusion::Failed(error), "{more}");
            assert!(world.journal.iter().any(|e| matches!(e.event, Event::MapFailed)), "{more}");
        } else {
            assert!(matches!(conclusion, Conclusion::Succeeded(_)), "{more}: {conclusion:?}");
        }
    }
}

#[test]
fn an_exceeded_threshold_can_be_caught() {
    let catch = json!({ "Catch": [{ "ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Next": "Caught", "ResultPath": null }] });
    let (_, conclusion) = outcome(catch, choice(), json!([{ "fail": true }]));
    assert_eq!(conclusion, succeeded(json!([{ "fail": true }])));
}

#[test]
fn a_selector_that_finds_nothing_fails_the_run() {
    let (world, conclusion) = outcome(json!({ "ItemSelector": { "v.$": "$$.Map.Item.Nothing" } }), echo(), json!([1]));
    let Conclusion::Failed(failure) = conclusion else { panic!("{conclusion:?}") };
    assert_eq!(failure.error.as_deref(), Some("States.Runtime"));
    assert!(
        failure
            .cause
            .as_deref()
            .unwrap()
            .starts_with("An error occurred while executing the state 'All' (entered at the event id #2). ")
    );
    assert!(world.journal.iter().any(|e| matches!(e.event, Event::MapRunFailed(_))));
}

/// A Parallel whose other branch fails while a map run is open: the run is left behind and must be stopped, also after
/// a crash.
#[test]
fn a_run_that_its_parent_left_is_stopped_until_it_is() {
    use crate::interpreter::command::Command;
    let map = machine(json!({}), task())["States"]["All"].clone();
    let definition = json!({
        "StartAt": "Both",
        "States": {
            "Both": {
                "Type": "Parallel",
                "Branches": [{ "StartAt": "All", "States": { "All": map } }, { "StartAt": "Other", "States": { "Other": task() } }],
                "Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "On" }],
                "Next": "On"
            },
            "On": { "Type": "Wait", "Seconds": 1000, "End": true }
        }
    });
    let mut world = World::new(&definition);
    world.start(json!([1, 2]));
    let run = world.state.map_runs().next().unwrap().run.started;
    assert!(world.commands.contains(&Command::StartMapRun { started: run }));
    world.crash(world.journal.len());
    assert!(world.commands.contains(&Command::StartMapRun { started: run }));
    world.commands.clear();
    let scheduled = world.state.tasks().next().unwrap().task.scheduled;
    world
        .feed(StimulusKind::TaskFailed { scheduled, failure: Failure::new("Broken", "as told"), by: None, link: None })
        .unwrap();
    assert!(world.state.is_running());
    assert!(world.commands.contains(&Command::StopMapRun { started: run }));
    world.crash(world.journal.len());
    assert!(world.commands.contains(&Command::StopMapRun { started: run }));
    // Its end has no effect any more.
    assert!(world.feed(StimulusKind::MapRunEnded { started: run, result: Ok(Payload::new(json!([]))) }).is_err());
    world.feed(StimulusKind::MapRunStopped { started: run }).unwrap();
    assert!(world.feed(StimulusKind::MapRunStopped { started: run }).is_err());
    world.crash(world.journal.len());
    assert!(world.commands.is_empty());
}

/// AWS: a redriven parent goes on with the run that had failed; a run that was never started is started.
#[test]
fn a_redrive_goes_on_with_the_run() {
    use crate::interpreter::command::Command;
    let failed = |world: &mut World, started| {
        let failure = Failure::new("States.ExceedToleratedFailureThreshold", "as told");
        world.feed(StimulusKind::MapRunEnded { started, result: Err(failure) }).unwrap();
    };
    for stopped in [false, true] {
        let mut world = World::new(&machine(json!({}), echo()));
        world.start(json!([1, 2]));
        let (first, arn) = world.state.map_runs().next().map(|v| (v.run.started, v.run.arn.clone())).unwrap();
        if stopped {
            world.feed(StimulusKind::Stop(Failure::default())).unwrap();
        } else {
            failed(&mut world, first);
        }
        for attempt in 1..=2 {
            assert!(!world.state.is_running());
            world.state = world.folded();
            world.commands.clear();
            world.feed(StimulusKind::Redrive { token: None }).unwrap();
            let run = world.state.map_runs().next().unwrap().run.clone();
            assert_eq!((&run.arn, run.redrives, run.started != first), (&arn, attempt, true));
            assert_eq!(world.commands, [Command::StartMapRun { started: run.started }]);
            assert!(world.state.stopping().next().is_none());
            world.crash(world.journal.len());
            assert_eq!(world.commands, [Command::StartMapRun { started: run.started }], "it is owed");
            if attempt == 1 {
                failed(&mut world, run.started);
            } else {
                world
                    .feed(StimulusKind::MapRunEnded { started: run.started, result: Ok(Payload::new(json!("all"))) })
                    .unwrap();
            }
        }
        assert_eq!(world.conclusion(), &succeeded(json!("all")));
        let redriven = world.journal.iter().filter(|e| matches!(e.event, Event::MapRunRedriven { .. })).count();
        let started = world.journal.iter().filter(|e| matches!(e.event, Event::MapRunStarted { .. })).count();
        assert_eq!((redriven, started), (2, 1));
    }
}

/// A retrier runs the whole Map again: another run.
#[test]
fn a_retrier_starts_another_run() {
    let retry = json!({ "Retry": [{ "ErrorEquals": ["States.ALL"], "MaxAttempts": 1 }] });
    let mut world = World::new(&machine(retry, echo()));
    world.start(json!([1]));
    let first = world.state.map_runs().next().unwrap().run.clone();
    let failure = Failure::new("Broken", "as told");
    world.feed(StimulusKind::MapRunEnded { started: first.started, result: Err(failure) }).unwrap();
    world.now = world.now.plus_seconds(1.0);
    world.feed(StimulusKind::Clock).unwrap();
    let second = world.state.map_runs().next().unwrap().run.clone();
    assert_eq!((second.arn != first.arn, second.redrives), (true, 0));
}
