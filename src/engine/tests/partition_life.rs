//! A partition begins and ends by itself: its executions stand still without it, and go on where it begins again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use crate::bus::embedded::EmbeddedBus;
use crate::bus::{Address, Delivery, Message, Properties, Receipt, Settlement, TaskBus};
use crate::engine::partition::{Ended, PartitionState};
use crate::engine::support::{self, next, request};
use crate::engine::types::Asker;
use crate::engine::types::{Completion, CompletionError, EngineError};
use crate::ids::{EventId, PartitionId, TaskKey};
use crate::interpreter::state::Conclusion;
use crate::store::memory::Memory;
use crate::store::{Epoch, Journal};

use super::gated::Gated;

const LONG: Duration = Duration::from_mins(1);

#[actix_rt::test]
async fn a_partition_that_was_released_takes_nothing_and_goes_on_from_the_store_where_it_begins_again() {
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    let handle = support::engine_on(&store, &bus).await;
    let engine = handle.engine();
    let task = json!({
        "Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
        "Parameters": {"Queue": "work", "Body.$": "$"}, "End": true,
    });
    let machine = support::machine(&store, "m", &json!({"StartAt": "T", "States": {"T": task}})).await;
    // Until each of the two partitions has one.
    let (mut of_first, mut of_second) = (None, None);
    for n in 0.. {
        let arn = handle.start_execution(request(&machine, &format!("e{n}"), "{}")).await.unwrap().arn;
        let taken = next(&bus, "work").await;
        let sent = taken.message.properties.clone();
        taken.settle(Settlement::Ack);
        let row = handle.execution(&arn).await.unwrap();
        let slot = if row.header.partition.0 == 0 { &mut of_first } else { &mut of_second };
        slot.get_or_insert((row.header.partition, arn, sent));
        if of_first.is_some() && of_second.is_some() {
            break;
        }
    }
    let (released, arn, sent) = of_first.unwrap();
    let (_, other_arn, other_sent) = of_second.unwrap();
    engine.partitions.release(released).await;
    assert!(engine.services.metrics.awake() > 0, "the other partition goes on");

    // Nothing reaches an execution of it, by either face.
    let token = sent.correlation_id.clone().unwrap();
    let refused = handle.complete_task(&token, Completion::Heartbeat, Asker::default()).await.unwrap_err();
    assert!(
        matches!(&refused, CompletionError::Engine(EngineError::Busy(why)) if why.contains("not here")),
        "{refused}"
    );
    let reply = |sent: &Properties| {
        let properties = Properties { correlation_id: sent.correlation_id.clone(), ..Properties::default() };
        let to = Address { exchange: String::new(), routing_key: sent.reply_to.clone().unwrap() };
        (to, Message { body: b"7".to_vec(), properties })
    };
    let (to, message) = reply(&sent);
    bus.publish(to, message).await.unwrap();
    // An execution of the other partition is as before.
    let (to, message) = reply(&other_sent);
    bus.publish(to, message).await.unwrap();
    let outcome = tokio::time::timeout(LONG, handle.await_end(&other_arn)).await.expect("it ends").unwrap();
    assert!(matches!(outcome.result, Conclusion::Succeeded(_)), "{outcome:?}");
    assert!(handle.execution(&arn).await.unwrap().summary.status.is_open(), "its reply waits in the queue");

    let wiring = crate::engine::lifecycle::wiring(&handle);
    engine.partitions.begin(&[(released, Epoch::FIRST)], &wiring).await.unwrap();
    let outcome = tokio::time::timeout(LONG, handle.await_end(&arn)).await.expect("it ends").unwrap();
    assert!(matches!(&outcome.result, Conclusion::Succeeded(output) if **output == json!(7)), "{outcome:?}");
    handle.stop(LONG).await;
}

#[actix_rt::test]
async fn a_former_owner_writes_nothing() {
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    let handle = support::engine_on(&store, &bus).await;
    let engine = handle.engine();
    let partitions: Vec<_> = (0..engine.services.options.partitions).map(PartitionId).collect();
    for partition in &partitions {
        engine.partitions.release(*partition).await;
    }
    // The store in memory has one owner, of the first epoch: to it every other one is a former owner.
    let wiring = crate::engine::lifecycle::wiring(&handle);
    let wrong: Vec<_> = partitions.iter().map(|partition| (*partition, Epoch(2))).collect();
    engine.partitions.begin(&wrong, &wiring).await.unwrap();
    let definition = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}});
    let machine = support::machine(&store, "m", &definition).await;
    let refused = handle.start_execution(request(&machine, "e", "{}")).await.unwrap_err();
    assert!(refused.to_string().contains("another owner"), "{refused}");
    handle.stop(LONG).await;
}

