//! Queues exist before their workers: declared with the state machine, waited in, warned of.

use std::path::Path;

use serde_json::{Value, json};

use super::support::{Answer, Launch, Program, Server, Wire, asks, cli, cli_json, python, vhost, workers_of_node};

fn file_with(folder: &Path, definition: &str) -> String {
    let file = folder.join("machine.asl.json");
    std::fs::write(&file, definition).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_task_waits_for_its_first_worker_which_declares_its_queue_in_the_common_way() {
    let Some(url) = vhost() else { return };
    let mut server = Server::start(Launch::over(&url));
    let file = file_with(server.folder(), &asks("later", &json!({})));
    let (code, _, said) = cli(&server, &["machines", "create", "asks", &file]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("the queue 'later' of 'Ask' has no consumer: its tasks wait for the first worker"), "{said}");
    let started = cli_json(&server, &["start", "asks", "--name", "one", "--input", r#"{"number": 1}"#]);
    let execution = started["executionArn"].as_str().unwrap();
    server.token(execution, "Ask");
    let wire = Wire::to(&url);
    // Plain and durable, as most workers do; RabbitMQ refuses other arguments than those of the queue.
    wire.worker("later", 1, |task| Answer::success(&task.body));
    assert_eq!(server.ended(execution)["output"], r#"{"number":1}"#);
    let queues = || {
        let machine = server.call("ListStateMachines", &json!({}))["stateMachines"][0]["stateMachineArn"].clone();
        server.call("Reveille.ListTaskQueues", &json!({"stateMachineArn": machine}))["taskQueues"].clone()
    };
    assert_eq!(queues(), json!([{"queue": "later", "states": ["Ask"], "exists": true, "consumers": 1}]));

    // A new definition brings its queue, and with a worker there is no warning of the old one.
    let two = json!({"StartAt": "A", "States": {
        "A": {"Type": "Task", "Resource": "arn:aws:states:::amqp:call", "Parameters": {"Queue": "later"}, "Next": "B"},
        "B": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "second"},
              "End": true}}});
    let file = file_with(server.folder(), &two.to_string());
    let (code, _, said) = cli(&server, &["machines", "update", "asks", &file]);
    assert!(code == 0 && said.contains("'second' of 'B'") && !said.contains("later"), "{said}");
    assert_eq!(wire.peek("second"), Some(0));

    // The queue is gone while the server is down: the next start declares it again.
    server.stop();
    wire.delete("second");
    server.start_again();
    super::support::until("the queue is there", super::support::SOON, || wire.peek("second"));
}

#[test]
fn an_existing_queue_keeps_its_arguments_and_the_settings_come_first() {
    use reveille::bus::{QueueKind, QueueSpec};
    let Some(url) = vhost() else { return };
    let wire = Wire::to(&url);
    let theirs = |max| QueueSpec { max_length: Some(max), ..QueueSpec::plain("theirs".to_owned(), QueueKind::Quorum) };
    wire.declare_as(theirs(3));
    let launch =
        Launch::over(&url).with("REVEILLE__BUS__QUEUES", "ours").with("REVEILLE__BUS__DECLARE", "dead-letters");
    let server = Server::start(launch);
    let task = |queue: &str, next: &str| {
        json!({"Type": "Task", "Resource": "arn:aws:states:::amqp:call",
        "Parameters": {"Queue": queue}, "Next": next})
    };
    let definition = json!({"StartAt": "A", "States": {"A": task("theirs", "B"), "B": task("ours", "C"),
        "C": task("third", "D"), "D": {"Type": "Succeed"}}});
    server.machine("asks", &definition.to_string());
    super::support::until("all are there", super::support::SOON, || {
        (wire.peek("ours").is_some() && wire.peek("third").is_some()).then_some(())
    });
    // RabbitMQ takes a declaration with the same arguments only.
    wire.declare_as(theirs(3));
    let dead_letter =
        Some(reveille::bus::Address { exchange: String::new(), routing_key: "reveille.dead-letters".to_owned() });
    for queue in ["ours", "third"] {
        let plain = QueueSpec::plain(queue.to_owned(), QueueKind::Quorum);
        wire.declare_as(QueueSpec { dead_letter: dead_letter.clone(), ..plain });
    }
    assert!(!server.log().iter().any(|line| line["event"] == "broker.refused"), "nothing was refused");
}

#[test]
fn without_a_queue_the_task_says_the_queue_the_worker_and_the_setting() {
    let Some(url) = vhost() else { return };
    let server = Server::start(Launch::over(&url).with("REVEILLE__BUS__DECLARE", "never"));
    let file = file_with(server.folder(), &asks("nowhere", &json!({})));
    let (code, _, said) = cli(&server, &["machines", "create", "asks", &file]);
    assert!(code == 0 && said.contains("the queue 'nowhere' of 'Ask' does not exist"), "{said}");
    let machine = server.call("ListStateMachines", &json!({}))["stateMachines"][0]["stateMachineArn"].clone();
    let execution = server.execution(machine.as_str().unwrap(), "one", &json!({"number": 1}));
    let ended = server.ended(&execution);
    assert_eq!(ended["error"], "Amqp.Unroutable");
    let cause = ended["cause"].as_str().unwrap();
    for part in ["queue 'nowhere' does not exist", "start its worker", "bus.queues", "bus.declare"] {
        assert!(cause.contains(part), "{cause}");
    }
}

/// The README's quick start with the workers last.
#[test]
fn the_art_event_waits_for_workers_that_start_last() {
    let (Some(url), Some(python), Some(node)) = (vhost(), python(), workers_of_node()) else { return };
    let server = Server::start(Launch::over(&url));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let (code, _, said) = cli(&server, &["machines", "create", "art-event", &path("art-event/art-event.asl.json")]);
    assert_eq!((code, said.matches("has no consumer").count()), (0, 3), "{said}");
    let mut input: Value = serde_json::from_str(include_str!("../../examples/art-event/input.json")).unwrap();
    input["ink_dries_seconds"] = json!(1);
    let started = cli_json(&server, &["start", "art-event", "--input", &input.to_string()]);
    let execution = started["executionArn"].as_str().unwrap();
    server.token(execution, "Hire a photographer");
    let amqp = [("AMQP_URL", url.as_str()), ("THINK_SECONDS", "1")];
    let _workers = [
        Program::start(&python, Path::new(&path("workers/python/venue_rpc.py")), &[], &amqp),
        Program::start(Path::new("node"), &node.join("catering.js"), &[], &amqp),
        Program::start(&python, Path::new(&path("workers/python/friend.py")), &[], &amqp),
    ];
    assert_eq!(server.ended(execution)["status"], "SUCCEEDED");
}
