//! An engine in memory, watched as `run` and `demo` watch it: a callback waits, is answered, and the view tells so.

use reveille::payload::Payload;
use std::sync::Arc;

use reveille::bus::embedded::EmbeddedBus;
use reveille::cli::screen::Screen;
use reveille::cli::watch::watch;
use reveille::clock::{Clock, SystemClock};
use reveille::engine::{self, Completion, Parts, StartRequest};
use reveille::ids::Realm;
use reveille::store::memory::Memory;
use reveille::store::{Catalog, ExecutionStatus, MachineRow, MachineType, Revision, RevisionId};
use reveille::telemetry::Metrics;
use reveille::token::{TokenKeys, new_secret};

const DEFINITION: &str = r#"{
  "StartAt": "Both",
  "States": {"Both": {"Type": "Parallel", "End": true, "Branches": [
    {"StartAt": "Ask", "States": {"Ask": {"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
      "Parameters": {"Queue": "friend", "Body": {}}, "TimeoutSeconds": 60, "End": true}}},
    {"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": true}}}
  ]}}
}"#;

#[actix_rt::test]
async fn a_callback_is_seen_waiting_then_answered() {
    let (clock, store, bus) = (Arc::new(SystemClock), Arc::new(Memory::new()), Arc::new(EmbeddedBus::new()));
    let realm = Realm::new("us-east-1", "123456789012");
    let arn = realm.state_machine("ask");
    let revision = Revision {
        id: RevisionId(uuid::Uuid::from_u128(1)),
        machine: arn.clone(),
        initial: true,
        definition: DEFINITION.to_owned(),
        role_arn: "arn:aws:iam::123456789012:role/r".to_owned(),
        configuration: serde_json::json!({}),
        made: clock.now(),
    };
    let machine = MachineRow {
        arn: arn.clone(),
        name: "ask".to_owned(),
        kind: MachineType::Standard,
        created: clock.now(),
        deleting: false,
        revision,
    };
    store.put_machine(machine).await.unwrap();
    let friend = reveille::bus::QueueSpec::plain("friend".to_owned(), reveille::bus::QueueKind::Classic);
    reveille::bus::TaskBus::declare(&*bus, Vec::new(), vec![friend], Vec::new()).await.unwrap();
    let engine = engine::start(Parts {
        ownership: None,
        realm,
        clock,
        journal: store.clone(),
        catalog: store,
        bus,
        tokens: TokenKeys::parse(&new_secret()).unwrap(),
        table: reveille::integrations::ServiceTable::default(),
        metrics: Metrics::new(),
        options: engine::Options::default(),
    })
    .await
    .unwrap();
    let request = StartRequest {
        machine: arn,
        name: Some("spring".to_owned()),
        input: "{}".to_owned(),
        trace_header: None,
        trace: None,
    };
    let started = engine.start_execution(request).await.unwrap();

    let mut screen = Screen::new(std::io::sink(), true);
    let glance = watch(&engine, &started.arn, &mut screen, |glance| glance.waiting.iter().any(|task| task.submitted))
        .await
        .unwrap();
    let lines: Vec<String> = glance.lines.iter().map(reveille::cli::progress::Line::plain).collect();
    assert!(lines[0].starts_with("spring  running for "), "{lines:#?}");
    assert_eq!(lines[1], "● Both", "{lines:#?}");
    assert!(lines[2].starts_with("  ├ ◌ Ask  waits for an answer from ") && lines[2].contains("friend"), "{lines:#?}");
    assert_eq!(lines[3], "  └ ✓ Pass", "{lines:#?}");

    let answer = Completion::Success(Payload::new(serde_json::json!({"name": "Vera"})));
    let tasks = engine.waiting_tasks_of(&started.arn).await.unwrap();
    engine.complete_task(&tasks[0].token, answer, reveille::engine::Asker::default()).await.unwrap();
    let glance = watch(&engine, &started.arn, &mut screen, |_| false).await.unwrap();
    assert_eq!(glance.row.summary.status, ExecutionStatus::Succeeded);
    assert!(glance.lines[0].plain().starts_with("spring  SUCCEEDED after "));
    assert_eq!(glance.lines[2].plain(), "  ├ ✓ Ask");
}
