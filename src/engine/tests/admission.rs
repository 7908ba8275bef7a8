//! A store that does not answer: new starts are refused at the bound, what runs goes on, and all that was let in ends.
//! A broker that takes nothing: notices that no one awaits are dropped. Very many timers at one moment: all are
//! handled. Closed executions leave after their time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};

use crate::bus::embedded::EmbeddedBus;
use crate::bus::{Address, Message, TaskBus};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::engine::api::EngineHandle;
use crate::engine::support;
use crate::engine::types::{Asker, Completion, EngineError, Options, StartRequest};
use crate::ids::Arn;
use crate::interpreter::event::Failure;
use crate::interpreter::state::Conclusion;
use crate::limits::EngineBounds;
use crate::store::memory::Memory;
use crate::store::{ExecutionStatus, Journal};

use super::gated::Gated;
use super::watched::Watched;

const STARTS_MAX: usize = 5;
const LONG: Duration = Duration::from_secs(30);

/// An engine on these ports, with one machine.
async fn engine(
    memory: &Memory,
    journal: Arc<dyn Journal>,
    bus: Arc<dyn TaskBus>,
    options: Options,
    definition: &Value,
) -> (EngineHandle, Arn) {
    let engine =
        crate::engine::lifecycle::start(support::parts(journal, Arc::new(memory.clone()), bus, options)).await.unwrap();
    let machine = support::machine(memory, "m", definition).await;
    (engine, machine)
}

/// A machine whose executions wait for a poller, on a store with a gate.
async fn given(gate: Arc<Semaphore>) -> (EngineHandle, Arn) {
    let memory = Memory::new();
    let activity = "arn:aws:states:us-east-1:000000000000:activity:paint";
    let definition = json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity, "End": true}}});
    let journal = Arc::new(Gated { gate, ..Gated::over(&memory) });
    let options = Options {
        partitions: 2,
        threads: 1,
        bounds: EngineBounds { starts_max: STARTS_MAX, ..EngineBounds::default() },
        ..Options::default()
    };
    engine(&memory, journal, Arc::new(EmbeddedBus::new()), options, &definition).await
}

fn request(machine: &Arn, name: &str) -> StartRequest {
    support::request(machine, name, "{}")
}

#[actix_rt::test]
async fn a_slow_store_refuses_starts_beyond_the_bound_and_lets_running_work_end() {
    // Room for one: the execution that runs while the store stands still.
    let gate = Arc::new(Semaphore::new(1));
    let (engine, machine) = given(Arc::clone(&gate)).await;
    let running = engine.start_execution(request(&machine, "running")).await.unwrap().arn;
    let token = loop {
        if let Some(task) = engine.waiting_tasks_of(&running).await.unwrap().pop() {
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
    while engine.engine().services.work_in_progress().0 < STARTS_MAX {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Over the bound: refused at once, and told which.
    for n in 0..20 {
        let refused = engine.start_execution(request(&machine, &format!("too-many-{n}"))).await.unwrap_err();
        let EngineError::Busy(why) = refused else { panic!("{refused:?}") };
        assert!(
            why.starts_with("Rate exceeded: 5 starts wait for the store") && why.contains("engine.starts_max"),
            "{why}"
        );
    }
    assert!(engine.metrics().await.lines().any(|line| line == "reveille_starts_throttled_total 20"));
    assert_eq!(engine.engine().services.work_in_progress().0, STARTS_MAX, "a refused start leaves nothing behind");
    // The reply of what runs is taken in meanwhile, and its execution ends.
    engine.complete_task(&token, Completion::Success(json!("done").into()), Asker::default()).await.unwrap();
    let outcome = tokio::time::timeout(LONG, engine.await_end(&running)).await.unwrap().unwrap();
    assert!(matches!(outcome.result, Conclusion::Succeeded(_)), "{outcome:?}");
    // The store is quick again: all that was let in is there, and there is room.
    gate.add_permits(STARTS_MAX + 1);
    for started in tokio::time::timeout(LONG, join_all(waiting)).await.unwrap() {
        started.unwrap().unwrap();
    }
    engine.start_execution(request(&machine, "after")).await.unwrap();
    assert_eq!(engine.engine().services.work_in_progress().0, 0);
}

fn starts(child: &Arn) -> Value {
    let start = "arn:aws:states:::states:startExecution";
    json!({"Type": "Task", "Resource": start, "Parameters": {"StateMachineArn": child}, "End": true})
}

#[actix_rt::test]
async fn children_take_turns_and_all_are_started() {
    let (memory, gate) = (Memory::new(), Arc::new(Semaphore::new(1)));
    let child = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}});
    let child = support::machine(&memory, "child", &child).await;
    // Forty at once of each Map.
    let branch = |n: usize| {
        let (map, start) = (format!("M{n}"), format!("S{n}"));
        let each = json!({"StartAt": start, "States": {&start: starts(&child)}});
        json!({"StartAt": map, "States": {&map: {"Type": "Map", "ItemsPath": "$", "ItemProcessor": each, "End": true}}})
    };
    let branches: Vec<Value> = (0..2 * crate::limits::CHILD_STARTS_AT_ONCE / 40).map(branch).collect();
    let count = 40 * branches.len();
    let journal = Arc::new(Gated { gate: Arc::clone(&gate), ..Gated::over(&memory) });
    let options = Options { partitions: 2, threads: 1, ..Options::default() };
    let all = json!({"StartAt": "A", "States": {"A": {"Type": "Parallel", "Branches": branches, "End": true}}});
    let (engine, machine) = engine(&memory, journal, Arc::new(EmbeddedBus::new()), options, &all).await;
    let input = json!(vec![0; 40]).to_string();
    let parent = engine.start_execution(support::request(&machine, "parent", &input)).await.unwrap().arn;
    while engine.engine().services.work_in_progress().0 < crate::limits::CHILD_STARTS_AT_ONCE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let under_way = engine.engine().services.work_in_progress().0;
    assert_eq!(under_way, crate::limits::CHILD_STARTS_AT_ONCE, "the store is given no more at once");
    gate.add_permits(count);
    let outcome = tokio::time::timeout(LONG, engine.await_end(&parent)).await.unwrap().unwrap();
    assert!(matches!(outcome.result, Conclusion::Succeeded(_)), "{outcome:?}");
    assert_eq!(engine.engine().services.work_in_progress().0, 0);
}

