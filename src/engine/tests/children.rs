//! A task that ends without its child has the child stopped: whatever ended it, and whenever the process dies.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::asl::{MachineType, parse};
use crate::bus::Settlement;
use crate::bus::embedded::EmbeddedBus;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::engine::api::EngineHandle;
use crate::engine::journal::{load, summary};
use crate::engine::support::{self, next, realm, request};
use crate::engine::types::{Asker, Completion, Options};
use crate::ids::{Arn, ExecutionId, PartitionId, TaskKey};
use crate::interpreter::event::Failure;
use crate::interpreter::state::Conclusion;
use crate::interpreter::stimulus::{Stimulus, StimulusKind};
use crate::interpreter::{Bounds, Env, TokenMint};
use crate::record;
use crate::store::memory::Memory;
use crate::store::{Append, Batch, Epoch, ExecutionFilter, ExecutionRow, ExecutionStatus, Journal};

use super::gated::Gated;

const LONG: Duration = Duration::from_mins(1);

/// A task that waits for a child whose own work takes for ever.
fn child_task(fields: Value) -> Value {
    let machine = realm().state_machine("child");
    let mut task = json!({
        "Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": { "StateMachineArn": machine },
    });
    if let (Value::Object(task), Value::Object(fields)) = (&mut task, fields) {
        task.extend(fields);
    }
    task
}

/// A machine of these states, started, with its child running.
async fn given(store: &Memory, engine: &EngineHandle, definition: &Value) -> (Arn, ExecutionRow) {
    let long = json!({ "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": 10_000, "End": true } } });
    support::machine(store, "child", &long).await;
    let machine = support::machine(store, "parent", definition).await;
    let parent = engine.start_execution(request(&machine, "p", "{}")).await.unwrap().arn;
    let child = eventually(store, |rows| rows.iter().find(|row| row.header.parent.is_some()).cloned()).await;
    (parent, child)
}

/// The shown executions of the store, once all are there.
async fn eventually<T>(store: &Memory, seen: impl Fn(&[ExecutionRow]) -> Option<T>) -> T {
    let look = async {
        loop {
            let rows = store.list(ExecutionFilter { limit: 100, ..ExecutionFilter::default() }).await.unwrap();
            if let Some(found) = seen(&rows) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, look).await.expect("it does not come to be")
}

async fn closes(store: &Memory, id: ExecutionId, status: ExecutionStatus) {
    eventually(store, |rows| rows.iter().find(|row| row.header.id == id && row.summary.status == status).map(drop))
        .await;
}

/// The parent has nothing left to do for its child.
async fn is_settled(store: &Memory, parent: ExecutionId) {
    eventually(store, |rows| {
        rows.iter().find(|r| r.header.id == parent && !r.summary.owes && !r.summary.owes_parent).map(drop)
    })
    .await;
}

fn alone(task: &Value) -> Value {
    json!({ "StartAt": "T", "States": { "T": task } })
}

/// After a timeout the parent goes on for long. Its child must have begun before: a busy machine has ten seconds for
/// that.
fn caught() -> Value {
    json!({ "StartAt": "T", "States": {
        "T": child_task(json!({ "TimeoutSeconds": 10, "Catch": [{ "ErrorEquals": ["States.Timeout"], "Next": "W" }], "End": true })),
        "W": { "Type": "Wait", "Seconds": 10_000, "End": true },
    }})
}

#[actix_rt::test]
async fn a_timeout_stops_the_child_and_the_parent_goes_on() {
    let store = Memory::new();
    let engine = support::engine(&store).await;
    let (_, child) = given(&store, &engine, &caught()).await;
    closes(&store, child.header.id, ExecutionStatus::Aborted).await;
    let parent = child.header.parent.unwrap().execution;
    is_settled(&store, parent).await;
    assert!(store.execution(parent).await.unwrap().unwrap().summary.status.is_open());
}

#[actix_rt::test]
async fn a_failing_branch_stops_the_child_of_another() {
    let fails = json!({ "StartAt": "S", "States": {
        "S": { "Type": "Wait", "Seconds": 10, "Next": "F" }, "F": { "Type": "Fail", "Error": "E" },
    }});
    let parallel =
        json!({ "Type": "Parallel", "Branches": [alone(&child_task(json!({ "End": true }))), fails], "End": true });
    let store = Memory::new();
    let engine = support::engine(&store).await;
    let (_, child) = given(&store, &engine, &json!({ "StartAt": "P", "States": { "P": parallel } })).await;
    closes(&store, child.header.id, ExecutionStatus::Aborted).await;
    is_settled(&store, child.header.parent.unwrap().execution).await;
}

#[actix_rt::test]
async fn a_stop_goes_down_to_the_child() {
    let store = Memory::new();
    let engine = support::engine(&store).await;
    let (parent, child) = given(&store, &engine, &alone(&child_task(json!({ "End": true })))).await;
    engine.stop_execution(&parent, Failure::named("Enough")).await.unwrap();
    closes(&store, child.header.id, ExecutionStatus::Aborted).await;
    let closed = store.execution(child.header.id).await.unwrap().unwrap().summary.closed.unwrap();
    let cause = format!(
        "The Task state in AWS Step Functions execution [{parent}] which was managing this resource was aborted"
    );
    assert_eq!((closed.error, closed.cause), (None, Some(cause)));
    is_settled(&store, child.header.parent.unwrap().execution).await;
}

/// Another's execution that bears the child's name is let alone.
#[actix_rt::test]
async fn only_its_own_child_is_stopped() {
    let store = Memory::new();
    let engine = support::engine(&store).await;
    let mut task = child_task(json!({ "TimeoutSeconds": 2, "End": true }));
    task["Parameters"]["Name"] = json!("taken");
    task["Parameters"]["Input"] = json!({ "another": true });
    let long = json!({ "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": 10_000, "End": true } } });
    let machine = support::machine(&store, "child", &long).await;
    let other = engine.start_execution(request(&machine, "taken", "{}")).await.unwrap().arn;
    let parent = support::machine(&store, "parent", &alone(&task)).await;
    let parent = engine.start_execution(request(&parent, "p", "{}")).await.unwrap().arn;
    tokio::time::timeout(LONG, engine.await_end(&parent)).await.unwrap().unwrap();
    let row = store.execution_by_arn(&parent).await.unwrap().unwrap();
    is_settled(&store, row.header.id).await;
    assert!(engine.execution(&other).await.unwrap().summary.status.is_open());
}

