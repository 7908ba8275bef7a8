//! Time: timeouts, heartbeats, waits, the machine's own timeout.

use super::*;

fn clock() -> StimulusKind {
    StimulusKind::Clock
}

#[test]
fn a_clock_that_finds_nothing_due_writes_nothing() {
    Given::callback(json!({ "TimeoutSeconds": 10 })).seconds_later(9).when(clock()).then("");
}

#[test]
fn a_timeout_ends_the_task_and_notifies_its_worker() {
    let given =
        Given::callback(json!({ "TimeoutSeconds": 10 })).after(dispatched(3)).seconds_later(10).when(clock()).then(
            "6<-5 TaskTimedOut
         7<-6 ExecutionFailed
         ! Cancel 3 timeout
         ! Finish",
        );
    given.when(success(3)).rejected(Rejection::Late);
}

#[test]
fn a_missed_heartbeat_is_recorded_as_a_timeout() {
    let given = Given::callback(json!({ "TimeoutSeconds": 10, "HeartbeatSeconds": 2 })).after(dispatched(3));
    let given = given.seconds_later(2).when(clock()).then(
        "6<-5 TaskTimedOut
         7<-6 ExecutionFailed
         ! Cancel 3 heartbeat-timeout
         ! Finish",
    );
    let Event::TaskTimedOut { failure, .. } = &given.0.journal[5].event else { panic!() };
    assert_eq!(failure.error.as_deref(), Some("States.Timeout"));
}

#[test]
fn a_heartbeat_resets_its_own_clock_and_never_the_timeout() {
    let mut given = Given::callback(json!({ "TimeoutSeconds": 5, "HeartbeatSeconds": 2 })).after(dispatched(3));
    for _ in 0..4 {
        given = given.seconds_later(1).when(heartbeat(3)).then("- TaskHeartbeat");
    }
    let given = given.when(clock()).then("");
    given.seconds_later(1).when(clock()).then(
        "6<-5 TaskTimedOut
         7<-6 ExecutionFailed
         ! Cancel 3 timeout
         ! Finish",
    );
}

#[test]
fn a_heartbeat_of_a_task_without_heartbeats_is_taken_and_writes_nothing() {
    Given::callback(json!({ "TimeoutSeconds": 5 })).after(dispatched(3)).when(heartbeat(3)).then("");
}

#[test]
fn a_worker_that_takes_an_activity_shows_that_it_lives() {
    let state = task(ACTIVITY, json!({ "TimeoutSeconds": 100, "HeartbeatSeconds": 10 }));
    let given = Given::states("T", json!({ "T": state })).after(dispatched(3)).seconds_later(9).after(taken(3));
    let given = given.seconds_later(9).when(clock()).then("");
    given.seconds_later(1).when(clock()).then(
        "5<-4 ActivityTimedOut
         6<-5 ExecutionFailed
         ! Cancel 3 heartbeat-timeout
         ! Finish",
    );
}

#[test]
fn one_clock_brings_everything_that_is_due_the_soonest_first() {
    let wait = |name: &str, seconds: u32| json!({ "StartAt": name, "States": { name: { "Type": "Wait", "Seconds": seconds, "End": true } } });
    let states = json!({ "P": { "Type": "Parallel", "End": true, "Branches": [wait("C", 3), wait("A", 1), wait("B", 2), wait("D", 9)] } });
    let given = Given::states("P", states).seconds_later(4).when(clock());
    let order: Vec<u32> =
        given.entries.iter().filter(|e| matches!(e.event, Event::WaitEnded)).map(|e| e.frame.0).collect();
    assert_eq!(order, [2, 3, 1]);
    assert_eq!(given.entries.iter().filter(|e| matches!(e.event, Event::StateExited { .. })).count(), 3);
    assert!(given.world.state.is_running());
}

fn machine_of_ten_seconds(state: Value) -> Given {
    Given::machine(json!({ "TimeoutSeconds": 10, "StartAt": "T", "States": { "T": state } }))
}

