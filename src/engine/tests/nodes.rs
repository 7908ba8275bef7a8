//! Two engines over one store and one bus, each with one of two partitions: requests reach the owner from the other
//! one.

use std::time::Duration;

use serde_json::json;

use crate::bus::embedded::EmbeddedBus;
use crate::bus::envelope::Tell;
use crate::bus::{Address, HeaderValue, Message, Properties, QueueKind, QueueSpec, Settlement, TaskBus};
use crate::clock::{Clock, SystemClock};
use crate::engine::api::EngineHandle;
use crate::engine::journal::write::write;
use crate::engine::services::away::Keys;
use crate::engine::support::{self, next, request};
use crate::engine::types::tell::{Answer, NEWEST, Told, Word};
use crate::engine::types::{Asker, Completion, CompletionError, EngineError, Parts};
use crate::ids::{Arn, EventId, ExecutionId, PartitionId, Version};
use crate::interpreter::event::Failure;
use crate::interpreter::state::Conclusion;
use crate::payload::Payload;
use crate::store::memory::Memory;
use crate::store::{Append, Batch, Epoch, ExecutionStatus, MachineType, StoreError, Summary};
use crate::telemetry::metrics::Now;
use crate::token::{TokenKeys, new_secret};

const LONG: Duration = Duration::from_mins(1);

struct World {
    store: Memory,
    bus: EmbeddedBus,
    tokens: TokenKeys,
    nodes: Vec<EngineHandle>,
}

/// A task of an execution that waits.
struct Asked {
    arn: Arn,
    id: ExecutionId,
    token: String,
}

impl World {
    async fn new() -> Self {
        let tokens = TokenKeys::parse(&new_secret()).unwrap();
        let mut world = Self { store: Memory::new(), bus: EmbeddedBus::new(), tokens, nodes: Vec::new() };
        for slot in 0..2 {
            let (store, bus) = (std::sync::Arc::new(world.store.clone()), std::sync::Arc::new(world.bus.clone()));
            let parts = support::parts(store.clone(), store, bus, support::small());
            let node = crate::engine::lifecycle::make(Parts { tokens: world.tokens.clone(), ..parts });
            let seat = &node.engine().services.seat;
            seat.sit(Some(slot));
            seat.good_until(Duration::MAX, true);
            actix_rt::spawn(std::sync::Arc::clone(node.engine().services.courier.away()).hear());
            world.nodes.push(node);
            world.begin(usize::from(slot), PartitionId(slot)).await;
        }
        world
    }

    async fn begin(&self, node: usize, partition: PartitionId) {
        let node = &self.nodes[node];
        let wiring = crate::engine::lifecycle::wiring(node);
        node.engine().partitions.begin(&[(partition, Epoch::FIRST)], &wiring).await.unwrap();
    }

    async fn machine(&self) -> Arn {
        let task = json!({
            "Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
            "Parameters": {"Queue": "work", "Body.$": "$"}, "End": true,
        });
        support::machine(&self.store, "m", &json!({"StartAt": "T", "States": {"T": task}})).await
    }

    /// An execution of the first node, whose task has gone out.
    async fn asked(&self, machine: &Arn, name: &str) -> Asked {
        let arn = self.nodes[0].start_execution(request(machine, name, "{}")).await.unwrap().arn;
        let task = next(&self.bus, "work").await;
        let token = task.message.properties.correlation_id.clone().unwrap();
        task.settle(Settlement::Ack);
        let id = self.nodes[0].execution(&arn).await.unwrap().header.id;
        Asked { arn, id, token }
    }

    async fn status(&self, arn: &Arn) -> ExecutionStatus {
        self.nodes[1].execution(arn).await.unwrap().summary.status
    }

    fn other(&self) -> &EngineHandle {
        &self.nodes[1]
    }

    async fn stop(self) {
        for node in &self.nodes {
            node.stop(LONG).await;
        }
    }

    /// A word for the first partition, as a node would send it; `change` spoils it.
    async fn send(&self, body: Vec<u8>, change: impl Fn(&mut Message)) {
        let expires = SystemClock.now().plus(LONG);
        let tell = Tell { id: uuid::Uuid::from_u128(7), expires, reply_to: Some("answers".into()), body };
        let mut message = tell.into_message(PartitionId(0), LONG, &Keys(self.tokens.clone()));
        change(&mut message);
        let to = Address { exchange: String::new(), routing_key: self.bus.reply_queue(PartitionId(0)) };
        self.bus.publish(to, message).await.unwrap();
    }

