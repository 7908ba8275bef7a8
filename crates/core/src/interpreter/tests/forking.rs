//! Forks: an execution that begins at a state of another execution, with the data that was recorded there.

use serde_json::{Value, json};

use super::{World, name};
use crate::ids::EventId;
use crate::interpreter::event::{Event, Failure, FrameId, Started};
use crate::interpreter::forking::{ForkWish, Forking, NoFork};
use crate::interpreter::state::Conclusion;
use crate::interpreter::stimulus::StimulusKind;
use crate::payload::Payload;
use crate::record;

const CALLBACK: &str = "arn:aws:states:::sqs:sendMessage.waitForTaskToken";

fn ask(next: &str) -> Value {
    json!({ "Type": "Task", "Resource": CALLBACK, "Arguments": { "n": "{% $n %}", "to": "{% $states.input %}" },
        "Output": "{% $states.result %}", "Next": next })
}

/// Counts in a variable, asks, and loops until the answer is `done`.
fn machine() -> Value {
    json!({ "QueryLanguage": "JSONata", "StartAt": "Begin", "States": {
        "Begin": { "Type": "Pass", "Assign": { "n": 0, "who": "{% $states.input.who %}" }, "Next": "Count" },
        "Count": { "Type": "Pass", "Assign": { "n": "{% $n + 1 %}" }, "Next": "Ask" },
        "Ask": ask("Done?"),
        "Done?": { "Type": "Choice", "Default": "Count",
            "Choices": [{ "Condition": "{% $states.input = 'done' %}", "Next": "Tell" },
                { "Condition": "{% $states.input = 'aside' %}", "Next": "Aside" }] },
        "Tell": { "Type": "Pass", "Output": { "n": "{% $n %}", "who": "{% $who %}" }, "End": true },
        "Aside": { "Type": "Pass", "Output": "{% $states.input %}", "Next": "Tell" },
    } })
}

fn answer(world: &mut World, output: Value) {
    let scheduled = world.state.tasks().next().unwrap().task.scheduled;
    let output = Payload::new(output);
    world.feed(StimulusKind::TaskSucceeded { scheduled, output, by: None, link: None }).unwrap();
}

/// Two rounds; `Ask` was entered with `n` 1 and 2, and the third question is open.
fn source() -> World {
    let mut world = World::new(&machine());
    world.start(json!({ "who": "olga" }));
    answer(&mut world, json!("first"));
    answer(&mut world, json!("second"));
    world
}

fn fork(source: &World, wish: ForkWish) -> Result<Started, NoFork> {
    let mut forking = Forking::new(wish);
    for entry in &source.journal {
        forking.see(entry).unwrap();
    }
    assert_eq!(forking.state(), &source.state);
    forking.finish(&source.machine)
}

fn begun(source: &World, wish: ForkWish) -> World {
    let mut world = World::of(source.machine.clone());
    world.feed(StimulusKind::Start(Box::new(fork(source, wish).unwrap()))).unwrap();
    // A start finds the same in the journal, also in its written form.
    let bytes = record::encode(&world.journal).unwrap();
    assert_eq!(record::decode(&bytes).unwrap(), world.journal);
    assert_eq!(world.folded(), world.state);
    world
}

fn at(state: &str) -> ForkWish {
    ForkWish { state: state.to_owned(), ..ForkWish::default() }
}

fn asked(world: &World) -> Value {
    let task = world.state.tasks().next().unwrap();
    (*task.task.details.parameters).clone()
}

fn output(world: &World) -> Value {
    match world.conclusion() {
        Conclusion::Succeeded(output) => (**output).clone(),
        other => panic!("{other:?}"),
    }
}

fn entered(world: &World, state: &str) -> Vec<EventId> {
    let of = |entry: &&crate::interpreter::event::Entry| matches!(&entry.event, Event::StateEntered { name, .. } if **name == *state);
    world.journal.iter().filter(of).map(|entry| entry.id).collect()
}

#[test]
fn a_fork_begins_at_the_last_visit_with_its_input_and_variables() {
    let source = source();
    let mut world = begun(&source, at("Ask"));
    assert_eq!(asked(&world), json!({ "n": 3, "to": "second" }));
    let shown: Vec<String> = world.journal.iter().map(|entry| name(&entry.event)).collect();
    assert_eq!(shown, ["ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted"]);
    let started = world.state.started().unwrap();
    assert_eq!(*started.input, json!({ "who": "olga" }), "the execution's own input is that of the source");
    let forked = started.forked.as_deref().unwrap();
    assert_eq!(forked.from, source.state.started().unwrap().arn);
    assert_eq!(Some(&forked.event), entered(&source, "Ask").last());
    answer(&mut world, json!("done"));
    assert_eq!(output(&world), json!({ "n": 3, "who": "olga" }));
    assert!(source.state.is_running(), "the source is as it was");
}

