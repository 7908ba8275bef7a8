//! The view against AWS's model and against events recorded on AWS.

use crate::payload::Payload;

use crate::api::model::Model;
use crate::clock::Timestamp;
use crate::ids::{Arn, BlockId, EventId};
use crate::interpreter::event::{FrameId, MapStarted, Started, Tolerance};

use super::*;

const VIEW: View<'_> = View { data: true, parameters: true, region: "us-east-1" };

fn shown(event: Event) -> Value {
    let entry = Entry {
        at: Timestamp::from_millis(1_700_000_000_500),
        id: EventId(3),
        previous: EventId(2),
        frame: FrameId::TOP,
        event,
    };
    render(&entry, VIEW).unwrap_or(Value::Null)
}

fn sqs() -> TaskFamily {
    TaskFamily::Service { resource_type: "sqs".into(), resource: "sendMessage.waitForTaskToken".into() }
}

fn scheduled(family: TaskFamily, resource: &str) -> Event {
    Event::TaskScheduled(Box::new(TaskScheduled {
        family,
        resource: resource.into(),
        parameters: Payload::new(json!({"MessageBody": {"Message": "m"}})),
        timeout_seconds: Some(600),
        heartbeat_seconds: Some(5),
        credentials: Some(Payload::new(json!({"RoleArn": "arn:r"}))),
    }))
}

fn map_started() -> Event {
    Event::MapStarted(Box::new(MapStarted {
        length: 3,
        block: BlockId(1),
        items: Vec::new(),
        max_concurrency: 0,
        tolerance: Tolerance::default(),
        input: Payload::new(json!({})),
        distributed: false,
    }))
}

fn started() -> Event {
    Event::ExecutionStarted(Box::new(Started {
        input: Payload::new(json!({"a": 1})),
        role_arn: "arn:role".into(),
        arn: Arn::new("arn:e"),
        name: "e".into(),
        machine: Arn::new("arn:m"),
        machine_name: "m".into(),
        version_arn: Some(Arn::new("arn:m:1")),
        alias_arn: None,
        parent: None,
        block: None,
        item: None,
        map_run: None,
        attempt: 0,
        depth: 0,
        forked: None,
        trace: None,
    }))
}

/// One of each kind that AWS shows.
fn every_visible_event() -> Vec<Event> {
    let output = || Payload::new(json!({"x": [1, "é"]}));
    let failure = || Failure::new("E", "c");
    let id = EventId(1);
    let mut events = vec![
        started(),
        Event::ExecutionSucceeded { output: output() },
        Event::ExecutionFailed(failure()),
        Event::ExecutionTimedOut(failure()),
        Event::ExecutionAborted(Failure::default()),
        Event::ExecutionRedriven { redrive_count: 1, attempt: None, token: None },
        Event::EvaluationFailed {
            error: "E".into(),
            cause: "c".into(),
            location: Some("Output".into()),
            state: "S".into(),
        },
        Event::ParallelStarted { branches: Vec::new(), input: output() },
        Event::ParallelSucceeded,
        Event::ParallelFailed,
        map_started(),
        Event::MapSucceeded,
        Event::MapFailed,
        Event::MapIterationStarted { name: "M".into(), index: 0, input: output() },
        Event::MapIterationSucceeded { name: "M".into(), index: 0 },
        Event::MapIterationFailed { name: "M".into(), index: 0 },
        Event::MapIterationAborted { name: "M".into(), index: 0 },
        Event::MapRunStarted { arn: Arn::new("arn:run"), plan: None },
        Event::MapRunSucceeded { output: output() },
        Event::MapRunFailed(failure()),
        Event::MapRunRedriven { arn: Arn::new("arn:run"), redrive_count: 2 },
    ];
    let kinds = [
        StateType::Pass,
        StateType::Task,
        StateType::Choice,
        StateType::Wait,
        StateType::Succeed,
        StateType::Fail,
        StateType::Parallel,
        StateType::Map,
    ];
    for kind in kinds {
        events.push(Event::StateEntered { kind, name: "S".into(), input: output() });
        if kind != StateType::Fail {
            let assigned = json!({"v": "text"}).as_object().cloned().map(Box::new);
            events.push(Event::StateExited { kind, name: "S".into(), output: output(), assigned, next: None });
        }
    }
    for kind in [StateType::Task, StateType::Wait, StateType::Parallel, StateType::Map] {
        events.push(Event::StateAborted { kind });
    }
    for family in [TaskFamily::Lambda, TaskFamily::Activity, sqs()] {
        events.push(scheduled(family.clone(), "arn:f"));
        events.push(Event::TaskStarted { family: family.clone(), scheduled: id, worker_name: Some("w".into()) });
        events.push(Event::TaskStartFailed { family: family.clone(), scheduled: id, failure: failure() });
        events.push(Event::TaskSubmitFailed { family: family.clone(), scheduled: id, failure: failure() });
        events.push(Event::TaskSucceeded {
            family: family.clone(),
            scheduled: id,
            output: output(),
            by: None,
            link: None,
        });
        events.push(Event::TaskFailed {
            family: family.clone(),
            scheduled: id,
            failure: failure(),
            by: None,
            link: None,
        });
        events.push(Event::TaskTimedOut { family, scheduled: id, failure: failure() });
    }
    events.push(Event::TaskSubmitted { family: sqs(), scheduled: id, output: output() });
    events
}

