//! Redrive of an execution whose map run had failed, was stopped, or is redriven while the engine dies.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bus::ExchangeSpec;
use crate::engine::coordination::map_run::runs::Claim;
use crate::engine::coordination::map_run::tests::{Given, map, succeeded};
use crate::engine::types::HistoryQuery;
use crate::ids::{Arn, EventId};
use crate::interpreter::event::{Entry, Event, Failure};
use crate::interpreter::state::Conclusion;
use crate::store::{ExecutionFilter, ExecutionRow, ExecutionStatus, Journal, MapRunRow};

/// Succeeds where its item says `ok`, or once it is redriven; then waits so many seconds.
fn checks(seconds: u64) -> Value {
    let check =
        "{% $states.input.ok or $states.context.Execution.RedriveCount > 0 ? $states.input.n : $error('not yet') %}";
    let states = json!({
        "Check": { "Type": "Pass", "QueryLanguage": "JSONata", "Output": check, "Next": "Rest" },
        "Rest": { "Type": "Wait", "Seconds": seconds, "End": true },
    });
    let mut machine = map(json!({ "MaxConcurrency": 1 }), json!({ "Type": "Succeed" }));
    let processor = &mut machine["States"]["Map"]["ItemProcessor"];
    processor["StartAt"] = json!("Check");
    processor["States"] = states;
    machine
}

fn items() -> Value {
    json!([{ "n": 0, "ok": true }, { "n": 1 }, { "n": 2, "ok": true }, { "n": 3 }])
}

impl Given {
    /// Children in the order of their items.
    async fn children(&self, run: &Arn) -> Vec<ExecutionRow> {
        let filter = ExecutionFilter { map_run: Some(run.clone()), limit: 100, ..ExecutionFilter::default() };
        let mut rows = self.store.list(filter).await.unwrap();
        rows.sort_by_key(|row| row.header.item_index);
        rows
    }

    async fn redrives(&self, execution: &Arn) -> Vec<u32> {
        let page = self.engine.history(execution, HistoryQuery::default()).await.unwrap();
        let of_run = page.entries.into_iter().filter_map(|entry| match entry.event {
            Event::MapRunRedriven { redrive_count, .. } => Some(redrive_count),
            _ => None,
        });
        of_run.collect()
    }

    async fn ended_run(&self, execution: &Arn) -> MapRunRow {
        self.map_run(execution, |row| row.stopped.is_some()).await
    }
}

#[actix_rt::test]
async fn what_failed_runs_again_and_what_succeeded_is_kept() {
    let given = Given::new(&checks(0)).await;
    let execution = given.begin(&items()).await;
    assert!(matches!(given.end(&execution).await, Conclusion::Failed(_)));
    let first = given.ended_run(&execution).await;
    let child = given.children(&first.arn).await[0].header.arn.clone();
    assert!(given.engine.redrive_execution(&child, None).await.is_err(), "a child is redriven with its run only");

    // The second child is redriven, the third begins, the fourth begins and fails.
    given.engine.redrive_execution(&execution, None).await.unwrap();
    assert!(matches!(given.end(&execution).await, Conclusion::Failed(_)));
    let row = given.ended_run(&execution).await;
    assert_eq!((&row.arn, &row.body["status"], &row.body["redriveCount"]), (&first.arn, &json!("FAILED"), &json!(1)));
    assert!(row.body["redriveDate"].is_number(), "{}", row.body);

    given.engine.redrive_execution(&execution, None).await.unwrap();
    assert_eq!(given.end(&execution).await, succeeded(json!([0, 1, 2, 3])));
    let row = given.ended_run(&execution).await;
    assert_eq!((&row.body["status"], &row.body["redriveCount"]), (&json!("SUCCEEDED"), &json!(2)));
    assert_eq!((&row.body["itemCounts"]["succeeded"], &row.body["itemCounts"]["total"]), (&json!(4), &json!(4)));
    let counts: Vec<u32> = given.children(&row.arn).await.iter().map(|child| child.summary.redrive_count).collect();
    assert_eq!((counts, given.redrives(&execution).await), (vec![0, 1, 0, 1], vec![1, 2]));
}

impl Given {
    async fn topic(&self, name: &str) {
        let exchange = ExchangeSpec { name: name.to_owned(), kind: "fanout" };
        self.engine.engine().services.bus.declare(vec![exchange], Vec::new(), Vec::new()).await.unwrap();
    }
}