/// A task whose child runs already: another caller has started it with this name and input.
fn same_start() -> Value {
    let mut task = child_task(json!({ "End": true }));
    task["Parameters"]["Name"] = json!("taken");
    task["Parameters"]["Input"] = json!({ "same": true });
    alone(&task)
}

/// That execution, and the tasks of so many parents, which follow it.
async fn followed(store: &Memory, engine: &EngineHandle, parents: usize) -> (ExecutionRow, Vec<Arn>) {
    let long = json!({ "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": 10_000, "End": true } } });
    let machine = support::machine(store, "child", &long).await;
    let other = engine.start_execution(request(&machine, "taken", r#"{"same":true}"#)).await.unwrap().arn;
    let parent = support::machine(store, "parent", &same_start()).await;
    let mut arns = Vec::new();
    for n in 0..parents {
        arns.push(engine.start_execution(request(&parent, &format!("p{n}"), "{}")).await.unwrap().arn);
    }
    let other = store.execution_by_arn(&other).await.unwrap().unwrap();
    let follows = async {
        while load::load(store, u64::MAX, other.header.id).await.unwrap().state.followers().len() < parents {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, follows).await.expect("the parents follow it");
    (other, arns)
}

async fn is_told(engine: &EngineHandle, parent: &Arn) {
    let end = tokio::time::timeout(LONG, engine.await_end(parent)).await.expect("the parent is told").unwrap();
    let Conclusion::Failed(failure) = end.result else { panic!("{end:?}") };
    assert_eq!(failure.error.as_deref(), Some("States.TaskFailed"));
    assert!(failure.cause.unwrap().contains(r#""Status":"ABORTED""#));
}

/// AWS: a start with the name and the input of an execution that runs answers with that execution, and `.sync` waits
/// for its end.
#[actix_rt::test]
async fn a_start_that_meets_a_running_execution_of_the_same_input_waits_for_it() {
    let store = Memory::new();
    let engine = support::engine(&store).await;
    let (other, parents) = followed(&store, &engine, 2).await;
    assert_eq!(other.header.parent, None, "it is nobody's child");
    engine.stop_execution(&other.header.arn, Failure::named("Enough")).await.unwrap();
    for parent in &parents {
        is_told(&engine, parent).await;
    }
    is_settled(&store, other.header.id).await;
}

#[actix_rt::test]
async fn who_follows_is_told_after_crashes() {
    let store = Memory::new();
    let engine = support::engine(&store).await;
    let (other, parents) = followed(&store, &engine, 1).await;
    engine.stop(LONG).await;
    // It ends, and the process dies before it has told anybody.
    let long = json!({ "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": 10_000, "End": true } } });
    let stop = StimulusKind::Stop(Failure::named("Enough"));
    written_and_not_done(&store, other.header.id, SystemClock.now(), stop, &long).await;
    let again = support::engine(&store).await;
    is_told(&again, &parents[0]).await;
    is_settled(&store, other.header.id).await;
    again.stop(LONG).await;
}

#[actix_rt::test]
async fn a_start_that_meets_another_input_or_an_end_finds_its_name_taken() {
    for (input, ended) in [("{}", false), (r#"{"same":true}"#, true)] {
        let store = Memory::new();
        let engine = support::engine(&store).await;
        let pass = if ended {
            json!({ "Type": "Pass", "End": true })
        } else {
            json!({ "Type": "Wait", "Seconds": 10_000, "End": true })
        };
        let machine = support::machine(&store, "child", &json!({ "StartAt": "S", "States": { "S": pass } })).await;
        let other = engine.start_execution(request(&machine, "taken", input)).await.unwrap().arn;
        if ended {
            tokio::time::timeout(LONG, engine.await_end(&other)).await.unwrap().unwrap();
        }
        let machine = support::machine(&store, "parent", &same_start()).await;
        let parent = engine.start_execution(request(&machine, "p", "{}")).await.unwrap().arn;
        let end = tokio::time::timeout(LONG, engine.await_end(&parent)).await.unwrap().unwrap();
        let Conclusion::Failed(failure) = end.result else { panic!("{end:?}") };
        assert_eq!(failure.error.as_deref(), Some("StepFunctions.ExecutionAlreadyExistsException"));
        assert!(failure.cause.unwrap().starts_with(&format!("Execution Already Exists: '{other}' (Service: ")));
        engine.stop(LONG).await;
    }
}

struct NoTokens;

impl TokenMint for NoTokens {
    fn token(&self, _: TaskKey) -> String {
        String::new()
    }
}

/// The entries of a process that dies before their effects.
async fn written_and_not_done(
    store: &Memory,
    execution: ExecutionId,
    at: Timestamp,
    kind: StimulusKind,
    definition: &Value,
) {
    let machine = parse(&definition.to_string(), MachineType::Standard).unwrap().machine;
    let mut state = load::load(store, u64::MAX, execution).await.unwrap().state;
    let after = state.version();
    let realm = realm();
    let env = Env { execution, realm: &realm, tokens: &NoTokens, bounds: Bounds::default(), holds_timeouts: false };
    let decision = crate::interpreter::decide(env, &machine, &mut state, Stimulus { at, entropy: 1, kind }).unwrap();
    let events = u32::try_from(decision.entries.len()).unwrap();
    let batch = Batch { after, events, bytes: record::encode(&decision.entries).unwrap() };
    let summary = summary::summary(&machine, &state, false);
    let partition = PartitionId::of(execution, 2);
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
}

#[actix_rt::test]
async fn a_child_is_stopped_after_a_crash_that_came_before_its_stop() {
    let later = SystemClock.now().plus(Duration::from_secs(10));
    let stop = StimulusKind::Stop(Failure::named("Enough"));
    let never = alone(&child_task(json!({ "End": true })));
    let mut slow = caught();
    slow["States"]["T"]["TimeoutSeconds"] = json!(100);
    let much_later = later.plus(Duration::from_secs(1_000));
    for (definition, at, kind) in [(never, later, stop), (slow, much_later, StimulusKind::Clock)] {
        let store = Memory::new();
        let engine = support::engine(&store).await;
        let (_, child) = given(&store, &engine, &definition).await;
        let parent = child.header.parent.unwrap().execution;
        engine.stop(LONG).await;
        written_and_not_done(&store, parent, at, kind, &definition).await;
        assert!(store.execution(child.header.id).await.unwrap().unwrap().summary.status.is_open());
        let again = support::engine(&store).await;
        closes(&store, child.header.id, ExecutionStatus::Aborted).await;
        is_settled(&store, parent).await;
        again.stop(LONG).await;
    }
}

#[actix_rt::test]
async fn a_parent_hears_of_its_child_although_this_node_took_nothing_in_for_a_while() {
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    let journal = Arc::new(Gated { looks: Arc::new(Semaphore::new(1)), ..Gated::over(&store) });
    let Gated { looks, looking, failing, .. } = &*journal;
    let (looks, looking, failing) = (Arc::clone(looks), Arc::clone(looking), Arc::clone(failing));
    // One thread: what follows a look follows it at once.
    let options = Options { threads: 0, ..support::small() };
    let parts = support::parts(journal, Arc::new(store.clone()), Arc::new(bus.clone()), options);
    let engine = crate::engine::lifecycle::start(parts).await.unwrap();
    let ask = json!({
        "Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
        "Parameters": {"Queue": "work", "Body.$": "$"}, "End": true,
    });
    support::machine(&store, "child", &alone(&ask)).await;
    let machine = support::machine(&store, "parent", &alone(&child_task(json!({ "End": true })))).await;
    let parent = engine.start_execution(request(&machine, "p", "{}")).await.unwrap().arn;
    let task = next(&bus, "work").await;
    let token = task.message.properties.correlation_id.clone().unwrap();
    task.settle(Settlement::Ack);
    let closed = Arc::clone(&looks).acquire_owned().await.unwrap();
    engine.complete_task(&token, Completion::Success(json!(7).into()), Asker::default()).await.unwrap();
    while looking.load(Ordering::Acquire) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The store does not answer for a moment, so beats are late.
    let seat = &engine.engine().services.seat;
    seat.good_until(Duration::ZERO, true);
    failing.store(looking.load(Ordering::Acquire), Ordering::Release);
    drop(closed);
    while failing.load(Ordering::Acquire) > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    seat.good_until(Duration::MAX, true);
    let end = tokio::time::timeout(LONG, engine.await_end(&parent)).await.expect("it ends").unwrap();
    assert!(matches!(end.result, Conclusion::Succeeded(_)), "{end:?}");
    engine.stop(LONG).await;
}
