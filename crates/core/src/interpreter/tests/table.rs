//! Given (an execution with its stimuli so far) / when (a stimulus) / then (events and commands), for the decisions
//! that matter.
//!
//! An event is written as in a history, `id<-previous Type`; a hidden one as `- Type`; a command as `! Command`.
#![expect(clippy::needless_pass_by_value, reason = "what is given is written in place, as json!({ … })")]

use crate::payload::Payload;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{World, name};
use crate::ids::EventId;
use crate::interpreter::command::Command;
use crate::interpreter::event::{Entry, Event, Failure};
use crate::interpreter::state::Conclusion;
use crate::interpreter::stimulus::{Rejection, StimulusKind};

mod bounds;
mod children;
mod limits;
mod redrive;
mod time;

/// The execution under test.
struct Given(World);

impl Given {
    /// A machine of these states that was started with `{}`.
    fn states(start: &str, states: Value) -> Self {
        Self::machine(json!({ "StartAt": start, "States": states }))
    }

    fn machine(definition: Value) -> Self {
        let mut world = World::new(&definition);
        world.start(json!({}));
        world.commands.clear();
        Self(world)
    }

    /// One task state `T` with these fields, on a callback resource.
    fn callback(fields: Value) -> Self {
        Self::states("T", json!({ "T": task(CALLBACK, fields) }))
    }

    fn after(mut self, kind: StimulusKind) -> Self {
        self.0.feed(kind).unwrap();
        self.0.commands.clear();
        self
    }

    fn seconds_later(mut self, seconds: u32) -> Self {
        self.0.now = self.0.now.plus_seconds(seconds.into());
        self
    }

    fn when(mut self, kind: StimulusKind) -> Then {
        let before = self.0.state.clone();
        match self.0.feed(kind) {
            Ok(()) => Then {
                entries: self.0.journal[self.0.decided..].to_vec(),
                commands: std::mem::take(&mut self.0.commands),
                world: self.0,
                rejection: None,
            },
            Err(rejection) => {
                assert_eq!(self.0.state, before, "a rejected stimulus changes nothing");
                Then { entries: Vec::new(), commands: Vec::new(), world: self.0, rejection: Some(rejection) }
            }
        }
    }
}

struct Then {
    entries: Vec<Entry>,
    commands: Vec<Command>,
    world: World,
    rejection: Option<Rejection>,
}

impl Then {
    #[track_caller]
    fn then(self, expected: &str) -> Given {
        assert_eq!(self.rejection, None);
        let expected: Vec<&str> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let mut got: Vec<String> = self.entries.iter().map(line).collect();
        got.extend(self.commands.iter().map(|c| format!("! {}", order(c))));
        assert_eq!(got, expected, "\n{}\n", got.join("\n"));
        Given(self.world)
    }

    #[track_caller]
    fn rejected(self, expected: Rejection) -> Given {
        assert_eq!(self.rejection, Some(expected));
        Given(self.world)
    }
}

fn line(entry: &Entry) -> String {
    match entry.id.0 {
        0 => format!("- {}", name(&entry.event)),
        id => format!("{id}<-{} {}", entry.previous, name(&entry.event)),
    }
}

fn order(command: &Command) -> String {
    match command {
        Command::Dispatch { scheduled } => format!("Dispatch {scheduled}"),
        Command::Cancel { scheduled, reason } => format!("Cancel {scheduled} {}", reason.as_str()),
        Command::StartMapRun { started } => format!("StartMapRun {started}"),
        Command::StopMapRun { started } => format!("StopMapRun {started}"),
        Command::StopChild { scheduled } => format!("StopChild {scheduled}"),
        Command::Finish => "Finish".into(),
        Command::Continue => "Continue".into(),
    }
}

const CALLBACK: &str = "arn:aws:states:::sqs:sendMessage.waitForTaskToken";
const PLAIN: &str = "arn:aws:states:::sqs:sendMessage";
const ACTIVITY: &str = "arn:aws:states:us-east-1:123456789012:activity:work";

