//! `/metrics` is right: each metric moves with its event, and gauges are right after a restart.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use reveille::bus::{QueueKind, QueueSpec};

use super::support::{Answer, Broker, Launch, SOON, Server, Wire, asks, until};

const PARKED: &str = "reveille.parked";

/// Metrics that need another fault than this test makes: each is moved by a test of its own.
const ELSEWHERE: [&str; 11] = [
    "reveille_asides_dropped",  // engine/pressure_tests.rs: ten thousand of them
    "reveille_bus_deaf_queues", // engine/health_tests.rs, as the three below
    "reveille_bus_refused",
    "reveille_messages_unreadable",
    "reveille_messages_set_aside",
    "reveille_spans_sent", // telemetry/otlp/tests.rs, as the one below
    "reveille_spans_dropped",
    "reveille_partition_moves", // e2e/cluster.rs: it needs two servers
    "reveille_tells",           // e2e/tells.rs
    "reveille_store_fenced",    // engine/tests/nodes.rs
    "reveille_store_failovers", // e2e/store_away.rs: it needs a primary and a standby
];

/// Every metric that there is: a test beside the registry holds this table to it.
fn known() -> BTreeSet<&'static str> {
    let (_, list) = include_str!("../../docs/METRICS.md").split_once("## All metrics").expect("the list");
    let items = list.lines().filter_map(|line| line.strip_prefix("- `"));
    items.filter_map(|item| item.split('`').next()).map(|name| name.strip_suffix("_total").unwrap_or(name)).collect()
}

/// Metrics that were seen to be something else than 0.
#[derive(Default)]
struct Moved(BTreeSet<String>);

impl Moved {
    fn look(&mut self, server: &Server) {
        let (_, text) = server.get("/metrics");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            let name = name.split('{').next().unwrap();
            let name = ["_total", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            if value.parse::<f64>().expect("a number") != 0.0 {
                self.0.insert(name.to_owned());
            }
        }
    }
}

fn shows(server: &Server, begins: &str, value: f64) {
    server.wait_for(&format!("{begins} is {value}"), SOON, |server| (server.metric(begins) - value).abs() < 0.5);
}

/// A connection beside the server's, as an operator's shell has it.
fn beside(server: &Server) -> rusqlite::Connection {
    let store = rusqlite::Connection::open(server.store()).expect("the store is a file of SQLite");
    store.busy_timeout(SOON).unwrap();
    store
}