/// An express child begins from its start, as on AWS.
#[actix_rt::test]
async fn express_children_that_failed_begin_again() {
    let mut machine = map(json!({ "MaxConcurrency": 1 }), json!({ "Type": "Succeed" }));
    let processor = &mut machine["States"]["Map"]["ItemProcessor"];
    processor["ProcessorConfig"]["ExecutionType"] = json!("EXPRESS");
    processor["StartAt"] = json!("Count");
    processor["States"] = json!({
        "Count": { "Type": "Pass", "Parameters": { "n.$": "States.MathAdd($.n, 10)", "topic.$": "$.topic" }, "Next": "Send" },
        "Send": {
            "Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Parameters": { "TopicArn.$": "$.topic", "Message": "m" },
            "ResultPath": null, "OutputPath": "$.n", "End": true,
        },
    });
    let given = Given::new(&machine).await;
    given.topic("there").await;
    let items = json!([{ "n": 0, "topic": "arn:aws:sns:us-east-1:123456789012:there" }, { "n": 1, "topic": "arn:aws:sns:us-east-1:123456789012:later" }, { "n": 2, "topic": "arn:aws:sns:us-east-1:123456789012:there" }]);
    let execution = given.begin(&items).await;
    assert!(matches!(given.end(&execution).await, Conclusion::Failed(_)), "the second item's topic is not there");
    given.topic("later").await;
    given.engine.redrive_execution(&execution, None).await.unwrap();
    assert_eq!(given.end(&execution).await, succeeded(json!([10, 11, 12])));
    let run = given.ended_run(&execution).await.arn;
    let counts: Vec<u32> = given.children(&run).await.iter().map(|child| child.summary.redrive_count).collect();
    assert_eq!(counts, [0, 1, 0]);
}

#[actix_rt::test]
async fn a_run_that_was_stopped_goes_on() {
    let given = Given::new(&checks(2)).await;
    let execution = given.begin(&json!([{ "n": 0, "ok": true }, { "n": 1, "ok": true }])).await;
    let run = given.map_run(&execution, |row| row.body["executionCounts"]["succeeded"] == 1).await.arn;
    given.engine.stop_execution(&execution, Failure::default()).await.unwrap();
    given.engine.redrive_execution(&execution, None).await.unwrap();
    assert_eq!(given.end(&execution).await, succeeded(json!([0, 1])));
    let counts: Vec<u32> = given.children(&run).await.iter().map(|child| child.summary.redrive_count).collect();
    assert!(counts[0] == 0 && counts.len() == 2, "{counts:?}");
    assert_eq!(given.ended_run(&execution).await.arn, run);
}

