//! Redrive: an execution that has closed without success goes on where it stood.

use super::*;
use crate::payload::Payload;

fn after_failure() -> Given {
    Given::callback(json!({ "Retry": [{ "ErrorEquals": ["Again"] }] })).after(dispatched(3)).after(failure(3))
}

#[test]
fn what_runs_or_has_succeeded_is_not_redriven() {
    let given = Given::callback(json!({}))
        .when(StimulusKind::Redrive { token: None })
        .rejected(Rejection::NotApplicable("still running"));
    given.after(success(3)).when(StimulusKind::Redrive { token: None }).rejected(Rejection::NotApplicable("succeeded"));
}

#[test]
fn a_failed_task_is_scheduled_anew() {
    let given = after_failure().when(StimulusKind::Redrive { token: None }).then(
        "8<-7 ExecutionRedriven
         9<-6 TaskScheduled
         10<-9 TaskStarted
         ! Dispatch 9",
    );
    assert_eq!(given.0.state.redrive_count(), 1);
    given.after(dispatched(9)).when(success(9)).then(
        "12<-11 TaskSucceeded
         13<-12 TaskStateExited
         14<-13 ExecutionSucceeded
         ! Finish",
    );
}

#[test]
fn a_client_token_redrives_once_in_15_minutes_while_it_is_among_the_last_10() {
    let with = |token: &str| StimulusKind::Redrive { token: Some(token.into()) };
    let fail = json!({ "StartAt": "F", "States": { "F": { "Type": "Fail", "Error": "E" } } });
    let given = Given::machine(fail).after(with("a"));
    let first = given.0.now;
    let given = given.seconds_later(899).when(with("a")).rejected(Rejection::Duplicate);
    assert_eq!(given.0.state.redriven_with("a", given.0.now), Some(first));
    assert_eq!((given.0.state.redriven_with("b", given.0.now), given.0.state.redrive_count()), (None, 1));
    // Its time is over: the same text is another request.
    let given = given.seconds_later(1).after(with("a"));
    assert_eq!((given.0.state.redriven_with("a", given.0.now), given.0.state.redrive_count()), (Some(given.0.now), 2));
    let given =
        ["b", "c", "d", "e", "f", "g", "h", "i", "j"].iter().fold(given, |given, token| given.after(with(token)));
    let given = given.when(with("a")).rejected(Rejection::Duplicate);
    let given = given.after(with("k"));
    assert_eq!(given.0.state.redriven_with("a", given.0.now), None, "ten later ones have come");
    given.after(with("a"));
}

#[test]
fn a_client_token_is_known_while_what_it_redrove_runs() {
    let with = || StimulusKind::Redrive { token: Some("a".into()) };
    let given = after_failure().after(with()).when(with()).rejected(Rejection::Duplicate);
    given.after(success(9)).when(with()).rejected(Rejection::Duplicate);
}

#[test]
fn the_old_token_stays_dead() {
    after_failure().after(StimulusKind::Redrive { token: None }).when(success(3)).rejected(Rejection::Duplicate);
}

#[test]
fn a_stopped_execution_goes_on_in_every_branch_that_was_open() {
    let branch = |name: &str| json!({ "StartAt": name, "States": { name: task(CALLBACK, json!({})) } });
    let states = json!({ "P": { "Type": "Parallel", "End": true, "Branches": [branch("A"), branch("B")] } });
    let given = Given::states("P", states).after(success(6)).after(stop());
    let then = given.when(StimulusKind::Redrive { token: None });
    let scheduled = then.entries.iter().filter(|e| matches!(e.event, Event::TaskScheduled(_))).count();
    assert_eq!(
        scheduled,
        1,
        "the branch that had ended is not done again: {:?}",
        then.entries.iter().map(line).collect::<Vec<_>>()
    );
    let id = then.entries.iter().find(|e| matches!(e.event, Event::TaskScheduled(_))).unwrap().id.0;
    let given = Given(then.world).after(success(id));
    assert!(!given.0.state.is_running());
    assert_eq!(
        given.0.conclusion(),
        &crate::interpreter::state::Conclusion::Succeeded(Payload::new(json!(["done", "done"])))
    );
}

#[test]
fn a_timed_out_execution_gets_its_whole_time_again() {
    let given =
        Given::machine(json!({ "TimeoutSeconds": 10, "StartAt": "T", "States": { "T": task(CALLBACK, json!({})) } }));
    let given = given
        .after(dispatched(3))
        .seconds_later(10)
        .after(StimulusKind::Clock)
        .seconds_later(100)
        .after(StimulusKind::Redrive { token: None });
    let given = given.seconds_later(9).when(StimulusKind::Clock).then("");
    let then = given.seconds_later(1).when(StimulusKind::Clock);
    assert!(matches!(then.entries.last().map(|e| &e.event), Some(Event::ExecutionTimedOut(_))));
}

#[test]
fn retriers_count_anew_after_a_redrive() {
    let given = Given::callback(json!({ "Retry": [{ "ErrorEquals": ["E"], "MaxAttempts": 1 }] })).after(failure(3));
    let given = given.seconds_later(1).after(StimulusKind::Clock);
    let second = given.0.state.tasks().next().unwrap().task.scheduled.0;
    let given = given.after(failure(second));
    assert!(!given.0.state.is_running());
    let given = given.after(StimulusKind::Redrive { token: None });
    let third = given.0.state.tasks().next().unwrap().task.scheduled.0;
    let given = given.after(failure(third));
    assert!(given.0.state.is_running(), "the retrier fires again");
}

#[test]
fn a_wait_that_was_stopped_waits_anew() {
    let given = Given::states("W", json!({ "W": { "Type": "Wait", "Seconds": 10, "End": true } })).after(stop());
    let given = given
        .seconds_later(5)
        .after(StimulusKind::Redrive { token: None })
        .seconds_later(9)
        .when(StimulusKind::Clock)
        .then("");
    let then = given.seconds_later(1).when(StimulusKind::Clock);
    assert!(matches!(then.entries.last().map(|e| &e.event), Some(Event::ExecutionSucceeded { .. })));
}