#[test]
fn the_machine_times_out_and_cancels_its_tasks() {
    let given =
        machine_of_ten_seconds(task(CALLBACK, json!({}))).after(dispatched(3)).seconds_later(10).when(clock()).then(
            "6<-0 ExecutionTimedOut
         ! Cancel 3 execution-timed-out
         ! Finish",
        );
    given.when(success(3)).rejected(Rejection::Late);
}

#[test]
fn a_task_that_was_due_before_the_machine_fails_first() {
    machine_of_ten_seconds(task(CALLBACK, json!({ "TimeoutSeconds": 5 })))
        .after(dispatched(3))
        .seconds_later(60)
        .when(clock())
        .then(
            "6<-5 TaskTimedOut
         7<-6 ExecutionFailed
         ! Cancel 3 timeout
         ! Finish",
        );
}

#[test]
fn a_machine_that_was_due_before_its_task_times_out_first() {
    machine_of_ten_seconds(task(CALLBACK, json!({ "TimeoutSeconds": 11 })))
        .after(dispatched(3))
        .seconds_later(60)
        .when(clock())
        .then(
            "6<-0 ExecutionTimedOut
         ! Cancel 3 execution-timed-out
         ! Finish",
        );
}

#[test]
fn an_execution_is_open_for_a_year_at_most() {
    let given = Given::callback(json!({})).after(dispatched(3));
    assert_eq!(
        crate::interpreter::due(&given.0.machine, &given.0.state),
        Some(given.0.now.plus_seconds(365.0 * 86_400.0))
    );
    given.seconds_later(365 * 86_400).when(clock()).then(
        "6<-0 ExecutionTimedOut
         ! Cancel 3 execution-timed-out
         ! Finish",
    );
}

#[test]
fn a_machine_that_times_out_in_the_middle_of_much_work_stays_closed() {
    let states = json!({
        "W": { "Type": "Wait", "Seconds": 1, "Next": "A" },
        "A": { "Type": "Choice", "Choices": [{ "Variable": "$.never", "IsPresent": true, "Next": "End" }], "Default": "B" },
        "B": { "Type": "Pass", "Next": "A" },
        "End": { "Type": "Succeed" }
    });
    let given = Given::machine(json!({ "TimeoutSeconds": 10, "StartAt": "W", "States": states })).seconds_later(30);
    let then = given.when(clock());
    assert!(matches!(then.entries.last().map(|e| &e.event), Some(Event::ExecutionTimedOut(_))));
    assert_eq!(then.commands.last(), Some(&Command::Finish));
    assert!(!then.commands.contains(&Command::Continue), "there is nothing to continue: {:?}", then.commands);
}

#[test]
fn timeouts_that_are_held_back_end_no_task_and_everything_else_goes_on() {
    let wait = json!({ "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": 10, "End": true } } });
    let ask = json!({ "StartAt": "T", "States": { "T": task(CALLBACK, json!({ "TimeoutSeconds": 5, "HeartbeatSeconds": 3 })) } });
    let both = json!({ "Type": "Parallel", "Branches": [ask, wait], "End": true });
    let mut given =
        Given::machine(json!({ "StartAt": "P", "TimeoutSeconds": 15, "States": { "P": both } })).seconds_later(20);
    given.0.holds_timeouts = true;
    let scheduled = given.0.state.tasks().next().expect("a task").task.scheduled;
    let mut given = given.after(StimulusKind::Clock);
    assert_eq!(given.0.state.open_tasks(), 1, "it is open");
    assert!(given.0.journal.iter().any(|entry| matches!(entry.event, Event::WaitEnded)), "the Wait is over");
    let before = given.0.journal.len();
    given = given.after(StimulusKind::Clock);
    assert_eq!(given.0.journal.len(), before, "nothing more is due");
    let answered = given.0.state.clone();
    given.0.feed(success(scheduled.0)).unwrap();
    assert!(matches!(given.0.conclusion(), Conclusion::Succeeded(_)), "the answer counts");
    // Without one its time is over as soon as timeouts go on.
    (given.0.state, given.0.holds_timeouts) = (answered, false);
    given.0.feed(StimulusKind::Clock).unwrap();
    assert!(!matches!(given.0.conclusion(), Conclusion::Succeeded(_)));
}