    async fn parked(&self) -> u64 {
        self.bus.waiting(&self.bus.names().parked()).await.unwrap().unwrap_or(0)
    }
}

fn success() -> Completion {
    Completion::Success(Payload::parse("7").unwrap())
}

#[actix_rt::test]
async fn a_node_that_does_not_own_an_execution_has_its_owner_do_what_is_asked() {
    let world = World::new().await;
    let machine = world.machine().await;
    let other = world.other();

    let first = world.asked(&machine, "completed").await;
    other.complete_task(&first.token, Completion::Heartbeat, Asker::default()).await.unwrap();
    other.complete_task(&first.token, success(), Asker::default()).await.unwrap();
    let end = tokio::time::timeout(LONG, world.nodes[0].await_end(&first.arn)).await.expect("it ends").unwrap();
    assert!(matches!(&end.result, Conclusion::Succeeded(output) if **output == json!(7)), "{end:?}");
    let again = other.complete_task(&first.token, success(), Asker::default()).await.unwrap_err();
    assert!(matches!(again, CompletionError::Closed), "{again:?}");
    let key = world.tokens.verify(&first.token).unwrap().0;
    let nothing = crate::ids::TaskKey { scheduled: EventId(99), ..key };
    let never = other
        .complete_task(&world.tokens.mint(&nothing, PartitionId(0)), success(), Asker::default())
        .await
        .unwrap_err();
    assert!(matches!(never, CompletionError::Closed | CompletionError::Unknown), "{never:?}");

    let second = world.asked(&machine, "failed").await;
    let failure = Failure { error: Some("E".into()), ..Failure::default() };
    other.complete_task(&second.token, Completion::Failure(failure.clone()), Asker::default()).await.unwrap();
    assert_eq!(world.status(&second.arn).await, ExecutionStatus::Failed);
    other.redrive_execution(&second.arn, Some("t")).await.unwrap();
    assert_eq!(world.status(&second.arn).await, ExecutionStatus::Running);
    other.stop_execution(&second.arn, failure).await.unwrap();
    assert_eq!(world.status(&second.arn).await, ExecutionStatus::Aborted);
    world.stop().await;
}

#[actix_rt::test]
async fn a_start_waits_for_the_first_partition_of_its_node() {
    let world = World::new().await;
    let machine = world.machine().await;
    world.nodes[0].engine().partitions.release(PartitionId(0)).await;
    let (node, asked) = (world.nodes[0].clone(), request(&machine, "late", "{}"));
    let start = actix_rt::spawn(async move { node.start_execution(asked).await });
    // It has been polled, and nothing can begin.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!start.is_finished());
    world.begin(0, PartitionId(0)).await;
    let arn = tokio::time::timeout(LONG, start).await.expect("an answer").unwrap().unwrap().arn;
    assert_eq!(world.status(&arn).await, ExecutionStatus::Running);
    world.stop().await;
}

#[actix_rt::test]
async fn an_express_execution_is_reached_on_its_node_and_not_lost_with_a_partition() {
    let world = World::new().await;
    let home = PartitionId::express(0, 0);
    world.begin(0, home).await;
    let wait = json!({
        "Type": "Task", "Resource": "arn:aws:states:::amqp:call", "TimeoutSeconds": 100, "End": true,
        "Parameters": {"Exchange": "", "RoutingKey": "work", "Body.$": "$"},
    });
    let definition = json!({"StartAt": "T", "States": {"T": wait}});
    let realm = support::realm();
    let machine = support::machine_of_kind(&world.store, &realm, "x", MachineType::Express, &definition).await;
    let queue = QueueSpec::plain("work".into(), QueueKind::Classic);
    world.bus.declare(Vec::new(), vec![queue], Vec::new()).await.unwrap();
    let arn = world.nodes[0].start_execution(request(&machine, "e", "{}")).await.unwrap().arn;
    let task = next(&world.bus, "work").await;
    let token = task.message.properties.correlation_id.clone().unwrap();
    assert_eq!(task.message.properties.reply_to.as_deref(), Some("reveille.replies.n0.0"));
    task.settle(Settlement::Ack);
    let (key, named) = world.tokens.verify(&token).unwrap();
    assert_eq!((key.execution.express_partition(), named), (Some(home), home));
    world.nodes[0].engine().partitions.release(PartitionId(0)).await;
    world.other().complete_task(&token, success(), Asker::default()).await.unwrap();
    let end = tokio::time::timeout(LONG, world.nodes[0].await_end(&arn)).await.expect("it ends").unwrap();
    assert!(matches!(&end.result, Conclusion::Succeeded(output) if **output == json!(7)), "{end:?}");
    world.stop().await;
}

