//! Goal: nothing that a text can hold makes the language panic, hang or take more than its share. Method: arbitrary
//! JSON, definitions with one part exchanged, and documents at the bounds.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::asl::diagnostics::DIAGNOSTICS_MAX;
use crate::asl::{MachineType, Severity, diagnose, parse};
use crate::limits::{BLOCK_DEPTH_MAX, DEFINITION_BYTES_MAX};
use crate::query::worked::Worked;

/// A machine that uses every state type and most fields.
fn rich() -> Value {
    json!({"Comment": "c", "StartAt": "Pass", "TimeoutSeconds": 9, "States": {
        "Pass": {"Type": "Pass", "Parameters": {"a.$": "$.b", "c": [1]}, "ResultPath": "$.r", "Assign": {"v": 1}, "Next": "Choice"},
        "Choice": {"Type": "Choice", "Default": "Wait", "Choices": [
            {"Variable": "$.x", "StringEquals": "y", "Next": "Wait"},
            {"And": [{"Variable": "$.x", "IsPresent": true}, {"Not": {"Variable": "$.x", "NumericLessThanPath": "$.y"}}], "Next": "Fork"}]},
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Task"},
        "Task": {"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken", "TimeoutSeconds": 9, "Next": "Fork",
            "Retry": [{"ErrorEquals": ["X"], "BackoffRate": 2}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Fail"}]},
        "Fork": {"Type": "Parallel", "Next": "Map", "Branches": [{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}]},
        "Map": {"Type": "Map", "QueryLanguage": "JSONata", "Items": "{% $states.input %}", "End": true, "Label": "l",
            "ItemBatcher": {"MaxItemsPerBatch": 3}, "ItemReader": {"Resource": "arn:aws:states:::s3:getObject"},
            "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "B", "States": {"B": {"Type": "Pass", "End": true}}}},
        "Fail": {"Type": "Fail", "ErrorPath": "$.e", "Cause": "c"}}})
}

#[test]
fn the_rich_machine_is_accepted() {
    parse(&rich().to_string(), MachineType::Standard).unwrap();
}

fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(k, v)| places(v, &format!("{at}/{}", k.replace('~', "~0").replace('/', "~1")), into));
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), into)),
        _ => {}
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("$".to_owned()),
        Just("$.a[".to_owned()),
        Just("{% $x( %}".to_owned()),
        Just("{%%}".to_owned()),
        Just("States.ALL".to_owned()),
        Just("States.Format('".to_owned()),
        Just("Map".to_owned()),
        Just("arn:aws:lambda".to_owned()),
        "\\PC{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        let name = prop_oneof![
            word.clone(),
            Just("States".to_owned()),
            Just("StartAt".to_owned()),
            Just("Type".to_owned()),
            Just("a.$".to_owned()),
            Just("Next".to_owned())
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..5).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_json_gives_a_verdict_with_places_inside_the_text(value in any_json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        for d in diagnose(&text, MachineType::Express, Severity::Warning) {
            prop_assert!(d.line >= 1 && d.line <= text.lines().count().max(1) && d.column >= 1);
        }
    }

    #[test]
    fn a_definition_with_one_part_exchanged_gives_a_verdict(place in any::<prop::sample::Index>(), part in any_json()) {
        let mut machine = rich();
        let mut all = Vec::new();
        places(&machine, "", &mut all);
        *machine.pointer_mut(place.get(&all).as_str()).unwrap() = part;
        let text = machine.to_string();
        let verdict = parse(&text, MachineType::Standard);
        prop_assert_eq!(verdict.is_ok(), diagnose(&text, MachineType::Standard, Severity::Error).is_empty());
    }

    #[test]
    fn arbitrary_text_gives_a_verdict(text in "\\PC{0,64}|[\\[\\]{}\",:\\\\ \\n0-9a-z]{0,64}") {
        let found = diagnose(&text, MachineType::Standard, Severity::Error);
        prop_assert!(!found.is_empty());
    }
}

/// Runs in a thread with the stack of a worker, and fails where it works longer than any sane bound, in processor time.
fn quickly(text: String) -> Vec<crate::asl::Diagnostic> {
    let head: String = text.chars().take(120).collect();
    let (found, taken) = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            let started = Worked::now();
            (diagnose(&text, MachineType::Standard, Severity::Warning), started.elapsed())
        })
        .unwrap()
        .join()
        .unwrap();
    println!("{taken:?} {head}");
    assert!(taken < Duration::from_secs(20), "took {taken:?}");
    found
}

