//! A start: its requests to the bus in their order, and journals that do not fit together.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;

use crate::bus::Settlement;
use crate::bus::embedded::EmbeddedBus;
use crate::clock::Timestamp;
use crate::engine::services::RETRY_AFTER;
use crate::engine::support::{self, next, request, small};
use crate::engine::types::Options;
use crate::ids::{EventId, PartitionId};
use crate::interpreter::event::{Entry, Event, Failure, FrameId};
use crate::record;
use crate::store::memory::Memory;
use crate::store::{Append, Batch, Epoch, ExecutionFilter, Journal, Summary, WaitFilter};

use super::gated::Gated;
use super::watched::Watched;

const LONG: Duration = Duration::from_mins(1);

/// A broker may have lost its queues with everything in them. A worker that answers at once must find the reply queue.
#[actix_rt::test]
async fn a_partition_wants_its_reply_queue_before_it_publishes_what_is_owed() {
    let store = Memory::new();
    let engine = support::engine(&store).await;
    let queue = json!({ "QueueUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/q", "MessageBody": { "t.$": "$$.Task.Token" } });
    let task = json!({ "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "Parameters": queue, "End": true });
    let machine = support::machine(&store, "m", &json!({ "StartAt": "T", "States": { "T": task } })).await;
    for n in 0..8 {
        engine.start_execution(request(&machine, &format!("e{n}"), "{}")).await.unwrap();
    }
    engine.stop(LONG).await;

    let bus = Arc::new(Watched::default());
    let parts = support::parts(Arc::new(store.clone()), Arc::new(store.clone()), Arc::<Watched>::clone(&bus), small());
    let engine = crate::engine::lifecycle::start(parts).await.unwrap();
    let published = |asked: &[(&str, String)]| asked.iter().filter(|(what, _)| *what == "published").count();
    let all = async {
        while published(&bus.asked.lock().unwrap()) < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, all).await.expect("what is owed is published again");
    let asked = bus.asked.lock().unwrap().clone();
    for (at, (_, queue)) in asked.iter().enumerate().filter(|(_, (what, _))| *what == "published") {
        assert!(asked[..at].contains(&("wanted", queue.clone())), "{queue} is wanted too late: {asked:?}");
    }
    assert_eq!(store.list(crate::store::ExecutionFilter { limit: 9, ..Default::default() }).await.unwrap().len(), 8);
    engine.stop(LONG).await;
}

/// More than are read, or settled, at once.
#[actix_rt::test]
async fn all_ends_that_are_owed_are_settled_after_a_start() {
    let store = Memory::new();
    let engine = support::engine(&store).await;
    let pass = json!({ "StartAt": "P", "States": { "P": { "Type": "Pass", "End": true } } });
    let machine = support::machine(&store, "m", &pass).await;
    let names: Vec<String> = (0..1_300).map(|n| format!("e{n}")).collect();
    let ends = names.iter().map(|name| engine.run_execution(request(&machine, name, "{}")));
    futures_util::future::try_join_all(ends).await.unwrap();
    engine.stop(LONG).await;
    for row in store.list(ExecutionFilter { limit: 2_000, ..ExecutionFilter::default() }).await.unwrap() {
        let owes = Append {
            execution: row.header.id,
            partition: row.header.partition,
            epoch: Epoch::FIRST,
            batch: Batch { after: row.version, events: 0, bytes: Vec::new() },
            replaces: 0,
            summary: Summary { owes_parent: true, ..row.summary },
            waits: Vec::new(),
            hurries: false,
        };
        store.append(owes).await.unwrap();
    }
    let owed = async || {
        let of = |partition| store.owing_parents(PartitionId(partition), None, 2_000);
        of(0).await.unwrap().len() + of(1).await.unwrap().len()
    };
    assert_eq!(owed().await, 1_300);
    let engine = support::engine(&store).await;
    let all = async {
        while owed().await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, all).await.expect("all ends are settled");
    engine.stop(LONG).await;
}

#[actix_rt::test]
async fn a_journal_that_does_not_fit_together_is_put_aside_and_named() {
    let store = Memory::new();
    let engine = support::engine(&store).await;
    let wait = json!({ "Type": "Wait", "Seconds": 3_000, "End": true });
    let machine = support::machine(&store, "m", &json!({ "StartAt": "W", "States": { "W": wait } })).await;
    let mut arns = Vec::new();
    for name in ["foreign", "short", "whole"] {
        arns.push(engine.start_execution(request(&machine, name, "{}")).await.unwrap().arn);
    }
    engine.stop(LONG).await;

    let append = async |arn, events, event| {
        let row = store.execution_by_arn(arn).await.unwrap().unwrap();
        let at = Timestamp::from_millis(1);
        let entry = Entry { at, id: EventId(0), previous: EventId(0), frame: FrameId::TOP, event };
        let batch = Batch { after: row.version, events, bytes: record::encode(&[entry]).unwrap() };
        let (execution, partition, summary) = (row.header.id, row.header.partition, row.summary);
        store
            .append(Append {
                execution,
                partition,
                epoch: Epoch::FIRST,
                batch,
                replaces: 0,
                summary,
                waits: Vec::new(),
                hurries: false,
            })
            .await
            .unwrap();
    };
    append(&arns[0], 1, Event::TaskPublished { scheduled: EventId(2) }).await;
    append(&arns[1], 2, Event::WaitEnded).await;

    let engine = support::engine(&store).await;
    for (arn, said) in [
        (&arns[0], "entry 4 (TaskPublished, event id 0) does not fit: frame 0 has no open task"),
        (&arns[1], "a batch of 2 events holds 1"),
    ] {
        engine.stop_execution(arn, Failure::new("E", "c")).await.unwrap_err();
        let id = engine.execution(arn).await.unwrap().header.id;
        let why = engine.quarantined(id).expect("it is put aside");
        assert!(why.contains(said), "{why}");
    }
    engine.stop_execution(&arns[2], Failure::new("E", "c")).await.unwrap();
    engine.stop(LONG).await;
}

#[actix_rt::test]
async fn an_execution_whose_creation_lands_after_it_was_given_up_runs() {
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    let late = Arc::new(Semaphore::new(0));
    let journal = Arc::new(Gated { late: Some(Arc::clone(&late)), ..Gated::over(&store) });
    let parts = support::parts(journal, Arc::new(store.clone()), Arc::new(bus.clone()), small());
    let engine = crate::engine::lifecycle::start(parts).await.unwrap();
    let ask = json!({
        "Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
        "Parameters": {"Queue": "work", "Body.$": "$"}, "End": true,
    });
    let machine = support::machine(&store, "m", &json!({"StartAt": "T", "States": {"T": ask}})).await;
    engine.start_execution(request(&machine, "e", "{}")).await.unwrap_err();
    // A first look finds nothing.
    tokio::time::sleep(RETRY_AFTER + Duration::from_millis(500)).await;
    late.add_permits(1);
    next(&bus, "work").await.settle(Settlement::Ack);
    engine.stop(LONG).await;
}

/// The row of a task is written without an event, so it is in the way of no decision that lands late.
#[actix_rt::test]
async fn a_decision_that_lands_after_it_was_given_up_leaves_no_row_of_an_ended_task() {
    let store = Memory::new();
    let journal = Arc::new(Gated::over(&store));
    let parts = support::parts(
        Arc::<Gated>::clone(&journal),
        Arc::new(store.clone()),
        Arc::new(Watched::blocked()),
        Options { confirm_linger: Duration::from_millis(50), ..small() },
    );
    let engine = crate::engine::lifecycle::start(parts).await.unwrap();
    let call = json!({"RoutingKey": "q", "Body": {}});
    let task = json!({"Type": "Task", "Resource": "arn:aws:states:::amqp:call", "Parameters": call, "End": true});
    let wait = json!({"Type": "Wait", "Seconds": 900, "End": true});
    let branches = json!([
        {"StartAt": "T", "States": {"T": task}},
        {"StartAt": "W", "States": {"W": wait}},
    ]);
    let definition = json!({"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": branches, "End": true}}});
    let machine = support::machine(&store, "m", &definition).await;
    let late = Arc::new(Semaphore::new(0));
    let arn = engine.start_execution(request(&machine, "e", "{}")).await.unwrap().arn;
    *journal.late_append.lock().unwrap() = Some(Arc::clone(&late));
    engine.stop_execution(&arn, Failure::default()).await.unwrap_err();
    // It is read again, and its task has waited for long.
    tokio::time::sleep(RETRY_AFTER + Duration::from_secs(1)).await;
    late.add_permits(1);
    let id = store.execution_by_arn(&arn).await.unwrap().unwrap().header.id;
    while store.execution(id).await.unwrap().unwrap().summary.status.is_open() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let rows = store.waits(WaitFilter { execution: Some(id), limit: 9, ..WaitFilter::default() }).await.unwrap();
    assert!(rows.is_empty(), "{rows:?}");
    engine.stop(LONG).await;
}
