//! Events of executions and tasks on the exchange `reveille.events`, as pika reads them.

use serde_json::{Value, json};

use super::support::{Broker, Launch, Program, SOON, Server, python, until};

const READER: &str = r#"
import json
import sys

import pika

channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel()
channel.exchange_declare("reveille.events", "topic", durable=True)
channel.queue_declare("watch", durable=True)
for key in ("execution.#", "task.#"):
    channel.queue_bind("watch", "reveille.events", key)
print("watching", flush=True)
for method, properties, body in channel.consume("watch", auto_ack=True):
    told = {"key": method.routing_key, "type": properties.type, "id": properties.message_id, "body": json.loads(body)}
    print(json.dumps(told), flush=True)
"#;

fn events(reader: &Program, key: &str) -> Vec<Value> {
    let lines = reader.said();
    let all = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    all.filter(|event| event["key"] == key).collect()
}

fn wait_for(reader: &Program, key: &str) -> Value {
    until(&format!("the event {key}"), SOON, || events(reader, key).first().cloned())
}

#[test]
fn status_changes_and_task_events_reach_other_systems_also_over_a_crash() {
    let (Some(broker), Some(python)) = (Broker::start(), python()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("reader.py");
    std::fs::write(&script, READER).expect("a script");
    let read = || {
        let mut reader = Program::start(&python, &script, &[&broker.url], &[]);
        reader.says("watching");
        reader
    };
    let mut server = Server::start(Launch::over(&broker.url).with("REVEILLE__BUS__EVENTS", "ask, pas*"));
    let task = json!({"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken", "End": true,
        "Parameters": {"Queue": "work", "Body": {}}});
    let ask = server.machine("ask", &json!({"StartAt": "Ask", "States": {"Ask": task}}).to_string());
    let passes = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}).to_string();
    let (pass, silent) = (server.machine("passes", &passes), server.machine("silent", &passes));
    let reader = read();

    server.ended(&server.execution(&silent, "unheard", &json!({})));
    let execution = server.execution(&ask, "one", &json!({"a": 1}));
    let running = wait_for(&reader, "execution.running.ask");
    let detail = &running["body"]["detail"];
    assert_eq!(running["body"]["detail-type"], "Step Functions Execution Status Change");
    assert_eq!(
        (&running["body"]["source"], &running["body"]["resources"]),
        (&json!("aws.states"), &json!([execution]))
    );
    assert_eq!(
        (&detail["status"], &detail["input"], &detail["stopDate"]),
        (&json!("RUNNING"), &json!("{\"a\":1}"), &Value::Null)
    );
    assert_eq!(
        (&detail["redriveCount"], &detail["redriveStatus"], &detail["redriveStatusReason"]),
        (&json!(0), &json!("NOT_REDRIVABLE"), &json!("Execution is RUNNING and cannot be redriven"))
    );
    let scheduled = wait_for(&reader, "task.scheduled.ask")["body"].clone();
    assert_eq!((&scheduled["stateName"], &scheduled["attempt"]), (&json!("Ask"), &json!(1)));
    let token = server.token(&execution, "Ask");
    server.call("SendTaskFailure", &json!({"taskToken": token, "error": "Busy", "cause": "later"}));
    let failed = wait_for(&reader, "execution.failed.ask");
    let detail = &failed["body"]["detail"];
    assert_eq!(
        (&detail["error"], &detail["cause"], &detail["output"]),
        (&json!("Busy"), &json!("later"), &Value::Null)
    );
    assert_eq!((&detail["redriveStatus"], &detail["redriveStatusReason"]), (&json!("REDRIVABLE"), &Value::Null));
    let described = server.call("DescribeExecution", &json!({"executionArn": execution}));
    assert_eq!(detail["redriveStatus"], described["redriveStatus"]);
    assert_eq!(wait_for(&reader, "task.failed.ask")["body"]["error"], "Busy");
    // A redrive is told with its number.
    server.call("RedriveExecution", &json!({"executionArn": execution}));
    let again = until("the redrive's event", SOON, || {
        events(&reader, "execution.running.ask").into_iter().find(|event| event["body"]["detail"]["redriveCount"] == 1)
    });
    assert!(again["body"]["detail"]["redriveDate"].is_number() && again["id"] != running["id"], "{again}");
    let said = reader.said();
    assert!(!said.contains(&token) && !said.contains("silent"), "{said}");
    drop(reader);

    // The end of an execution while the broker is away, and a crash before it comes back.
    broker.ctl(&["stop_app"]);
    server.wait_for("the broker is away", SOON, |server| server.metric("reveille_bus_up") < 0.5);
    let execution = server.execution(&pass, "while-away", &json!({}));
    server.ended(&execution);
    server.kill();
    broker.ctl(&["start_app"]);
    server.start_again();
    let reader = read();
    let ended = wait_for(&reader, "execution.succeeded.passes");
    assert_eq!(ended["body"]["detail"]["executionArn"], json!(execution));
    assert_eq!(ended["body"]["detail"]["output"], "{}");
}