#[actix_rt::test]
async fn a_request_that_meets_a_handover_waits_for_the_next_owner() {
    let world = World::new().await;
    let machine = world.machine().await;
    let asked = world.asked(&machine, "e").await;
    world.nodes[0].engine().partitions.release(PartitionId(0)).await;
    let (other, token) = (world.other().clone(), asked.token.clone());
    let request = actix_rt::spawn(async move { other.complete_task(&token, success(), Asker::default()).await });
    let queue = world.bus.reply_queue(PartitionId(0));
    while world.bus.waiting(&queue).await.unwrap() != Some(1) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    world.begin(1, PartitionId(0)).await;
    tokio::time::timeout(LONG, request).await.expect("an answer").unwrap().unwrap();
    assert_eq!(world.status(&asked.arn).await, ExecutionStatus::Succeeded);
    world.stop().await;
}

#[actix_rt::test]
async fn a_second_copy_of_a_request_counts_as_accepted() {
    let world = World::new().await;
    let machine = world.machine().await;
    let asked = world.asked(&machine, "e").await;
    world.nodes[0].engine().partitions.release(PartitionId(0)).await;
    let (other, token) = (world.other().clone(), asked.token.clone());
    let request = actix_rt::spawn(async move { other.complete_task(&token, success(), Asker::default()).await });
    let copy = next(&world.bus, &world.bus.reply_queue(PartitionId(0))).await;
    assert!(Tell::is(&copy.message));
    // The owner has carried it out, and is gone before it has answered.
    world.begin(0, PartitionId(0)).await;
    world.nodes[0].complete_task(&asked.token, success(), Asker::default()).await.unwrap();
    copy.settle(Settlement::Requeue);
    tokio::time::timeout(LONG, request).await.expect("an answer").unwrap().unwrap();
    world.stop().await;
}

/// A worker was told that its answer counts, and the execution had gone on with the answer of another worker: found by
/// the campaign with several servers.
#[actix_rt::test]
async fn a_second_copy_of_an_answer_is_refused_where_another_answer_ended_the_task() {
    let failure = || Completion::Failure(Failure { error: Some("E".into()), ..Failure::default() });
    let eight = || Completion::Success(Payload::parse("8").unwrap());
    for (mine, others) in [(eight(), success()), (success(), failure()), (failure(), success())] {
        let world = World::new().await;
        let asked = world.asked(&world.machine().await, "e").await;
        world.nodes[0].engine().partitions.release(PartitionId(0)).await;
        let (other, token) = (world.other().clone(), asked.token.clone());
        let request = actix_rt::spawn(async move { other.complete_task(&token, mine, Asker::default()).await });
        let copy = next(&world.bus, &world.bus.reply_queue(PartitionId(0))).await;
        world.begin(0, PartitionId(0)).await;
        world.nodes[0].complete_task(&asked.token, others, Asker::default()).await.unwrap();
        copy.settle(Settlement::Requeue);
        let refused = tokio::time::timeout(LONG, request).await.expect("an answer").unwrap().unwrap_err();
        assert!(matches!(refused, CompletionError::Closed), "{refused:?}");
        world.stop().await;
    }
}

