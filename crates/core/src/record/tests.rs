//! The persisted form, pinned: `form1.jsonl` holds one batch a line, one for every event and for every optional field.
//!
//! A line is never changed, because journals in that form exist; a new event or field adds lines. A new event that is
//! missing here does not compile; one without a line fails [`every_event_has_its_line`].

use serde_json::{Value, json};

use super::{RecordError, decode, encode};
use crate::clock::Timestamp;
use crate::ids::{Arn, BlockId, EventId, ExecutionId, TaskKey};
use crate::interpreter::event::{
    Batching, Entry, Event, Failure, Forked, FrameId, ItemSource, MapItem, MapRunPlan, MapStarted, Payload, Started,
    StateType, TaskFamily, TaskScheduled, Tolerance,
};
use crate::limits::JSON_DEPTH_MAX;
use crate::trace::{SpanContext, TraceOrigin};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const PINNED: &str = include_str!("form1.jsonl");

macro_rules! every {
    ($($variant:ident)*) => {
        const EVENTS: &[&str] = &[$(stringify!($variant)),*];

        /// No wildcard: who adds an event adds it to the list below.
        fn name(event: &Event) -> &'static str {
            match event {
                $(Event::$variant { .. } => stringify!($variant),)*
            }
        }
    };
}

every! {
    ExecutionStarted ExecutionSucceeded ExecutionFailed ExecutionTimedOut ExecutionAborted ExecutionRedriven
    StateEntered StateExited StateAborted StateFailed EvaluationFailed RetryScheduled WaitEnded WaitScheduled
    TaskScheduled TaskPublished TaskStarted TaskStartFailed TaskSubmitted TaskSubmitFailed TaskHeartbeat TaskSucceeded TaskFailed
    TaskTimedOut
    ParallelStarted ParallelSucceeded ParallelFailed
    MapStarted MapSucceeded MapFailed MapIterationStarted MapIterationSucceeded MapIterationFailed MapIterationAborted ForkFailed
    MapRunStarted MapRunStopped ChildStopped ExecutionFollowed MapRunSucceeded MapRunFailed MapRunRedriven
}

fn payload(value: Value) -> Payload {
    Payload::new(value)
}

fn plan() -> MapRunPlan {
    MapRunPlan {
        block: BlockId(1),
        express: true,
        input: payload(json!({ "a": 1 })),
        source: ItemSource::StateData { items: payload(json!([1])) },
        batching: None,
        max_concurrency: 3,
        tolerance: Tolerance { count: Some(1), percentage: None },
        writer: Some(payload(json!({ "Bucket": "b" }))),
    }
}

fn started() -> Started {
    Started {
        input: payload(json!({ "b": 1, "a": [null, true, "é\n", 1.5, -7] })),
        role_arn: "arn:aws:iam::123456789012:role/r".into(),
        arn: Arn::new("arn:aws:states:us-east-1:123456789012:execution:m:n"),
        name: "n".into(),
        machine: Arn::new("arn:aws:states:us-east-1:123456789012:stateMachine:m"),
        machine_name: "m".into(),
        version_arn: None,
        alias_arn: None,
        parent: None,
        block: None,
        item: None,
        map_run: None,
        attempt: 0,
        depth: 0,
        forked: None,
        trace: None,
    }
}

fn forked() -> Forked {
    Forked {
        from: Arn::new("arn:aws:states:us-east-1:123456789012:execution:m:source"),
        state: "Ask".into(),
        event: EventId(7),
        input: payload(json!([1, "two"])),
        variables: [("n".to_owned(), json!(3))].into_iter().collect(),
    }
}

fn item() -> MapItem {
    MapItem { index: 0, value: payload(json!("v")), key: None, source: None }
}

fn full_item() -> MapItem {
    MapItem { key: Some("k".into()), source: Some("STATE_DATA".into()), ..item() }
}

fn service() -> TaskFamily {
    TaskFamily::Service { resource_type: "sqs".into(), resource: "sendMessage.waitForTaskToken".into() }
}

fn scheduled() -> TaskScheduled {
    TaskScheduled {
        family: service(),
        resource: "arn:aws:states:::sqs:sendMessage.waitForTaskToken".into(),
        parameters: payload(json!({ "QueueUrl": "q" })),
        timeout_seconds: None,
        heartbeat_seconds: None,
        credentials: None,
    }
}

fn map() -> MapStarted {
    MapStarted {
        length: 1,
        block: BlockId(3),
        items: vec![item()],
        max_concurrency: 0,
        tolerance: Tolerance::default(),
        input: payload(json!({})),
        distributed: false,
    }
}

