//! Tasks that wait for a child execution, and what happens to the child when they end without it.

use super::*;
use crate::ids::{ExecutionId, TaskKey};
use crate::limits::FOLLOWERS_MAX;

const CHILD: &str = "arn:aws:states:::states:startExecution.sync:2";

/// One task `T` that waits for a child.
fn waits(fields: Value) -> Value {
    let mut state = task(CHILD, fields);
    state["Parameters"] = json!({ "StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:child" });
    state
}

fn child_stopped(id: u64) -> StimulusKind {
    StimulusKind::ChildStopped { scheduled: EventId(id) }
}

fn left(given: &Given) -> Vec<u64> {
    given.0.state.left_children().map(|(id, _)| id.0).collect()
}

/// `T` times out, is caught, and the execution goes on.
fn goes_on() -> Given {
    let caught = json!({ "TimeoutSeconds": 10, "Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "W" }] });
    let wait = json!({ "Type": "Wait", "Seconds": 100, "End": true });
    let given = Given::states("T", json!({ "T": waits(caught), "W": wait })).after(dispatched(3)).seconds_later(10);
    given.when(StimulusKind::Clock).then(
        "6<-5 TaskTimedOut
         7<-6 TaskStateExited
         8<-7 WaitStateEntered
         - WaitScheduled
         ! Cancel 3 timeout
         ! StopChild 3",
    )
}

#[test]
fn a_timeout_leaves_the_child_to_be_stopped_once() {
    let given = goes_on();
    assert_eq!(left(&given), [3]);
    let given = given.when(child_stopped(3)).then("- ChildStopped");
    assert_eq!(left(&given), [0; 0]);
    given.when(child_stopped(3)).rejected(Rejection::Duplicate).when(success(3)).rejected(Rejection::Late);
}

#[test]
fn the_stop_is_owed_until_it_is_done() {
    let owed = |given: &Given| super::super::owed(&given.0.folded(), true);
    let given = goes_on();
    assert!(owed(&given).contains(&Command::StopChild { scheduled: EventId(3) }));
    let given = given.when(child_stopped(3)).then("- ChildStopped");
    assert_eq!(owed(&given), []);
}

#[test]
fn a_failing_sibling_leaves_the_child_too() {
    let branch = |state: Value| json!({ "StartAt": "T", "States": { "T": state } });
    let parallel = json!({
        "Type": "Parallel",
        "Branches": [branch(waits(json!({}))), { "StartAt": "B", "States": { "B": task(CALLBACK, json!({})) } }],
        "Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "W" }],
        "End": true,
    });
    let given = Given::states("P", json!({ "P": parallel, "W": { "Type": "Wait", "Seconds": 100, "End": true } }));
    let tasks: Vec<u64> = given.0.state.tasks().map(|t| t.task.scheduled.0).collect();
    let given = given.after(dispatched(tasks[0])).after(dispatched(tasks[1])).after(failure(tasks[1]));
    assert_eq!(left(&given), [tasks[0]]);
    given.after(child_stopped(tasks[0])).when(child_stopped(tasks[0])).rejected(Rejection::Duplicate);
}

/// Nothing follows the end of an execution: the shell asks the state what the end left behind.
#[test]
fn an_end_leaves_its_children_and_orders_nothing_more() {
    for (kind, shown) in [(stop(), "6<-0 ExecutionAborted"), (failure(3), "6<-5 TaskFailed\n7<-6 ExecutionFailed")] {
        let by_child = matches!(kind, StimulusKind::TaskFailed { .. });
        let given = Given::states("T", json!({ "T": waits(json!({})) })).after(dispatched(3));
        let cancel = if by_child { "" } else { "\n! Cancel 3 stopped" };
        let given = given.when(kind).then(&format!("{shown}{cancel}\n! Finish"));
        assert_eq!(left(&given), if by_child { vec![] } else { vec![3] }, "a child that has ended is not left behind");
        if !by_child {
            given.when(child_stopped(3)).then("");
        }
    }
}

#[test]
fn a_redrive_orders_again_what_the_end_left_behind() {
    let given = Given::states("T", json!({ "T": waits(json!({})) })).after(dispatched(3)).after(stop());
    let mut given = given.when(StimulusKind::Redrive { token: None }).then(
        "7<-6 ExecutionRedriven
         8<-5 TaskScheduled
         9<-8 TaskStarted
         ! Dispatch 8
         ! StopChild 3",
    );
    given = given.when(child_stopped(3)).then("- ChildStopped");
    assert_eq!(left(&given), [0; 0]);
}

/// The others have no child of their own: a plain start is done when the child is there, a callback's child answers by
/// its token.
#[test]
fn only_tasks_that_wait_for_a_child_leave_one() {
    for resource in
        [CALLBACK, "arn:aws:states:::states:startExecution.waitForTaskToken", "arn:aws:states:::glue:startJobRun.sync"]
    {
        let mut state = task(resource, json!({}));
        state["Parameters"] =
            json!({ "StateMachineArn": "m", "QueueUrl": "q", "MessageBody": {}, "Input": { "t.$": "$$.Task.Token" } });
        let given = Given::states("T", json!({ "T": state })).after(dispatched(3)).after(stop());
        assert_eq!(left(&given), [0; 0], "{resource}");
    }
}

/// Another execution's task whose start met this one.
#[test]
fn an_execution_remembers_who_waits_for_it_until_it_is_redriven() {
    let task = |n: u128| TaskKey { execution: ExecutionId(uuid::Uuid::from_u128(n)), scheduled: EventId(3) };
    let follow = |n: u128| StimulusKind::Follow { task: task(n) };
    let given = goes_on().when(follow(1)).then("- ExecutionFollowed");
    let given = given.when(follow(1)).rejected(Rejection::Duplicate).after(follow(2));
    let given = given.after(stop()).when(follow(3)).rejected(Rejection::NotApplicable("closed"));
    assert_eq!(given.0.state.followers(), [task(1), task(2)]);
    let given = given.after(StimulusKind::Redrive { token: None });
    assert_eq!(given.0.state.followers(), []);

    let full = (1..=FOLLOWERS_MAX as u128).fold(given, |given, n| given.after(follow(n)));
    full.when(follow(0)).rejected(Rejection::NotApplicable("awaited by as many tasks as may be"));
}
