//! Bounds of bytes and work: of a decision, of what an execution holds, of its journal, of a joined result.

use super::*;
use crate::interpreter::Share;
use crate::interpreter::state::State;
use crate::limits::{DECISION_EVENTS_MAX, PAYLOAD_BYTES_MAX};

/// Round and round between `A` and a Choice.
fn endless(a: Value) -> Value {
    let out = json!({ "Type": "Choice", "Choices": [{ "Variable": "$$.State.Name", "StringEquals": "no", "Next": "End" }], "Default": "A" });
    let mut states = json!({ "A": a, "B": out, "End": { "Type": "Succeed" } });
    states["A"]["Next"] = json!("B");
    json!({ "StartAt": "A", "States": states })
}

fn map(fields: Value, states: Value) -> Value {
    let mut map = json!({ "Type": "Map", "ItemProcessor": { "StartAt": "P", "States": states }, "End": true });
    map.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({ "StartAt": "M", "States": { "M": map } })
}

fn run(definition: &Value, input: Value) -> World {
    let mut world = World::new(definition);
    world.start(input);
    super::super::script::without_answers(world)
}

#[track_caller]
fn failed_with(world: &World) -> (String, String) {
    match world.conclusion() {
        Conclusion::Failed(f) => (f.error.clone().unwrap_or_default(), f.cause.clone().unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

/// How many events the first decision made before it yielded.
#[track_caller]
fn first_decision(definition: &Value, input: &str) -> usize {
    let mut world = World::new(definition);
    world.start_with(Payload::parse(input).unwrap());
    assert_eq!(world.commands, [Command::Continue]);
    world.journal.len()
}

#[test]
fn a_decision_yields_where_its_expressions_have_worked_enough() {
    let items: Vec<Value> = (0..20_000).map(|i| json!([[i]])).collect();
    let input = json!({ "a": items, "s": "x".repeat(1_000) }).to_string();
    for (language, expression) in [
        ("JSONPath", json!({ "x.$": "States.ArrayLength($..[?(@[0][0] > 5)])" })),
        ("JSONPath", json!({ "x.$": "$.a" })),
        ("JSONPath", json!({ "x.$": "States.ArrayContains($.a, 7)" })),
        ("JSONata", json!("{% $sum([1..20000]) %}")),
    ] {
        let pass = if language == "JSONata" {
            json!({ "Type": "Pass", "QueryLanguage": "JSONata", "Assign": { "v": expression } })
        } else {
            json!({ "Type": "Pass", "Parameters": expression, "ResultPath": null })
        };
        let events = first_decision(&endless(pass.clone()), &input);
        assert!(events < 100, "{expression}: {events} events in one decision");
    }
    // A loop that works little makes all the events that a decision may.
    assert_eq!(first_decision(&endless(json!({ "Type": "Pass" })), "{}"), DECISION_EVENTS_MAX);
}

#[test]
fn a_decision_yields_where_it_has_written_enough_and_what_is_passed_on_is_written_once() {
    let large = json!({ "x": "y".repeat(200_000), "n": [1, 2] }).to_string();
    let passed_on = first_decision(&endless(json!({ "Type": "Pass" })), &large);
    assert!(passed_on > 300, "{passed_on} events");
    let made = endless(json!({ "Type": "Pass", "Parameters": { "n.$": "$.n", "x.$": "$.x" } }));
    let made = first_decision(&made, &large);
    assert!((2..30).contains(&made), "{made} events");
}

#[test]
fn the_same_events_come_of_it_however_it_is_cut() {
    let items: Vec<Value> = (0..300).map(|i| json!({ "i": i, "s": "z".repeat(300) })).collect();
    let select = json!({ "ItemSelector": { "all.$": "$", "i.$": "$$.Map.Item.Index" }, "ResultPath": null });
    let short = json!({ "P": { "Type": "Pass", "Parameters": { "n.$": "States.ArrayLength($.all)" }, "End": true } });
    let world = run(&map(select, short), json!(items));
    assert!(matches!(world.conclusion(), Conclusion::Succeeded(_)), "{:?}", world.conclusion());
    assert_eq!(world.folded(), world.state);
    let ids: Vec<u64> = world.journal.iter().map(|e| e.id.0).filter(|id| *id != 0).collect();
    assert_eq!(ids, (1..=world.state.last_id().0).collect::<Vec<_>>());
}

/// Results of iterations that make `[…]` of so many bytes.
fn results_of(bytes: usize) -> Value {
    let each = (bytes - 2 - 3) / 4;
    let mut items = vec![json!("r".repeat(each - 2)); 3];
    items.push(json!("r".repeat(bytes - 2 - 3 - 3 * each - 2)));
    assert_eq!(json!(items).to_string().len(), bytes);
    json!(items)
}

#[test]
fn the_results_of_a_fork_end_it_where_the_joined_result_would_be_too_large() {
    let pass = json!({ "P": { "Type": "Pass", "End": true } });
    let fits = run(&map(json!({ "ResultPath": null }), pass.clone()), results_of(PAYLOAD_BYTES_MAX));
    assert!(matches!(fits.conclusion(), Conclusion::Succeeded(_)), "{:?}", fits.conclusion());

    // Each iteration adds to its input, so that the items are within the limit and the results are not.
    let grow = json!({ "P": { "Type": "Pass", "Parameters": { "a.$": "$", "b.$": "$" }, "End": true } });
    let items = json!(vec!["r".repeat(20_000); 12]);
    let caught = json!([{ "ErrorEquals": ["States.DataLimitExceeded"], "Next": "C" }]);
    for (fields, ends) in
        [(json!({ "ResultPath": null }), "fails"), (json!({ "ResultPath": null, "Catch": caught }), "goes on")]
    {
        let mut definition = map(fields, grow.clone());
        if ends == "goes on" {
            definition["States"]["C"] = json!({ "Type": "Pass", "Result": "caught", "End": true });
        }
        let world = run(&definition, items.clone());
        let joined = world.journal.iter().filter(|e| matches!(e.event, Event::MapIterationSucceeded { .. })).count();
        assert_eq!(joined, 7, "{ends}: six results have room, the seventh has not");
        if ends == "fails" {
            let (error, cause) = failed_with(&world);
            assert_eq!(error, "States.DataLimitExceeded");
            assert!(cause.ends_with("The state/task 'M' returned a result with a size exceeding the maximum number of bytes service limit."), "{cause}");
        } else {
            assert!(matches!(world.conclusion(), Conclusion::Succeeded(output) if **output == json!("caught")));
        }
        assert_eq!(world.folded(), world.state);
    }
}

#[test]
fn branches_of_a_parallel_are_measured_together_too() {
    let branch = |n: usize| {
        let name = format!("B{n}");
        json!({ "StartAt": name, "States": { name: { "Type": "Pass", "End": true } } })
    };
    let parallel = json!({ "Type": "Parallel", "Branches": [branch(0), branch(1), branch(2)], "ResultSelector": { "n": 1 }, "End": true });
    let definition = json!({ "StartAt": "P", "States": { "P": parallel } });
    let (error, _) = failed_with(&run(&definition, json!("x".repeat(90_000))));
    assert_eq!(error, "States.DataLimitExceeded");
    let small = run(&definition, json!("x".repeat(80_000)));
    assert!(matches!(small.conclusion(), Conclusion::Succeeded(output) if **output == json!({ "n": 1 })));
}

/// Data that one start of 240 KB could multiply: held are the iterations that run, not all.
#[test]
fn a_map_that_gives_each_item_the_whole_input_holds_what_runs() {
    let input = json!({ "i": vec![0; 20_000], "x": "y".repeat(180_000) });
    let fields = json!({ "ItemsPath": "$.i", "ItemSelector": { "all.$": "$" }, "ResultPath": null });
    let forgets = json!({ "P": { "Type": "Pass", "Result": 0, "End": true } });
    let mut world = World::new(&map(fields.clone(), forgets));
    world.start(input.clone());
    let mut most = 0;
    for _ in 0..20 {
        world.feed(StimulusKind::Continue).unwrap();
        most = most.max(world.state.bytes());
    }
    assert!(world.state.is_running());
    assert!(most < 16_000_000, "{most} bytes");
    // Where the results are as large, they end it.
    let keeps = json!({ "P": { "Type": "Pass", "End": true } });
    let world = run(&map(fields, keeps), input);
    assert_eq!(failed_with(&world).0, "States.DataLimitExceeded");
    assert!(world.journal.len() < 1_000, "{} entries", world.journal.len());
}

#[test]
fn an_execution_that_holds_too_much_ends_and_says_which_setting() {
    // Forty times forty iterations wait, each with the input of the outer one.
    let waits = json!({ "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": 60, "End": true } } });
    let inner = json!({ "Type": "Map", "ItemsPath": "$$.Execution.Input.i", "ItemSelector": { "all.$": "$", "i.$": "$$.Map.Item.Value" }, "ItemProcessor": waits, "End": true });
    let definition = map(
        json!({ "ItemsPath": "$.i", "ItemSelector": { "x.$": "$.x", "i.$": "$$.Map.Item.Value" } }),
        json!({ "P": inner }),
    );
    let mut world = World::new(&definition);
    world.bounds.held = 8_000_000;
    world.start(json!({ "i": (0..40).collect::<Vec<_>>(), "x": "y".repeat(20_000) }));
    let mut decisions = 0;
    while world.state.is_running() && decisions < 1_000 {
        assert!(world.state.bytes() < 8_000_000 + 2_000_000, "a decision adds no more than it may write");
        world.feed(StimulusKind::Continue).unwrap();
        decisions += 1;
    }
    let (error, cause) = failed_with(&world);
    assert_eq!(error, "States.DataLimitExceeded");
    assert!(cause.contains("engine.execution_bytes_max"), "{cause}");
    assert_eq!(world.folded(), world.state);
}

#[test]
fn an_execution_beyond_its_share_ends_where_all_hold_too_much_together() {
    let definition = json!({ "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": 60, "Next": "Z" }, "Z": { "Type": "Succeed" } } });
    let share = |bytes| Some(Share { bytes, together: 20_000_000, most: 10_000_000 });
    for (bytes, ends) in [(100_000, true), (1_000_000, false)] {
        let mut world = World::new(&definition);
        world.bounds.share = share(bytes);
        world.start(json!("y".repeat(200_000)));
        assert_eq!(!world.state.is_running(), ends, "a share of {bytes}");
        if ends {
            let (error, cause) = failed_with(&world);
            assert_eq!(error, "States.DataLimitExceeded");
            assert!(cause.contains("engine.memory_bytes_max is 10000000"), "{cause}");
            assert_eq!(world.folded(), world.state);
        }
    }
}

