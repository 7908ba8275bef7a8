//! The cases recorded on AWS that need no outside, run on the pure core: outcome and order of events. Runs where the
//! corpus lies beside the checkout; the whole comparison, over the API, is `make test`'s.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::script::{Attempt, Script, Told, without_answers};
use super::{World, name};
use crate::asl::model::Machine;
use crate::asl::{MachineType, parse};
use crate::interpreter::state::Conclusion;

fn corpus() -> Option<PathBuf> {
    let shared = std::env::var_os("REVEILLE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let cases = shared.join("conformance/cases");
    cases.is_dir().then_some(cases)
}

/// A recorded execution that can be played without its outside.
pub(super) struct Recorded {
    pub id: String,
    pub machine: Arc<Machine>,
    pub input: Value,
    /// The answers to its tasks on AWS.
    pub script: Script,
}

/// Every recorded execution whose definition and input stand alone, and how many were left out; none where there is no
/// corpus.
pub(super) fn executions() -> (Vec<Recorded>, usize) {
    let (mut all, mut left_out) = (Vec::new(), 0);
    for area in corpus().into_iter().flat_map(|c| std::fs::read_dir(c).unwrap()) {
        for file in std::fs::read_dir(area.unwrap().path()).unwrap() {
            let case: Value = serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
            if case["kind"] != "execution" {
                continue;
            }
            for run in case["runs"].as_array().unwrap() {
                let definition =
                    &case["definitions"][usize::try_from(run["definition"].as_u64().unwrap()).unwrap()]["definition"];
                let text = definition.as_str().map_or_else(|| definition.to_string(), str::to_owned);
                let input = run["input"].as_str().and_then(|i| serde_json::from_str(i).ok());
                // The pure core reads and writes no objects.
                let objects = text.contains("ItemReader") || text.contains("ResultWriter");
                match (parse(&text, MachineType::Standard), input) {
                    (Ok(valid), Some(input)) if !objects => {
                        let script = script(run["expect"]["history"].as_array().map_or(&[], Vec::as_slice));
                        all.push(Recorded { id: case["id"].to_string(), machine: valid.machine, input, script });
                    }
                    _ => left_out += 1,
                }
            }
        }
    }
    (all, left_out)
}

/// The answers that a recorded history tells of: by state, in the order of their attempts, a second after each was
/// scheduled.
fn script(history: &[Value]) -> Script {
    let event = |id: &Value| history.iter().find(|e| e["id"] == *id);
    let mut script = Script::default();
    for ended in history {
        let Some(kind) = ended["type"].as_str() else { continue };
        let Some((family, how)) =
            ["Task", "LambdaFunction", "Activity"].into_iter().find_map(|f| Some((f, kind.strip_prefix(f)?)))
        else {
            continue;
        };
        let details = &ended[format!("{}{}{how}EventDetails", family[..1].to_lowercase(), &family[1..])];
        let told = || {
            Some(Told {
                error: details["error"].as_str().map(str::to_owned),
                cause: details["cause"].as_str().map(str::to_owned),
            })
        };
        let mut attempt = Attempt { after: 1.0, ..Attempt::default() };
        match how {
            "Succeeded" => {
                let output = &details["output"];
                attempt.success = Some(
                    output.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| output.clone()),
                );
            }
            "Failed" => attempt.failure = told(),
            "SubmitFailed" | "StartFailed" | "ScheduleFailed" => attempt.undeliverable = told(),
            "TimedOut" => {}
            _ => continue,
        }
        let mut at = Some(ended);
        while let Some(earlier) = at {
            if let Some(name) = earlier["stateEnteredEventDetails"]["name"].as_str() {
                script.tasks.entry(name.to_owned()).or_default().push(attempt);
                break;
            }
            at = event(&earlier["previousEventId"]);
        }
    }
    script
}

