//! The project's own corpus: `tests/cases/<area>/<case>.json`, each a rule of the language with its outcome. Their form
//! stands in `tests/cases/README.md`. [`runs`] gives them to the cut test too.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::script::{Play, Script};
use super::{World, name};
use crate::interpreter::event::Event;
use crate::interpreter::state::Conclusion;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// The rule, in a sentence.
    #[serde(rename = "rule")]
    _rule: String,
    definition: Value,
    runs: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// JSON pointer into the definition → what stands there in this run (null: nothing).
    #[serde(default)]
    with: BTreeMap<String, Value>,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    script: Script,
    /// Results depend on time or chance: a recovered execution is compared by status and error.
    #[serde(default)]
    chance: bool,
    expect: Expect,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expect {
    status: String,
    output: Option<Value>,
    /// `null` where the field is there: no error.
    #[serde(deserialize_with = "present")]
    error: Option<Value>,
    #[serde(deserialize_with = "present")]
    cause: Option<Value>,
    /// A part of the cause.
    cause_has: Option<String>,
    /// All visible events: `id<-previous Type`.
    events: Option<Vec<String>>,
    /// Names of all visible events in order, where their chain does not matter.
    types: Option<Vec<String>>,
    /// Event id → a part of its fields.
    details: BTreeMap<String, Value>,
    /// Seconds from the start to the end.
    seconds: Option<f64>,
    /// The same where chance has a say: not before, and not after.
    seconds_between: Option<(f64, f64)>,
}

fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

/// One run of one case.
pub(super) struct Run {
    pub id: String,
    pub definition: Value,
    pub input: Value,
    pub script: Script,
    pub chance: bool,
    expect: Expect,
}

impl Run {
    pub fn world(&self) -> World {
        let mut world = World::new(&self.definition);
        world.start(self.input.clone());
        world
    }
}

/// Every run of every case, in the order of their names.
pub(super) fn runs() -> Vec<Run> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    let mut files = Vec::new();
    for area in std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        files.extend(std::fs::read_dir(area).unwrap().map(|e| e.unwrap().path()));
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let case = std::fs::read_to_string(&file).unwrap();
        let case: Case = serde_json::from_str(&case).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let area = file.parent().and_then(|p| p.file_name()).unwrap_or_default().to_string_lossy();
        for (i, row) in case.runs.into_iter().enumerate() {
            let id = format!("{area}/{}#{i}", file.file_stem().unwrap_or_default().to_string_lossy());
            let mut definition = case.definition.clone();
            for (pointer, value) in row.with {
                put(&mut definition, &pointer, value);
            }
            all.push(Run {
                id,
                definition,
                input: row.input,
                script: row.script,
                chance: row.chance,
                expect: row.expect,
            });
        }
    }
    all
}

fn put(definition: &mut Value, pointer: &str, value: Value) {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    match definition.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent} in the definition")) {
        Value::Object(fields) if value.is_null() => drop(fields.shift_remove(field)),
        Value::Object(fields) => drop(fields.insert(field.to_owned(), value)),
        Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
        other => panic!("{parent} is {other}"),
    }
}

#[test]
fn every_case_of_the_corpus_ends_as_it_says() {
    let mut bad = Vec::new();
    let runs = runs();
    for run in &runs {
        let outcome = std::panic::catch_unwind(|| {
            let mut play = Play::new(run.world(), &run.script);
            play.play_out();
            differences(&run.expect, &play.world)
        });
        let differences = outcome.unwrap_or_else(|p| {
            let text =
                p.downcast_ref::<String>().cloned().or_else(|| p.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            vec![format!("panic: {}", text.unwrap_or_default())]
        });
        if !differences.is_empty() {
            bad.push(format!("{}\n    {}", run.id, differences.join("\n    ")));
        }
    }
    println!("{} runs", runs.len());
    assert!(runs.len() > 150, "the corpus lies in tests/cases: {}", runs.len());
    assert!(bad.is_empty(), "{} of {} runs differ\n{}", bad.len(), runs.len(), bad.join("\n"));
}

fn differences(expect: &Expect, world: &World) -> Vec<String> {
    let mut bad = Vec::new();
    let mut same = |what: &str, got: &Value, wanted: &Value| {
        if got != wanted {
            bad.push(format!("{what}: {got}\n      wanted: {wanted}"));
        }
    };
    let (status, output, failure) = match world.conclusion() {
        Conclusion::Succeeded(o) => ("SUCCEEDED", Some(&**o), None),
        Conclusion::Failed(f) => ("FAILED", None, Some(f)),
        Conclusion::TimedOut(f) => ("TIMED_OUT", None, Some(f)),
        Conclusion::Aborted(f) => ("ABORTED", None, Some(f)),
    };
    same("status", &status.into(), &expect.status.clone().into());
    let error = Value::from(failure.and_then(|f| f.error.clone()));
    let cause = Value::from(failure.and_then(|f| f.cause.clone()));
    if let Some(wanted) = &expect.output {
        same("output", output.unwrap_or(&Value::Null), wanted);
    }
    if let Some(wanted) = &expect.error {
        same("error", &error, wanted);
    } else if status != expect.status {
        same("error", &error, &Value::Null);
    }
    match (&expect.cause, &expect.cause_has) {
        (Some(wanted), _) => same("cause", &cause, wanted),
        (None, Some(part)) if !cause.as_str().is_some_and(|c| c.contains(part)) => {
            same("cause", &cause, &format!("...{part}...").into());
        }
        (None, None) if status != expect.status => same("cause", &cause, &Value::Null),
        _ => {}
    }
    if let Some(wanted) = &expect.events {
        same("events", &world.shown().into(), &wanted.clone().into());
    }
    if let Some(wanted) = &expect.types {
        let types: Vec<String> = world.journal.iter().filter(|e| e.id.0 != 0).map(|e| name(&e.event)).collect();
        same("types", &types.into(), &wanted.clone().into());
    }
    for (id, wanted) in &expect.details {
        let event =
            world.journal.iter().find(|e| e.id.to_string() == *id).map(|e| fields(&e.event)).unwrap_or_default();
        for (field, wanted) in wanted.as_object().into_iter().flatten() {
            same(&format!("event {id}, {field}"), event.get(field).unwrap_or(&Value::Null), wanted);
        }
    }
    let seconds = world.now.since(world.state.started_at()).as_secs_f64();
    if let Some(wanted) = expect.seconds {
        same("seconds", &seconds.into(), &wanted.into());
    }
    if let Some((from, to)) = expect.seconds_between
        && !(from..=to).contains(&seconds)
    {
        same("seconds", &seconds.into(), &format!("{from} to {to}").into());
    }
    bad
}

/// The fields of an event as the journal writes them.
fn fields(event: &Event) -> Value {
    match serde_json::to_value(event).unwrap() {
        Value::Object(one) => one.into_iter().next().map(|(_, fields)| fields).unwrap_or_default(),
        other => other,
    }
}
