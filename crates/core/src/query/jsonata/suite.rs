//! The official suite of JSONata (jsonata-js, MIT) through the engine as production uses it, with its bounds; only the
//! top-level rules of Step Functions are lifted, since the suite's expressions read an input document.
//!
//! The suite lies beside the checkout: in the folder named by `REVEILLE_SHARED`, or in `../shared`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bumpalo::Bump;
use serde_json::{Map, Value};

use super::super::QueryError;
use super::super::programs::Programs;
use super::heap::Scratch;
use super::tests::entropy;
use super::value::Val;
use super::{Limits, evaluate, syntax};

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
    } else if syntax::parse(text, &Programs::default()).is_err_and(|refusal| refusal.message.contains("2.0.6")) {
        Some("operator of 2.1 or later")
    } else if code == "U1001" {
        Some("expects the time or depth limit of the suite's own runner")
    } else {
        None
    }
}

/// Evaluates over an input document, as the reference does.
pub(super) fn run(
    text: &str,
    input: Option<&Value>,
    bindings: &Map<String, Value>,
    limits: &Limits,
) -> Result<Value, QueryError> {
    let program = syntax::parse(text, &Programs::default())
        .map_err(|refusal| QueryError::Evaluation { message: refusal.message })?;
    let bump = Bump::new();
    let mut entropy = entropy(1);
    evaluate(&bump, Scratch::default(), &program, &mut entropy, limits, |heap, globals| {
        for (name, value) in bindings {
            if let Some(sym) = program.symbols.find(name) {
                heap.bind(globals, sym, Val::of(value))?;
            }
        }
        if let Some(sym) = program.symbols.find("$") {
            heap.bind(globals, sym, input.map_or(Val::Undefined, Val::of))?;
        }
        Ok(input.map_or(Val::Undefined, Val::of))
    })
    .0
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
        (Some(code), Err(QueryError::Bound { .. })) => matches!(code, "D1011" | "D2015" | "U1001"),
        (None, Ok(value)) if case.get("result").is_some() => alike(&case["result"], value, case["unordered"] == true),
        (None, Err(QueryError::Undefined)) => case["undefinedResult"] == true,
        _ => false,
    }
}

/// A case that Step Functions allows.
pub(super) struct Case {
    name: String,
    pub text: String,
    pub input: Option<Value>,
    pub bindings: Map<String, Value>,
    pub depth: usize,
    expected: Value,
}

/// All cases that Step Functions allows, and how many it does not; none where the suite is not there.
fn all() -> (Vec<Case>, usize) {
    let Some(suite) = suite() else {
        println!("skipped: no jsonata-suite beside the checkout (REVEILLE_SHARED or ../shared)");
        return (Vec::new(), 0);
    };
    let datasets: BTreeMap<String, Value> = entries(&suite.join("datasets"))
        .iter()
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), json(path)))
        .collect();
    let (mut cases, mut left_out) = (Vec::new(), 0);
    for group in entries(&suite.join("groups")) {
        for file in entries(&group).iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
            let listed = match json(file) {
                Value::Array(cases) => cases,
                // A lone surrogate is no text in Rust.
                Value::Null => {
                    left_out += 1;
                    continue;
                }
                case => vec![case],
            };
            for case in listed {
                let text = match (case["expr"].as_str(), case["expr-file"].as_str()) {
                    (Some(text), _) => text.to_owned(),
                    (None, Some(file)) => std::fs::read_to_string(group.join(file)).unwrap(),
                    _ => continue,
                };
                if excluded(&text, &case).is_some() {
                    left_out += 1;
                    continue;
                }
                let depth = case["depth"].as_u64().and_then(|depth| usize::try_from(depth).ok()).unwrap_or(0);
                cases.push(Case {
                    name: file.strip_prefix(&suite).unwrap().display().to_string(),
                    text,
                    input: case.get("data").or_else(|| datasets.get(case["dataset"].as_str()?)).cloned(),
                    bindings: case["bindings"].as_object().cloned().unwrap_or_default(),
                    depth: depth.max(Limits::default().depth),
                    expected: case,
                });
            }
        }
    }
    (cases, left_out)
}

pub(super) fn cases() -> Vec<Case> {
    all().0
}

#[test]
fn the_official_suite_passes() {
    let (cases, left_out) = all();
    let mut failures = Vec::new();
    for case in &cases {
        let limits = Limits { depth: case.depth, ..Limits::default() };
        let outcome = run(&case.text, case.input.as_ref(), &case.bindings, &limits);
        if !judge(&case.expected, &outcome) {
            let shown: String = case.text.chars().take(80).collect();
            let answer: String = format!("{outcome:?}").chars().take(200).collect();
            failures.push(format!("{}: {shown}\n    {answer}", case.name));
        }
    }
    println!("{} of {} cases pass; {left_out} are left out", cases.len() - failures.len(), cases.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
