//! The models of accepted definitions.

use crate::asl::model::{BlockId, Kind, MapMode, Quantity, QueryLanguage, ResultPath, Transition};
use crate::asl::{MachineType, parse};

#[test]
fn nested_workflows_are_numbered_in_the_order_of_the_text() {
    let text = r#"{"StartAt": "P", "TimeoutSeconds": 9, "States": {
        "P": {"Type": "Parallel", "Next": "M", "ResultPath": null, "Branches": [
            {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}},
            {"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 3, "End": true}}}]},
        "M": {"Type": "Map", "End": true, "QueryLanguage": "JSONata", "MaxConcurrency": 2, "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "a/b", "States": {"a/b": {"Type": "Pass", "End": true}}}}}}"#;
    let machine = parse(text, MachineType::Standard).unwrap().machine;
    assert_eq!(
        (machine.query_language, machine.timeout_seconds, machine.blocks.len()),
        (QueryLanguage::JsonPath, Some(9), 4)
    );
    let pointers: Vec<&str> = machine.blocks.iter().map(|b| b.pointer.as_str()).collect();
    assert_eq!(pointers, ["", "/States/P/Branches/0", "/States/P/Branches/1", "/States/M/ItemProcessor"]);
    let top = &machine.blocks[0];
    let fork = &top.states["P"];
    let Kind::Parallel(parallel) = &fork.kind else { panic!() };
    assert_eq!(parallel.branches, [BlockId(1), BlockId(2)]);
    assert!(matches!(parallel.result_path, ResultPath::Discard));
    assert_eq!(fork.transition, Transition::Next("M".into()));
    let Kind::Map(map) = &top.states["M"].kind else { panic!() };
    assert_eq!((map.processor, map.mode), (BlockId(3), MapMode::Distributed { express: true }));
    assert!(matches!(map.max_concurrency, Some(Quantity::Literal(n)) if (n - 2.0).abs() < f64::EPSILON));
    assert_eq!(top.states["M"].language, QueryLanguage::Jsonata);
    // A block inside takes the machine's language, not the Map's.
    let inner = &machine.blocks[3].states["a/b"];
    assert_eq!(
        (inner.language, inner.pointer.as_str()),
        (QueryLanguage::JsonPath, "/States/M/ItemProcessor/States/a~1b")
    );
}

#[test]
fn retriers_have_their_defaults() {
    let text = r#"{"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "arn:aws:states:::amqp:call", "End": true,
        "Retry": [{"ErrorEquals": ["X"]}, {"ErrorEquals": ["States.ALL"], "JitterStrategy": "FULL", "BackoffRate": 1.5, "MaxAttempts": 0}]}}}"#;
    let machine = parse(text, MachineType::Standard).unwrap().machine;
    let Kind::Task(task) = &machine.blocks[0].states["T"].kind else { panic!() };
    let shown: Vec<String> = task
        .retry
        .iter()
        .map(|r| {
            format!(
                "{} {} {} {:?} {}",
                r.interval_seconds, r.max_attempts, r.backoff_rate, r.max_delay_seconds, r.full_jitter
            )
        })
        .collect();
    assert_eq!(shown, ["1 3 2 None false", "1 0 1.5 None true"]);
}
