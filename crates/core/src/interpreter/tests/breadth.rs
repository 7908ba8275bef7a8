//! Behaviour at run time: each field that takes its value from the data × each value that it should not have, in
//! both languages.
//!
//! The rows are data (`tests/breadth/runtime.txt`): field, language, value, source of the rule, outcome. A field's name
//! says how its state is made here. `REVEILLE_WRITE_BREADTH=1` writes the outcomes; each line is then read against
//! its source.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::World;
use super::script::{Play, Script};
use crate::interpreter::event::ItemSource;
use crate::interpreter::state::Conclusion;

const PATH: &str = "JSONPath";
const EXPRESSION: &str = "JSONata";

/// Values by name; `None`: there is none.
fn values() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("missing", None),
        ("null", Some(Value::Null)),
        ("true", Some(json!(true))),
        ("0", Some(json!(0))),
        ("1", Some(json!(1))),
        ("-1", Some(json!(-1))),
        ("1.5", Some(json!(1.5))),
        ("2.0", Some(json!(2.0))),
        ("100000000", Some(json!(100_000_000_u64))),
        ("1e20", Some(json!(1e20))),
        ("empty text", Some(json!(""))),
        ("text", Some(json!("text"))),
        ("digits", Some(json!("5"))),
        ("timestamp", Some(json!("2023-11-14T22:13:21Z"))),
        ("date", Some(json!("2023-11-15"))),
        ("[]", Some(json!([]))),
        ("[1]", Some(json!([1]))),
        ("{}", Some(json!({}))),
        ("object", Some(json!({"a": 1}))),
    ]
}

struct Field {
    name: &'static str,
    language: &'static str,
    source: &'static str,
    state: Value,
}

fn field(name: &'static str, language: &'static str, source: &'static str, state: Value) -> Field {
    Field { name, language, source, state }
}