fn task(resource: &str, fields: Value) -> Value {
    let mut state = json!({ "Type": "Task", "Resource": resource, "End": true });
    if resource != ACTIVITY {
        let mut parameters = json!({ "QueueUrl": "q", "MessageBody": "b" });
        if resource == CALLBACK {
            parameters["MessageBody"] = json!({ "Token.$": "$$.Task.Token" });
            parameters["MessageBody"] = json!({});
            parameters["MessageBody"]["Token.$"] = json!("$$.Task.Token");
        }
        state["Parameters"] = parameters;
    }
    if let Value::Object(fields) = fields {
        for (name, value) in fields {
            state[name] = value;
        }
    }
    state
}

fn dispatched(id: u64) -> StimulusKind {
    StimulusKind::Dispatched {
        scheduled: EventId(id),
        receipt: Payload::new(json!({ "MessageId": "m" })),
        completes: false,
    }
}

fn published_whole(id: u64) -> StimulusKind {
    StimulusKind::Dispatched {
        scheduled: EventId(id),
        receipt: Payload::new(json!({ "MessageId": "m" })),
        completes: true,
    }
}

fn taken(id: u64) -> StimulusKind {
    StimulusKind::TaskStarted { scheduled: EventId(id), worker_name: Some("Ada".into()) }
}

fn success(id: u64) -> StimulusKind {
    StimulusKind::TaskSucceeded { scheduled: EventId(id), output: Payload::new(json!("done")), by: None, link: None }
}

fn failure(id: u64) -> StimulusKind {
    StimulusKind::TaskFailed { scheduled: EventId(id), failure: Failure::new("E", "why"), by: None, link: None }
}

fn heartbeat(id: u64) -> StimulusKind {
    StimulusKind::TaskHeartbeat { scheduled: EventId(id) }
}

fn stop() -> StimulusKind {
    StimulusKind::Stop(Failure::named("Stopped"))
}

// Replies

#[test]
fn a_confirm_then_a_reply_write_what_aws_writes() {
    Given::callback(json!({})).when(dispatched(3)).then("5<-4 TaskSubmitted").when(success(3)).then(
        "6<-5 TaskSucceeded
         7<-6 TaskStateExited
         8<-7 ExecutionSucceeded
         ! Finish",
    );
}

#[test]
fn a_reply_that_overtakes_its_confirm_writes_the_submission_first() {
    let given = Given::callback(json!({})).when(success(3)).then(
        "5<-4 TaskSubmitted
         6<-5 TaskSucceeded
         7<-6 TaskStateExited
         8<-7 ExecutionSucceeded
         ! Finish",
    );
    given.when(dispatched(3)).rejected(Rejection::Duplicate);
}

#[test]
fn a_failure_that_overtakes_its_confirm_writes_the_submission_first() {
    Given::callback(json!({})).when(failure(3)).then(
        "5<-4 TaskSubmitted
         6<-5 TaskFailed
         7<-6 ExecutionFailed
         ! Finish",
    );
}

#[test]
fn a_request_without_a_token_shows_no_submission() {
    let given = Given::states("T", json!({ "T": task(PLAIN, json!({})) })).when(dispatched(3)).then("- TaskPublished");
    given.when(success(3)).then(
        "5<-4 TaskSucceeded
         6<-5 TaskStateExited
         7<-6 ExecutionSucceeded
         ! Finish",
    );
}

#[test]
fn where_publishing_is_the_whole_work_the_receipt_is_the_result() {
    let given = Given::states("T", json!({ "T": task(PLAIN, json!({})) })).when(published_whole(3)).then(
        "5<-4 TaskSucceeded
         6<-5 TaskStateExited
         7<-6 ExecutionSucceeded
         ! Finish",
    );
    assert_eq!(
        given.0.conclusion(),
        &crate::interpreter::state::Conclusion::Succeeded(Payload::new(json!({ "MessageId": "m" })))
    );
}

