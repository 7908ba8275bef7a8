//! Breadth: each field of each state with each value that it should not have, in both languages.
//!
//! The rows are data (`tests/breadth/definitions.json`): a base machine, a place in it, a value there, and what the
//! service says; each row names its source. A message that ends in `…` is compared up to there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::errors;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    sources: BTreeMap<String, String>,
    bases: BTreeMap<String, Value>,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    base: String,
    /// JSON pointer into the base.
    at: String,
    language: String,
    #[serde(default)]
    value: Value,
    /// Nothing stands at the place.
    #[serde(default)]
    absent: bool,
    /// Instead of `value`: fields of the object at the place; `{"absent": true}` takes one away.
    #[serde(default)]
    with: Option<Map<String, Value>>,
    /// `CODE location: message`, in order; empty: accepted.
    expect: Vec<String>,
    source: String,
}

#[test]
fn every_field_with_every_value_is_judged_as_the_service_judges() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/breadth/definitions.json");
    let text = std::fs::read_to_string(path).unwrap();
    let table: Table = serde_json::from_str(&text).unwrap();
    let mut differ = Vec::new();
    for row in &table.rows {
        assert!(table.sources.contains_key(&row.source), "{row:?} names no source");
        let definition = definition(&table.bases[&row.base], row);
        let found: Vec<String> = errors(&definition)
            .iter()
            .map(|d| format!("{} {}: {}", d.code, d.location.as_deref().unwrap_or("-"), d.message))
            .collect();
        let alike = |(found, wanted): (&String, &String)| match wanted.strip_suffix('…') {
            Some(start) => found.starts_with(start),
            None => found == wanted,
        };
        if found.len() != row.expect.len() || !found.iter().zip(&row.expect).all(alike) {
            differ.push(format!("{definition}\n  found  {found:?}\n  wanted {:?}", row.expect));
        }
    }
    let shown = differ.iter().take(12).cloned().collect::<Vec<_>>().join("\n");
    assert!(differ.is_empty(), "{} of {} rows differ\n{shown}", differ.len(), table.rows.len());
    assert!(table.rows.len() > 1_000);
}

fn definition(base: &Value, row: &Row) -> String {
    let mut machine = base.clone();
    if row.language == "JSONata" {
        machine["QueryLanguage"] = json!("JSONata");
        for state in machine["States"].as_object_mut().unwrap().values_mut() {
            for data in ["ItemReader", "ResultWriter"] {
                if let Some(fields) = state.get_mut(data).and_then(Value::as_object_mut)
                    && let Some(payload) = fields.shift_remove("Parameters")
                {
                    fields.insert("Arguments".to_owned(), payload);
                }
            }
        }
    }
    if let Some(fields) = &row.with {
        let object = machine.pointer_mut(&row.at).unwrap().as_object_mut().unwrap();
        for (name, value) in fields {
            put(object, name, if *value == json!({"absent": true}) { None } else { Some(value) });
        }
        return machine.to_string();
    }
    let (parent, name) = row.at.rsplit_once('/').unwrap();
    match machine.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = row.value.clone(),
        Value::Object(object) => put(object, name, (!row.absent).then_some(&row.value)),
        _ => panic!("{row:?}"),
    }
    machine.to_string()
}

fn put(object: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    match value {
        Some(value) => drop(object.insert(name.to_owned(), value.clone())),
        None => drop(object.shift_remove(name)),
    }
}