/// The state `S`, whose field takes the value `v` of the input.
fn fields() -> Vec<Field> {
    let ended = |mut state: Value| {
        state["End"] = json!(true);
        state
    };
    let task = |more: Value| {
        let mut state = json!({ "Type": "Task", "Resource": "arn:aws:states:::amqp:call", "End": true });
        state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        state
    };
    let map = |more: Value| {
        let mut state = json!({ "Type": "Map", "End": true,
            "ItemProcessor": { "StartAt": "I", "States": { "I": { "Type": "Pass", "End": true } } } });
        state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        state
    };
    let choice = |test: Value| {
        let mut rule = json!({ "Variable": "$.v", "Next": "Yes" });
        rule.as_object_mut().unwrap().extend(test.as_object().unwrap().clone());
        json!({ "Type": "Choice", "Choices": [rule], "Default": "No" })
    };
    let v = "{% $states.input.v %}";
    vec![
        field("Pass.InputPath", PATH, "spec", ended(json!({ "Type": "Pass", "InputPath": "$.v" }))),
        field("Pass.OutputPath", PATH, "spec", ended(json!({ "Type": "Pass", "OutputPath": "$.v" }))),
        field("Pass.Parameters", PATH, "spec", ended(json!({ "Type": "Pass", "Parameters": { "x.$": "$.v" } }))),
        field("Pass.ResultPath", PATH, "spec", ended(json!({ "Type": "Pass", "Result": 7, "ResultPath": "$.v.x" }))),
        field("Pass.Assign", PATH, "guide", ended(json!({ "Type": "Pass", "Assign": { "x.$": "$.v" } }))),
        field("Wait.SecondsPath", PATH, "rec", ended(json!({ "Type": "Wait", "SecondsPath": "$.v" }))),
        field("Wait.TimestampPath", PATH, "rec", ended(json!({ "Type": "Wait", "TimestampPath": "$.v" }))),
        field("Task.TimeoutSecondsPath", PATH, "rec", task(json!({ "TimeoutSecondsPath": "$.v" }))),
        field(
            "Task.HeartbeatSecondsPath",
            PATH,
            "rec",
            task(json!({ "TimeoutSeconds": 60, "HeartbeatSecondsPath": "$.v" })),
        ),
        field("Task.Credentials", PATH, "guide", task(json!({ "Credentials": { "RoleArn.$": "$.v" } }))),
        field("Task.ResultSelector", PATH, "spec", task(json!({ "ResultSelector": { "x.$": "$.v" } }))),
        field("Fail.ErrorPath", PATH, "rec", json!({ "Type": "Fail", "ErrorPath": "$.v", "Cause": "c" })),
        field("Fail.CausePath", PATH, "rec", json!({ "Type": "Fail", "Error": "E", "CausePath": "$.v" })),
        field("Choice.StringEquals", PATH, "rec", choice(json!({ "StringEquals": "text" }))),
        field("Choice.NumericLessThan", PATH, "rec", choice(json!({ "NumericLessThan": 1.5 }))),
        field("Choice.BooleanEquals", PATH, "rec", choice(json!({ "BooleanEquals": true }))),
        field("Choice.TimestampEquals", PATH, "rec", choice(json!({ "TimestampEquals": "2023-11-14T22:13:21Z" }))),
        field("Choice.StringMatches", PATH, "rec", choice(json!({ "StringMatches": "*" }))),
        field("Choice.StringEqualsPath", PATH, "rec", choice(json!({ "StringEqualsPath": "$.v" }))),
        field("Choice.NumericEqualsPath", PATH, "rec", choice(json!({ "NumericEqualsPath": "$.v" }))),
        field("Choice.IsPresent", PATH, "rec", choice(json!({ "IsPresent": true }))),
        field("Choice.IsNull", PATH, "rec", choice(json!({ "IsNull": true }))),
        field("Choice.IsTimestamp", PATH, "rec", choice(json!({ "IsTimestamp": true }))),
        field("Map.ItemsPath", PATH, "rec", map(json!({ "ItemsPath": "$.v" }))),
        field(
            "Map.MaxConcurrencyPath",
            PATH,
            "rec",
            map(json!({ "ItemsPath": "$.items", "MaxConcurrencyPath": "$.v" })),
        ),
        field(
            "Map.ItemSelector",
            PATH,
            "spec",
            map(json!({ "ItemsPath": "$.items", "ItemSelector": { "x.$": "$.v" } })),
        ),
        field("Wait.Seconds", EXPRESSION, "form", ended(json!({ "Type": "Wait", "Seconds": v }))),
        field("Wait.Timestamp", EXPRESSION, "form", ended(json!({ "Type": "Wait", "Timestamp": v }))),
        field("Task.TimeoutSeconds", EXPRESSION, "form", task(json!({ "TimeoutSeconds": v }))),
        field(
            "Task.HeartbeatSeconds",
            EXPRESSION,
            "form",
            task(json!({ "TimeoutSeconds": 60, "HeartbeatSeconds": v })),
        ),
        field("Task.Arguments", EXPRESSION, "guide", task(json!({ "Arguments": v }))),
        field("Task.Credentials", EXPRESSION, "guide", task(json!({ "Credentials": { "RoleArn": v } }))),
        field("Pass.Output", EXPRESSION, "guide", ended(json!({ "Type": "Pass", "Output": v }))),
        field("Pass.Assign", EXPRESSION, "guide", ended(json!({ "Type": "Pass", "Assign": { "x": v } }))),
        field("Fail.Error", EXPRESSION, "form", json!({ "Type": "Fail", "Error": v, "Cause": "c" })),
        field("Fail.Cause", EXPRESSION, "form", json!({ "Type": "Fail", "Error": "E", "Cause": v })),
        field(
            "Choice.Condition",
            EXPRESSION,
            "rec",
            json!({ "Type": "Choice", "Choices": [{ "Condition": v, "Next": "Yes" }], "Default": "No" }),
        ),
        field("Map.Items", EXPRESSION, "rec", map(json!({ "Items": v }))),
        field("Map.MaxConcurrency", EXPRESSION, "form", map(json!({ "Items": [1], "MaxConcurrency": v }))),
        field("Map.ItemSelector", EXPRESSION, "guide", map(json!({ "Items": [1], "ItemSelector": v }))),
    ]
    .into_iter()
    .chain(distributed_fields())
    .collect()
}

