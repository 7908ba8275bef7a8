//! Bounds of an execution through the engine's face: journal, memory, nesting, how many are open.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bus::embedded::EmbeddedBus;
use crate::engine::api::EngineHandle;
use crate::engine::support::{self, machine, request, small};
use crate::engine::types::{EngineError, HistoryQuery, Options};
use crate::ids::Arn;
use crate::interpreter::event::{Event, Failure};
use crate::limits::EngineBounds;
use crate::store::memory::Memory;
use crate::store::{ExecutionFilter, ExecutionRow, ExecutionStatus, Journal};

const LONG: Duration = Duration::from_mins(2);

async fn engine(store: &Memory, options: Options) -> EngineHandle {
    let (journal, catalog) = (Arc::new(store.clone()), Arc::new(store.clone()));
    crate::engine::lifecycle::start(support::parts(journal, catalog, Arc::new(EmbeddedBus::new()), options))
        .await
        .unwrap()
}

async fn end(engine: &EngineHandle, arn: &Arn) -> ExecutionRow {
    tokio::time::timeout(LONG, engine.await_end(arn)).await.expect("it ends").unwrap();
    engine.execution(arn).await.unwrap()
}

fn failure(row: &ExecutionRow) -> (String, String) {
    let closed = row.summary.closed.clone().unwrap();
    (closed.error.unwrap_or_default(), closed.cause.unwrap_or_default())
}

/// All events, page by page.
async fn history(engine: &EngineHandle, arn: &Arn, limit: usize) -> Vec<u64> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = engine.history(arn, HistoryQuery { reverse: false, after, limit }).await.unwrap();
        ids.extend(page.entries.iter().map(|e| e.id.0));
        after = page.entries.last().map(|e| e.id);
        if !page.more {
            return ids;
        }
    }
}

#[actix_rt::test]
async fn a_full_journal_ends_its_execution_and_is_read_piece_by_piece() {
    let store = Memory::new();
    let engine = engine(
        &store,
        Options { bounds: EngineBounds { journal_bytes_max: 4_000_000, ..EngineBounds::default() }, ..small() },
    )
    .await;
    // Each round makes another 100 KB.
    let pass = json!({ "Type": "Pass", "Parameters": { "x.$": "$.x", "at.$": "$$.State.EnteredTime" }, "Next": "B" });
    let out =
        json!({ "Type": "Choice", "Choices": [{ "Variable": "$.x", "IsNumeric": true, "Next": "Z" }], "Default": "A" });
    let states = json!({ "A": pass, "B": out, "Z": { "Type": "Succeed" } });
    let machine = machine(&store, "m", &json!({ "StartAt": "A", "States": states })).await;
    let input = json!({ "x": "y".repeat(100_000) }).to_string();
    let arn = engine.start_execution(request(&machine, "large", &input)).await.unwrap().arn;
    let row = end(&engine, &arn).await;
    assert_eq!(row.summary.status, ExecutionStatus::Failed);
    let (error, cause) = failure(&row);
    assert_eq!(error, "States.DataLimitExceeded");
    assert!(cause.contains("engine.journal_bytes_max"), "{cause}");
    let batches = store.load(row.header.id).await.unwrap();
    let bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
    assert!((2_000_000..4_200_000).contains(&bytes), "{bytes}");
    assert!(batches.iter().all(|batch| batch.bytes.len() < 2_000_000));
    let ids = history(&engine, &arn, 7).await;
    assert_eq!(ids, (1..=row.version.0).collect::<Vec<_>>());
    let last = HistoryQuery { reverse: true, after: None, limit: 1 };
    let page = engine.history(&arn, last).await.unwrap();
    assert!(matches!(page.entries[0].event, Event::ExecutionFailed(_)) && page.more);
    let refused = engine.redrive_execution(&arn, None).await.unwrap_err();
    assert!(matches!(&refused, EngineError::NotRedrivable { why, .. } if why.contains("journal")), "{refused}");
    engine.stop(Duration::from_secs(1)).await;
}

