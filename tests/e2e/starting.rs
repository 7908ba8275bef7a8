//! Executions that are started by messages: the queue `reveille.start` on a real broker.

use std::collections::BTreeMap;

use reveille::bus::{HeaderValue, Message, Properties};
use serde_json::{Value, json};

use super::support::{Launch, Server, Wire, vhost};

const START: &str = "reveille.start";
/// Where answers go.
const ANSWERS: &str = "answers";

fn letter(body: &Value, message_id: Option<&str>) -> Message {
    let properties = Properties {
        content_type: Some("application/json".into()),
        message_id: message_id.map(str::to_owned),
        reply_to: Some(ANSWERS.to_owned()),
        persistent: true,
        ..Properties::default()
    };
    let body = if let Value::String(text) = body { text.clone() } else { body.to_string() };
    Message { body: body.into_bytes(), properties }
}

struct Office {
    server: Server,
    wire: Wire,
    machine: String,
}

impl Office {
    fn open() -> Option<Self> {
        let url = vhost()?;
        let server = Server::start(Launch::over(&url).with("REVEILLE__BUS__QUEUE_KIND", "classic"));
        let wire = Wire::to(&url);
        wire.declare(&[ANSWERS]);
        wire.wait_for_queue(START);
        let pass = json!({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}});
        let machine = server.machine("m", &pass.to_string());
        Some(Self { server, wire, machine })
    }

    /// Type, correlation and body of the answer. An engine that is killed between its answer and its acknowledgement
    /// answers again: answers to earlier messages are left aside.
    #[track_caller]
    fn ask(&self, body: &Value, message_id: Option<&str>) -> (String, Option<String>, Value) {
        self.wire.publish(START, letter(body, message_id));
        loop {
            let answer = self.answer();
            if answer.1.as_deref() == message_id {
                return answer;
            }
        }
    }

    #[track_caller]
    fn answer(&self) -> (String, Option<String>, Value) {
        let Message { body, properties } = self.wire.take(ANSWERS);
        (
            properties.kind.unwrap_or_default().into_owned(),
            properties.correlation_id,
            serde_json::from_slice(&body).unwrap(),
        )
    }

    fn executions(&self) -> Vec<Value> {
        let request = json!({"stateMachineArn": self.machine, "maxResults": 1000});
        self.server.call("ListExecutions", &request)["executions"].as_array().unwrap().clone()
    }
}

#[test]
fn a_message_is_one_execution_however_often_it_comes() {
    let Some(mut office) = Office::open() else { return };
    let body = json!({"stateMachineArn": "m", "input": {"artist": "Ada"}});
    let (kind, correlation, first) = office.ask(&body, Some("order-1"));
    assert_eq!((kind.as_str(), correlation.as_deref()), ("start.accepted", Some("order-1")));
    let arn = first["executionArn"].as_str().unwrap();
    assert!(arn.ends_with(":execution:m:order-1") && first["startDate"].is_number(), "{first}");
    let ended = office.server.ended(arn);
    assert_eq!((&ended["status"], &ended["input"]), (&json!("SUCCEEDED"), &json!(r#"{"artist":"Ada"}"#)));

    // Again after its end, and after the engine was killed and started again.
    assert_eq!(office.ask(&body, Some("order-1")).2, first);
    office.server.kill();
    office.server.start_again();
    assert_eq!(office.ask(&body, Some("order-1")).2, first);

    // As the operation takes it, and with a name of its own.
    let text = json!({"stateMachineArn": office.machine, "name": "by-name", "input": "[1]"});
    let (_, _, named) = office.ask(&text, Some("order-2"));
    assert!(named["executionArn"].as_str().unwrap().ends_with(":by-name"));
    assert_eq!(office.ask(&text, Some("order-2")).2, named);
    // Without an id nothing says that it is a copy.
    let anonymous = json!({"stateMachineArn": "m"});
    assert_ne!(office.ask(&anonymous, None).2["executionArn"], office.ask(&anonymous, None).2["executionArn"]);
    assert_eq!(office.executions().len(), 4);
}

#[test]
fn what_can_never_be_a_start_is_answered_and_parked() {
    let Some(office) = Office::open() else { return };
    for (what, body, error, says) in [
        ("not JSON", json!("{"), "SerializationException", "not valid JSON"),
        ("no machine", json!({"stateMachineArn": "nothing"}), "StateMachineDoesNotExist", "nothing"),
        ("no ARN at all", json!({}), "ValidationException", "stateMachineArn"),
        ("a bad name", json!({"stateMachineArn": "m", "name": "a b"}), "InvalidName", "a b"),
        (
            "bad input",
            json!({"stateMachineArn": "m", "input": "{"}),
            "InvalidExecutionInput",
            "Unexpected end-of-input",
        ),
    ] {
        let (kind, correlation, answer) = office.ask(&body, Some("id"));
        assert_eq!(
            (kind.as_str(), correlation.as_deref(), &answer["__type"]),
            ("start.refused", Some("id"), &json!(error)),
            "{what}"
        );
        assert!(answer["message"].as_str().unwrap().contains(says), "{what}: {answer}");
        let parked = office.wire.take("reveille.parked");
        let header =
            |name: &str| parked.properties.headers.get(name).and_then(HeaderValue::as_text).unwrap_or_default();
        assert_eq!((header("x-verdict"), header("x-parked-from")), (error, START), "{what}");
        assert!(header("x-reason").contains(says), "{what}");
    }
    // The same name with another input is another start.
    office.ask(&json!({"stateMachineArn": "m", "name": "one", "input": 1}), Some("a"));
    let (kind, _, answer) = office.ask(&json!({"stateMachineArn": "m", "name": "one", "input": 2}), Some("b"));
    assert_eq!((kind.as_str(), &answer["__type"]), ("start.refused", &json!("ExecutionAlreadyExists")));
    assert_eq!(office.executions().len(), 1);
}

#[test]
fn starts_wait_in_the_queue_while_the_engine_is_away() {
    const ORDERS: usize = 100;
    let Some(mut office) = Office::open() else { return };
    office.server.kill();
    // Each twice: a publisher that was not sure whether its first one had arrived.
    for n in 0..ORDERS {
        for _ in 0..2 {
            office
                .wire
                .publish(START, letter(&json!({"stateMachineArn": "m", "input": n}), Some(&format!("order-{n}"))));
        }
    }
    office.server.start_again();
    let mut answers: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for _ in 0..2 * ORDERS {
        let (kind, correlation, answer) = office.answer();
        assert_eq!(kind, "start.accepted", "{answer}");
        answers.entry(correlation.unwrap()).or_default().push(answer);
    }
    assert_eq!(answers.len(), ORDERS);
    assert!(answers.values().all(|both| both.len() == 2 && both[0] == both[1]));
    assert_eq!(office.executions().len(), ORDERS);
    for answer in answers.values() {
        assert_eq!(office.server.ended(answer[0]["executionArn"].as_str().unwrap())["status"], "SUCCEEDED");
    }
}