/// A machine that starts itself may hold all the room that its children wait for.
#[test]
fn the_start_of_a_child_that_finds_no_room_in_memory_fails_after_a_while() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    actix_rt::System::with_tokio_rt(runtime).block_on(async {
        let memory = Memory::new();
        // The parent alone takes half of it.
        let room = 2 * crate::limits::EXECUTION_OWN_BYTES;
        let options = Options {
            partitions: 1,
            threads: 0,
            bounds: EngineBounds { memory_bytes_max: room, ..EngineBounds::default() },
            ..Options::default()
        };
        let itself = json!({"StartAt": "S", "States": {"S": starts(&support::realm().state_machine("m"))}});
        let clock = Arc::new(Runtimes(tokio::time::Instant::now()));
        let bus = Arc::new(EmbeddedBus::new());
        let parts = support::parts(Arc::new(memory.clone()), Arc::new(memory.clone()), bus, options);
        let engine = crate::engine::lifecycle::start(crate::engine::types::Parts { clock, ..parts }).await.unwrap();
        let machine = support::machine(&memory, "m", &itself).await;
        let began = tokio::time::Instant::now();
        let parent = engine.start_execution(request(&machine, "parent")).await.unwrap().arn;
        let outcome = tokio::time::timeout(60 * LONG, engine.await_end(&parent)).await.unwrap().unwrap();
        let Conclusion::Failed(failure) = outcome.result else { panic!("{outcome:?}") };
        assert_eq!(failure.error.as_deref(), Some("StepFunctions.ExecutionLimitExceededException"));
        assert!(failure.cause.unwrap().contains("engine.memory_bytes_max"));
        assert!(began.elapsed() >= crate::limits::CHILD_PATIENCE);
    });
}

/// Goes with the runtime's time, which a test lets pass at once.
#[derive(Debug)]
struct Runtimes(tokio::time::Instant);

impl Clock for Runtimes {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

#[actix_rt::test]
async fn a_stop_has_one_time_for_all_that_it_waits_for() {
    let wait = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 900, "End": true}}});
    let options = || Options { partitions: 1, threads: 1, ..Options::default() };
    // Nothing is under way: all of it is left for the bus.
    let (memory, bus) = (Memory::new(), Arc::new(Watched::blocked()));
    let (idle, _) = engine(&memory, Arc::new(memory.clone()), Arc::<Watched>::clone(&bus), options(), &wait).await;
    idle.stop(LONG).await;
    assert!(*bus.closed_within.get().unwrap() > Duration::ZERO);
    // An append that stands still takes all of it: nothing is left.
    let (memory, bus) = (Memory::new(), Arc::new(Watched::blocked()));
    let stands = Arc::new(Notify::new());
    let gate = Arc::new(Semaphore::new(1));
    let journal = Arc::new(Gated { gate, stands: Some(Arc::clone(&stands)), ..Gated::over(&memory) });
    let (engine, machine) = engine(&memory, journal, Arc::<Watched>::clone(&bus), options(), &wait).await;
    let arn = engine.start_execution(request(&machine, "e")).await.unwrap().arn;
    let stopping = engine.clone();
    actix_rt::spawn(async move { stopping.stop_execution(&arn, Failure::default()).await });
    stands.notified().await;
    engine.stop(Duration::from_secs(1)).await;
    assert_eq!(bus.closed_within.get(), Some(&Duration::ZERO));
}

