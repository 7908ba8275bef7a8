//! A partition begins and ends by itself: its executions stand still without it, and go on where it begins again.

use std::time::Duration;

use serde_json::json;

use crate::bus::embedded::EmbeddedBus;
use crate::bus::{Address, Message, Properties, Settlement, TaskBus};
use crate::engine::support::{self, next, request};
use crate::engine::types::Asker;
use crate::engine::types::{Completion, CompletionError, EngineError};
use crate::interpreter::state::Conclusion;
use crate::store::Epoch;
use crate::store::memory::Memory;

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
    let partitions: Vec<_> = (0..engine.services.options.partitions).map(crate::ids::PartitionId).collect();
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
