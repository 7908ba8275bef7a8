//! The main job: the art event over RabbitMQ, with workers in Python and Node, while the engine dies.

use std::collections::BTreeSet;
use std::path::Path;

use reveille::bus::HeaderValue;
use serde_json::{Value, json};

use super::support::{Launch, Program, Server, Wire, cli, cli_json, python, vhost, workers_of_node};

const DEFINITION: &str = include_str!("../../examples/art-event/art-event.asl.json");
const INPUT: &str = include_str!("../../examples/art-event/input.json");

struct Event {
    server: Server,
    execution: String,
    friend: Program,
    wire: Wire,
    _workers: [Program; 2],
}

/// The event has begun, the friend has been asked; nothing else is left to do. `None` where the run has no broker or no
/// workers.
fn with_the_friend_thinking(friend: &[&str], variables: &[(&str, &str)]) -> Option<Event> {
    with(&[], friend, variables)
}

fn with(settings: &[(&'static str, &str)], friend: &[&str], variables: &[(&str, &str)]) -> Option<Event> {
    let (url, python, node) = (vhost()?, python()?, workers_of_node()?);
    let server =
        Server::start(settings.iter().fold(Launch::over(&url), |launch, (name, value)| launch.with(name, value)));
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/workers");
    let amqp = ("AMQP_URL", url.as_str());
    let mut workers = [
        Program::start(&python, &examples.join("python/venue_rpc.py"), &[], &[amqp]),
        Program::start(Path::new("node"), &node.join("catering.js"), &[], &[amqp]),
    ];
    let variables: Vec<_> = variables.iter().copied().chain([amqp]).collect();
    let mut friend = Program::start(&python, &examples.join("python/friend.py"), friend, &variables);
    for program in workers.iter_mut().chain([&mut friend]) {
        program.says("waiting for tasks");
    }
    let machine = server.machine("art-event", DEFINITION);
    let mut input: Value = serde_json::from_str(INPUT).unwrap();
    input["ink_dries_seconds"] = json!(1);
    let execution = server.execution(&machine, "open-studios", &input);
    friend.says("Which photographer would you take for Night of the Open Studios");
    Some(Event { server, execution, friend, wire: Wire::to(&url), _workers: workers })
}

#[test]
fn the_engine_is_killed_while_the_friend_thinks_and_the_friend_answers_over_amqp() {
    let variables = [("THINK_SECONDS", "4"), ("HEARTBEAT_EVERY", "1")];
    let Some(mut event) = with_the_friend_thinking(&[], &variables) else { return };
    event.server.kill();
    event.server.start_again();
    event.friend.says("recommended Vera Holm");
    succeeded(&event, "Vera Holm");
}

#[test]
fn workers_answer_tasks_that_have_few_fields() {
    let variables = [("THINK_SECONDS", "2"), ("HEARTBEAT_EVERY", "1")];
    let Some(mut event) = with(&[("REVEILLE__BUS__HEADERS", "lean")], &[], &variables) else { return };
    event.friend.says("recommended Vera Holm");
    succeeded(&event, "Vera Holm");
}

#[test]
fn the_engine_is_killed_while_the_friend_thinks_and_a_person_answers_on_the_command_line() {
    let Some(mut event) = with_the_friend_thinking(&["--by-hand"], &[]) else { return };
    event.friend.says("answer with this token:");
    event.server.kill();
    event.server.start_again();
    let server = &event.server;
    server.token(&event.execution, "Hire a photographer");
    let tasks = cli_json(server, &["tasks", "art-event:open-studios"]);
    let task =
        tasks["tasks"].as_array().unwrap().iter().find(|task| task["stateName"] == "Hire a photographer").unwrap();
    let token = task["taskToken"].as_str().unwrap();
    let (code, out, err) = cli(server, &["succeed", token, "--output", r#"{"name": "Ada Lumi"}"#]);
    assert_eq!((code, out.trim()), (0, "the task has succeeded"), "{err}");
    succeeded(&event, "Ada Lumi");
}

/// It succeeded with this photographer, and its history tells everything once.
fn succeeded(event: &Event, photographer: &str) {
    let shown = event.server.ended(&event.execution);
    assert_eq!(shown["status"], "SUCCEEDED", "{shown}");
    let output: Value = serde_json::from_str(shown["output"].as_str().unwrap()).unwrap();
    let summary = format!("Night of the Open Studios, 2027-05-14: 4 guests invited, photographs by {photographer}.");
    assert_eq!(output["summary"], summary);
    assert_eq!(output["venue"], json!({"name": "The Old Boathouse", "seats": 6, "ready_on": "2027-05-14"}));
    assert_eq!(output["catering"], json!({"menu": ["barley soup", "apple tart"], "portions": 4}));

    let history = event.server.history(&event.execution);
    let ids: Vec<u64> = history.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (1..=history.len() as u64).collect::<Vec<_>>());
    let mut seen = BTreeSet::new();
    for event in &history {
        let mut told = event.clone();
        for name in ["id", "timestamp"] {
            told.as_object_mut().unwrap().remove(name);
        }
        assert!(seen.insert(told.to_string()), "told twice: {event}");
    }
    let count = |kind: &str| history.iter().filter(|event| event["type"] == kind).count();
    for (kind, expected) in [
        ("ExecutionStarted", 1),
        ("TaskStateEntered", 3),
        ("TaskScheduled", 3),
        ("TaskSucceeded", 3),
        ("TaskFailed", 0),
        ("WaitStateExited", 1),
        ("MapIterationSucceeded", 8),
        ("ExecutionSucceeded", 1),
    ] {
        assert_eq!(count(kind), expected, "{kind}");
    }
    // An engine that is killed between a reply's effect and its acknowledgement gets that reply again, which changes
    // nothing.
    while let Some(parked) = event.wire.try_take("reveille.parked") {
        let verdict = parked.properties.headers.get("x-verdict").and_then(HeaderValue::as_text);
        assert!(matches!(verdict, Some("duplicate" | "late")), "a reply was refused: {verdict:?}");
    }
}