#[test]
fn every_event_has_a_type_and_details_of_the_model() {
    let model = Model::get();
    let types = &model.shape("HistoryEventType").unwrap().values;
    let history_event = model.shape("HistoryEvent").unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for event in every_visible_event() {
        let shown = shown(event.clone());
        let members = shown.as_object().unwrap_or_else(|| panic!("{event:?} is not shown"));
        let name = members["type"].as_str().unwrap();
        assert!(types.iter().any(|t| t == name), "{name} is no HistoryEventType");
        seen.insert(name.to_owned());
        for (key, value) in members {
            let shape = history_event
                .member_shape(key)
                .unwrap_or_else(|| panic!("{key} of {name} is no member of HistoryEvent"));
            let shape = model.shape(shape).unwrap();
            for (member, _) in value.as_object().into_iter().flatten() {
                assert!(shape.member_shape(member).is_some(), "{member} is no member of {key}");
            }
            for required in &shape.required {
                assert!(value.get(required).is_some(), "{required} of {key} is missing");
            }
        }
    }
    let missing: Vec<_> = types.iter().filter(|t| !seen.contains(*t)).map(String::as_str).collect();
    assert_eq!(missing, ["MapRunAborted"], "the only one that the journal has no event for");
}

#[test]
fn hidden_events_are_left_out() {
    for event in [
        Event::StateFailed(Failure::default()),
        Event::WaitEnded,
        Event::TaskPublished { scheduled: EventId(1) },
        Event::TaskHeartbeat { scheduled: EventId(1), count: 1 },
        Event::ForkFailed(Failure::default()),
        Event::MapRunStopped { started: EventId(1) },
        Event::ChildStopped { scheduled: EventId(1) },
        Event::StateAborted { kind: StateType::Pass },
    ] {
        assert_eq!(shown(event), Value::Null);
    }
}

#[test]
fn details_are_those_recorded_on_aws() {
    let table = [
        (
            started(),
            "executionStartedEventDetails",
            json!({"input": "{\"a\":1}", "inputDetails": {"truncated": false}, "roleArn": "arn:role", "stateMachineVersionArn": "arn:m:1"}),
        ),
        (Event::ExecutionAborted(Failure::default()), "executionAbortedEventDetails", json!({})),
        (
            Event::ExecutionFailed(Failure::named("States.Timeout")),
            "executionFailedEventDetails",
            json!({"error": "States.Timeout"}),
        ),
        (
            scheduled(sqs(), "arn:aws:states:::sqs:sendMessage.waitForTaskToken"),
            "taskScheduledEventDetails",
            json!({"heartbeatInSeconds": 5, "parameters": "{\"MessageBody\":{\"Message\":\"m\"}}", "region": "us-east-1",
                "resource": "sendMessage.waitForTaskToken", "resourceType": "sqs", "timeoutInSeconds": 600, "taskCredentials": {"roleArn": "arn:r"}}),
        ),
        (
            scheduled(TaskFamily::Lambda, "arn:aws:lambda:r:a:function:f"),
            "lambdaFunctionScheduledEventDetails",
            json!({"input": "{\"MessageBody\":{\"Message\":\"m\"}}", "inputDetails": {"truncated": false},
                "resource": "arn:aws:lambda:r:a:function:f", "timeoutInSeconds": 600, "taskCredentials": {"roleArn": "arn:r"}}),
        ),
        (
            Event::TaskStarted { family: TaskFamily::Activity, scheduled: EventId(1), worker_name: None },
            "activityStartedEventDetails",
            json!({}),
        ),
        (
            Event::TaskFailed {
                family: sqs(),
                scheduled: EventId(1),
                failure: Failure::default(),
                by: None,
                link: None,
            },
            "taskFailedEventDetails",
            json!({"resource": "sendMessage.waitForTaskToken", "resourceType": "sqs"}),
        ),
        (map_started(), "mapStateStartedEventDetails", json!({"length": 3})),
        (
            Event::EvaluationFailed { error: "E".into(), cause: "c".into(), location: None, state: "S".into() },
            "evaluationFailedEventDetails",
            json!({"error": "E", "cause": "c", "state": "S"}),
        ),
    ];
    for (event, key, details) in table {
        let shown = shown(event);
        assert_eq!(shown[key], details);
        assert_eq!(
            (&shown["id"], &shown["previousEventId"], &shown["timestamp"]),
            (&json!(3), &json!(2), &json!(1_700_000_000.5))
        );
    }
    let started = shown(Event::TaskStarted { family: TaskFamily::Lambda, scheduled: EventId(1), worker_name: None });
    assert_eq!(
        started,
        json!({"timestamp": 1_700_000_000.5, "type": "LambdaFunctionStarted", "id": 3, "previousEventId": 2})
    );
}

#[test]
fn variables_are_shown_as_json_texts() {
    let assigned = json!({"Assignment": "Condition assignment", "n": 7}).as_object().cloned().map(Box::new);
    let exited = Event::StateExited {
        kind: StateType::Choice,
        name: "C".into(),
        output: Payload::new(json!({})),
        assigned,
        next: None,
    };
    let details = &shown(exited)["stateExitedEventDetails"];
    assert_eq!(details["assignedVariables"], json!({"Assignment": "\"Condition assignment\"", "n": "7"}));
    assert_eq!(details["assignedVariablesDetails"], json!({"truncated": false}));
}

#[test]
fn without_data_no_payload_is_shown() {
    for event in every_visible_event() {
        let entry =
            Entry { at: Timestamp::default(), id: EventId(1), previous: EventId(0), frame: FrameId::TOP, event };
        let text = |parameters| render(&entry, View { data: false, parameters, ..VIEW }).unwrap().to_string();
        for word in ["\"input\"", "\"output\"", "assignedVariables"] {
            assert!(!text(true).contains(word), "{}", text(true));
        }
        assert!(!text(false).contains("\"parameters\""), "{}", text(false));
        // Measured on AWS: what a task sent stays.
        assert_eq!(text(true).contains("\"parameters\""), text(true).contains("\"TaskScheduled\""));
    }
}
