//! The table of waiting tasks, as executions write it.

use std::time::Duration;

use serde_json::json;

use crate::bus::Settlement;
use crate::bus::embedded::EmbeddedBus;
use crate::engine::api::EngineHandle;
use crate::engine::support::{self, next, request};
use crate::engine::types::Asker;
use crate::engine::types::{Completion, WaitingQuery, WaitingTask};
use crate::ids::Arn;
use crate::interpreter::event::{By, Event, Payload};
use crate::record;
use crate::store::memory::Memory;
use crate::store::{Append, Batch, Catalog, Epoch, Journal, WaitChange};

const LONG: Duration = Duration::from_mins(1);

async fn machine(store: &Memory) -> Arn {
    let task = json!({
        "Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
        "Parameters": {"Queue": "work", "Body.$": "$"}, "HeartbeatSeconds": 600, "TimeoutSeconds": 6_000, "End": true,
    });
    support::machine(store, "m", &json!({"StartAt": "T", "States": {"T": task}})).await
}

async fn listed(engine: &EngineHandle) -> Vec<WaitingTask> {
    engine.waiting_tasks(WaitingQuery { limit: 100, ..WaitingQuery::default() }).await.unwrap()
}

/// Waits until the listing is as wanted.
async fn until(engine: &EngineHandle, wanted: impl Fn(&[WaitingTask]) -> bool) -> Vec<WaitingTask> {
    let there = async {
        loop {
            let tasks = listed(engine).await;
            if wanted(&tasks) {
                return tasks;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, there).await.expect("the listing")
}

#[actix_rt::test]
async fn a_task_is_listed_while_it_waits_and_its_row_follows_it() {
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    let engine = support::engine_on(&store, &bus).await;
    let machine = machine(&store).await;
    let arn = engine.start_execution(request(&machine, "e", "{}")).await.unwrap().arn;
    next(&bus, "work").await.settle(Settlement::Ack);
    let tasks = until(&engine, |tasks| !tasks.is_empty()).await;
    let [task] = &tasks[..] else { panic!("{tasks:?}") };
    assert_eq!((&task.execution, &task.state_machine), (&arn, &machine));
    let wait = &task.wait;
    assert_eq!((wait.state.as_str(), wait.destination.as_str(), wait.queue, wait.submitted), ("T", "work", true, true));
    assert_eq!(wait.timeout, Some(wait.since.plus_seconds(6_000.0)));
    assert_eq!(wait.heartbeat_due, Some(wait.since.plus_seconds(600.0)));
    assert_eq!(wait.due(), wait.heartbeat_due);
    let from_journal = engine.waiting_tasks_of(&arn).await.unwrap();
    assert_eq!((&from_journal[0].wait, &from_journal[0].token), (wait, &task.token));

    engine.complete_task(&task.token, Completion::Heartbeat, Asker::default()).await.unwrap();
    let beaten = listed(&engine).await;
    assert!(beaten[0].wait.last_heartbeat.is_some() && beaten[0].wait.heartbeat_due > wait.heartbeat_due, "{beaten:?}");
    let by = By::Person("olga".into());
    engine
        .complete_task(
            &task.token,
            Completion::Success(Payload::new(json!(1))),
            Asker { by: Some(by.clone()), trace: None },
        )
        .await
        .unwrap();
    assert!(listed(&engine).await.is_empty());
    // The name of the answering person stands in the journal.
    let row = engine.execution(&arn).await.unwrap();
    let batches = store.load(row.header.id).await.unwrap();
    let entries = batches.iter().flat_map(|batch| record::decode(&batch.bytes).unwrap());
    let said = entries.into_iter().find_map(|entry| match entry.event {
        Event::TaskSucceeded { by, .. } => by,
        _ => None,
    });
    assert_eq!(said.as_deref(), Some(&by));
    engine.stop(LONG).await;
}

#[actix_rt::test]
async fn what_waited_in_a_store_of_an_earlier_version_is_listed_after_a_start() {
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    let engine = support::engine_on(&store, &bus).await;
    let machine = machine(&store).await;
    for n in 0..3 {
        engine.start_execution(request(&machine, &format!("e{n}"), "{}")).await.unwrap();
        next(&bus, "work").await.settle(Settlement::Ack);
    }
    let before = until(&engine, |tasks| tasks.len() == 3).await;
    engine.stop(LONG).await;
    // As the migration leaves it: no rows, and a word that they are missing.
    for task in &before {
        let row = store.execution(task.key.execution).await.unwrap().unwrap();
        let without_row = Append {
            execution: task.key.execution,
            partition: row.header.partition,
            epoch: Epoch::FIRST,
            batch: Batch { after: row.version, events: 0, bytes: Vec::new() },
            replaces: 0,
            summary: row.summary,
            waits: vec![WaitChange::Gone(task.key.scheduled)],
            hurries: false,
        };
        store.append(without_row).await.unwrap();
    }
    store.put_setting("waits", "to be written").await.unwrap();
    let engine = support::engine_on(&store, &bus).await;
    let after = until(&engine, |tasks| tasks.len() == 3).await;
    let rows = |tasks: Vec<WaitingTask>| tasks.into_iter().map(|task| (task.key, task.wait.since)).collect::<Vec<_>>();
    assert_eq!(rows(after), rows(before));
    let written = async {
        while store.fix_setting("waits", "").await.unwrap() != "written" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, written).await.expect("the filling ends");
    engine.stop(LONG).await;
}
