//! A broker with an alarm: starts beyond the bound are refused, running work goes on, a stop can be cut short; after it
//! all is done.

use serde_json::{Value, json};

use super::support::{Answer, Broker, Launch, SOON, Server, Wire, until};

const UNPUBLISHED_MAX: usize = 8;

#[test]
fn a_blocked_broker_refuses_starts_and_nothing_else_and_loses_nothing() {
    let Some(broker) = Broker::start() else { return };
    let launch = Launch::over(&broker.url).with("REVEILLE__ENGINE__UNPUBLISHED_MAX", &UNPUBLISHED_MAX.to_string());
    let mut server = Server::start(launch.with("REVEILLE__ENGINE__SHUTDOWN_SECONDS", "300"));
    let wire = Wire::to(&broker.url);
    wire.declare(&["work"]);
    let ask = json!({
        "Type": "Task",
        "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
        "Parameters": {"Exchange": "", "RoutingKey": "work", "Body": {"number.$": "$.number"}},
        "TimeoutSeconds": 600,
        "End": true,
    });
    let machine = server.machine("asks", &json!({"StartAt": "Ask", "States": {"Ask": ask}}).to_string());
    let running = server.execution(&machine, "running", &json!({"number": 1}));
    let task = wire.task("work");

    // The alarm of a broker that is short of memory.
    broker.ctl(&["set_vm_memory_high_watermark", "0"]);
    let mut accepted = Vec::new();
    let (status, error) = until("starts are refused", SOON, || {
        let request =
            json!({"stateMachineArn": machine, "name": format!("n-{}", accepted.len()), "input": r#"{"number":7}"#});
        match server.try_call("StartExecution", &request) {
            Ok(answer) => {
                accepted.push(answer["executionArn"].as_str().unwrap().to_owned());
                assert!(accepted.len() <= 10 * UNPUBLISHED_MAX, "there is no bound");
                None
            }
            Err(refused) => Some(refused),
        }
    });
    // AWS's own form: SDKs try such a call again by themselves.
    assert!(status == 400 && error["__type"].as_str().unwrap().ends_with("ThrottlingException"), "{status} {error}");
    let said = error["message"].as_str().unwrap();
    assert!(said.starts_with("Rate exceeded") && said.contains("engine.unpublished_max"), "{said}");
    assert!(accepted.len() >= UNPUBLISHED_MAX, "{} were let in", accepted.len());
    assert!(server.metric("reveille_starts_throttled_total") >= 1.0);
    assert!(server.log().iter().any(|line| line["event"] == "start.throttled"));
    server.wait_for("the block is known", SOON, |server| server.metric("reveille_bus_blocked") > 0.5);

    // Running executions are answered and end, and accepted ones can be described and stopped.
    server.call("SendTaskSuccess", &json!({"taskToken": task.token, "output": "1"}));
    assert_eq!(server.ended(&running)["status"], "SUCCEEDED");
    let stopped = accepted.pop().unwrap();
    server.call("StopExecution", &json!({"executionArn": stopped}));
    assert_eq!(server.status(&stopped), "ABORTED");

    // A stop waits for messages on the way to the broker; a second signal does not.
    server.term();
    server.wait_for("it is stopping", SOON, |server| server.log().iter().any(|line| line["event"] == "stopping"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(server.runs(), "it drains");
    server.term();
    assert_eq!(server.gone().code(), Some(1));

    // The alarm has cleared: all that was accepted is done, once.
    broker.ctl(&["set_vm_memory_high_watermark", "0.6"]);
    server.start_again();
    wire.worker("work", 10, |task| Answer::success(&task.body["number"]));
    for execution in &accepted {
        assert_eq!(server.ended(execution)["output"], "7");
        let ends = |kind: &str| server.history(execution).iter().filter(|event: &&Value| event["type"] == kind).count();
        assert_eq!((ends("TaskScheduled"), ends("TaskSucceeded"), ends("ExecutionSucceeded")), (1, 1, 1));
    }
    server.execution(&machine, "after", &json!({"number": 1}));
}
