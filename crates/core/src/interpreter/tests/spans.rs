//! Spans: the fold can begin at any entry, and every span fits its journal.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::World;
use super::generator::programs;
use super::recovery::{by_chance, property, refuse, shown};
use super::script::{Attempt, Play, Script};
use crate::ids::{EventId, ExecutionId};
use crate::interpreter::event::{Entry, Event};
use crate::interpreter::state::{Phase, State};
use crate::spans::{End, Kind, Span, Spans};
use crate::trace::Sampling;

fn execution() -> ExecutionId {
    ExecutionId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000))
}

/// The spans of a journal. `cut`: before each entry the fold begins again, at the state of that moment.
fn spans(journal: &[Entry], cut: bool) -> Vec<Span> {
    let (mut state, mut out) = (State::default(), Vec::new());
    let mut fold = Spans::of(execution(), &state, Sampling(1.0));
    for entry in journal {
        if cut {
            fold = Spans::of(execution(), &state, Sampling(1.0));
        }
        fold.evolve(entry, &mut out);
        state.evolve(entry).unwrap();
    }
    out
}

#[test]
fn spans_are_the_same_wherever_the_fold_begins() {
    property(100, &(programs(), proptest::num::u64::ANY), shown, |(program, seed)| {
        let world = by_chance(&program, seed)?;
        let whole = spans(&world.journal, false);
        let cut = spans(&world.journal, true);
        if whole != cut {
            return Err(refuse(format!("{whole:#?}\nbut with cuts\n{cut:#?}")));
        }
        fit(&world, &whole).map_err(refuse)
    });
}

/// Each id once, each parent there, each task and stay shown, no time backwards.
fn fit(world: &World, spans: &[Span]) -> Result<(), String> {
    let ids: BTreeSet<u64> = spans.iter().map(|span| span.id).collect();
    if ids.len() != spans.len() {
        return Err("two spans have one id".into());
    }
    for span in spans {
        if span.to < span.from {
            return Err(format!("it ends before it begins: {span:?}"));
        }
        let closed = matches!(world.state.phase(), Phase::Closed(_));
        if closed && span.parent.is_some_and(|parent| !ids.contains(&parent)) {
            return Err(format!("its parent is missing: {span:?}"));
        }
    }
    let events = |wanted: fn(&Event) -> bool| world.journal.iter().filter(|e| wanted(&e.event)).count();
    let of = |kind: Kind| spans.iter().filter(|span| span.kind == kind).count();
    let tasks = events(|e| matches!(e, Event::TaskScheduled(_)));
    let ends = events(Event::closes);
    let stays = events(|e| matches!(e, Event::StateEntered { .. }));
    let retries = events(|e| matches!(e, Event::RetryScheduled { .. }));
    let shown = [of(Kind::Task), of(Kind::Execution), of(Kind::Retry)];
    if shown != [tasks, ends, retries] {
        return Err(format!("tasks, ends, retries: {shown:?} are shown of {tasks}, {ends}, {retries}"));
    }
    if of(Kind::State) < stays {
        return Err(format!("{} spans of {stays} stays", of(Kind::State)));
    }
    Ok(())
}

#[test]
fn an_execution_with_a_retry_and_a_branch_as_its_spans() {
    let task = |end: &str| {
        json!({"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl": "q", "MessageBody.$": "$$.Task.Token"}, end: true})
    };
    let mut work = task("End");
    work["Retry"] = json!([{"ErrorEquals": ["Busy"], "IntervalSeconds": 5, "MaxAttempts": 2}]);
    let mut world = World::new(&json!({
        "StartAt": "Both",
        "States": {"Both": {"Type": "Parallel", "End": true, "Branches": [
            {"StartAt": "Work", "States": {"Work": work}},
            {"StartAt": "Pause", "States": {"Pause": {"Type": "Wait", "Seconds": 2, "End": true}}},
        ]}},
    }));
    world.start(json!({}));
    let busy = Attempt {
        after: 1.0,
        failure: Some(super::script::Told { error: Some("Busy".into()), cause: None }),
        ..Attempt::default()
    };
    let good = Attempt { after: 3.0, success: Some(json!(1)), ..Attempt::default() };
    let script = Script { tasks: BTreeMap::from([("Work".to_owned(), vec![busy, good])]), ..Script::default() };
    let mut play = Play::new(world, &script);
    play.play_out();
    let spans = spans(&play.world.journal, false);
    let start = play.world.state.started_at();
    let names: BTreeMap<u64, &str> = spans.iter().map(|span| (span.id, &*span.name)).collect();
    let told: Vec<String> = spans
        .iter()
        .map(|span| {
            let parent = span.parent.map_or("-", |parent| names[&parent]);
            let end = match &span.end {
                End::Well => "well".to_owned(),
                End::Failed(error) => error.clone(),
                End::Aborted => "aborted".to_owned(),
            };
            let second = |at: crate::clock::Timestamp| at.since(start).as_secs();
            format!("{parent}/{} {}..{} {end}", span.name, second(span.from), second(span.to))
        })
        .collect();
    let resource = "sqs:sendMessage.waitForTaskToken";
    assert_eq!(
        told,
        [
            format!("Work/{resource} 0..1 Busy"),
            "Both/Pause 0..2 well".to_owned(),
            "Work/retry 1..6 well".to_owned(),
            format!("Work/{resource} 6..9 well"),
            "Both/Work 0..9 well".to_owned(),
            "machine/Both 0..9 well".to_owned(),
            "-/machine 0..9 well".to_owned(),
        ]
    );
    let scheduled: Vec<EventId> = play
        .world
        .journal
        .iter()
        .filter(|entry| matches!(entry.event, Event::TaskScheduled(_)))
        .map(|entry| entry.id)
        .collect();
    let trace = Spans::of(execution(), &play.world.state, Sampling(1.0)).trace().clone();
    let tasks: Vec<u64> = spans.iter().filter(|span| span.kind == Kind::Task).map(|span| span.id).collect();
    assert_eq!(
        tasks,
        scheduled.iter().map(|id| trace.task(execution(), *id).span).collect::<Vec<_>>(),
        "a task's message names its span"
    );
}