#[test]
fn every_metric_moves_and_gauges_are_right_after_a_restart() {
    let Some(broker) = Broker::start() else { return };
    let wire = Wire::to(&broker.url);
    wire.declare(&["work"]);
    // An operator's own, which takes one message.
    wire.declare_as(QueueSpec { max_length: Some(1), ..QueueSpec::plain(PARKED.to_owned(), QueueKind::Classic) });
    let mut server = Server::start(
        Launch::over(&broker.url)
            .with("REVEILLE__ENGINE__UNPUBLISHED_MAX", "2")
            .with("REVEILLE__BUS__DECLARE", "never"),
    );
    let mut seen = Moved::default();
    let machine = server.machine("asks", &asks("work", &json!({})));

    let beats = server.machine("beats", &asks("work", &json!({"HeartbeatSeconds": 300})));

    // A task with a heartbeat, its answer, and the answer twice more: the second copy waits until it can be parked.
    let first = server.execution(&beats, "first", &json!({"number": 1}));
    let task = wire.task("work");
    shows(&server, "reveille_tasks_waiting", 1.0);
    seen.look(&server);
    let answer = |status, body: &Value| Answer { status, ..Answer::success(body) };
    wire.reply(&task.reply_to, Some(&task.token), &answer("heartbeat", &Value::Null));
    for _ in 0..3 {
        wire.reply(&task.reply_to, Some(&task.token), &answer("success", &json!(1)));
    }
    assert_eq!(server.ended(&first)["status"], "SUCCEEDED");
    shows(&server, "reveille_replies_refused_total", 2.0);
    shows(&server, "reveille_parking_waiting", 1.0);
    // The engine looks at the queue now and then, so the number is waited for.
    shows(&server, "reveille_parked_messages", 1.0);
    seen.look(&server);
    wire.delete(PARKED);
    shows(&server, "reveille_parking_waiting", 0.0);

    // No worker; out of time; stopped; started by a message.
    let nowhere = server.machine("nowhere", &asks("nowhere", &json!({})));
    assert_eq!(server.ended(&server.execution(&nowhere, "lost", &json!({"number": 1})))["status"], "FAILED");
    let quick = server.machine("quick", &asks("work", &json!({"TimeoutSeconds": 1})));
    assert_eq!(server.ended(&server.execution(&quick, "late", &json!({"number": 1})))["status"], "FAILED");
    let stopped = server.execution(&machine, "stopped", &json!({"number": 1}));
    server.call("StopExecution", &json!({"executionArn": stopped}));
    wire.wait_for_queue("reveille.start");
    let start = json!({"stateMachineArn": machine, "name": "by-message", "input": {"number": 1}});
    wire.reply("reveille.start", None, &answer("success", &start));
    // A dead letter that belongs to no task.
    wire.reply("reveille.dead-letters", None, &answer("success", &json!(1)));
    shows(&server, "reveille_dead_letters_total", 1.0);
    shows(&server, "reveille_queue_tasks_waiting{queue=\"work\"}", 1.0);
    server.wait_for("it is started", SOON, |server| server.metric("reveille_start_messages_total") >= 1.0);
    seen.look(&server);

    // Another program writes to the store: an append finds another version than it expects.
    let conflict = server.execution(&beats, "conflict", &json!({"number": 1}));
    let token = server.token(&conflict, "Ask");
    let bump =
        "UPDATE executions SET version = version + ?1 WHERE id = (SELECT id FROM headers WHERE name = 'conflict')";
    let mut tries = 0;
    server.wait_for("an append meets a foreign one", SOON, |server| {
        tries += 1;
        let forget = |side: &str| server.call("CreateActivity", &json!({"name": format!("a-{tries}-{side}")}));
        beside(server).execute(bump, [1]).unwrap();
        // A change of the catalog empties the writer's caches of rows.
        forget("before");
        let _ = server.try_call("SendTaskHeartbeat", &json!({"taskToken": token}));
        beside(server).execute(bump, [-1]).unwrap();
        forget("after");
        server.metric("reveille_store_conflicts_total") >= 1.0
    });
    // Its writes wait.
    let held = beside(&server);
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| server.execution(&machine, "held", &json!({"number": 1})));
        until("a start is in progress", SOON, || {
            seen.look(&server);
            seen.0.contains("reveille_starts_under_way").then_some(())
        });
        held.execute_batch("ROLLBACK").unwrap();
    });
    drop(held);

    // A broker with an alarm: messages wait, and then starts are refused.
    broker.ctl(&["set_vm_memory_high_watermark", "0"]);
    let mut number = 0;
    until("starts are refused", SOON, || {
        number += 1;
        let input = json!({"number": number}).to_string();
        let request = json!({"stateMachineArn": machine, "name": format!("n-{number}"), "input": input});
        server.try_call("StartExecution", &request).err()
    });
    server.wait_for("the block is known", SOON, |server| server.metric("reveille_bus_blocked") > 0.5);
    seen.look(&server);
    broker.ctl(&["set_vm_memory_high_watermark", "0.6"]);
    // And a broker that goes away for a while.
    broker.ctl(&["stop_app"]);
    server.wait_for("it is not ready", SOON, |server| server.get("/readyz").0 == 503);
    server.wait_for("the metric says so", SOON, |server| server.metric("reveille_not_ready{reason=\"bus\"}") > 0.5);
    seen.look(&server);
    broker.ctl(&["start_app"]);
    server.wait_for("it is ready again", SOON, |server| server.get("/readyz").0 == 200);
    seen.look(&server);

    // After a restart, with a journal that is damaged: as many open as there are, and not fewer than none after that.
    server.kill();
    let damage = "UPDATE journal SET bytes = x'00' WHERE n = (SELECT min(j.n) FROM journal j JOIN headers h ON h.n = j.execution \
                  WHERE h.name = 'by-message')";
    assert_eq!(beside(&server).execute(damage, []).unwrap(), 1);
    server.set("REVEILLE__ENGINE__EXECUTIONS_OPEN_MAX", "1");
    server.start_again();
    let listed = |server: &Server| {
        let running = |machine| {
            let request = json!({"stateMachineArn": machine, "statusFilter": "RUNNING"});
            server.call("ListExecutions", &request)["executions"].as_array().unwrap().clone()
        };
        [running(&machine), running(&beats)].concat()
    };
    let open = listed(&server);
    let request = json!({"stateMachineArn": machine, "name": "over", "input": json!({"number": 1}).to_string()});
    assert!(server.try_call("StartExecution", &request).is_err(), "more than one is open");
    assert!(open.len() >= 4, "{open:?}");
    shows(&server, "reveille_executions_open", f64::from(u32::try_from(open.len()).unwrap()));
    shows(&server, "reveille_tasks_waiting", f64::from(u32::try_from(open.len()).unwrap()));
    for execution in &open {
        let _ = server.try_call("StopExecution", &json!({"executionArn": execution["executionArn"]}));
    }
    assert_eq!(listed(&server).len(), 1, "the damaged one cannot be stopped");
    shows(&server, "reveille_executions_open", 1.0);
    shows(&server, "reveille_tasks_waiting", 1.0);
    seen.look(&server);

    let still: Vec<&str> =
        known().into_iter().filter(|name| !seen.0.contains(*name) && !ELSEWHERE.contains(name)).collect();
    assert!(still.is_empty(), "these metrics never moved: {still:?}");
}
