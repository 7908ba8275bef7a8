//! Activities through the engine's face, on the embedded bus: one queue for pollers and AMQP consumers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bus::embedded::EmbeddedBus;
use crate::bus::{Address, Delivery, Message, Names, Settlement, TaskBus};
use crate::engine::api::EngineHandle;
use crate::engine::support;
use crate::engine::types::Asker;
use crate::engine::types::Delivered;
use crate::engine::types::{Completion, HistoryQuery, Input, StartRequest};
use crate::ids::Arn;
use crate::interpreter::event::Event;
use crate::interpreter::state::Conclusion;
use crate::interpreter::stimulus::StimulusKind;
use crate::store::memory::Memory;

const SOON: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

struct Given {
    engine: EngineHandle,
    bus: EmbeddedBus,
    activity: Arn,
    execution: Arn,
}

/// An execution that waits in an activity's task, whose input is `{"a":1}`.
async fn given() -> Given {
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    let engine = support::engine_on(&store, &bus).await;
    let activity = engine.realm().activity("paint");
    let definition = json!({ "StartAt": "T", "States": { "T": { "Type": "Task", "Resource": activity, "HeartbeatSeconds": 600, "End": true } } });
    let machine = support::machine(&store, "m", &definition).await;
    let request = StartRequest { machine, name: None, input: r#"{"a":1}"#.into(), trace_header: None, trace: None };
    let execution = engine.start_execution(request).await.unwrap().arn;
    Given { engine, bus, activity, execution }
}

impl Given {
    async fn poll(&self, worker: &str, wait: Duration) -> Option<(String, String)> {
        let task = self.engine.next_activity_task(&self.activity, Some(worker.to_owned()), wait).await.unwrap();
        task.map(|task| (task.token, task.input))
    }

    /// As an AMQP consumer takes it.
    async fn consume(&self) -> Delivery {
        loop {
            if let Ok(Some(delivery)) = self.bus.get(&Names::shipped().activity("paint")).await {
                return delivery;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn result(&self) -> Value {
        let outcome = tokio::time::timeout(LONG, self.engine.await_end(&self.execution)).await.unwrap().unwrap();
        let Conclusion::Succeeded(output) = outcome.result else { panic!("{outcome:?}") };
        (*output).clone()
    }

    /// The workers that the history names as those who took the task.
    async fn takers(&self) -> Vec<Option<String>> {
        let page = self.engine.history(&self.execution, HistoryQuery::default()).await.unwrap();
        let taken = page.entries.into_iter().filter_map(|entry| match entry.event {
            Event::TaskStarted { worker_name, .. } => Some(worker_name),
            _ => None,
        });
        taken.collect()
    }
}

#[actix_rt::test]
async fn a_poller_takes_the_task_once_and_completes_it_by_its_token() {
    let given = given().await;
    let (token, input) = given.poll("ann", LONG).await.unwrap();
    assert_eq!(input, r#"{"a":1}"#);
    assert_eq!(given.poll("bob", SOON).await, None);
    given.engine.complete_task(&token, Completion::Success(json!("done").into()), Asker::default()).await.unwrap();
    assert_eq!(given.result().await, json!("done"));
    assert_eq!(given.takers().await, [Some("ann".to_owned())]);
}

#[actix_rt::test]
async fn a_consumer_of_the_queue_answers_to_reply_to_and_implies_that_it_took_the_task() {
    let given = given().await;
    let delivery = given.consume().await;
    assert_eq!(delivery.message.body, br#"{"a":1}"#);
    let mut reply = Message { body: br#""done""#.to_vec(), ..Message::default() };
    reply.properties.correlation_id.clone_from(&delivery.message.properties.correlation_id);
    let to = Address { exchange: String::new(), routing_key: delivery.message.properties.reply_to.clone().unwrap() };
    delivery.settle(Settlement::Ack);
    assert_eq!(given.poll("bob", SOON).await, None, "the task is the consumer's");
    given.bus.publish(to, reply).await.unwrap();
    assert_eq!(given.result().await, json!("done"));
    assert_eq!(given.takers().await, [None]);
}

#[actix_rt::test]
async fn a_heartbeat_of_a_consumer_implies_that_it_took_the_task() {
    let given = given().await;
    let delivery = given.consume().await;
    let token = delivery.message.properties.correlation_id.clone().unwrap();
    given.engine.complete_task(&token, Completion::Heartbeat, Asker::default()).await.unwrap();
    given.engine.complete_task(&token, Completion::Heartbeat, Asker::default()).await.unwrap();
    assert_eq!(given.takers().await, [None]);
}

#[actix_rt::test]
async fn what_a_poller_left_behind_is_offered_to_the_next() {
    let given = given().await;
    // It was gone while it waited for its answer: the task was written down as taken, and its message went back.
    let delivery = given.consume().await;
    let token = delivery.message.properties.correlation_id.clone().unwrap();
    let (key, _) = given.engine.engine().services.tokens.verify(&token).unwrap();
    let taken = StimulusKind::TaskStarted { scheduled: key.scheduled, worker_name: Some("ann".into()) };
    let delivered = given.engine.engine().services.courier.deliver(key.execution, Input::Stimulus(taken)).await;
    assert!(matches!(delivered, Delivered::Applied(_)), "{delivered:?}");
    drop(delivery);
    let (again, _) = given.poll("bob", LONG).await.expect("it comes again");
    assert_eq!(again, token);
    assert_eq!(given.takers().await, [Some("ann".to_owned())]);
}

#[actix_rt::test]
async fn a_poller_that_stops_waiting_takes_nothing_with_it() {
    let given = given().await;
    let first = given.poll("ann", LONG).await.unwrap();
    // Nothing waits: this one becomes a consumer, and goes.
    drop(tokio::time::timeout(SOON, given.poll("bob", LONG)).await);
    given.engine.complete_task(&first.0, Completion::Success(json!(1).into()), Asker::default()).await.unwrap();
    let machine = given.engine.realm().state_machine("m");
    let request = StartRequest { machine, name: None, input: "2".into(), trace_header: None, trace: None };
    given.engine.start_execution(request).await.unwrap();
    assert_eq!(given.poll("cat", LONG).await.unwrap().1, "2");
}

#[actix_rt::test]
async fn second_copies_are_dropped_and_what_is_no_task_is_parked() {
    let given = given().await;
    let delivery = given.consume().await;
    let to = || Address { exchange: String::new(), routing_key: Names::shipped().activity("paint") };
    for copy in
        [Message { body: b"junk".to_vec(), ..Message::default() }, delivery.message.clone(), delivery.message.clone()]
    {
        given.bus.publish(to(), copy).await.unwrap();
    }
    delivery.settle(Settlement::Ack);
    assert!(given.poll("ann", LONG).await.is_some());
    assert_eq!(given.poll("bob", SOON).await, None);
    let parked = given.bus.get("reveille.parked").await.unwrap().unwrap();
    assert_eq!(parked.message.body, b"junk");
    assert_eq!(parked.message.properties.headers["x-parked-from"].as_text(), Some("reveille.activity.paint"));
}

#[actix_rt::test]
async fn a_journal_does_not_grow_by_heartbeats() {
    let given = given().await;
    let (token, _) = given.poll("ann", LONG).await.unwrap();
    let (key, _) = given.engine.engine().services.tokens.verify(&token).unwrap();
    let journal = || async { given.engine.engine().services.journal.load(key.execution).await.unwrap() };
    given.engine.complete_task(&token, Completion::Heartbeat, Asker::default()).await.unwrap();
    let before = journal().await;
    for _ in 0..200 {
        given.engine.complete_task(&token, Completion::Heartbeat, Asker::default()).await.unwrap();
    }
    let after = journal().await;
    let bytes = |batches: &[crate::store::Batch]| batches.iter().map(|b| b.bytes.len()).sum::<usize>();
    // The broker's confirm may be written in between.
    assert!(after.len() <= before.len() + 2, "{} batches, then {}", before.len(), after.len());
    assert!(bytes(&after) < bytes(&before) + 1_000);
    let last = after.last().unwrap();
    assert!(last.after.0 + u64::from(last.events) >= 200, "each of them counts");
    given.engine.complete_task(&token, Completion::Success(json!("done").into()), Asker::default()).await.unwrap();
    assert_eq!(given.result().await, json!("done"));
    assert_eq!(given.takers().await, [Some("ann".to_owned())]);
}
