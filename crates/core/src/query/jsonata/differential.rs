//! Expressions by chance, against the reference.
//!
//! `generate` writes down expressions; node answers them (`scripts/jsonata-oracle.js`); a recorded list of them and of
//! the answers is replayed in each run of the tests.

mod generate;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use super::super::QueryError;
use super::Limits;
use super::suite::run;
use super::traps::{alike, shown};

const RECORDED: &str = include_str!("../../../tests/jsonata/recorded.tsv");

fn evaluate(text: &str, inputs: &[Value], input: usize) -> Result<Value, QueryError> {
    run(text, Some(&inputs[input]), &Map::new(), &Limits::default())
}

/// Whether our answer is theirs. A failure of JavaScript without a code is no answer, nor is a bound of ours.
fn agrees(text: &str, ours: &Result<Value, QueryError>, theirs: &str) -> bool {
    if theirs.starts_with("! JavaScript") || theirs == "! undefined" {
        return true;
    }
    // Half of a character is no text here.
    if theirs.contains("\\ud") {
        return true;
    }
    // JavaScript writes the source of a function, and `undefined`, where a replacement is no text.
    if text.contains("$replace(") && shown(ours) == "! D3012" {
        return true;
    }
    match ours {
        Ok(value) => serde_json::from_str(theirs).is_ok_and(|expected: Value| alike(value, &expected)),
        // A transform may put an object into itself, and Roman numerals may be long.
        Err(QueryError::Bound { .. }) => text.contains("~> |") || text.contains("\"I\"") || text.contains("\"i\""),
        // Of several errors in one constructor the reference tells the first in time.
        Err(QueryError::Evaluation { .. })
            if theirs.starts_with('!') && text.contains(['[', '{']) && text.contains(',') =>
        {
            true
        }
        Err(_) => shown(ours) == theirs,
    }
}

#[test]
fn recorded_answers_of_the_reference_are_ours() {
    let inputs = generate::inputs();
    let mut wrong = Vec::new();
    for line in RECORDED.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.splitn(3, '\t');
        let input: usize = columns.next().unwrap().parse().unwrap();
        let text: String = serde_json::from_str(columns.next().unwrap()).unwrap();
        let theirs = columns.next().unwrap();
        let ours = evaluate(&text, &inputs, input);
        if !agrees(&text, &ours, theirs) {
            wrong.push(format!("{input}\t{text}\n    theirs {theirs}\n    ours   {}", shown(&ours)));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// `JSONATA_JS=.../node_modules/jsonata JSONATA_CASES=200000 JSONATA_SEED=1 cargo test ... differential -- --ignored`.
/// With `JSONATA_RECORD` the cases are written to that file, with their answers.
#[test]
#[ignore = "needs node and the reference"]
fn expressions_by_chance_are_answered_like_the_reference() {
    let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (seed, count) = (number("JSONATA_SEED", 1), number("JSONATA_CASES", 20_000));
    let inputs = generate::inputs();
    let cases: Vec<(usize, String)> = (0..count).map(|at| generate::case(seed * 1_000_000_007 + at)).collect();
    let answers = ask(&inputs, &cases);
    let mut record = std::env::var_os("JSONATA_RECORD").map(|path| std::fs::File::create(path).unwrap());
    let (mut wrong, mut values, mut codes, mut without) = (Vec::new(), 0, 0, 0);
    for ((input, text), theirs) in cases.iter().zip(&answers) {
        let ours = evaluate(text, &inputs, *input);
        match theirs.as_str() {
            "undefined" => {}
            theirs if theirs.starts_with("! JavaScript") || theirs == "! undefined" => without += 1,
            theirs if theirs.starts_with('!') => codes += 1,
            _ => values += 1,
        }
        if let Some(record) = &mut record
            && !theirs.starts_with("! JavaScript")
            && theirs != "! undefined"
            && text.len() + theirs.len() < 400
        {
            writeln!(record, "{input}\t{}\t{theirs}", Value::from(text.as_str())).unwrap();
        }
        if !agrees(text, &ours, theirs) {
            wrong.push(format!("{input}\t{text}\n    theirs {theirs:.300}\n    ours   {:.300}", shown(&ours)));
        }
    }
    println!("{count} cases: {values} values, {codes} errors with a code, {without} without one");
    wrong.sort_by_key(String::len);
    let shown = wrong.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {count} (seed {seed}), the shortest:\n{shown}", wrong.len());
}

fn ask(inputs: &[Value], cases: &[(usize, String)]) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/jsonata-oracle.js");
    let script = std::env::var("JSONATA_ORACLE").unwrap_or_else(|_| script.to_owned());
    let mut node = Command::new("node")
        .arg(script)
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is there");
    let mut lines = format!("{}\n", Value::from(inputs.to_vec()));
    for (input, text) in cases {
        _ = writeln!(lines, "{input}\t{}", Value::from(text.as_str()));
    }
    let mut stdin = node.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = node.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), cases.len(), "node answers each");
    answers
}