#[test]
fn recorded_executions_end_as_on_aws_with_the_same_events() {
    let Some(cases) = corpus() else {
        println!("skipped: the corpus does not lie beside this checkout");
        return;
    };
    let mut table: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    let mut bad = Vec::new();
    for area in std::fs::read_dir(cases).unwrap() {
        for file in std::fs::read_dir(area.unwrap().path()).unwrap() {
            let case: Value = serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
            if case["kind"] != "execution" || case["services"] != serde_json::json!(["none"]) {
                continue;
            }
            let row = table.entry(case["area"].as_str().unwrap().to_owned()).or_default();
            for run in case["runs"].as_array().unwrap() {
                check(&case, run, row, &mut bad);
            }
        }
    }
    let mut total = [0; 4];
    for (area, row) in &table {
        println!("{area:28} outcome {}/{}  events {}/{}", row[0], row[1], row[2], row[3]);
        for i in 0..4 {
            total[i] += row[i];
        }
    }
    println!("total outcome {}/{} events {}/{}", total[0], total[1], total[2], total[3]);
    for b in &bad {
        println!("{b}");
    }
    assert!(total[0] * 100 >= total[1] * 60, "{total:?}");
}

fn check(case: &Value, run: &Value, row: &mut [usize; 4], bad: &mut Vec<String>) {
    let id = case["id"].as_str().unwrap();
    let definition = &case["definitions"][usize::try_from(run["definition"].as_u64().unwrap()).unwrap()]["definition"];
    let text = definition.as_str().map_or_else(|| definition.to_string(), str::to_owned);
    let Some(input) = run["input"].as_str().and_then(|i| serde_json::from_str(i).ok()) else { return };
    let machine = match parse(&text, MachineType::Standard) {
        Ok(valid) => valid.machine,
        Err(d) => {
            bad.push(format!("{id}: refused: {d}"));
            return;
        }
    };
    let mut world = World::of(machine);
    world.start(input);
    let expect = &run["expect"];
    let history = expect["history"].as_array();
    let ends = history.is_none_or(|h| {
        h.iter().any(|e| {
            e["type"].as_str().is_some_and(|t| {
                ["ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"].contains(&t)
            })
        })
    });
    if ends {
        world = without_answers(world);
        let (status, output, error) = match world.conclusion() {
            Conclusion::Succeeded(o) => ("SUCCEEDED", Some((**o).clone()), None),
            Conclusion::Failed(f) => ("FAILED", None, Some(f)),
            Conclusion::TimedOut(f) => ("TIMED_OUT", None, Some(f)),
            Conclusion::Aborted(f) => ("ABORTED", None, Some(f)),
        };
        if let Some(wanted) = expect["status"].as_str() {
            row[1] += 1;
            let same_error = expect["error"].as_str() == error.and_then(|f| f.error.as_deref());
            let same_output = match (&expect["output"], &output) {
                (Value::Null, _) => true,
                (Value::String(text), Some(out))
                    if text.contains("@@{") || text.contains('<') || out.as_str() == Some(text) =>
                {
                    true
                }
                (Value::String(text), Some(out)) => serde_json::from_str::<Value>(text).is_ok_and(|v| v == *out),
                (wanted, Some(out)) => {
                    wanted == out || wanted.to_string().contains("@@{") || wanted.to_string().contains('<')
                }
                (_, None) => false,
            };
            if status == wanted && same_error && same_output {
                row[0] += 1;
            } else {
                bad.push(format!(
                    "{id}: {status} {output:?} {error:?}\n    wanted {wanted} {} {} {}",
                    expect["output"], expect["error"], expect["cause"]
                ));
            }
        }
    }
    if let Some(history) = history {
        row[3] += 1;
        let mut wanted: Vec<String> = history.iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect();
        let mut got: Vec<String> = world.journal.iter().filter(|e| e.id.0 != 0).map(|e| name(&e.event)).collect();
        if case["state_types"].as_array().is_some_and(|t| t.iter().any(|t| t == "Map" || t == "Parallel")) {
            wanted.sort();
            got.sort();
            if case["parallel_sorted"] == true {
                let lost =
                    ["ParallelStateSucceeded", "ParallelStateFailed", "ParallelStateAborted", "ParallelStateExited"];
                wanted.retain(|t| !lost.contains(&t.as_str()));
                got.retain(|t| !lost.contains(&t.as_str()));
            }
        }
        if wanted == got {
            row[2] += 1;
        } else {
            bad.push(format!("{id}: events\n    wanted {wanted:?}\n    got    {got:?}"));
        }
    }
}