/// One or more of every event, in the order of the file.
fn samples() -> Vec<Event> {
    let failure = || Failure::new("E", "why");
    let scheduled_by = EventId(3);
    let output = || payload(json!({ "done": true }));
    let family = TaskFamily::Lambda;
    vec![
        Event::ExecutionStarted(Box::new(started())),
        Event::ExecutionStarted(Box::new(Started {
            version_arn: Some(Arn::new("m:1")),
            alias_arn: Some(Arn::new("m:live")),
            parent: Some(TaskKey { execution: ExecutionId(uuid::Uuid::from_u128(7)), scheduled: EventId(9) }),
            block: Some(BlockId(2)),
            item: Some(full_item()),
            map_run: Some(Arn::new("run")),
            ..started()
        })),
        Event::ExecutionSucceeded { output: output() },
        Event::ExecutionFailed(failure()),
        Event::ExecutionFailed(Failure::default()),
        Event::ExecutionTimedOut(Failure::default()),
        Event::ExecutionAborted(Failure::named("Stopped")),
        Event::ExecutionRedriven { redrive_count: 2, attempt: None, token: None },
        Event::ExecutionRedriven { redrive_count: 2, attempt: Some(3), token: None },
        Event::ExecutionRedriven { redrive_count: 2, attempt: None, token: Some("t".into()) },
        Event::StateEntered { kind: StateType::Pass, name: "A".into(), input: output() },
        Event::StateEntered { kind: StateType::Task, name: "A".into(), input: output() },
        Event::StateEntered { kind: StateType::Choice, name: "A".into(), input: output() },
        Event::StateEntered { kind: StateType::Wait, name: "A".into(), input: output() },
        Event::StateEntered { kind: StateType::Succeed, name: "A".into(), input: output() },
        Event::StateEntered { kind: StateType::Fail, name: "A".into(), input: output() },
        Event::StateEntered { kind: StateType::Parallel, name: "A".into(), input: output() },
        Event::StateEntered { kind: StateType::Map, name: "A".into(), input: output() },
        Event::StateExited { kind: StateType::Pass, name: "A".into(), output: output(), assigned: None, next: None },
        Event::StateExited {
            kind: StateType::Pass,
            name: "A".into(),
            output: output(),
            assigned: json!({ "z": 1, "x": [2] }).as_object().cloned().map(Box::new),
            next: Some("B".into()),
        },
        Event::StateAborted { kind: StateType::Wait },
        Event::StateFailed(failure()),
        Event::EvaluationFailed {
            error: "States.QueryEvaluationError".into(),
            cause: "c".into(),
            location: None,
            state: "A".into(),
        },
        Event::EvaluationFailed {
            error: "E".into(),
            cause: "c".into(),
            location: Some("Output/x".into()),
            state: "A".into(),
        },
        Event::RetryScheduled { retrier: 1, due: Timestamp::from_millis(1_700_000_000_500) },
        Event::WaitEnded,
        Event::WaitScheduled { due: Timestamp::from_millis(1_700_000_000_500) },
        Event::TaskScheduled(Box::new(scheduled())),
        Event::TaskScheduled(Box::new(TaskScheduled {
            family: TaskFamily::Activity,
            timeout_seconds: Some(60),
            heartbeat_seconds: Some(5),
            credentials: Some(payload(json!({ "RoleArn": "r" }))),
            ..scheduled()
        })),
        Event::TaskPublished { scheduled: scheduled_by },
        Event::TaskStarted { family: service(), scheduled: scheduled_by, worker_name: None },
        Event::TaskStarted { family: TaskFamily::Activity, scheduled: scheduled_by, worker_name: Some("Ada".into()) },
        Event::TaskStartFailed { family: family.clone(), scheduled: scheduled_by, failure: failure() },
        Event::TaskSubmitted { family: service(), scheduled: scheduled_by, output: output() },
        Event::TaskSubmitFailed { family: service(), scheduled: scheduled_by, failure: failure() },
        Event::TaskHeartbeat { scheduled: scheduled_by, count: 1 },
        Event::TaskHeartbeat { scheduled: scheduled_by, count: 3 },
        Event::TaskSucceeded {
            family: family.clone(),
            scheduled: scheduled_by,
            output: output(),
            by: None,
            link: None,
        },
        Event::TaskFailed { family: family.clone(), scheduled: scheduled_by, failure: failure(), by: None, link: None },
        Event::TaskTimedOut {
            family,
            scheduled: scheduled_by,
            failure: Failure { heartbeat: true, ..Failure::named("States.Timeout") },
        },
        Event::ParallelStarted { branches: vec![BlockId(1), BlockId(2)], input: output() },
        Event::ParallelSucceeded,
        Event::ParallelFailed,
        Event::MapStarted(Box::new(map())),
        Event::MapStarted(Box::new(MapStarted {
            items: vec![full_item()],
            max_concurrency: 4,
            tolerance: Tolerance { count: Some(1), percentage: Some(12.5) },
            distributed: true,
            ..map()
        })),
        Event::MapSucceeded,
        Event::MapFailed,
        Event::MapIterationStarted { name: "M".into(), index: 1, input: output() },
        Event::MapIterationSucceeded { name: "M".into(), index: 1 },
        Event::MapIterationFailed { name: "M".into(), index: 1 },
        Event::MapIterationAborted { name: "M".into(), index: 1 },
        Event::ForkFailed(failure()),
        Event::MapRunStarted { arn: Arn::new("run"), plan: None },
        Event::MapRunStarted { arn: Arn::new("run"), plan: Some(Box::new(plan())) },
        Event::MapRunStopped { started: EventId(5) },
        Event::ChildStopped { scheduled: EventId(5) },
        Event::ExecutionFollowed {
            task: TaskKey { execution: ExecutionId(uuid::Uuid::from_u128(7)), scheduled: EventId(9) },
        },
        Event::MapRunSucceeded { output: output() },
        Event::MapRunFailed(failure()),
        Event::MapRunRedriven { arn: Arn::new("run"), redrive_count: 1 },
        Event::ExecutionStarted(Box::new(Started { forked: Some(Box::new(forked())), ..started() })),
        Event::TaskSucceeded {
            family: service(),
            scheduled: scheduled_by,
            output: output(),
            by: None,
            link: SpanContext::parse(TRACEPARENT).map(Box::new),
        },
        Event::TaskFailed {
            family: service(),
            scheduled: scheduled_by,
            failure: failure(),
            by: None,
            link: SpanContext::parse(TRACEPARENT).map(Box::new),
        },
        Event::ExecutionStarted(Box::new(Started {
            trace: TraceOrigin::of_w3c(TRACEPARENT, Some("a=1")).map(Box::new),
            ..started()
        })),
    ]
}