fn fill(one: impl Fn(usize) -> String, frame: (&str, &str)) -> String {
    let mut text = frame.0.to_owned();
    for i in 0.. {
        let part = one(i);
        if text.len() + part.len() + frame.1.len() + 1 > DEFINITION_BYTES_MAX {
            break;
        }
        if i > 0 {
            text.push(',');
        }
        text.push_str(&part);
    }
    text + frame.1
}

#[test]
fn a_mebibyte_of_anything_is_judged_quickly() {
    let states = ("{\"StartAt\": \"s0\", \"States\": {", "}}");
    // A long chain: accepted but for its last link.
    let found = quickly(fill(|i| format!("\"s{i}\": {{\"Type\": \"Pass\", \"Next\": \"s{}\"}}", i + 1), states));
    assert_eq!(found.iter().map(|d| d.code).collect::<Vec<_>>(), ["MISSING_TRANSITION_TARGET", "MISSING_END_STATE"]);
    // Nothing but mistakes: findings are bounded.
    for one in [
        |i: usize| format!("\"s{i}\": {{\"Typo\": {i}}}"),
        |i: usize| format!("\"s{i}\": {{\"Type\": \"Pass\", \"Next\": \"t{i}\"}}"),
        |_: usize| "\"s\": {\"Type\": \"Succeed\"}".to_owned(),
        |i: usize| format!("\"s{i}\": {{\"Type\": \"Succeed\"}}"),
    ] {
        let found = quickly(fill(one, states));
        assert!((DIAGNOSTICS_MAX..=2 * DIAGNOSTICS_MAX).contains(&found.len()), "{}", found.len());
    }
    let fields = ("{\"StartAt\": \"A\", \"States\": {\"A\": {\"Type\": \"Pass\", \"End\": true, ", "}}}");
    assert_eq!(quickly(fill(|i| format!("\"f{i}\": 1"), fields)).len(), DIAGNOSTICS_MAX);
    let template =
        ("{\"StartAt\": \"A\", \"States\": {\"A\": {\"Type\": \"Pass\", \"End\": true, \"Parameters\": {", "}}}}");
    assert_eq!(quickly(fill(|i| format!("\"f{i}.$\": \"$.a{i}\""), template)), []);
    assert_eq!(quickly(fill(|i| format!("\"f{i}.$\": \"a{i}\""), template)).len(), DIAGNOSTICS_MAX);
    let output = (
        "{\"StartAt\": \"A\", \"QueryLanguage\": \"JSONata\", \"States\": {\"A\": {\"Type\": \"Pass\", \"End\": true, \"Output\": {",
        "}}}}",
    );
    assert_eq!(quickly(fill(|i| format!("\"f{i}\": \"{{% $states.input.a[b = {i}].c & 'x' %}}\""), output)), []);
    assert_eq!(quickly(fill(|i| format!("\"f{i}\": \"{{% a{i} %}}\""), output)).len(), DIAGNOSTICS_MAX);
    let retry = (
        "{\"StartAt\": \"A\", \"States\": {\"A\": {\"Type\": \"Task\", \"Resource\": \"arn:aws:states:::amqp:call\", \"End\": true, \"Retry\": [",
        "]}}}",
    );
    assert_eq!(quickly(fill(|i| format!("{{\"ErrorEquals\": [\"e{i}\"]}}"), retry)), []);
}

#[test]
fn hostile_nesting_is_refused_quickly() {
    for open in
        ["[", "{\"a\":", "{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Parallel\",\"End\":true,\"Branches\":["]
    {
        let found = quickly(open.repeat(DEFINITION_BYTES_MAX / open.len()));
        assert_eq!(found.iter().map(|d| d.code).collect::<Vec<_>>(), ["TOO_DEEPLY_NESTED"]);
    }
    // As deep as JSON may nest, and well formed.
    let mut inner = "{\"Type\": \"Succeed\"}".to_owned();
    for i in 0..BLOCK_DEPTH_MAX - 2 {
        inner = format!(
            "{{\"Type\": \"Parallel\", \"End\": true, \"Branches\": [{{\"StartAt\": \"s{i}\", \"States\": {{\"s{i}\": {inner}}}}}]}}"
        );
    }
    assert_eq!(quickly(format!("{{\"StartAt\": \"A\", \"States\": {{\"A\": {inner}}}}}")), []);
}
