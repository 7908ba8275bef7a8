//! Replays of histories as the API shows them. `tests/e2e/replay.rs` has those of a server.

use serde_json::{Value, json};

use super::*;

/// 300 days: an execution may be open for a year.
const WAIT_SECONDS: f64 = 25_920_000.0;

fn definition() -> Value {
    json!({"StartAt": "Ask", "States": {
        "Ask": {"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken", "HeartbeatSeconds": 60,
            "Parameters": {"Queue": "q", "Body": {"token.$": "$$.Task.Token", "n.$": "$.n"}}, "Next": "Rest"},
        "Rest": {"Type": "Wait", "Seconds": 25_920_000, "Next": "Tell"},
        "Tell": {"Type": "Pass", "Parameters": {"id.$": "States.UUID()", "n.$": "$.n"}, "End": true}
    }})
}

/// A server's view of it: the answer came after an hour with heartbeats, the wait took 300 days.
fn history() -> Vec<Value> {
    let data = |text: Value| text.to_string();
    let at = 1_700_000_000.123;
    let parameters = json!({"Queue": "q", "Body": {"token": "AAAA.secret", "n": 1}});
    let end = at + 3_600.0 + WAIT_SECONDS;
    let told = json!({"id": "0b7c9b6e-8b0e-4f9e-9a35-3a2f5d0c1e11", "n": 7.0});
    let events = [
        (at, 0, "ExecutionStarted", "executionStarted", json!({"input": data(json!({"n": 1})), "roleArn": "r"})),
        (at, 0, "TaskStateEntered", "stateEntered", json!({"name": "Ask", "input": data(json!({"n": 1}))})),
        (
            at,
            2,
            "TaskScheduled",
            "taskScheduled",
            json!({"resourceType": "amqp", "resource": "publish.waitForTaskToken", "region": "eu-west-1",
                "parameters": data(parameters), "heartbeatInSeconds": 60}),
        ),
        (at, 3, "TaskStarted", "taskStarted", json!({"resourceType": "amqp", "resource": "publish.waitForTaskToken"})),
        (
            at + 0.02,
            4,
            "TaskSubmitted",
            "taskSubmitted",
            json!({"resourceType": "amqp", "resource": "publish.waitForTaskToken", "output": data(json!({"MessageId": "m"}))}),
        ),
        (
            at + 3_600.0,
            5,
            "TaskSucceeded",
            "taskSucceeded",
            json!({"resourceType": "amqp", "resource": "publish.waitForTaskToken", "output": data(json!({"n": 7}))}),
        ),
        (at + 3_600.0, 6, "TaskStateExited", "stateExited", json!({"name": "Ask", "output": data(json!({"n": 7}))})),
        (at + 3_600.0, 7, "WaitStateEntered", "stateEntered", json!({"name": "Rest", "input": data(json!({"n": 7}))})),
        (end, 8, "WaitStateExited", "stateExited", json!({"name": "Rest", "output": data(json!({"n": 7}))})),
        (end, 9, "PassStateEntered", "stateEntered", json!({"name": "Tell", "input": data(json!({"n": 7}))})),
        (end, 10, "PassStateExited", "stateExited", json!({"name": "Tell", "output": data(told.clone())})),
        (end, 11, "ExecutionSucceeded", "executionSucceeded", json!({"output": data(told)})),
    ];
    events
        .into_iter()
        .zip(1..)
        .map(|((timestamp, previous, kind, details, content), id)| {
            let name = format!("{details}EventDetails");
            json!({"timestamp": timestamp, "id": id, "previousEventId": previous, "type": kind, name: content})
        })
        .collect()
}

fn played(definition: &Value, events: Vec<Value>) -> Result<Report, String> {
    let tape = Tape { name: "tape".to_owned(), arn: None, events, definition: Some(definition.to_string()) };
    play(&tape, None)
}

#[test]
fn many_days_are_replayed_against_its_own_definition() {
    let report = played(&definition(), history()).unwrap();
    assert_eq!(report, Report { same: 12, recorded: 12, end: End::Same });
    // While it runs, what there is is the same.
    let mut open = history();
    open.truncate(8);
    assert_eq!(played(&definition(), open).unwrap(), Report { same: 8, recorded: 8, end: End::Same });
}