/// A visible event in a branch, and a hidden one at the top: both forms of an entry around an event.
fn entry(event: Event) -> Entry {
    let at = Timestamp::from_millis(1_700_000_000_123);
    if event.is_hidden() {
        return Entry { at, id: EventId(0), previous: EventId(0), frame: FrameId::TOP, event };
    }
    Entry { at, id: EventId(12), previous: EventId(11), frame: FrameId(4), event }
}

#[test]
fn every_event_is_written_as_it_always_was() {
    let written: Vec<String> =
        samples().into_iter().map(|e| String::from_utf8(encode(&[entry(e)]).unwrap()).unwrap()).collect();
    let pinned: Vec<&str> = PINNED.lines().collect();
    for (i, line) in written.iter().enumerate() {
        assert_eq!(pinned.get(i), Some(&line.as_str()), "line {} of form1.jsonl; is:\n{line}\n", i + 1);
    }
    assert_eq!(pinned.len(), written.len());
}

#[test]
fn every_pinned_line_is_read_as_it_always_was() {
    for (line, event) in PINNED.lines().zip(samples()) {
        assert_eq!(decode(line.as_bytes()).unwrap(), [entry(event)], "{line}");
    }
}

#[test]
fn every_event_has_its_line() {
    let shown: Vec<&str> = samples().iter().map(name).collect();
    let missing: Vec<&&str> = EVENTS.iter().filter(|e| !shown.contains(e)).collect();
    assert!(missing.is_empty(), "without a line in form1.jsonl: {missing:?}");
}

#[test]
fn a_batch_keeps_its_order() {
    let entries: Vec<Entry> = samples().into_iter().map(entry).collect();
    assert_eq!(decode(&encode(&entries).unwrap()).unwrap(), entries);
    assert_eq!(decode(&encode(&[]).unwrap()).unwrap(), []);
}

/// `"BatchInput": null` was read as no `BatchInput` (found by `tests/hostile`, seed 2000130623 of its definitions).
#[test]
fn what_is_null_is_still_there_when_it_is_read() {
    let null = || Some(payload(json!(null)));
    let batching = Some(Batching { input: null(), ..Batching::default() });
    let plan = MapRunPlan { batching, writer: null(), ..plan() };
    let entries = [
        entry(Event::TaskScheduled(Box::new(TaskScheduled { credentials: null(), ..scheduled() }))),
        entry(Event::MapRunStarted { arn: Arn::new("run"), plan: Some(Box::new(plan)) }),
    ];
    assert_eq!(decode(&encode(&entries).unwrap()).unwrap(), entries);
}

