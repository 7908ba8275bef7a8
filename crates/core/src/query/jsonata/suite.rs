//! The official suite of JSONata (jsonata-js, MIT) through the engine as production uses it: same guard, same
//! functions, same converters; only the top-level rules of Step Functions are lifted, since the suite's expressions
//! read an input document.
//!
//! The suite lies beside the checkout: in the folder named by `REVEILLE_SHARED`, or in `../shared`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jsonata_core::parser;
use serde_json::{Map, Value};

use super::super::QueryError;
use super::{Limits, check, convert, engine};

/// Of the cases that Step Functions allows.
const FLOOR_PERCENT: f64 = 99.0;

#[derive(Default, Clone, Copy)]
struct Tally {
    passed: usize,
    failed: usize,
    excluded: usize,
}

fn suite() -> Option<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("REVEILLE_SHARED").map_or_else(|| manifest.join("../../../shared"), PathBuf::from);
    let suite = shared.join("jsonata-suite");
    suite.join("groups").is_dir().then_some(suite)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or(Value::Null)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Why Step Functions does not run this case, if it does not. Rules, not a list of cases.
fn excluded(text: &str, case: &Value) -> Option<&'static str> {
    let code = case["code"].as_str().or_else(|| case["error"]["code"].as_str()).unwrap_or_default();
    if text.contains("$eval") {
        Some("$eval is not offered")
    } else if parser::parse(text).is_ok_and(|ast| !check::extensions(&ast).is_empty()) {
        Some("operator of 2.1 or later")
    } else if code == "U1001" {
        Some("expects the time or depth limit of the suite's own runner")
    } else {
        None
    }
}

fn run(
    text: &str,
    input: Option<&Value>,
    bindings: &Map<String, Value>,
    depth: Option<usize>,
) -> Result<Value, QueryError> {
    let ast = parser::parse(text).map_err(|e| QueryError::Evaluation { message: e.to_string() })?;
    let defaults = Limits::default();
    let limits =
        Limits { call_depth: depth.map_or(defaults.call_depth, |depth| depth.max(defaults.call_depth)), ..defaults };
    engine::run(&ast, 1, 1_704_067_200_000, &limits, |context| {
        for (name, value) in bindings {
            context.bind(name.clone(), convert::into_engine(value));
        }
        input.map_or(jsonata_core::value::JValue::Undefined, convert::into_engine)
    })
}

/// Numbers to 12 digits: the suite was written down by another printer.
fn alike(a: &Value, b: &Value, unordered: bool) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) if unordered => {
            a.len() == b.len() && a.iter().all(|x| b.iter().any(|y| alike(x, y, false)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| alike(x, y, false)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, x)| b.get(name).is_some_and(|y| alike(x, y, false)))
        }
        _ => a == b,
    }
}

fn judge(case: &Value, outcome: &Result<Value, QueryError>) -> bool {
    let code = case["code"].as_str().or_else(|| case["error"]["code"].as_str());
    match (code, outcome) {
        (Some(code), Err(QueryError::Evaluation { message })) => message.contains(code),
        // Our bounds carry their figures, not the library's codes.
        (Some(code), Err(QueryError::Bound { .. })) => matches!(code, "D1011" | "D2015" | "U1001" | "D2014"),
        (None, Ok(value)) if case.get("result").is_some() => alike(&case["result"], value, case["unordered"] == true),
        (None, Err(QueryError::Undefined)) => case["undefinedResult"] == true,
        _ => false,
    }
}

#[test]
fn the_official_suite_passes_through_the_wrapper() {
    let Some(suite) = suite() else {
        println!("skipped: no jsonata-suite beside the checkout (REVEILLE_SHARED or ../shared)");
        return;
    };
    let datasets: BTreeMap<String, Value> = entries(&suite.join("datasets"))
        .iter()
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), json(path)))
        .collect();
    let mut table = BTreeMap::<String, Tally>::new();
    let mut failures = Vec::new();
    for group in entries(&suite.join("groups")) {
        let name = group.file_name().unwrap().to_string_lossy().into_owned();
        let tally = table.entry(name.clone()).or_default();
        for file in entries(&group).iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
            let cases = match json(file) {
                Value::Array(cases) => cases,
                // A lone surrogate is no text in Rust.
                Value::Null => {
                    tally.excluded += 1;
                    continue;
                }
                case => vec![case],
            };
            for case in cases {
                let text = match (case["expr"].as_str(), case["expr-file"].as_str()) {
                    (Some(text), _) => text.to_owned(),
                    (None, Some(file)) => std::fs::read_to_string(group.join(file)).unwrap(),
                    _ => continue,
                };
                if excluded(&text, &case).is_some() {
                    tally.excluded += 1;
                    continue;
                }
                let input = case.get("data").or_else(|| datasets.get(case["dataset"].as_str()?));
                let bindings = case["bindings"].as_object().cloned().unwrap_or_default();
                let depth = case["depth"].as_u64().and_then(|depth| usize::try_from(depth).ok());
                let outcome = run(&text, input, &bindings, depth);
                if judge(&case, &outcome) {
                    tally.passed += 1;
                } else {
                    tally.failed += 1;
                    let shown: String = text.chars().take(80).collect();
                    let answer: String = format!("{outcome:?}").chars().take(200).collect();
                    failures.push(format!("{}: {shown}\n    {answer}", file.strip_prefix(&suite).unwrap().display()));
                }
            }
        }
    }
    let total = table.values().fold(Tally::default(), |sum, tally| Tally {
        passed: sum.passed + tally.passed,
        failed: sum.failed + tally.failed,
        excluded: sum.excluded + tally.excluded,
    });
    println!("{:<36}{:>8}{:>8}{:>10}", "group", "passed", "failed", "excluded");
    for (name, tally) in table.iter().filter(|(_, tally)| tally.failed + tally.excluded > 0) {
        println!("{name:<36}{:>8}{:>8}{:>10}", tally.passed, tally.failed, tally.excluded);
    }
    println!(
        "{:<36}{:>8}{:>8}{:>10}",
        format!("all {} groups", table.len()),
        total.passed,
        total.failed,
        total.excluded
    );
    println!("{}", failures.join("\n"));
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let percent = 100.0 * total.passed as f64 / (total.passed + total.failed) as f64;
    assert!(percent >= FLOOR_PERCENT, "{percent:.2} % of the suite pass; the floor is {FLOOR_PERCENT} %");
}