#[test]
fn shared_input_is_held_once_live_and_from_the_journal() {
    let branches: Vec<Value> = (0..200)
        .map(|i| json!({ "StartAt": format!("W{i}"), "States": { format!("W{i}"): { "Type": "Wait", "Seconds": 60, "End": true } } }))
        .collect();
    let definition =
        json!({ "StartAt": "P", "States": { "P": { "Type": "Parallel", "Branches": branches, "End": true } } });
    let mut world = World::new(&definition);
    world.start(json!("x".repeat(200_000)));
    while world.commands.contains(&Command::Continue) {
        world.commands.clear();
        world.feed(StimulusKind::Continue).unwrap();
    }
    assert!(world.state.bytes() < 500_000, "live {}", world.state.bytes());
    // As another process reads it, batch by batch.
    let mut read = State::default();
    for batch in world.journal.chunks(7) {
        for entry in crate::record::decode(&crate::record::encode(batch).unwrap()).unwrap() {
            read.evolve(&entry).unwrap();
        }
    }
    assert_eq!(read, world.state);
    assert!(read.bytes() < 700_000, "read {}", read.bytes());
}

#[test]
fn a_full_journal_ends_the_execution_with_an_entry_that_fits() {
    let made = endless(json!({ "Type": "Pass", "Parameters": { "x.$": "$.x", "s.$": "$$.State.EnteredTime" } }));
    let mut world = World::new(&made);
    world.bounds.journal_left = 3_000_000;
    world.start(json!({ "x": "y".repeat(100_000) }));
    let mut decisions = 0;
    while world.state.is_running() && decisions < 100 {
        let decided: usize = crate::record::encode(&world.journal[world.decided..]).unwrap().len();
        world.bounds.journal_left = world.bounds.journal_left.saturating_sub(decided as u64);
        world.feed(StimulusKind::Continue).unwrap();
        decisions += 1;
    }
    let (error, cause) = failed_with(&world);
    assert_eq!(error, "States.DataLimitExceeded");
    assert!(cause.contains("engine.journal_bytes_max"), "{cause}");
    assert!(world.journal.last().is_some_and(|e| e.event.closes()));
    world.bounds.journal_left = 0;
    let redrive = StimulusKind::Redrive { token: None };
    assert_eq!(world.feed(redrive), Err(Rejection::NotApplicable("at the limit of its journal")));
}
