//! Expressions on which implementations of JSONata differ, with the answers of the reference (jsonata-js 2.2.2, run in
//! node). Where we decide otherwise, the table has our answer and the reason.

use serde_json::{Map, Value};

use super::super::QueryError;
use super::Limits;
use super::suite::run;

const TABLE: &str = include_str!("../../../tests/jsonata/traps.tsv");

/// An answer as the table writes it.
pub(super) fn shown(outcome: &Result<Value, QueryError>) -> String {
    match outcome {
        Ok(value) => value.to_string(),
        Err(QueryError::Undefined | QueryError::UnsupportedType) => "undefined".to_owned(),
        Err(QueryError::Bound { message }) => format!("! bound: {message}"),
        Err(error) => format!("! {}", error.to_string().split(':').next().unwrap_or_default()),
    }
}

/// Equal, the order of keys left aside, and numbers of 14 digits.
pub(super) fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-14 * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| alike(x, y)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, x)| b.get(name).is_some_and(|y| alike(x, y)))
        }
        _ => a == b,
    }
}

fn agrees(outcome: &Result<Value, QueryError>, answer: &str) -> bool {
    match (outcome, answer) {
        (Ok(value), answer) => serde_json::from_str(answer).is_ok_and(|expected: Value| alike(value, &expected)),
        (Err(_), answer) => shown(outcome) == answer,
    }
}

#[test]
fn traps_of_the_language_are_answered_like_the_reference() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (text, theirs) = (columns[0], columns[1]);
        let ours = columns.get(2).copied();
        assert!(ours.is_none() || columns.get(3).is_some_and(|reason| !reason.is_empty()), "no reason: {line}");
        let outcome = run(text, None, &Map::new(), &Limits::default());
        count += 1;
        if !agrees(&outcome, ours.unwrap_or(theirs)) {
            wrong.push(format!("{text}\t{theirs}\n    {}", shown(&outcome)));
        }
    }
    assert!(count > 600);
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