#[actix_rt::test]
async fn an_execution_that_is_read_while_its_partition_ends_answers_nothing() {
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    let journal = Arc::new(Gated { looks: Arc::new(Semaphore::new(0)), ..Gated::over(&store) });
    let (looks, looking) = (Arc::clone(&journal.looks), Arc::clone(&journal.looking));
    let parts = support::parts(journal, Arc::new(store.clone()), Arc::new(bus.clone()), support::small());
    let handle = crate::engine::lifecycle::start(parts).await.unwrap();
    let wait = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 900, "End": true}}});
    let machine = support::machine(&store, "m", &wait).await;
    let arn = handle.start_execution(request(&machine, "e", "{}")).await.unwrap().arn;
    let header = store.execution_by_arn(&arn).await.unwrap().unwrap().header;
    let (partitions, wiring) = (&handle.engine().partitions, crate::engine::lifecycle::wiring(&handle));
    let former = [(header.partition, Epoch::FIRST)];
    // It leaves memory with its partition, which begins again.
    partitions.release(header.partition).await;
    partitions.begin(&former, &wiring).await.unwrap();
    // A task of which the journal knows nothing yet.
    let key = TaskKey { execution: header.id, scheduled: EventId(99) };
    let token = handle.engine().services.token(&key);
    let (node, its) = (handle.clone(), token.clone());
    let call = actix_rt::spawn(async move { node.complete_task(&its, Completion::Heartbeat, Asker::default()).await });
    while looking.load(Ordering::Acquire) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    partitions.abandon(header.partition);
    partitions.begin(&former, &wiring).await.unwrap();
    looks.add_permits(1);
    let answer = tokio::time::timeout(LONG, call).await.expect("an answer").unwrap().unwrap_err();
    assert!(matches!(answer, CompletionError::Engine(EngineError::Busy(_))), "another may know the task: {answer:?}");
    let answer = handle.complete_task(&token, Completion::Heartbeat, Asker::default()).await.unwrap_err();
    assert!(matches!(answer, CompletionError::Unknown), "{answer:?}");
    handle.stop(LONG).await;
}

#[actix_rt::test]
async fn a_partition_that_is_let_go_right_after_it_began_is_gone() {
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    let handle = support::engine_on(&store, &bus).await;
    let (engine, wiring) = (handle.engine(), crate::engine::lifecycle::wiring(&handle));
    engine.partitions.release(PartitionId(0)).await;
    let begun = engine.partitions.begin(&[(PartitionId(0), Epoch::FIRST)], &wiring);
    assert!(engine.services.courier.holds(PartitionId(0)));
    engine.partitions.abandon(PartitionId(0));
    // The outcome does not matter.
    let _ = begun.await;
    assert!(!engine.services.courier.holds(PartitionId(0)));
    handle.stop(LONG).await;
}

/// A message of a bus that hands it out again a fifth of a second after it was given back.
#[derive(Debug)]
struct Again {
    to: mpsc::Sender<Delivery>,
    given_back: Arc<AtomicUsize>,
}

impl Again {
    fn delivery(self, message: Message) -> Delivery {
        Delivery { message, redelivered: true, mended: None, receipt: Box::new(self) }
    }
}

impl Receipt for Again {
    fn settle(self: Box<Self>, _: Settlement) {}

    fn give_back(self: Box<Self>, message: Message) {
        self.given_back.fetch_add(1, Ordering::Relaxed);
        actix_rt::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let to = self.to.clone();
            let _ = to.try_send(self.delivery(message));
        });
    }
}

#[actix_rt::test]
async fn a_node_that_may_take_nothing_in_looks_at_its_replies_once_a_second() {
    tokio::time::pause();
    let (store, bus) = (Arc::new(Memory::new()), Arc::new(EmbeddedBus::new()));
    let handle = crate::engine::lifecycle::make(support::parts(store.clone(), store, bus, support::small()));
    let wiring = crate::engine::lifecycle::wiring(&handle);
    let seat = &handle.engine().services.seat;
    seat.sit(Some(0));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(seat.is_fenced());
    let (replies, consumer) = mpsc::channel(8);
    let consumer = futures_util::stream::unfold(consumer, async |mut c| c.recv().await.map(|d| (d, c)));
    let partition = PartitionState::new(PartitionId(0), Epoch::FIRST, wiring.clone(), Ended::default());
    let running = actix_rt::spawn(wiring.replies.run(partition, consumer.boxed()));
    let given_back = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        let again = Again { to: replies.clone(), given_back: Arc::clone(&given_back) };
        let message = Message { body: Vec::new(), properties: Properties::default() };
        replies.try_send(again.delivery(message)).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let times = given_back.load(Ordering::Relaxed);
    assert!((3 * 9..=3 * 11).contains(&times), "each was given back {} times in ten seconds", times / 3);
    // A node that has lost its place gives back all to the broker for a second, and waits for more of them.
    seat.lost_from(Some(seat.now()));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(Arc::strong_count(&given_back), 1, "none is here");
    let again = Again { to: replies.clone(), given_back: Arc::clone(&given_back) };
    let times = given_back.load(Ordering::Relaxed);
    replies.try_send(again.delivery(Message { body: Vec::new(), properties: Properties::default() })).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!((2..=4).contains(&(given_back.load(Ordering::Relaxed) - times)), "it was given back before: it stays here");
    let times = given_back.load(Ordering::Relaxed);
    // It is taken as soon as that may be.
    seat.good_until(Duration::MAX, true);
    seat.lost_from(None);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(given_back.load(Ordering::Relaxed) <= times + 1);
    running.abort();
}
