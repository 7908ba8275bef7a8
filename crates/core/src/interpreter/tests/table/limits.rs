//! Bounds: of a decision, a history, a payload, its depth, and of variables.

use super::*;
use crate::limits::{DECISION_EVENTS_MAX, HISTORY_EVENTS_MAX, JSON_DEPTH_MAX, PAYLOAD_BYTES_MAX, VARIABLES_BYTES_MAX};
use crate::payload::Payload;

/// Round and round; the way out is never taken.
fn endless(state: Value) -> Value {
    let out = json!({ "Type": "Choice", "Choices": [{ "Variable": "$.never", "IsPresent": true, "Next": "End" }], "Default": "A" });
    let mut states = json!({ "A": state, "B": out, "End": { "Type": "Succeed" } });
    states["A"]["Next"] = json!("B");
    json!({ "StartAt": "A", "States": states })
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

#[test]
fn much_work_is_cut_into_decisions() {
    let mut world = World::new(&endless(json!({ "Type": "Pass" })));
    world.start(json!({}));
    assert_eq!(world.journal.len(), DECISION_EVENTS_MAX);
    assert_eq!(world.commands, [Command::Continue]);
    world.feed(StimulusKind::Continue).unwrap();
    assert_eq!(world.journal.len(), 2 * DECISION_EVENTS_MAX);
}

#[test]
fn the_last_event_of_a_full_history_is_the_failure() {
    let world = run(&endless(json!({ "Type": "Pass" })), json!({}));
    assert_eq!(world.state.last_id().0, HISTORY_EVENTS_MAX);
    let (error, cause) = failed_with(&world);
    assert_eq!(error, "States.Runtime");
    assert_eq!(cause, "The execution reached the maximum number of history events (25000).");
    let mut world = world;
    assert_eq!(
        world.feed(StimulusKind::Redrive { token: None }),
        Err(Rejection::NotApplicable("at the limit of its history"))
    );
}

/// A Parallel of many callbacks whose events end close under the limit: what one decision writes must not go over it.
#[test]
fn neither_replies_nor_aborts_go_over_the_history() {
    for spare in 1..90u64 {
        let branches: Vec<Value> = (0..40)
            .map(|i| json!({ "StartAt": format!("T{i}"), "States": { format!("T{i}"): task(CALLBACK, json!({})) } }))
            .collect();
        let definition =
            json!({ "StartAt": "P", "States": { "P": { "Type": "Parallel", "Branches": branches, "End": true } } });
        let mut world = World::new(&definition);
        world.start(json!({}));
        // As if what came before had been longer: ids move up, nothing else does.
        world.state.count_from(EventId(HISTORY_EVENTS_MAX - spare));
        let first = world.state.tasks().next().unwrap().task.scheduled.0;
        world.commands.clear();
        world.feed(failure(first)).unwrap();
        assert!(world.state.last_id().0 <= HISTORY_EVENTS_MAX, "{spare} spare: {}", world.state.last_id());
        assert!(!world.state.is_running(), "{spare}");
        assert!(world.journal.last().is_some_and(|e| e.event.closes()), "{spare}");
        let cancelled = world.commands.iter().filter(|c| matches!(c, Command::Cancel { .. })).count();
        assert!(cancelled >= 39, "{spare}: {cancelled} of the open tasks were cancelled");
    }
}

#[test]
fn a_payload_over_the_limit_fails_the_state_that_makes_it() {
    let doubled = endless(json!({ "Type": "Pass", "Parameters": { "a.$": "$", "b.$": "$" } }));
    let world = run(&doubled, json!("x".repeat(1000)));
    let (error, cause) = failed_with(&world);
    assert_eq!(error, "States.DataLimitExceeded");
    assert!(
        cause.ends_with(
            "The state/task 'A' returned a result with a size exceeding the maximum number of bytes service limit."
        ),
        "{cause}"
    );
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

/// Every way in which a definition wraps its input: each ends in an error that names the limit, and the journal
/// decodes.
#[test]
fn values_that_nest_ever_deeper_end_in_an_error_that_names_the_limit() {
    let deep = nested(JSON_DEPTH_MAX);
    let inner = json!({ "StartAt": "I", "States": { "I": { "Type": "Pass", "End": true } } });
    let callback =
        |parameters: Value| json!({ "Type": "Task", "Resource": CALLBACK, "Parameters": parameters, "End": true });
    let ways = [
        json!({ "Type": "Pass", "Parameters": { "a.$": "$" }, "End": true }),
        json!({ "Type": "Pass", "Assign": { "v": { "a.$": "$" } }, "End": true }),
        json!({ "Type": "Pass", "Parameters": { "a.$": "States.Array($)" }, "End": true }),
        callback(json!({ "QueueUrl": "q", "MessageBody": { "a.$": "$", "t.$": "$$.Task.Token" } })),
        callback(json!({ "QueueUrl": "q", "MessageBody.$": "$$" })),
        json!({ "Type": "Parallel", "Branches": [inner], "End": true }),
        json!({ "Type": "Parallel", "Parameters": { "a.$": "$" }, "Branches": [inner], "End": true }),
        json!({ "Type": "Map", "ItemProcessor": inner, "ItemSelector": { "a.$": "$" }, "End": true }),
        json!({ "Type": "Map", "ItemProcessor": inner, "ResultSelector": { "a.$": "$" }, "End": true }),
        json!({ "Type": "Pass", "QueryLanguage": "JSONata", "Output": { "a": "{% $states.input %}" }, "End": true }),
        json!({ "Type": "Pass", "QueryLanguage": "JSONata", "Assign": { "v": { "a": "{% $states.input %}" } }, "End": true }),
        json!({ "Type": "Map", "QueryLanguage": "JSONata", "Items": [["{% $states.input %}"]], "ItemProcessor": inner, "End": true }),
    ];
    for state in ways {
        let world = run(&json!({ "StartAt": "S", "States": { "S": state } }), deep.clone());
        let (error, cause) = failed_with(&world);
        assert!(
            ["States.DataLimitExceeded", "States.QueryEvaluationError"].contains(&error.as_str()),
            "{state}: {error} {cause}"
        );
        assert!(cause.contains(" levels"), "{state}: {cause}");
        let bytes = crate::record::encode(&world.journal).unwrap();
        assert_eq!(crate::record::decode(&bytes).unwrap(), world.journal, "{state}");
    }
}

#[test]
fn a_loop_that_wraps_its_input_ends_long_before_the_history() {
    let world = run(&endless(json!({ "Type": "Pass", "Parameters": { "a.$": "$" } })), json!(1));
    assert_eq!(failed_with(&world).0, "States.DataLimitExceeded");
    assert!(world.journal.len() < 6 * JSON_DEPTH_MAX, "{}", world.journal.len());
}

#[test]
fn a_workers_result_over_a_limit_fails_its_task() {
    for (output, names) in [(nested(JSON_DEPTH_MAX + 1), "levels"), (json!("x".repeat(PAYLOAD_BYTES_MAX)), "bytes")] {
        let given = Given::callback(json!({})).after(dispatched(3));
        let reply =
            StimulusKind::TaskSucceeded { scheduled: EventId(3), output: Payload::new(output), by: None, link: None };
        let given = given.when(reply).then(
            "6<-5 TaskFailed
             7<-6 ExecutionFailed
             ! Finish",
        );
        let (error, cause) = failed_with(&given.0);
        assert_eq!(error, "States.DataLimitExceeded");
        assert!(cause.contains(names), "{cause}");
    }
}

#[test]
fn a_cause_that_quotes_the_input_is_cut() {
    let states = json!({ "P": { "Type": "Pass", "Parameters": { "a.$": "$.gone" }, "End": true } });
    let world = run(&json!({ "StartAt": "P", "States": states }), json!("ä".repeat(100_000)));
    let (error, cause) = failed_with(&world);
    assert_eq!(error, "States.Runtime");
    assert_eq!(cause.chars().count(), crate::limits::CAUSE_CHARS_MAX);
}

fn assigns(names: usize, loops: bool) -> Value {
    let mut states = json!({});
    for i in 0..names {
        let next =
            if i + 1 == names { if loops { "A0".to_owned() } else { "End".to_owned() } } else { format!("A{}", i + 1) };
        states[format!("A{i}")] =
            json!({ "Type": "Pass", "Assign": { format!("v{i}"): { "x.$": "$.x" } }, "Next": next });
    }
    states["End"] = json!({ "Type": "Succeed" });
    json!({ "StartAt": "A0", "States": states })
}

#[test]
fn all_variables_together_are_bounded() {
    let input = json!({ "x": "v".repeat(250_000) });
    let world = run(&assigns(45, false), input);
    let (error, cause) = failed_with(&world);
    assert_eq!(error, "States.DataLimitExceeded");
    assert!(cause.contains(&VARIABLES_BYTES_MAX.to_string()), "{cause}");
}

#[test]
fn what_is_assigned_anew_counts_once() {
    // 41 variables of 250 KB are below 10 MiB; assigning one of them again must not count it twice.
    let mut definition = assigns(41, false);
    definition["States"]["A40"]["Next"] = json!("Again");
    definition["States"]["Again"] = json!({ "Type": "Pass", "Assign": { "v0": { "x.$": "$.x" } }, "Next": "End" });
    let world = run(&definition, json!({ "x": "v".repeat(250_000) }));
    assert!(matches!(world.conclusion(), Conclusion::Succeeded(_)), "{:?}", world.conclusion());
}

/// Counted, not timed: the execution's input is copied once for a decision, however many items look at the context
/// object.
#[test]
fn the_context_object_copies_the_input_once_a_decision() {
    let selector = json!({ "i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "s.$": "$$.State.Name" });
    let processor = json!({ "StartAt": "S", "States": { "S": { "Type": "Pass", "Parameters": { "i.$": "$$.Map.Item.Index", "s.$": "$$.State.Name" }, "End": true } } });
    let map = json!({ "Type": "Map", "ItemSelector": selector, "ItemProcessor": processor, "End": true });
    let items: Vec<usize> = (0..2_000).collect();
    let before = crate::interpreter::scope::EXECUTIONS_MADE.get();
    let world = run(&json!({ "StartAt": "M", "States": { "M": map } }), json!(items));
    let made = crate::interpreter::scope::EXECUTIONS_MADE.get() - before;
    let Conclusion::Succeeded(output) = world.conclusion() else { panic!("{:?}", world.conclusion()) };
    assert_eq!(output[1_999], json!({ "i": 1_999, "s": "S" }));
    let decisions = world.journal.len().div_ceil(DECISION_EVENTS_MAX);
    assert!((1..=decisions + 1).contains(&made), "made {made} times in {decisions} decisions");
}

#[test]
fn a_request_answered_with_too_much_fails_and_a_callback_stays_open() {
    let overflow = || StimulusKind::TaskOverflowed { scheduled: EventId(3) };
    let given =
        Given::states("T", json!({ "T": task("arn:aws:states:::amqp:call", json!({})) })).when(overflow()).then(
            "5<-4 TaskFailed
         6<-5 ExecutionFailed
         ! Finish",
        );
    let Event::TaskFailed { failure, .. } = &given.0.journal[4].event else { panic!() };
    assert_eq!(failure.error.as_deref(), Some("States.DataLimitExceeded"));
    given.when(overflow()).rejected(Rejection::Duplicate);
    for resource in [CALLBACK, ACTIVITY] {
        let given = Given::states("T", json!({ "T": task(resource, json!({})) }))
            .when(overflow())
            .rejected(Rejection::TooLarge);
        given.after(success(3));
    }
}

#[test]
fn a_request_answered_with_no_json_fails_and_a_callback_stays_open() {
    let failure = Failure::new("Amqp.InvalidReply", "the output is not JSON");
    let unreadable = || StimulusKind::TaskUnreadable { scheduled: EventId(3), failure: failure.clone() };
    let given =
        Given::states("T", json!({ "T": task("arn:aws:states:::amqp:call", json!({})) })).when(unreadable()).then(
            "5<-4 TaskFailed
         6<-5 ExecutionFailed
         ! Finish",
        );
    let Event::TaskFailed { failure: said, .. } = &given.0.journal[4].event else { panic!() };
    assert_eq!(*said, failure);
    given.when(unreadable()).rejected(Rejection::Duplicate);
    for resource in [CALLBACK, ACTIVITY] {
        let given = Given::states("T", json!({ "T": task(resource, json!({})) }))
            .when(unreadable())
            .rejected(Rejection::Unreadable);
        given.after(success(3));
    }
}