#[actix_rt::test]
async fn news_that_a_blocked_broker_does_not_take_is_dropped_beyond_the_bound() {
    let memory = Memory::new();
    let options = Options { partitions: 1, threads: 1, ..Options::default() };
    let (engine, _) =
        engine(&memory, Arc::new(memory.clone()), Arc::new(Watched::blocked()), options, &json!({})).await;
    let to = Address { exchange: String::new(), routing_key: "worker.inbox".to_owned() };
    for _ in 0..crate::limits::ASIDES_MAX + 7 {
        engine.engine().services.publish_best_effort(to.clone(), Message::default());
    }
    let text = engine.metrics().await;
    assert!(text.lines().any(|line| line == "reveille_asides_dropped_total 7"), "{text}");
}

#[actix_rt::test]
async fn tasks_that_a_blocked_broker_does_not_take_bound_the_starts_and_the_refusal_says_why() {
    let memory = Memory::new();
    let task = json!({"Type": "Task", "Resource": "arn:aws:states:::amqp:call", "Parameters": {"RoutingKey": "q", "Body": {}}, "End": true});
    let definition = json!({"StartAt": "T", "States": {"T": task}});
    let options = Options {
        partitions: 2,
        threads: 1,
        bounds: EngineBounds { unpublished_max: 4, ..EngineBounds::default() },
        ..Options::default()
    };
    let (engine, machine) =
        engine(&memory, Arc::new(memory.clone()), Arc::new(Watched::blocked()), options, &definition).await;
    for n in 0..4_usize {
        engine.start_execution(request(&machine, &format!("n-{n}"))).await.unwrap();
        while engine.engine().services.work_in_progress().1 <= n {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let refused = engine.start_execution(request(&machine, "one-more")).await.unwrap_err();
    let EngineError::Busy(why) = refused else { panic!("{refused:?}") };
    assert!(why.contains("4 task messages wait for the broker") && why.contains("low on memory"), "{why}");
    // An execution that is stopped takes its message with it, and there is room again.
    engine.stop_execution(&engine.realm().execution("m", "n-0"), Failure::default()).await.unwrap();
    while engine.engine().services.work_in_progress().1 >= 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    engine.start_execution(request(&machine, "one-more")).await.unwrap();
}

#[actix_rt::test]
async fn more_timers_at_one_moment_than_are_handled_at_once_all_fire() {
    let memory = Memory::new();
    let at = SystemClock.now().plus_seconds(4.0).iso();
    let definition = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Timestamp": at, "End": true}}});
    let options = Options { partitions: 1, threads: 1, ..Options::default() };
    let (engine, machine) =
        engine(&memory, Arc::new(memory.clone()), Arc::new(EmbeddedBus::new()), options, &definition).await;
    let count = 2 * crate::limits::FIRING_MAX + 100;
    let mut started = Vec::new();
    for n in 0..count {
        started.push(engine.start_execution(request(&machine, &format!("n-{n}"))).await.unwrap().arn);
    }
    for arn in &started {
        let outcome = tokio::time::timeout(2 * LONG, engine.await_end(arn)).await.unwrap().unwrap();
        assert!(matches!(outcome.result, Conclusion::Succeeded(_)), "{outcome:?}");
    }
}

#[actix_rt::test]
async fn a_closed_execution_leaves_the_store_after_its_time_and_an_open_one_stays() {
    let memory = Memory::new();
    let wait = json!({"Type": "Wait", "SecondsPath": "$.seconds", "End": true});
    let definition = json!({"StartAt": "W", "States": {"W": wait}});
    let tick = Duration::from_millis(10);
    let options =
        Options { partitions: 1, threads: 1, retention: tick, sweep: tick, horizon: 2 * tick, ..Options::default() };
    let (engine, machine) =
        engine(&memory, Arc::new(memory.clone()), Arc::new(EmbeddedBus::new()), options, &definition).await;
    let open = engine
        .start_execution(StartRequest { input: r#"{"seconds":900}"#.into(), ..request(&machine, "open") })
        .await
        .unwrap()
        .arn;
    let brief = engine
        .start_execution(StartRequest { input: r#"{"seconds":0}"#.into(), ..request(&machine, "brief") })
        .await
        .unwrap()
        .arn;
    let gone = async {
        while engine.execution(&brief).await.is_ok() {
            tokio::time::sleep(tick).await;
        }
    };
    tokio::time::timeout(LONG, gone).await.expect("it leaves");
    assert_eq!(engine.execution(&open).await.unwrap().summary.status, ExecutionStatus::Running);
}
