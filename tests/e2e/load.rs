//! Many executions at once, while broker and engine restart: all complete, each once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Answer, Broker, Launch, SOON, Server, Wire, asks, vhost};

const MANY: usize = 10_000;
/// Clients that start executions side by side.
const CLIENTS: usize = 8;
/// A debug build on two cores that others use too.
const LONG: Duration = Duration::from_mins(5);

#[test]
fn ten_thousand_wait_with_prefetch_10_over_restarts_of_broker_and_engine() {
    let Some(broker) = Broker::start() else { return };
    let mut server = Server::start(Launch::over(&broker.url).with("REVEILLE__BUS__PREFETCH", "10"));
    let wire = Wire::to(&broker.url);
    wire.declare(&["work"]);
    wire.close();
    let machine = server.machine("many", &asks("work", &json!({})));
    let begin = Instant::now();
    let step = |what: &str| eprintln!("{:>6.1} s  {what}", begin.elapsed().as_secs_f64());
    start_many(&server, &machine, MANY);
    step("10,000 executions started");
    server.wait_for("the broker has every task", LONG, |server| {
        server.metric("reveille_tasks_confirmed_total") >= 10_000.0
    });
    step("the broker has every task");
    broker.restart();
    step("broker restarted");
    server.wait_for("the engine is connected again", SOON, |server| server.get("/readyz").0 == 200);
    server.kill();
    server.start_again();
    step("engine killed and started again");
    assert_eq!(listed(&server, &machine, "RUNNING"), MANY);
    let wire = Wire::to(&broker.url);
    wire.worker("work", 200, |task| Answer::success(&task.body["number"]));
    server.wait_for("all have ended", LONG, |server| server.metric("reveille_executions_closed_total") >= 10_000.0);
    step("all have ended");
    assert_eq!(listed(&server, &machine, "SUCCEEDED"), MANY);
    assert!(server.stop().success());
    each_once(&server.store(), MANY);
    step("each once");
}

#[test]
fn sigterm_in_the_middle_of_load_loses_nothing() {
    const LOAD: usize = 600;
    let Some(url) = vhost() else { return };
    let mut server = Server::start(Launch::over(&url));
    let wire = Wire::to(&url);
    wire.declare(&["work"]);
    let machine = server.machine("many", &asks("work", &json!({})));
    start_many(&server, &machine, LOAD);
    wire.worker("work", 50, |task| Answer::success(&task.body["number"]));
    server.wait_for("some have ended", SOON, |server| server.metric("reveille_executions_closed_total") >= 20.0);
    let status = server.stop();
    assert!(status.success(), "{status}");
    server.start_again();
    server.wait_for("all have ended", LONG, |server| listed(server, &machine, "SUCCEEDED") == LOAD);
    assert!(server.stop().success());
    each_once(&server.store(), LOAD);
}

fn start_many(server: &Server, machine: &str, count: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    server.execution(machine, &format!("n-{number}"), &json!({"number": number}));
                }
            });
        }
    });
}

/// Executions with this status.
fn listed(server: &Server, machine: &str, status: &str) -> usize {
    let mut request = json!({"stateMachineArn": machine, "statusFilter": status, "maxResults": 1000});
    let mut count = 0;
    loop {
        let page = server.call("ListExecutions", &request);
        count += page["executions"].as_array().unwrap().len();
        match page.get("nextToken") {
            Some(token) => request["nextToken"] = token.clone(),
            None => return count,
        }
    }
}

/// In the journals: every execution started once, asked once, was answered once with its own number, and succeeded
/// once.
fn each_once(store: &Path, count: usize) {
    let store = rusqlite::Connection::open(store).expect("the store is a file of SQLite");
    let mut query = store.prepare("SELECT execution, bytes FROM journal ORDER BY n").expect("the journal");
    let rows = query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).expect("rows");
    let mut journals: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
    for row in rows {
        let (execution, bytes) = row.expect("a row");
        for entry in reveille::record::decode(&bytes).expect("a batch") {
            let shown = reveille::api::history::render(
                &entry,
                reveille::api::history::View { data: true, parameters: true, region: "us-east-1" },
            );
            journals.entry(execution).or_default().extend(shown);
        }
    }
    assert_eq!(journals.len(), count);
    for (execution, events) in &journals {
        let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        let expected = [
            "ExecutionStarted",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskSubmitted",
            "TaskSucceeded",
            "TaskStateExited",
            "ExecutionSucceeded",
        ];
        assert_eq!(kinds, expected, "execution {execution}");
        let ids: Vec<u64> = events.iter().map(|event| event["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, (1..=8).collect::<Vec<_>>(), "execution {execution}");
        let input: Value =
            serde_json::from_str(events[0]["executionStartedEventDetails"]["input"].as_str().unwrap()).unwrap();
        let output = events[7]["executionSucceededEventDetails"]["output"].as_str().unwrap();
        assert_eq!(output, input["number"].to_string(), "execution {execution}: the answer of its own task");
    }
}