#[test]
fn the_first_difference_is_told_with_its_place() {
    let changed = |pointer: &str, value: Value| {
        let mut definition = definition();
        *definition.pointer_mut(pointer).unwrap() = value;
        let report = played(&definition, history()).unwrap();
        let End::Different(difference) = report.end else { panic!("{pointer}: {:?}", report.end) };
        let kind = |event: &Option<Value>| event.as_ref().map(|event| text(event, "type"));
        (report.same + 1, kind(&difference.recorded), kind(&difference.replayed), difference.at)
    };
    let some = |kind: &str| Some(kind.to_owned());
    for (pointer, value, expected) in [
        (
            "/States/Ask/Parameters/Queue",
            json!("other"),
            (3, some("TaskScheduled"), some("TaskScheduled"), "/taskScheduledEventDetails/parameters/Queue"),
        ),
        (
            "/States/Rest",
            json!({"Type": "Pass", "Next": "Tell"}),
            (8, some("WaitStateEntered"), some("PassStateEntered"), "/type"),
        ),
        (
            "/States/Tell/Parameters",
            json!({"n": 8}),
            (11, some("PassStateExited"), some("PassStateExited"), "/stateExitedEventDetails/output/id"),
        ),
        ("/States/Tell", json!({"Type": "Fail"}), (10, some("PassStateEntered"), some("FailStateEntered"), "/type")),
    ] {
        let (at, recorded, replayed, member) = expected;
        let expected = (at, recorded, replayed, member.to_owned());
        assert_eq!(changed(pointer, value), expected, "{pointer}");
    }
    // A timeout that is over before the answer came.
    let mut impatient = definition();
    impatient["States"]["Ask"]["TimeoutSeconds"] = json!(600);
    let report = played(&impatient, history()).unwrap();
    let End::Different(difference) = report.end else { panic!("{:?}", report.end) };
    assert_eq!(difference.at, "/taskScheduledEventDetails/timeoutInSeconds");
    let shown = shown(
        &[Played { name: "e".to_owned(), result: played(&impatient, history()) }],
        std::time::Duration::default(),
    );
    let plain = anstream::adapter::strip_str(&shown).to_string();
    assert!(plain.starts_with("e  different  at event 3 of 12\n  recorded TaskScheduled amqp:publish"), "{plain}");
    assert!(plain.contains("/taskScheduledEventDetails/timeoutInSeconds = 600"), "{plain}");
}

#[test]
fn a_record_that_cannot_be_replayed_says_why() {
    for (events, why) in [
        (vec![], "no events"),
        (history().split_off(1), "begins with TaskStateEntered"),
        (
            vec![json!({"type": "ExecutionStarted", "id": 1, "timestamp": 1, "executionStartedEventDetails": {}})],
            "no data",
        ),
    ] {
        let told = played(&definition(), events).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
    let tape = Tape { name: "f".to_owned(), arn: None, events: history(), definition: None };
    assert!(play(&tape, None).unwrap_err().contains("--definition"));
}

/// The histories that were recorded on AWS, where the corpus lies beside the checkout.
#[test]
fn histories_of_aws_are_replayed() {
    let folder = std::env::var_os("REVEILLE_SHARED").map(std::path::PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    let Ok(areas) = std::fs::read_dir(folder.join("conformance/cases")) else {
        println!("skipped: the corpus does not lie beside this checkout");
        return;
    };
    let (mut same, mut all) = (0_usize, 0_usize);
    let mut bad = Vec::new();
    for file in areas.flat_map(|area| std::fs::read_dir(area.unwrap().path()).unwrap()) {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        if case["kind"] != "execution" || case["services"] != json!(["none"]) {
            continue;
        }
        for run in case["runs"].as_array().unwrap() {
            let of = usize::try_from(run["definition"].as_u64().unwrap()).unwrap();
            let definition = &case["definitions"][of]["definition"];
            let definition = definition.as_str().map_or_else(|| definition.to_string(), str::to_owned);
            let Some(events) = run["expect"]["history"].as_array() else { continue };
            let events = events.iter().cloned().map(as_recorded).collect();
            let tape = Tape { name: String::new(), arn: None, events, definition: Some(definition) };
            all += 1;
            match play(&tape, None) {
                Ok(Report { end: End::Same | End::Stopped(_), .. }) => same += 1,
                other => bad.push(format!("{} {other:?}", case["id"])),
            }
        }
    }
    for line in bad.iter().take(30) {
        println!("{}", line.chars().take(700).collect::<String>());
    }
    println!("{same} of {all} histories are replayed");
    assert!(same * 100 >= all * REPLAYED_PERCENT_MIN, "{same} of {all}");
}

/// The corpus has data as JSON in the place of its text, and no times.
fn as_recorded(mut event: Value) -> Value {
    event["timestamp"] = json!(1_700_000_000);
    let details = event.as_object_mut().into_iter().flatten().filter(|(name, _)| name.ends_with("EventDetails"));
    for member in details.filter_map(|(_, details)| details.as_object_mut()).flatten() {
        if ["input", "output", "parameters"].contains(&member.0.as_str()) {
            *member.1 = json!(member.1.to_string());
        }
    }
    event
}

/// Of the corpus. The rest differs in ways that its own comparison allows.
const REPLAYED_PERCENT_MIN: usize = 50;