#[actix_rt::test]
async fn a_forged_or_late_word_does_nothing_and_an_unknown_one_is_answered() {
    let world = World::new().await;
    let machine = world.machine().await;
    let asked = world.asked(&machine, "e").await;
    world
        .bus
        .declare(Vec::new(), vec![QueueSpec::plain("answers".into(), QueueKind::Classic)], Vec::new())
        .await
        .unwrap();
    let stop = Word::Input { execution: asked.id, input: Told::Stop { failure: Failure::default() } };
    let past = HeaderValue::Integer(SystemClock.now().millis() - 1);
    world.send(stop.encode(NEWEST), |m| m.properties.reply_to = Some("thief".into())).await;
    world.send(stop.encode(NEWEST), |m| drop(m.properties.headers.insert("expires".into(), past.clone()))).await;
    world.send(stop.encode(NEWEST), |m| drop(m.properties.headers.remove("signature"))).await;
    let stranger = TokenKeys::parse(&new_secret()).unwrap();
    let (id, expires) = (uuid::Uuid::from_u128(8), SystemClock.now().plus(LONG));
    let forged = Tell { id, expires, reply_to: Some("answers".into()), body: stop.encode(NEWEST) };
    let forged = forged.into_message(PartitionId(0), LONG, &Keys(stranger));
    world.send(Vec::new(), |m| *m = forged.clone()).await;
    // Genuine, in a form that is not known yet.
    world.send(br#"{"v":2,"tell":{"anything":1}}"#.to_vec(), |_| {}).await;
    let answer = next(&world.bus, "answers").await;
    let said: serde_json::Value = serde_json::from_slice(&answer.message.body).unwrap();
    assert_eq!(said["tell"], json!("not_understood"), "all before it had none");
    answer.settle(Settlement::Ack);
    assert_eq!(world.status(&asked.arn).await, ExecutionStatus::Running);
    assert_eq!(world.parked().await, 0);
    // An answer that no node gave ends no waiting.
    let (to, properties) =
        (world.bus.names().node(1), Properties { kind: Some("reveille.answer".into()), ..Properties::default() });
    let lie = Message { body: Answer::Gone.encode(NEWEST), properties };
    world.bus.publish(Address { exchange: String::new(), routing_key: to }, lie).await.unwrap();
    world.other().complete_task(&asked.token, success(), Asker::default()).await.unwrap();
    world.stop().await;
}

#[actix_rt::test]
async fn a_process_that_is_alone_asks_no_other() {
    let world = World::new().await;
    let machine = world.machine().await;
    let asked = world.asked(&machine, "e").await;
    let seat = &world.other().engine().services.seat;
    seat.sit(None);
    seat.good_until(Duration::MAX, true);
    let refused = world.other().complete_task(&asked.token, success(), Asker::default()).await.unwrap_err();
    assert!(matches!(refused, CompletionError::Engine(EngineError::Internal(_) | EngineError::Busy(_))), "{refused:?}");
    assert_eq!(world.status(&asked.arn).await, ExecutionStatus::Running);
    world.stop().await;
}

#[actix_rt::test]
async fn an_append_in_the_name_of_another_owner_is_refused_and_counted() {
    let world = World::new().await;
    let asked = world.asked(&world.machine().await, "e").await;
    let batch = Batch { after: Version(1), events: 1, bytes: Vec::new() };
    let append = Append {
        execution: asked.id,
        partition: PartitionId(0),
        epoch: Epoch(Epoch::FIRST.0 + 1),
        batch,
        replaces: 0,
        summary: Summary::default(),
        waits: Vec::new(),
        hurries: false,
    };
    let services = &world.nodes[0].engine().services;
    let refused = write(services, None, append).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    let shown = services.metrics.render(&Now::default());
    assert!(shown.contains("reveille_store_fenced_total 1"), "{shown}");
    world.stop().await;
}

#[actix_rt::test]
async fn a_node_that_may_have_been_taken_for_dead_refuses_nothing_for_good() {
    let world = World::new().await;
    let asked = world.asked(&world.machine().await, "e").await;
    let key = world.tokens.verify(&asked.token).unwrap().0;
    let later = crate::ids::TaskKey { scheduled: EventId(99), ..key };
    let token = world.tokens.mint(&later, PartitionId(0));
    let node = &world.nodes[0];
    // With it the broker's confirm is written: nothing is left to write.
    node.complete_task(&asked.token, Completion::Heartbeat, Asker::default()).await.unwrap();
    let seat = &node.engine().services.seat;
    // No other was there at its last beat, which is old: one may have come, and gone on.
    seat.sit(None);
    seat.good_until(Duration::from_nanos(1), false);
    tokio::time::sleep(Duration::from_millis(2)).await;
    let answer = node.complete_task(&token, success(), Asker::default()).await.unwrap_err();
    assert!(matches!(answer, CompletionError::Engine(EngineError::Busy(_))), "{answer:?}");
    // The store checks an answer for which something is written.
    node.complete_task(&asked.token, success(), Asker::default()).await.unwrap();
    seat.good_until(Duration::MAX, false);
    let answer = node.complete_task(&token, success(), Asker::default()).await.unwrap_err();
    assert!(matches!(answer, CompletionError::Closed | CompletionError::Unknown), "{answer:?}");
    world.stop().await;
}
