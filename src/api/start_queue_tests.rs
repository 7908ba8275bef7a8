//! Starting over AMQP, on the embedded bus: messages into `reveille.start` and their answers.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};

use crate::bus::embedded::EmbeddedBus;
use crate::bus::{Address, Delivery, Message, Names, Properties, QueueKind, QueueSpec, Settlement, TaskBus};
use crate::engine::{EngineHandle, support};
use crate::ids::Arn;
use crate::store::ExecutionFilter;
use crate::store::memory::Memory;

const ANSWERS: &str = "answers";

struct Given {
    bus: EmbeddedBus,
    engine: EngineHandle,
}

async fn given() -> Given {
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    let pass = json!({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}});
    support::machine(&store, "m", &pass).await;
    let engine = support::engine_on(&store, &bus).await;
    actix_web::rt::spawn(super::start_queue::run(engine.clone(), engine.start_messages()));
    Given { bus, engine }
}

impl Given {
    async fn send(&self, body: &str, message_id: Option<&str>) {
        let properties = Properties {
            message_id: message_id.map(str::to_owned),
            reply_to: Some(ANSWERS.to_owned()),
            correlation_id: Some("c-1".to_owned()),
            ..Properties::default()
        };
        let to = Address { exchange: String::new(), routing_key: Names::shipped().start() };
        self.bus.publish(to, Message { body: body.as_bytes().to_vec(), properties }).await.unwrap();
    }

    async fn take(&self, queue: &str) -> Delivery {
        let kind = QueueKind::Quorum;
        let queue = QueueSpec::plain(queue.into(), kind);
        let mut deliveries = self.bus.consume(queue, 1);
        tokio::time::timeout(Duration::from_secs(10), deliveries.next()).await.expect("a message comes").unwrap()
    }

    async fn answer(&self) -> Value {
        let delivery = self.take(ANSWERS).await;
        assert_eq!(delivery.message.properties.correlation_id.as_deref(), Some("c-1"));
        let body = serde_json::from_slice(&delivery.message.body).unwrap();
        delivery.settle(Settlement::Ack);
        body
    }

    async fn ask(&self, body: Value, message_id: Option<&str>) -> Value {
        self.send(&body.to_string(), message_id).await;
        self.answer().await
    }

    /// Status of an execution that has ended.
    async fn output(&self, answer: &Value) -> String {
        let arn = Arn::new(answer["executionArn"].as_str().unwrap());
        self.engine.await_end(&arn).await.unwrap();
        self.engine.execution(&arn).await.unwrap().summary.closed.unwrap().output.unwrap()
    }

    async fn executions(&self) -> usize {
        self.engine.journal().list(ExecutionFilter { limit: 100, ..ExecutionFilter::default() }).await.unwrap().len()
    }
}

#[actix_web::test]
async fn a_message_starts_an_execution_by_name_or_arn_with_json_or_a_text_of_json() {
    let given = given().await;
    let first = given.ask(json!({"stateMachineArn": "m", "input": {"a": 1}}), Some("one")).await;
    assert_eq!(first["executionArn"], "arn:aws:states:us-east-1:000000000000:execution:m:one");
    assert!(first["startDate"].is_f64());
    assert_eq!(given.output(&first).await, r#"{"a":1}"#);
    let arn = "arn:aws:states:us-east-1:000000000000:stateMachine:m";
    let second = given.ask(json!({"stateMachineArn": arn, "name": "two", "input": "[2]"}), None).await;
    assert!(second["executionArn"].as_str().unwrap().ends_with(":m:two"));
    assert_eq!(given.output(&second).await, "[2]");
}

#[actix_web::test]
async fn the_same_message_twice_is_one_execution_and_one_answer_even_when_it_has_ended() {
    let given = given().await;
    for name in [None, Some("named")] {
        let before = given.executions().await;
        let body = json!({"stateMachineArn": "m", "name": name, "input": {"a": 1}});
        let first = given.ask(body.clone(), Some("urn:id:1")).await;
        given.output(&first).await;
        assert_eq!(given.ask(body, Some("urn:id:1")).await, first);
        assert_eq!(given.executions().await, before + 1, "{name:?}");
    }
    let other = given.ask(json!({"stateMachineArn": "m", "name": "named", "input": {"a": 2}}), Some("urn:id:2")).await;
    assert_eq!(other["__type"], "ExecutionAlreadyExists");
}

#[actix_web::test]
async fn what_can_be_no_start_is_answered_in_the_words_of_the_api_and_parked_with_its_reason() {
    let given = given().await;
    let table = [
        ("{nonsense", "SerializationException"),
        ("[]", "SerializationException"),
        ("{}", "ValidationException"),
        (r#"{"stateMachineArn": "nothing"}"#, "StateMachineDoesNotExist"),
        (r#"{"stateMachineArn": "m", "name": "a b"}"#, "InvalidName"),
        (r#"{"stateMachineArn": "m", "input": "{"}"#, "InvalidExecutionInput"),
        (r#"{"stateMachineArn": "arn:aws:sqs:r:a:b"}"#, "InvalidArn"),
    ];
    for (body, error) in table {
        given.send(body, Some("id")).await;
        let answer = given.answer().await;
        assert_eq!(answer["__type"], error, "{body}");
        let parked = given.take("reveille.parked").await;
        assert_eq!(parked.message.body, body.as_bytes());
        let header = |name: &str| parked.message.properties.headers[name].as_text().unwrap().to_owned();
        assert_eq!(
            (header("x-verdict").as_str(), header("x-parked-from").as_str()),
            (error, Names::shipped().start().as_str())
        );
        assert_eq!(header("x-reason"), answer["message"].as_str().unwrap());
        parked.settle(Settlement::Ack);
    }
    assert!(given.bus.get(&Names::shipped().start()).now_or_never().unwrap().unwrap().is_none(), "nothing comes again");
    assert_eq!(given.executions().await, 0);
}