#[test]
fn a_second_reply_is_a_duplicate() {
    let after = json!({ "T": task(CALLBACK, json!({ "End": null, "Next": "W" })), "W": { "Type": "Wait", "Seconds": 5, "End": true } });
    let mut after = after;
    after["T"].as_object_mut().unwrap().shift_remove("End");
    let given = Given::states("T", after).after(dispatched(3)).after(success(3));
    let given = given.when(success(3)).rejected(Rejection::Duplicate);
    let given = given.when(failure(3)).rejected(Rejection::Duplicate);
    given.when(heartbeat(3)).rejected(Rejection::Duplicate);
}

#[test]
fn a_second_confirm_is_a_duplicate() {
    Given::callback(json!({})).after(dispatched(3)).when(dispatched(3)).rejected(Rejection::Duplicate);
}

#[test]
fn a_reply_after_the_end_of_the_execution_is_a_duplicate_if_it_ended_the_task() {
    Given::callback(json!({})).after(success(3)).when(success(3)).rejected(Rejection::Duplicate);
}

#[test]
fn a_reply_after_a_stop_is_late() {
    let given = Given::callback(json!({})).after(dispatched(3)).after(stop());
    let given = given.when(success(3)).rejected(Rejection::Late);
    given.when(heartbeat(3)).rejected(Rejection::Late);
}

#[test]
fn a_reply_to_what_was_never_scheduled_is_unknown() {
    for id in [0, 1, 2, 4, 99] {
        Given::callback(json!({})).when(success(id)).rejected(Rejection::Unknown);
    }
}

#[test]
fn a_task_that_cannot_be_dispatched_fails_where_retry_and_catch_see_it() {
    let no_route =
        StimulusKind::DispatchFailed { scheduled: EventId(3), failure: Failure::new("Amqp.Unroutable", "no queue") };
    Given::callback(json!({})).when(no_route.clone()).then(
        "5<-4 TaskFailed
         6<-5 ExecutionFailed
         ! Finish",
    );
    let retry = json!({ "Retry": [{ "ErrorEquals": ["Amqp.Unroutable"] }] });
    let given = Given::callback(retry).when(no_route).then(
        "5<-4 TaskFailed
         - RetryScheduled",
    );
    given.seconds_later(1).when(StimulusKind::Clock).then(
        "- WaitEnded
         6<-5 TaskScheduled
         7<-6 TaskStarted
         ! Dispatch 6",
    );
}

#[test]
fn the_token_of_an_attempt_that_failed_does_not_end_the_next_one() {
    let retry = json!({ "Retry": [{ "ErrorEquals": ["States.ALL"] }] });
    let given =
        Given::callback(retry).after(dispatched(3)).after(failure(3)).seconds_later(1).after(StimulusKind::Clock);
    given.when(success(3)).rejected(Rejection::Duplicate);
}

#[test]
fn the_token_shown_to_the_definition_is_that_of_the_event_that_schedules_the_task() {
    let given = Given::callback(json!({}));
    let Event::TaskScheduled(details) = &given.0.journal[2].event else { panic!("{:?}", given.0.journal[2]) };
    assert_eq!(details.parameters["MessageBody"]["Token"], "token-3");
}

// Activities

#[test]
fn a_worker_that_takes_an_activity_starts_it() {
    let given = Given::states("T", json!({ "T": task(ACTIVITY, json!({})) })).after(dispatched(3));
    let given = given.when(taken(3)).then("4<-3 ActivityStarted");
    let given = given.when(taken(3)).rejected(Rejection::Duplicate);
    given.when(success(3)).then(
        "5<-4 ActivitySucceeded
         6<-5 TaskStateExited
         7<-6 ExecutionSucceeded
         ! Finish",
    );
}

#[test]
fn an_activity_that_is_answered_before_it_was_seen_taken_started_first() {
    Given::states("T", json!({ "T": task(ACTIVITY, json!({})) })).when(failure(3)).then(
        "4<-3 ActivityStarted
         5<-4 ActivityFailed
         6<-5 ExecutionFailed
         ! Finish",
    );
}

// Stop

