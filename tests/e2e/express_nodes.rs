//! Express executions on two servers: each lives on the server that started it, whatever happens to partitions.

use serde_json::{Value, json};

use reveille::ids::{EventId, ExecutionId, PartitionId, TaskKey};

use super::cluster::{KEY, balanced, launch};
use super::support::{Answer, Brokers, Database, SOON, Server, Task, Wire, until, vhost};

/// One task that is a request to the queue `work`.
fn calls() -> String {
    let call = json!({
        "Type": "Task", "Resource": "arn:aws:states:::amqp:call", "End": true, "TimeoutSeconds": 200,
        "Parameters": {"Exchange": "", "RoutingKey": "work", "Body.$": "$"},
    });
    json!({"StartAt": "Call", "States": {"Call": call}}).to_string()
}

fn machine(server: &Server) -> String {
    let request = json!({
        "name": "calls", "type": "EXPRESS", "definition": calls(), "roleArn": "arn:aws:iam::123456789012:role/e2e",
    });
    server.call("CreateStateMachine", &request)["stateMachineArn"].as_str().unwrap().to_owned()
}

fn answer(wire: &Wire, task: &Task) {
    wire.reply(&task.reply_to, Some(&task.token), &Answer::success(&task.body["number"]));
}

fn is_of(answer: &Value, number: usize) -> bool {
    answer["status"] == "SUCCEEDED" && answer["output"] == json!(number.to_string())
}

#[test]
fn express_executions_outlive_moves_of_partitions_and_the_stop_of_their_server() {
    const OPEN: usize = 8;
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let mut first = Server::start(launch(&bus, &database));
    let wire = Wire::to(&bus);
    wire.declare(&["work"]);
    let machine = machine(&first);
    let sync = |server: &Server, number: usize| {
        server.try_call(
            "StartSyncExecution",
            &json!({"stateMachineArn": machine, "input": json!({"number": number}).to_string()}),
        )
    };

    // Open while half of the partitions go to the other server.
    let second = std::thread::scope(|scope| {
        let open: Vec<_> = (0..OPEN)
            .map(|n| {
                scope.spawn({
                    let (sync, first) = (&sync, &first);
                    move || sync(first, n)
                })
            })
            .collect();
        let tasks: Vec<Task> = (0..OPEN).map(|_| wire.task("work")).collect();
        let second = Server::start(launch(&bus, &database));
        balanced([&first, &second]);
        for (n, task) in tasks.iter().enumerate() {
            assert!(task.reply_to.starts_with("reveille.replies.n0."), "{}", task.reply_to);
            // An answer by the API of the other server reaches it too.
            if n % 2 == 0 {
                let output = task.body["number"].to_string();
                second.call("SendTaskSuccess", &json!({"taskToken": task.token, "output": output}));
            } else {
                answer(&wire, task);
            }
        }
        for (n, open) in open.into_iter().enumerate() {
            let ended = open.join().unwrap().unwrap_or_else(|error| panic!("{n}: {error:?}"));
            assert!(is_of(&ended, n), "{n}: {ended}");
        }
        second
    });

    // A server that is not there (any more) has no task.
    let keys = reveille::token::TokenKeys::parse(&secrecy::SecretString::from(KEY)).expect("keys");
    let gone = PartitionId::express(7, 0);
    let execution = ExecutionId(uuid::Uuid::now_v7()).placed_in(gone);
    let token = keys.mint(&TaskKey { execution, scheduled: EventId(3) }, gone);
    let refused = second.try_call("SendTaskHeartbeat", &json!({"taskToken": token})).unwrap_err();
    assert!(refused.1["__type"].as_str().is_some_and(|kind| kind.contains("TaskDoesNotExist")), "{refused:?}");

    // An execution runs where it was started.
    let started = json!({"stateMachineArn": machine, "input": "{\"number\":1}"});
    second.call("StartExecution", &started);
    assert!(wire.task("work").reply_to.starts_with("reveille.replies.n1."));

    // A stop waits for those that are open, and hands the partitions over meanwhile.
    std::thread::scope(|scope| {
        let open = scope.spawn(|| sync(&first, 5));
        let task = wire.task("work");
        first.term();
        until("it has begun to stop", SOON, || {
            first.log().iter().any(|line| line["event"] == "stopping").then_some(())
        });
        answer(&wire, &task);
        let ended = open.join().unwrap().unwrap_or_else(|error| panic!("{error:?}"));
        assert!(is_of(&ended, 5), "{ended}");
    });
    assert!(first.gone().success());
    second.wait_for("it is ready with all partitions", SOON, |server| server.get("/readyz").0 == 200);
}

/// The reply queues of a server's express executions are on the broker's node that it is connected to.
#[test]
fn express_executions_go_on_when_a_node_of_the_broker_is_lost() {
    let (Some(brokers), Some(database)) = (Brokers::start(), Database::start()) else { return };
    // Few queues: each has a new leader to elect, on a machine that is busy with other tests.
    let launch = launch(&brokers.urls.join(","), &database).with("REVEILLE__ENGINE__PARTITIONS", "2");
    let server = Server::start(launch.with("REVEILLE__BUS__HEARTBEAT_SECONDS", "30"));
    let wire = Wire::to(&brokers.urls[2]);
    wire.declare(&["work"]);
    let machine = machine(&server);
    wire.worker("work", 20, |task| Answer::success(&task.body["number"]));
    let request = json!({"stateMachineArn": machine, "input": "{\"number\":7}"});
    let ends = || server.try_call("StartSyncExecution", &request).ok().filter(|ended| is_of(ended, 7));
    until("it ends", SOON, ends);
    brokers.kill("1");
    until("it is ready without that node", SOON, || (server.get("/readyz").0 == 200).then_some(()));
    until("one ends without that node", SOON, ends);
}

/// An execution without a waiting client is finished too, before its server goes.
#[test]
fn a_server_that_stops_finishes_its_express_executions() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let mut server = Server::start(launch(&bus, &database));
    let wire = Wire::to(&bus);
    wire.declare(&["work", "next"]);
    let call = |queue: &str, next: &Value| {
        let mut state = json!({
            "Type": "Task", "Resource": "arn:aws:states:::amqp:call", "TimeoutSeconds": 200,
            "Parameters": {"Exchange": "", "RoutingKey": queue, "Body.$": "$"}, "ResultPath": null,
        });
        state.as_object_mut().unwrap().extend(next.as_object().unwrap().clone());
        state
    };
    let definition = json!({"StartAt": "A", "States": {
        "A": call("work", &json!({"Next": "B"})), "B": call("next", &json!({"End": true})),
    }});
    let request = json!({
        "name": "two", "type": "EXPRESS", "definition": definition.to_string(),
        "roleArn": "arn:aws:iam::123456789012:role/e2e",
    });
    let machine = server.call("CreateStateMachine", &request)["stateMachineArn"].clone();
    server.call("StartExecution", &json!({"stateMachineArn": machine, "input": "{\"number\":3}"}));
    let task = wire.task("work");
    server.term();
    until("it has begun to stop", SOON, || server.log().iter().any(|l| l["event"] == "stopping").then_some(()));
    answer(&wire, &task);
    // The next task goes out, although the server stops.
    answer(&wire, &wire.task("next"));
    assert!(server.gone().success());
    assert!(!server.log().iter().any(|line| line["event"] == "execution.lost"), "{:?}", server.log());
}
