//! A store that does not answer: new starts are refused at the bound, what runs goes on, and all that was let in ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{Completion, EngineError, EngineHandle, Options, Parts, StartRequest};
use crate::bus::embedded::EmbeddedBus;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::ids::{Arn, ExecutionId, PartitionId, Realm};
use crate::interpreter::state::Conclusion;
use crate::store::memory::Memory;
use crate::store::{
    Append, Batch, Catalog, ExecutionFilter, ExecutionHeader, ExecutionRow, ExecutionStatus, Journal, MachineRow, MachineType, Revision,
    RevisionId, StoreFuture,
};
use crate::telemetry::metrics::Metrics;
use crate::token::{TokenKeys, new_secret};

const STARTS_MAX: usize = 5;
const LONG: Duration = Duration::from_secs(30);

/// A store whose creations wait at a gate. Everything else goes through at once.
#[derive(Debug)]
struct Gated {
    memory: Memory,
    gate: Arc<Semaphore>,
}

impl Journal for Gated {
    fn create(&self, header: ExecutionHeader, first: Append, reusable_before: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.gate.acquire().await.expect("the gate is never closed for good").forget();
            self.memory.create(header, first, reusable_before).await
        })
    }

    fn append(&self, append: Append) -> StoreFuture<'_, ()> {
        self.memory.append(append)
    }

    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<Batch>> {
        self.memory.load(execution)
    }

    fn owing(&self, partition: PartitionId, after: Option<ExecutionId>, limit: u32) -> StoreFuture<'_, Vec<ExecutionRow>> {
        self.memory.owing(partition, after, limit)
    }

    fn due(&self, partition: PartitionId, before: Timestamp, limit: u32) -> StoreFuture<'_, Vec<(ExecutionId, Timestamp)>> {
        self.memory.due(partition, before, limit)
    }

    fn execution(&self, id: ExecutionId) -> StoreFuture<'_, Option<ExecutionRow>> {
        self.memory.execution(id)
    }

    fn execution_by_arn(&self, arn: &Arn) -> StoreFuture<'_, Option<ExecutionRow>> {
        self.memory.execution_by_arn(arn)
    }

    fn list(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<ExecutionRow>> {
        self.memory.list(filter)
    }

    fn count(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<(ExecutionStatus, u64)>> {
        self.memory.count(filter)
    }

    fn owing_parents(&self, partition: PartitionId, limit: u32) -> StoreFuture<'_, Vec<ExecutionRow>> {
        self.memory.owing_parents(partition, limit)
    }

    fn parent_told(&self, execution: ExecutionId) -> StoreFuture<'_, ()> {
        self.memory.parent_told(execution)
    }

    fn purge(&self, before: Timestamp, limit: u32) -> StoreFuture<'_, u64> {
        self.memory.purge(before, limit)
    }
}

/// A machine whose executions wait for a poller.
async fn given(gate: Arc<Semaphore>) -> (EngineHandle, Arn) {
    let memory = Memory::new();
    let parts = Parts {
        realm: Realm::new("us-east-1", "000000000000"),
        clock: Arc::new(SystemClock),
        journal: Arc::new(Gated { memory: memory.clone(), gate }),
        catalog: Arc::new(memory.clone()),
        bus: Arc::new(EmbeddedBus::new()),
        tokens: TokenKeys::parse(&new_secret()).unwrap(),
        table: crate::integrations::Table::new(Vec::new()).unwrap(),
        metrics: Metrics::new(),
        options: Options { partitions: 2, threads: 1, starts_max: STARTS_MAX, ..Options::default() },
    };
    let engine = super::start(parts).await.unwrap();
    let (arn, activity, made) = (engine.realm().state_machine("m"), engine.realm().activity("paint"), SystemClock.now());
    let definition = json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity, "End": true}}});
    let revision = Revision {
        id: RevisionId(uuid::Uuid::now_v7()),
        machine: arn.clone(),
        initial: true,
        definition: definition.to_string(),
        role_arn: "arn:aws:iam::000000000000:role/r".into(),
        configuration: json!({}),
        made,
    };
    let kind = MachineType::Standard;
    memory.put_machine(MachineRow { arn: arn.clone(), name: "m".into(), kind, created: made, deleting: false, revision }).await.unwrap();
    (engine, arn)
}

fn request(machine: &Arn, name: &str) -> StartRequest {
    StartRequest { machine: machine.clone(), name: Some(name.to_owned()), input: "{}".into(), trace_header: None }
}

#[actix_rt::test]
async fn a_slow_store_refuses_starts_beyond_the_bound_and_lets_running_work_end() {
    // Room for one: the execution that runs while the store stands still.
    let gate = Arc::new(Semaphore::new(1));
    let (engine, machine) = given(Arc::clone(&gate)).await;
    let running = engine.start_execution(request(&machine, "running")).await.unwrap().arn;
    let token = loop {
        if let Some(task) = engine.waiting_tasks(Some(&running), 1).await.unwrap().pop() {
            break task.token;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let waiting: Vec<_> = (0..STARTS_MAX)
        .map(|n| {
            let (engine, request) = (engine.clone(), request(&machine, &format!("waits-{n}")));
            actix_rt::spawn(async move { engine.start_execution(request).await })
        })
        .collect();
    while engine.inner.pressure.figures().0 < STARTS_MAX {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Over the bound: refused at once, and told which.
    for n in 0..20 {
        let refused = engine.start_execution(request(&machine, &format!("too-many-{n}"))).await.unwrap_err();
        let EngineError::Busy(why) = refused else { panic!("{refused:?}") };
        assert!(why.starts_with("Rate exceeded: 5 starts wait for the store") && why.contains("engine.starts_max"), "{why}");
    }
    assert!(engine.metrics().lines().any(|line| line == "reveille_starts_throttled_total 20"));
    assert_eq!(engine.inner.pressure.figures().0, STARTS_MAX, "a refused start leaves nothing behind");
    // The reply of what runs is taken in meanwhile, and its execution ends.
    engine.complete_task(&token, Completion::Success(json!("done").into())).await.unwrap();
    let outcome = tokio::time::timeout(LONG, engine.await_end(&running)).await.unwrap().unwrap();
    assert!(matches!(outcome.result, Conclusion::Succeeded(_)), "{outcome:?}");
    // The store is quick again: all that was let in is there, and there is room.
    gate.add_permits(STARTS_MAX + 1);
    for started in tokio::time::timeout(LONG, join_all(waiting)).await.unwrap() {
        started.unwrap().unwrap();
    }
    engine.start_execution(request(&machine, "after")).await.unwrap();
    assert_eq!(engine.inner.pressure.figures().0, 0);
}