#[test]
fn a_newer_form_is_refused_by_its_number() {
    let newer = PINNED.lines().next().unwrap().replacen(r#""v":1"#, r#""v":3"#, 1);
    assert_eq!(decode(newer.as_bytes()), Err(RecordError::Newer(3)));
    assert_eq!(decode(br#"{"v":7,"entries":"of another shape"}"#), Err(RecordError::Newer(7)));
}

#[test]
fn an_event_of_a_newer_version_in_our_form_is_an_error_and_no_panic() {
    assert!(matches!(decode(br#"{"v":1,"e":[{"t":1,"e":{"TaskForgotten":{}}}]}"#), Err(RecordError::Broken(_))));
}

#[test]
fn broken_bytes_are_an_error_and_no_panic() {
    let whole = encode(&samples().into_iter().map(entry).collect::<Vec<_>>()).unwrap();
    for cut in (0..whole.len()).step_by(7) {
        assert!(matches!(decode(&whole[..cut]), Err(RecordError::Broken(_))), "cut at {cut}");
    }
    for bytes in [&b"\xff\xfe"[..], b"null", b"[]", b"{}", br#"{"v":1}"#, br#"{"v":"1","e":[]}"#, br#"{"v":1,"e":[7]}"#]
    {
        assert!(matches!(decode(bytes), Err(RecordError::Broken(_))), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_payload_of_the_deepest_nesting_survives() {
    let deep =
        (0..JSON_DEPTH_MAX).fold(json!(1), |inner, i| if i % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) });
    let entries = [
        entry(Event::TaskSucceeded {
            family: service(),
            scheduled: EventId(3),
            output: payload(deep.clone()),
            by: None,
            link: None,
        }),
        entry(Event::ExecutionStarted(Box::new(Started { input: payload(deep), ..started() }))),
    ];
    assert_eq!(decode(&encode(&entries).unwrap()).unwrap(), entries);
}

#[test]
fn bytes_that_nest_without_end_are_an_error_and_no_overflow() {
    let bytes = [br#"{"v":1,"e":"#.to_vec(), b"[".repeat(1_000_000)].concat();
    assert!(matches!(decode(&bytes), Err(RecordError::Broken(_))));
    let inside =
        [br#"{"v":1,"e":[{"t":1,"e":{"ExecutionSucceeded":{"output":"#.to_vec(), b"[".repeat(1_000_000)].concat();
    assert!(matches!(decode(&inside), Err(RecordError::Broken(_))));
}

/// A loop that hands on its input, as its decision writes it.
fn handed_on(payload: &Payload) -> Vec<Entry> {
    let entered = |name: &str| Event::StateEntered { kind: StateType::Pass, name: name.into(), input: payload.clone() };
    let exited = |name: &str, next: Option<&str>| Event::StateExited {
        kind: StateType::Pass,
        name: name.into(),
        output: payload.clone(),
        assigned: None,
        next: next.map(Into::into),
    };
    let events = [
        entered("A"),
        exited("A", Some("B")),
        entered("B"),
        exited("B", None),
        Event::ExecutionSucceeded { output: payload.clone() },
    ];
    let entry = |(id, event)| Entry {
        at: Timestamp::from_millis(7),
        id: EventId(id),
        previous: EventId(id - 1),
        frame: FrameId::TOP,
        event,
    };
    (1..).zip(events).map(entry).collect()
}

#[test]
fn a_large_payload_that_is_handed_on_is_written_once_in_a_form_of_its_own() {
    let large = Payload::new(json!("x".repeat(4_100)));
    let entries = handed_on(&large);
    let bytes = encode(&entries).unwrap();
    // Pinned: journals in this form exist.
    let pinned = include_str!("form2.json").trim_end().replace("<x>", &"x".repeat(4_100));
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), pinned);
    let read = decode(&bytes).unwrap();
    assert_eq!(read, entries);
    let mut all = Vec::new();
    for entry in &read {
        crate::interpreter::payloads::each(&entry.event, &mut |payload| all.push(payload.clone()));
    }
    assert!(all.iter().all(|payload| payload.ptr_eq(&all[0])), "one value in memory");
    // A payload that is small, or not repeated, is written as before.
    assert!(encode(&handed_on(&payload(json!({ "a": 1 })))).unwrap().starts_with(b"{\"v\":1,"));
    assert!(encode(&entries[..1]).unwrap().starts_with(b"{\"v\":1,"));
}

#[test]
fn a_payload_that_is_the_same_as_none_is_an_error() {
    let good = String::from_utf8(encode(&handed_on(&payload(json!("x".repeat(4_100))))).unwrap()).unwrap();
    let same = "\"s\":[[1,0],[2,0],[3,0],[4,0]]";
    assert!(good.contains(same), "{}", &good[..60]);
    for wrong in ["[[0,0]]", "[[1,2]]", "[[9,0]]", "[[1,1]]", "[[4294967295,0]]", "[[1]]", "7"] {
        let bad = good.replace(same, &format!("\"s\":{wrong}"));
        assert!(matches!(decode(bad.as_bytes()), Err(RecordError::Broken(_))), "{wrong}");
    }
}
