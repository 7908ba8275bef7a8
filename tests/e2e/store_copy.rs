//! `reveille store copy`: a server goes on in PostgreSQL where it was in SQLite, and back.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support::{Answer, Database, Launch, SOON, Server, Task, Wire, asks, vhost};

const EXECUTIONS: usize = 10;
const KEYS: &str = "REVEILLE__ENGINE__TOKEN_KEY_FILE";

fn copy(folder: &Path, from: &str, to: &str) -> (i32, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command.args(["store", "copy", from, to, "--output", "json"]).current_dir(folder).stdin(Stdio::null());
    let output = command.env_remove("REVEILLE_CONFIG").output().expect("the command runs");
    let shown = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap_or(-1), shown, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn answer(wire: &Wire, task: &Task) {
    wire.reply(&task.reply_to, Some(&task.token), &Answer::success(&task.body["number"]));
}

#[test]
fn a_server_goes_on_in_postgres_where_it_was_in_sqlite_and_back() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let mut old = Server::start(Launch::over(&bus));
    let wire = Wire::to(&bus);
    wire.declare(&["work"]);
    let machine = old.machine("asks", &asks("work", &json!({})));
    let wait = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "SecondsPath": "$.s", "End": true}}});
    let waits = old.machine("waits", &wait.to_string());
    let sleeper = old.execution(&waits, "sleeper", &json!({"s": 8}));
    let arns: Vec<String> =
        (0..EXECUTIONS).map(|n| old.execution(&machine, &format!("n-{n}"), &json!({"number": n}))).collect();
    let tasks: Vec<Task> = (0..EXECUTIONS).map(|_| wire.task("work")).collect();
    answer(&wire, &tasks[0]);
    old.wait_for("one has ended", SOON, |server| server.metric("reveille_executions_closed_total") >= 1.0);

    let source = format!("sqlite:{}", old.store().display());
    let (code, _, said) = copy(old.folder(), &source, &database.url);
    assert!(code == 1 && said.contains("is open in another process"), "{code} {said}");
    assert!(old.stop().success());
    // An answer that comes while nothing runs waits in the queue of the old partition.
    answer(&wire, &tasks[1]);
    let (code, made, said) = copy(old.folder(), &source, &database.url);
    assert_eq!(code, 0, "{said}");
    assert_eq!((&made["executions"], &made["partitions"]), (&json!(EXECUTIONS + 1), &json!(48)), "{made}");
    let keys = made["tokenKeys"].as_str().expect("the file of the keys").to_owned();
    let (code, _, said) = copy(old.folder(), &source, &database.url);
    assert!(code == 1 && said.contains("is not empty"), "{code} {said}");

    let mut new = Server::start(Launch::over(&bus).on(&database.url).with(KEYS, &keys));
    let token = json!({"taskToken": tasks[2].token, "output": tasks[2].body["number"].to_string()});
    new.call("SendTaskSuccess", &token);
    for task in &tasks[3..8] {
        answer(&wire, task);
    }
    // Two go on waiting, and each is a waiting task here too.
    new.wait_for("what was answered has ended", SOON, |server| {
        let open = server.call("ListExecutions", &json!({"stateMachineArn": machine, "statusFilter": "RUNNING"}));
        open["executions"].as_array().is_some_and(|open| open.len() == 2)
    });
    assert_eq!(new.ended(&sleeper)["status"], "SUCCEEDED");
    // The same start again is the same execution; another one is new.
    let open = new.call("ListExecutions", &json!({"stateMachineArn": machine, "statusFilter": "RUNNING"}));
    let open = open["executions"][0]["name"].as_str().expect("a name").to_owned();
    let number: usize = open.trim_start_matches("n-").parse().expect("a number");
    assert_eq!(new.execution(&machine, &open, &json!({"number": number})), arns[number]);
    new.execution(&machine, "later", &json!({"number": EXECUTIONS}));
    let later = wire.task("work");
    assert!(new.stop().success());

    let back = new.folder().join("back.db");
    let target = format!("sqlite:{}", back.display());
    let (code, made, said) = copy(old.folder(), &database.url, &target);
    assert_eq!((code, &made["open"]), (0, &json!(3)), "{said} {made}");
    let mut back = Server::start(Launch::over(&bus).on(&target).with(KEYS, &keys));
    for task in tasks[8..].iter().chain([&later]) {
        answer(&wire, task);
    }
    for (n, arn) in arns.iter().enumerate() {
        let shown = back.ended(arn);
        assert_eq!((&shown["status"], &shown["output"]), (&json!("SUCCEEDED"), &json!(n.to_string())), "{shown}");
        let succeeded = back.history(arn).iter().filter(|event| event["type"] == "TaskSucceeded").count();
        assert_eq!(succeeded, 1, "{arn}");
    }
    assert!(back.stop().success());
    assert_eq!(database.ask("SELECT count(*) FROM nodes"), "0", "a copy leaves no row behind");
}