/// The same of a Distributed Map. The one child of those with a tolerance fails.
fn distributed_fields() -> Vec<Field> {
    let map = |processor: Value, more: Value| {
        let mut state = json!({ "Type": "Map", "End": true, "ItemProcessor": {
            "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" },
            "StartAt": "I", "States": { "I": processor } } });
        state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        state
    };
    let pass = || json!({ "Type": "Pass", "End": true });
    let fail = || json!({ "Type": "Fail", "Error": "E", "Cause": "c" });
    let get = "arn:aws:states:::s3:getObject";
    let put = "arn:aws:states:::s3:putObject";
    let path = |name: &'static str, source: &'static str, processor: Value, more: Value| {
        let mut more = more;
        if more.get("ItemReader").is_none() {
            more["ItemsPath"] = json!("$.items");
        }
        field(name, PATH, source, map(processor, more))
    };
    let expression = |name: &'static str, source: &'static str, processor: Value, more: Value| {
        let mut more = more;
        if more.get("ItemReader").is_none() {
            more["Items"] = json!([1]);
        }
        field(name, EXPRESSION, source, map(processor, more))
    };
    let v = "{% $states.input.v %}";
    let reader = |parameters: &str, bucket: Value, config: Value| {
        let mut config = config;
        config["InputType"] = json!("JSON");
        json!({ "ItemReader": { "Resource": get, parameters: bucket, "ReaderConfig": config } })
    };
    vec![
        path("Distributed.ItemSelector", "guide", pass(), json!({ "ItemSelector": { "x.$": "$.v" } })),
        path("Distributed.MaxConcurrencyPath", "rec", pass(), json!({ "MaxConcurrencyPath": "$.v" })),
        path("Distributed.ToleratedFailureCountPath", "rec", fail(), json!({ "ToleratedFailureCountPath": "$.v" })),
        path(
            "Distributed.ToleratedFailurePercentagePath",
            "rec",
            fail(),
            json!({ "ToleratedFailurePercentagePath": "$.v" }),
        ),
        path(
            "ItemBatcher.MaxItemsPerBatchPath",
            "rec",
            pass(),
            json!({ "ItemBatcher": { "MaxItemsPerBatchPath": "$.v" } }),
        ),
        path(
            "ItemBatcher.MaxInputBytesPerBatchPath",
            "rec",
            pass(),
            json!({ "ItemBatcher": { "MaxInputBytesPerBatchPath": "$.v" } }),
        ),
        path(
            "ItemBatcher.BatchInput",
            "guide",
            pass(),
            json!({ "ItemBatcher": { "MaxItemsPerBatch": 2, "BatchInput": { "x.$": "$.v" } } }),
        ),
        path(
            "ItemReader.Parameters",
            "guide",
            pass(),
            reader("Parameters", json!({ "Bucket": "b", "Key.$": "$.v" }), json!({})),
        ),
        path(
            "ItemReader.MaxItemsPath",
            "rec",
            pass(),
            reader("Parameters", json!({ "Bucket": "b", "Key": "k" }), json!({ "MaxItemsPath": "$.v" })),
        ),
        path(
            "ResultWriter.Parameters",
            "guide",
            pass(),
            json!({ "ResultWriter": { "Resource": put, "Parameters": { "Bucket": "b", "Prefix.$": "$.v" } } }),
        ),
        expression("Distributed.Items", "rec", pass(), json!({ "Items": v })),
        expression("Distributed.ItemSelector", "guide", pass(), json!({ "ItemSelector": { "x": v } })),
        expression("Distributed.MaxConcurrency", "form", pass(), json!({ "MaxConcurrency": v })),
        expression("Distributed.ToleratedFailureCount", "form", fail(), json!({ "ToleratedFailureCount": v })),
        expression(
            "Distributed.ToleratedFailurePercentage",
            "form",
            fail(),
            json!({ "ToleratedFailurePercentage": v }),
        ),
        expression("ItemBatcher.MaxItemsPerBatch", "form", pass(), json!({ "ItemBatcher": { "MaxItemsPerBatch": v } })),
        expression(
            "ItemBatcher.MaxInputBytesPerBatch",
            "form",
            pass(),
            json!({ "ItemBatcher": { "MaxInputBytesPerBatch": v } }),
        ),
        expression(
            "ItemBatcher.BatchInput",
            "guide",
            pass(),
            json!({ "ItemBatcher": { "MaxItemsPerBatch": 2, "BatchInput": v } }),
        ),
        expression(
            "ItemReader.Arguments",
            "guide",
            pass(),
            reader("Arguments", json!({ "Bucket": "b", "Key": v }), json!({})),
        ),
        expression(
            "ItemReader.MaxItems",
            "form",
            pass(),
            reader("Arguments", json!({ "Bucket": "b", "Key": "k" }), json!({ "MaxItems": v })),
        ),
        expression(
            "ResultWriter.Arguments",
            "guide",
            pass(),
            json!({ "ResultWriter": { "Resource": put, "Arguments": { "Bucket": "b", "Prefix": v } } }),
        ),
    ]
}