#[actix_rt::test]
async fn an_engine_that_dies_in_a_redrive_redrives_no_child_twice() {
    let given = Given::new(&checks(3)).await;
    let execution = given.begin(&json!([{ "n": 0, "ok": true }, { "n": 1 }, { "n": 2, "ok": true }])).await;
    assert!(matches!(given.end(&execution).await, Conclusion::Failed(_)));
    given.engine.redrive_execution(&execution, None).await.unwrap();
    let run = given.map_run(&execution, |row| row.stopped.is_none()).await.arn;
    for _ in 0..1_000 {
        let open = given
            .children(&run)
            .await
            .iter()
            .any(|c| c.summary.redrive_count == 1 && c.summary.status == ExecutionStatus::Running);
        if open {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let given = given.kill().await;
    assert_eq!(given.end(&execution).await, succeeded(json!([0, 1, 2])));
    let counts: Vec<u32> = given.children(&run).await.iter().map(|child| child.summary.redrive_count).collect();
    assert_eq!((counts, given.redrives(&execution).await), (vec![0, 1, 0], vec![1]));
}

/// AWS answers a repeated `clientToken` with the redrive that was; a restart in between makes no difference.
#[actix_rt::test]
async fn a_client_token_is_known_to_the_store_that_is_opened_again() {
    let given = Given::new(&json!({ "StartAt": "F", "States": { "F": { "Type": "Fail", "Error": "E" } } })).await;
    let execution = given.begin(&json!({})).await;
    given.end(&execution).await;
    assert_eq!(given.engine.redriven_with(&execution, "once").await.unwrap(), None);
    let at = given.engine.redrive_execution(&execution, Some("once")).await.unwrap();
    given.end(&execution).await;
    let given = given.kill().await;
    assert_eq!(given.engine.redriven_with(&execution, "once").await.unwrap(), Some(at));
    assert_eq!(given.engine.redrive_execution(&execution, Some("once")).await.unwrap(), at);
    assert_eq!(given.engine.redriven_with(&execution, "another").await.unwrap(), None);
    assert_eq!(given.engine.execution(&execution).await.unwrap().summary.redrive_count, 1);
    given.engine.redrive_execution(&execution, Some("another")).await.unwrap();
    given.end(&execution).await;
    assert_eq!(given.engine.execution(&execution).await.unwrap().summary.redrive_count, 2);
}

/// Two children fail, and are redriven one after the other: the second waits for its turn.
#[actix_rt::test]
async fn a_child_that_is_not_redriven_yet_is_pending() {
    let mut machine = checks(600);
    machine["States"]["Map"]["ToleratedFailureCount"] = json!(1);
    let given = Given::new(&machine).await;
    let execution = given.begin(&json!([{ "n": 0 }, { "n": 1 }, { "n": 2 }])).await;
    assert!(matches!(given.end(&execution).await, Conclusion::Failed(_)));
    let run = given.ended_run(&execution).await.arn;
    let statuses = |given: &Given, children: Vec<ExecutionRow>| {
        let engine = given.engine.clone();
        async move {
            let mut seen = Vec::new();
            for child in children {
                seen.push(engine.execution(&child.header.arn).await.unwrap().summary.status);
            }
            seen
        }
    };
    let children = given.children(&run).await;
    assert_eq!(statuses(&given, children).await, [ExecutionStatus::Failed, ExecutionStatus::Failed]);
    given.engine.redrive_execution(&execution, None).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3_000 {
        seen = statuses(&given, given.children(&run).await).await;
        if seen[0] == ExecutionStatus::Running {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(seen, [ExecutionStatus::Running, ExecutionStatus::PendingRedrive], "the third was never started");
    let row = given.map_run(&execution, |row| row.body["executionCounts"]["pendingRedrive"] == 1).await;
    assert_eq!((&row.body["itemCounts"]["pendingRedrive"], &row.body["itemCounts"]["pending"]), (&json!(1), &json!(1)));
    // A restart does not forget it.
    let given = given.kill().await;
    assert_eq!(statuses(&given, given.children(&run).await).await[1], ExecutionStatus::PendingRedrive);
    given.engine.stop_execution(&execution, Failure::default()).await.unwrap();
    given.ended_run(&execution).await;
    let seen = statuses(&given, given.children(&run).await).await;
    assert_eq!(seen, [ExecutionStatus::Aborted, ExecutionStatus::Failed]);
}

/// A run's row tells its end a moment before its runner is gone, and a redrive may come in between.
#[actix_rt::test]
async fn a_redrive_waits_for_the_runner_of_the_attempt_before() {
    let given = Given::new(&checks(0)).await;
    let execution = given.begin(&json!([{ "n": 0, "ok": true }, { "n": 1 }])).await;
    assert!(matches!(given.end(&execution).await, Conclusion::Failed(_)));
    let run = given.ended_run(&execution).await.arn;
    let runs = given.engine.engine().coordinator.map_runs();
    let (messages, listening) = loop {
        if let Claim::Given(messages, listening) = runs.claim(&run, EventId(1)) {
            break (messages, listening);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    given.engine.redrive_execution(&execution, None).await.unwrap();
    for _ in 0..1_000 {
        // Ours, the table's, and that of the attempt that waits.
        if messages.strong_count() > 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(given.ended_run(&execution).await.stopped.is_some(), "it has not begun");
    drop(listening);
    runs.release(&run);
    assert_eq!(given.end(&execution).await, succeeded(json!([0, 1])));
}

/// A stop of a run is repeated until the run's end is written, and may come late. It does not concern the attempt that
/// a redrive has begun since.
#[actix_rt::test]
async fn a_late_stop_does_not_meet_the_attempt_after() {
    let given = Given::new(&checks(3)).await;
    let execution = given.begin(&json!([{ "n": 0, "ok": true }, { "n": 1 }])).await;
    assert!(matches!(given.end(&execution).await, Conclusion::Failed(_)));
    let ended = given.ended_run(&execution).await;
    let page = given.engine.history(&execution, HistoryQuery::default()).await.unwrap();
    let begun = |entry: &Entry| matches!(entry.event, Event::MapRunStarted { .. }).then_some(entry.id);
    let first = page.entries.iter().find_map(begun).unwrap();
    given.engine.redrive_execution(&execution, None).await.unwrap();
    given.map_run(&execution, |row| row.stopped.is_none()).await;
    let stopped = given.engine.engine().coordinator.run_ended(ended.execution, &ended.arn, first);
    tokio::time::timeout(Duration::from_mins(1), stopped).await.expect("that one has ended");
    assert_eq!(given.end(&execution).await, succeeded(json!([0, 1])));
}
