//! Goal: judge as AWS judges. Method: the corpus beside the checkout (`REVEILLE_SHARED`, else `../shared`): definitions
//! with a known verdict, definitions that AWS ran, and the errors and diagnostics that it answered. Absent corpus:
//! skipped, and said so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::asl::{Diagnostic, MachineType, Severity, diagnose, parse};

/// Cases that we judge otherwise than the corpus expects, and why.
const KNOWN: [(&str, &str); 6] = [
    (
        "asl-validator/valid-current-value-predicate.json",
        "Jayway reads no unquoted word in a filter (`@.OutputKey == FooBar`)",
    ),
    (
        "asl-validator/valid-cfn-definition-substitutions.json",
        "a CloudFormation substitution is no ARN; AWS refuses it",
    ),
    ("asl-validator/valid-task-intrisic-function.json", "a CloudFormation function is no ARN; AWS refuses it"),
    (
        "asl-validator/valid-map-with-item-batcher-jsonata.json",
        "a JSONPath state in a JSONata machine; AWS is recorded refusing that",
    ),
    (
        "asl-validator/invalid-json-surround-syntax-extra-spaces.json",
        "white space inside the delimiters is JSONata's own; AWS accepts it",
    ),
    (
        "workflows-collection/shared-fallback-state-jsonata/statemachine/statemachine.asl.json",
        "QueryLanguage stands inside States, so the JSONata fields stand in JSONPath states",
    ),
];

fn cases() -> Option<Vec<(PathBuf, Value)>> {
    let shared = std::env::var_os("REVEILLE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let root = shared.join("conformance/cases");
    if !root.is_dir() {
        println!("skipped: no corpus beside the checkout (set REVEILLE_SHARED)");
        return None;
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .flat_map(|area| std::fs::read_dir(area.unwrap().path()).unwrap().map(|file| file.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    Some(
        files
            .into_iter()
            .map(|path| (path.clone(), serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()))
            .collect(),
    )
}

/// The text of a definition, its placeholders filled in.
fn text(definition: &Value) -> String {
    let text = definition.as_str().map_or_else(|| definition.to_string(), str::to_owned);
    fill(&text)
}

fn fill(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("@@{") {
        let (name, after) = after.split_once('}').unwrap();
        out.push_str(before);
        out.push_str(&match name {
            "partition" => "aws".to_owned(),
            "region" => "us-east-1".to_owned(),
            "account" => "123456789012".to_owned(),
            name => name.replace(':', "-"),
        });
        rest = after;
    }
    out + rest
}

fn kind(name: Option<&str>) -> MachineType {
    if name == Some("EXPRESS") { MachineType::Express } else { MachineType::Standard }
}

/// `diagnostics` as the API shows them.
fn shown(diagnostics: &[Diagnostic]) -> Value {
    let one = |d: &Diagnostic| {
        let mut shown = json!({"severity": d.severity.name(), "code": d.code, "message": d.message});
        if let Some(location) = &d.location {
            shown["location"] = json!(location);
        }
        shown
    };
    diagnostics.iter().map(one).collect()
}

/// The expected and the actual findings of a case, one line for each difference.
fn judge(case: &Value) -> Vec<(String, bool, String)> {
    match case["kind"].as_str().unwrap() {
        "validation" => {
            let verdict = parse(&text(&case["definition"]), MachineType::Standard);
            let accept = case["expect"]["accept"].as_bool().unwrap();
            let why = verdict.as_ref().map_or_else(ToString::to_string, |_| "accepted".into());
            vec![("verdict".into(), verdict.is_ok() == accept, why)]
        }
        "execution" => {
            let definitions = case["definitions"].as_array().unwrap().iter();
            definitions
                .map(|d| {
                    let verdict = parse(&text(&d["definition"]), kind(d["type"].as_str()));
                    ("ran on AWS".into(), verdict.is_ok(), verdict.map_or_else(|e| e.to_string(), |_| String::new()))
                })
                .collect()
        }
        _ => case["steps"].as_array().unwrap().iter().filter_map(judge_step).collect(),
    }
}

fn judge_step(step: &Value) -> Option<(String, bool, String)> {
    let params = &step["params"];
    let definition = params["definition"].as_str().filter(|text| !text.starts_with("@@{r:"))?;
    let kind = kind(params["type"].as_str());
    let error = &step["expect"]["error"]["Error"];
    match step["op"].as_str()? {
        "ValidateStateMachineDefinition" => {
            let expected = &step["expect"]["value"]["diagnostics"];
            let ours = shown(&diagnose(&fill(definition), kind, Severity::Error));
            Some(("diagnostics".into(), ours == *expected, ours.to_string()))
        }
        "CreateStateMachine" | "UpdateStateMachine" | "TestState" if error["Code"] == "InvalidDefinition" => {
            let expected = fill(error["Message"].as_str().unwrap());
            let mut definition = fill(definition);
            if !definition.contains("\"States\"") && step["op"] == "TestState" {
                // TestState wraps a lone state in a machine.
                definition = format!("{{\"StartAt\":\"StateName\",\"States\":{{\"StateName\":{definition}}}}}");
            }
            let ours = parse(&definition, kind).map_or_else(|e| e.invalid_definition_message(), |_| "accepted".into());
            if expected.starts_with("Error=ValueError") {
                // The recorder's own Python exception, not a text of AWS: the verdict counts.
                return Some(("label refused".into(), ours.contains("Label"), ours));
            }
            Some(("error message".into(), ours == expected, ours))
        }
        "CreateStateMachine" | "UpdateStateMachine" if step["fails"].is_null() => {
            let verdict = parse(&fill(definition), kind);
            Some(("created on AWS".into(), verdict.is_ok(), verdict.map_or_else(|e| e.to_string(), |_| String::new())))
        }
        _ => None,
    }
}

#[test]
fn definitions_are_judged_as_aws_judges_them() {
    let Some(cases) = cases() else { return };
    // Area and kind of expectation → right, all.
    let mut table: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
    let mut surprises = Vec::new();
    for (path, case) in &cases {
        let area = case["area"].as_str().unwrap().to_owned();
        let id = case["id"].as_str().unwrap();
        for (mut what, right, ours) in judge(case) {
            if area == "validation_thirdparty" {
                what = "third party".into(); // not AWS's own word
            }
            let row = table.entry((area.clone(), what.clone())).or_default();
            row.0 += usize::from(right);
            row.1 += 1;
            match KNOWN.iter().find(|(known, _)| id == *known) {
                _ if right => {}
                Some((_, reason)) => println!("known: {id}: {reason}"),
                None => surprises.push(format!("{area} {}: {what}: {ours}", path.file_name().unwrap().display())),
            }
        }
    }
    let mut sums: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    println!("{:28} {:16} {:>6} {:>6}", "area", "expectation", "right", "all");
    for ((area, what), (right, all)) in &table {
        println!("{area:28} {what:16} {right:6} {all:6}");
        let sum = sums.entry(what).or_default();
        *sum = (sum.0 + right, sum.1 + all);
    }
    for (what, (right, all)) in &sums {
        println!("{:28} {what:16} {right:6} {all:6}", "TOTAL");
    }
    for surprise in &surprises {
        println!("WRONG {}", surprise.chars().take(700).collect::<String>());
    }
    assert!(surprises.is_empty(), "{} definitions are judged otherwise than on AWS", surprises.len());
    for (what, (right, all)) in sums {
        let floor = match what {
            "third party" => 90,
            "verdict" => 98,
            _ => 100,
        };
        assert!(right * 100 >= all * floor, "{what}: {right} of {all}");
    }
}