/// A store that was written when more was allowed, or nothing was bounded.
#[actix_rt::test]
async fn what_has_no_room_is_put_aside_at_a_start_and_comes_back_with_more_room() {
    let store = Memory::new();
    let first = engine(&store, small()).await;
    // Each branch makes a value of its own, and waits with it: 30 times 200 KB.
    let branch = |n: usize| {
        let (pass, wait) = (format!("P{n}"), format!("W{n}"));
        let made = json!({ "Type": "Pass", "Parameters": { "n": n, "x.$": "$.x" }, "Next": wait });
        json!({ "StartAt": pass, "States": { &pass: made, &wait: { "Type": "Wait", "Seconds": 3_000, "End": true } } })
    };
    let branches: Vec<Value> = (0..30).map(branch).collect();
    let parallel = json!({ "Type": "Parallel", "Branches": branches, "End": true });
    let large = machine(&store, "large", &json!({ "StartAt": "P", "States": { "P": parallel } })).await;
    let wait = json!({ "Type": "Wait", "Seconds": 3_000, "End": true });
    let small_one = machine(&store, "small", &json!({ "StartAt": "W", "States": { "W": wait } })).await;
    let input = json!({ "x": "y".repeat(200_000) }).to_string();
    let large = first.start_execution(request(&large, "large", &input)).await.unwrap().arn;
    let other = first.start_execution(request(&small_one, "small", "{}")).await.unwrap().arn;
    // Started, entered, forked, and of each branch two states entered, one left, one wait.
    let waits = async {
        while first.execution(&large).await.unwrap().version.0 < 3 + 4 * 30 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, waits).await.expect("all branches wait");
    first.stop(Duration::from_secs(5)).await;

    let narrow = engine(
        &store,
        Options { bounds: EngineBounds { execution_bytes_max: 1_500_000, ..EngineBounds::default() }, ..small() },
    )
    .await;
    narrow.stop_execution(&large, Failure::new("E", "c")).await.unwrap_err();
    let id = narrow.execution(&large).await.unwrap().header.id;
    let why = narrow.quarantined(id).expect("it is put aside");
    assert!(why.contains("engine.execution_bytes_max"), "{why}");
    narrow.stop_execution(&other, Failure::new("E", "c")).await.unwrap();
    narrow.stop(Duration::from_secs(5)).await;

    let wide = engine(&store, small()).await;
    wide.stop_execution(&large, Failure::new("E", "c")).await.unwrap();
    let row = wide.execution(&large).await.unwrap();
    assert_eq!(row.summary.status, ExecutionStatus::Aborted, "{:?}", row.summary);
    wide.stop(Duration::from_secs(5)).await;
}

fn starts_itself(resource: &str) -> Value {
    let arn = "arn:aws:states:us-east-1:000000000000:stateMachine:self";
    json!({ "StartAt": "S", "States": {
        "S": { "Type": "Task", "Resource": resource, "Parameters": { "StateMachineArn": arn, "Input": {} }, "End": true,
            "Catch": [{ "ErrorEquals": ["StepFunctions.ExecutionLimitExceededException"], "Next": "C" }] },
        "C": { "Type": "Pass", "End": true } } })
}