#[test]
fn a_stop_cancels_every_open_task() {
    let branch = |name: &str| json!({ "StartAt": name, "States": { name: task(CALLBACK, json!({})) } });
    let states = json!({ "P": { "Type": "Parallel", "End": true, "Branches": [branch("A"), branch("B")] } });
    let given = Given::states("P", states);
    let scheduled: Vec<u64> = given.0.state.tasks().map(|t| t.task.scheduled.0).collect();
    assert_eq!(scheduled, [6, 7]);
    let given = given.when(stop()).then(
        "10<-0 ExecutionAborted
         ! Cancel 6 stopped
         ! Cancel 7 stopped
         ! Finish",
    );
    let given = given.when(stop()).rejected(Rejection::NotApplicable("closed"));
    given.when(StimulusKind::Clock).rejected(Rejection::NotApplicable("closed"));
}

#[test]
fn an_execution_starts_once() {
    let given = Given::callback(json!({}));
    let Event::ExecutionStarted(started) = given.0.journal[0].event.clone() else { panic!() };
    given.when(StimulusKind::Start(started)).rejected(Rejection::NotApplicable("already started"));
}

#[test]
fn nothing_happens_to_an_execution_that_has_not_started() {
    let world = World::new(&json!({ "StartAt": "S", "States": { "S": { "Type": "Succeed" } } }));
    for kind in [StimulusKind::Clock, StimulusKind::Continue, StimulusKind::Redrive { token: None }, stop(), success(3)]
    {
        let given = Given(World::of(Arc::clone(&world.machine)));
        given.when(kind).rejected(Rejection::NotApplicable("not started"));
    }
}

// Failure in a fork

#[test]
fn the_failure_of_one_branch_aborts_the_others_and_cancels_their_tasks() {
    let branch = |name: &str| json!({ "StartAt": name, "States": { name: task(CALLBACK, json!({})) } });
    let states = json!({
        "P": { "Type": "Parallel", "End": true, "Branches": [branch("A"), branch("B")], "Catch": [{ "ErrorEquals": ["E"], "Next": "S" }] },
        "S": { "Type": "Succeed" }
    });
    let given = Given::states("P", states).after(dispatched(6)).after(dispatched(7));
    let given = given.when(failure(7)).then(
        "12<-11 TaskFailed
         13<-12 TaskStateAborted
         14<-12 TaskStateAborted
         - ForkFailed
         15<-12 ParallelStateFailed
         16<-15 ParallelStateExited
         17<-16 SucceedStateEntered
         18<-17 SucceedStateExited
         19<-18 ExecutionSucceeded
         ! Cancel 6 sibling-failed
         ! Finish",
    );
    given.when(success(6)).rejected(Rejection::Late);
}

#[test]
fn an_item_that_cannot_be_selected_ends_the_iterations_that_run_already() {
    let states = json!({
        "M": {
            "Type": "Map", "End": true, "MaxConcurrency": 2, "ItemSelector": { "v.$": "$$.Map.Item.Value.v" },
            "ItemProcessor": { "StartAt": "T", "States": { "T": task(CALLBACK, json!({})) } },
            "Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "S" }]
        },
        "S": { "Type": "Wait", "Seconds": 9, "End": true }
    });
    let mut world = World::new(&json!({ "StartAt": "M", "States": states }));
    world.start(json!([{ "v": 1 }, {}]));
    assert_eq!(world.state.open_tasks(), 0, "{:?}", world.shown());
    assert!(!world.state.is_running(), "no iteration outlives its Map");
    let ended: Vec<String> = world.shown();
    assert_eq!(ended[5..], ["6<-3 ExecutionFailed"], "States.Runtime shows nothing of the iterations: {ended:?}");
    world.feed(StimulusKind::Redrive { token: None }).unwrap();
    assert_eq!(world.state.open_tasks(), 0, "{:?}", world.shown());
    let again = world.shown();
    assert!(again[6].ends_with("ExecutionRedriven"), "{again:?}");
    assert!(again.last().is_some_and(|l| l.ends_with("ExecutionFailed")), "{again:?}");
}