/// The plan of a run with a reader or a writer, which the shell performs.
fn planned(world: &World) -> Option<String> {
    let plan = world.state.map_runs().next()?.run.plan.clone()?;
    match (&plan.source, &plan.writer) {
        (ItemSource::Reader { parameters, max_items: Some(n) }, _) => Some(format!("reads {n} of {}", **parameters)),
        (ItemSource::Reader { parameters, max_items: None }, _) => Some(format!("reads {}", **parameters)),
        (ItemSource::StateData { .. }, Some(writer)) => Some(format!("writes {}", **writer)),
        (ItemSource::StateData { .. }, None) => None,
    }
}

fn outcome(field: &Field, value: Option<&Value>) -> String {
    let passes = |word: &str| match field.language {
        PATH => json!({ "Type": "Pass", "Result": word, "End": true }),
        _ => json!({ "Type": "Pass", "Output": word, "End": true }),
    };
    let definition = json!({ "StartAt": "S", "QueryLanguage": field.language,
        "States": { "S": field.state, "Yes": passes("yes"), "No": passes("no") } });
    let mut definition = definition;
    if !field.name.starts_with("Choice") {
        let states = definition["States"].as_object_mut().unwrap();
        states.retain(|name, _| name == "S");
    }
    let mut input = json!({ "items": [1] });
    let mut answer = json!({});
    if let Some(value) = value {
        input["v"] = value.clone();
        answer["v"] = value.clone();
    }
    let script: Script = serde_json::from_value(json!({ "tasks": { "S": [{ "success": answer }] } })).unwrap();
    let mut world = World::new(&definition);
    world.start(input);
    if let Some(plan) = planned(&world) {
        return plan;
    }
    let mut play = Play::new(world, &script);
    play.play_out();
    match play.world.conclusion() {
        Conclusion::Succeeded(output) => format!("ok: {}", **output),
        Conclusion::Failed(f) | Conclusion::TimedOut(f) | Conclusion::Aborted(f) => {
            let (error, cause) = (f.error.as_deref().unwrap_or("-"), f.cause.as_deref().unwrap_or("-"));
            format!("{error}: {}", cause.replace('\n', "\\n"))
        }
    }
}

#[test]
fn each_field_with_each_value_ends_as_the_table_says() {
    let mut found = String::new();
    for field in fields() {
        for (name, value) in values() {
            let end = outcome(&field, value.as_ref());
            writeln!(found, "{} | {} | {name} | {} | {end}", field.name, field.language, field.source).unwrap();
        }
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/breadth/runtime.txt");
    let table = std::fs::read_to_string(&path).unwrap_or_default();
    if std::env::var_os("REVEILLE_WRITE_BREADTH").is_some() {
        let mut head: Vec<&str> = table.lines().filter(|line| line.starts_with('#')).collect();
        head.push(&found);
        std::fs::write(&path, head.join("\n")).unwrap();
        return;
    }
    let wanted: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found.len(), wanted.len(), "rows");
    let differ: Vec<String> = found
        .iter()
        .zip(&wanted)
        .filter(|(found, wanted)| found != wanted)
        .map(|(found, wanted)| format!("found  {found}\nwanted {wanted}"))
        .collect();
    assert!(differ.is_empty(), "{} of {} rows differ\n{}", differ.len(), found.len(), differ.join("\n"));
}