#[actix_rt::test]
async fn executions_that_start_each_other_end_at_a_depth() {
    for resource in ["arn:aws:states:::states:startExecution", "arn:aws:states:::states:startExecution.sync:2"] {
        let store = Memory::new();
        let engine =
            engine(&store, Options { bounds: EngineBounds { nesting_max: 5, ..EngineBounds::default() }, ..small() })
                .await;
        let machine = machine(&store, "self", &starts_itself(resource)).await;
        let first = engine.start_execution(request(&machine, "first", "{}")).await.unwrap().arn;
        end(&engine, &first).await;
        let all = ExecutionFilter { limit: 100, ..ExecutionFilter::default() };
        let deepest = async {
            loop {
                let rows = store.list(all.clone()).await.unwrap();
                if rows.iter().all(|row| !row.summary.status.is_open()) {
                    return rows;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let rows = tokio::time::timeout(LONG, deepest).await.expect("all end");
        assert_eq!(rows.len(), 6, "{resource}: a caller's, and five below it");
        for row in &rows {
            assert_eq!(row.summary.status, ExecutionStatus::Succeeded, "{:?}", row.summary);
        }
        engine.stop(Duration::from_secs(1)).await;
    }
}

#[actix_rt::test]
async fn open_executions_are_bounded_also_after_a_restart() {
    let store = Memory::new();
    let bounded = || Options { bounds: EngineBounds { executions_open_max: 3, ..EngineBounds::default() }, ..small() };
    let first = engine(&store, bounded()).await;
    let wait = json!({ "Type": "Wait", "Seconds": 3_000, "End": true });
    let machine = machine(&store, "w", &json!({ "StartAt": "W", "States": { "W": wait } })).await;
    for name in ["a", "b"] {
        first.start_execution(request(&machine, name, "{}")).await.unwrap();
    }
    first.stop(Duration::from_secs(1)).await;
    let second = engine(&store, bounded()).await;
    let third = second.start_execution(request(&machine, "c", "{}")).await.unwrap().arn;
    let refused = second.start_execution(request(&machine, "d", "{}")).await.unwrap_err();
    assert!(matches!(&refused, EngineError::LimitReached(why) if why.contains("executions_open_max")), "{refused}");
    second.stop_execution(&third, Failure::new("E", "c")).await.unwrap();
    second.start_execution(request(&machine, "d", "{}")).await.unwrap();
    assert!(second.start_execution(request(&machine, "e", "{}")).await.is_err());
    second.stop(Duration::from_secs(1)).await;
}

/// Text of so many bytes that does not pack well.
fn noise(bytes: usize) -> String {
    (0..bytes.div_ceil(32)).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect()
}

#[actix_rt::test]
async fn executions_in_memory_hold_no_more_than_they_may_together() {
    let store = Memory::new();
    let defer = Duration::from_millis(20);
    let options = || Options {
        bounds: EngineBounds { memory_bytes_max: 2_000_000, ..EngineBounds::default() },
        confirm_linger: defer,
        ..small()
    };
    let first = engine(&store, options()).await;
    let wait = json!({ "Type": "Wait", "Seconds": 3_000, "End": true });
    let machine = machine(&store, "w", &json!({ "StartAt": "W", "States": { "W": wait } })).await;
    // Ten times of what there is room for: a start that finds none is let in when idle ones have left.
    let (mut started, mut refused) = (Vec::new(), 0);
    let starts = async {
        while started.len() < 100 {
            let input = json!({ "x": noise(200_000) }).to_string();
            match first.start_execution(request(&machine, &format!("e{}", started.len()), &input)).await {
                Ok(execution) => started.push(execution.arn),
                Err(EngineError::Busy(why)) if why.contains("engine.memory_bytes_max") => {
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(other) => panic!("{other}"),
            }
            assert!(
                first.engine().services.footprint.bytes() < 3_000_000,
                "{} bytes",
                first.engine().services.footprint.bytes()
            );
        }
    };
    tokio::time::timeout(LONG, starts).await.expect("all start");
    assert!(refused > 0, "a hundred times 200 KB found room at once");
    first.stop(Duration::from_secs(5)).await;

    let second = engine(&store, options()).await;
    let stops = async {
        for arn in &started {
            second.stop_execution(arn, Failure::new("E", "c")).await.unwrap();
            assert!(
                second.engine().services.footprint.bytes() < 10_000_000,
                "{} bytes",
                second.engine().services.footprint.bytes()
            );
        }
    };
    tokio::time::timeout(LONG, stops).await.expect("all stop");
    let empty = async {
        while second.engine().services.footprint.bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, empty).await.expect("what has ended holds nothing");
    second.stop(Duration::from_secs(5)).await;
}