#[test]
fn an_earlier_visit_is_chosen_by_its_event() {
    let source = source();
    let first = entered(&source, "Ask")[0];
    let world = begun(&source, ForkWish { event: Some(first), ..at("Ask") });
    assert_eq!(asked(&world), json!({ "n": 1, "to": { "who": "olga" } }));
}

#[test]
fn input_and_variables_can_be_changed() {
    let Value::Object(variables) = json!({ "n": 41, "who": "nina" }) else { unreachable!() };
    let wish = ForkWish { input: Some(Payload::new(json!("anew"))), variables: Some(variables), ..at("Count") };
    let mut world = begun(&source(), wish);
    assert_eq!(asked(&world), json!({ "n": 42, "to": "anew" }));
    answer(&mut world, json!("done"));
    assert_eq!(output(&world), json!({ "n": 42, "who": "nina" }));
}

#[test]
fn a_state_that_was_never_entered_needs_an_input_and_has_the_variables_of_now() {
    let source = source();
    assert_eq!(fork(&source, at("Aside")), Err(NoFork::NeverEntered("Aside".into())));
    let world = begun(&source, ForkWish { input: Some(Payload::new(json!(1))), ..at("Aside") });
    assert_eq!(output(&world), json!({ "n": 3, "who": "olga" }));
    assert_eq!(world.state.started().unwrap().forked.as_ref().unwrap().event, EventId(0));
}

#[test]
fn a_fork_of_a_fork_names_the_execution_it_came_from() {
    let mut first = begun(&source(), at("Ask"));
    answer(&mut first, json!("done"));
    let second = begun(&first, at("Tell"));
    assert_eq!(output(&second), output(&first));
    // A state before the beginning of the first fork was never entered there.
    assert_eq!(fork(&first, at("Begin")), Err(NoFork::NeverEntered("Begin".into())));
}

#[test]
fn a_failed_execution_is_forked_before_its_failure_and_the_fork_is_redriven() {
    let mut source = source();
    let scheduled = source.state.tasks().next().unwrap().task.scheduled;
    let failure = Failure::new("Broken", "on purpose");
    source.feed(StimulusKind::TaskFailed { scheduled, failure: failure.clone(), by: None, link: None }).unwrap();
    assert!(!source.state.is_running());
    let mut world = begun(&source, at("Ask"));
    assert_eq!(asked(&world), json!({ "n": 3, "to": "second" }));
    let scheduled = world.state.tasks().next().unwrap().task.scheduled;
    world.feed(StimulusKind::TaskFailed { scheduled, failure, by: None, link: None }).unwrap();
    world.state = world.folded();
    world.feed(StimulusKind::Redrive { token: None }).unwrap();
    assert_eq!(asked(&world), json!({ "n": 3, "to": "second" }));
}

#[test]
fn a_wrong_wish_is_refused_with_its_reason() {
    let source = source();
    let large = |text: &str| Value::String(text.repeat(300_000));
    let variables = |value: Value| match value {
        Value::Object(variables) => Some(variables),
        _ => None,
    };
    let table = [
        (at("Nowhere"), "the top level of its definition has no state 'Nowhere'"),
        (ForkWish { event: Some(EventId(1)), ..at("Ask") }, "event 1 does not enter the state 'Ask' of the top level"),
        (ForkWish { input: Some(Payload::new(large("x"))), ..at("Ask") }, "the input of the state is over the limit"),
        (ForkWish { variables: variables(json!({ "big": large("x") })), ..at("Ask") }, "the variables are over"),
        (ForkWish { variables: variables(json!({ "states": 1 })), ..at("Ask") }, "'states' is reserved"),
        (ForkWish { variables: variables(json!({ "<b>": 1 })), ..at("Ask") }, "Invalid variable name: '<b>'"),
    ];
    for (wish, why) in table {
        let refused = fork(&source, wish).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn states_of_a_branch_are_no_beginnings() {
    let branch = json!({ "StartAt": "In", "States": { "In": { "Type": "Pass", "End": true } } });
    let mut world = World::new(&json!({ "StartAt": "Both", "States": {
        "Both": { "Type": "Parallel", "Branches": [branch], "Next": "Then" }, "Then": { "Type": "Succeed" } } }));
    world.start(json!(1));
    assert_eq!(fork(&world, at("In")), Err(NoFork::NoSuchState("In".into())));
    let fork = begun(&world, at("Both"));
    assert_eq!(output(&fork), json!([1]));
    assert!(fork.journal.iter().any(|entry| entry.frame != FrameId::TOP), "the branch runs");
}
