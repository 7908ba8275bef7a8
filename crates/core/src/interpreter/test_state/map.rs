//! A Map under test: its items, its bounds and its tolerance, without an iteration.

use serde_json::{Map as Fields, Value, json};

use crate::asl::model::{self, Map, QueryLanguage};
use crate::csv::{Delimiter, RowError, Rows, check_headers};
use crate::interpreter::dataflow::{self, EvalError, Extra};
use crate::interpreter::decide::Decider;
use crate::interpreter::event::{Batching, Event, Failure, FrameId, MapItem, Payload, Tolerance};
use crate::interpreter::map_items::{bytes_max, wrapper_bytes};
use crate::interpreter::steps::{self, fork};
use crate::limits::TEST_ITEMS_BYTES_MAX;

use super::{Answer, Refusal, Request, Stage};

const TOP: FrameId = FrameId::TOP;

/// Evaluates the steps before the iterations. Outer error: the request is wrong; inner: the state fails.
pub(super) fn prepare(
    d: &mut Decider<'_>,
    state: &model::State,
    map: &Map,
    request: &Request,
    answer: &Answer,
) -> Result<Result<(), EvalError>, Refusal> {
    let read = match (&map.item_reader, &request.configuration.map_item_reader_data) {
        (Some(reader), Some(data)) => Some(read(&reader.config, data)?),
        _ => None,
    };
    let iterations = match iterations(d, state, map, read) {
        Ok(iterations) => iterations,
        Err(error) => return Ok(Err(error)),
    };
    let Some(failed) = request.configuration.map_iteration_failure_count else { return Ok(Ok(())) };
    let Answer::Result(result) = answer else { return Ok(Ok(())) };
    let iterations = result.as_array().map_or(iterations.count, |results| results.len() as u64).max(iterations.count);
    if failed > iterations {
        return Err(Refusal::TooManyFailures);
    }
    let tolerance = d
        .probe
        .as_deref()
        .map(|p| (p.seen.tolerated_failure_count, p.seen.tolerated_failure_percentage))
        .unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "items of one state are far below 2^53")]
    let percentage = if iterations == 0 { 0.0 } else { failed as f64 * 100.0 / iterations as f64 };
    // Recorded: a Map that names no tolerance is not failed by the count.
    if tolerance.0.is_some_and(|count| failed > count) || tolerance.1.is_some_and(|most| percentage > most) {
        let cause = "The specified tolerated failure threshold was exceeded";
        d.emit(TOP, Event::StateFailed(Failure::new("States.ExceedToleratedFailureThreshold", cause)));
    }
    Ok(Ok(()))
}

struct Iterations {
    count: u64,
}

fn iterations(
    d: &mut Decider<'_>,
    state: &model::State,
    map: &Map,
    read: Option<Vec<Value>>,
) -> Result<Iterations, EvalError> {
    let input = steps::effective_input(d, TOP, state)?;
    let (scope, entropy) = d.scope(TOP, &input, None);
    let Tolerance { count, percentage } = fork::tolerance(map, state.language, &scope, entropy)?;
    let max_concurrency =
        dataflow::map_count(map.max_concurrency.as_ref(), "MaxConcurrency", &scope, entropy)?.unwrap_or(0);
    let from_reader = read.is_some();
    let items = match read {
        Some(values) => values
            .into_iter()
            .enumerate()
            .map(|(i, value)| MapItem { index: i as u64, value: Payload::new(value), key: None, source: None })
            .collect(),
        // The items of a reader are not known.
        None if map.item_reader.is_some() => Vec::new(),
        None => fork::items(map, state, &input, &scope, entropy)?,
    };
    let all = |items: &[MapItem]| Payload::new(items.iter().map(|item| (*item.value).clone()).collect::<Value>());
    if let Some(probe) = &mut d.probe {
        probe.seen.tolerated_failure_count = count;
        probe.seen.tolerated_failure_percentage = percentage;
        probe.seen.max_concurrency = Some(max_concurrency);
        if map.item_reader.is_none() && state.language == QueryLanguage::JsonPath {
            probe.see(Stage::ItemsPath, &all(&items));
        }
        if from_reader && map.item_reader.as_ref().is_some_and(|r| r.config.get("ItemsPointer").is_some()) {
            probe.see(Stage::ItemsPointer, &all(&items));
        }
    }
    let inputs = match &map.item_selector {
        None => items.iter().map(|item| Payload::clone(&item.value)).collect(),
        Some(selector) => {
            let inputs = select(d, selector, &input, &items)?;
            let value: Value = inputs.iter().map(|v| (**v).clone()).collect();
            d.observe(Stage::ItemSelector, &Payload::new(value));
            inputs
        }
    };
    let (scope, entropy) = d.scope(TOP, &input, None);
    let count = match steps::map_run::batching(map, &scope, entropy)? {
        None => inputs.len(),
        Some(batching) => {
            let batches = batch(&batching, &inputs);
            let count = batches.len();
            d.observe(Stage::ItemBatcher, &Payload::new(Value::Array(batches)));
            count
        }
    };
    Ok(Iterations { count: count as u64 })
}

/// The inputs of the iterations, by `ItemSelector`.
fn select(
    d: &mut Decider<'_>,
    selector: &model::Template,
    input: &Payload,
    items: &[MapItem],
) -> Result<Vec<Payload>, EvalError> {
    items
        .iter()
        .map(|item| {
            let (scope, entropy) = d.scope(TOP, input, None);
            let scope = scope.with_item(item);
            dataflow::payload(selector, "ItemSelector", &scope, Extra::default(), entropy)
        })
        .collect()
}

/// The inputs of the child executions, by `ItemBatcher`: `{"BatchInput": …, "Items": […]}`.
fn batch(batching: &Batching, items: &[Payload]) -> Vec<Value> {
    let bytes = bytes_max(batching) - wrapper_bytes(batching).min(bytes_max(batching));
    let mut batches: Vec<Vec<Value>> = Vec::new();
    let mut size = 0;
    for item in items {
        let own = crate::interpreter::size::json_bytes(item) + 1;
        match batches.last_mut() {
            Some(last) if batching.max_items.is_none_or(|n| (last.len() as u64) < n) && size + own <= bytes => {
                last.push((**item).clone());
                size += own;
            }
            _ => {
                batches.push(vec![(**item).clone()]);
                size = own;
            }
        }
    }
    let whole = |items: Vec<Value>| {
        let mut fields = Fields::new();
        if let Some(common) = &batching.input {
            fields.insert("BatchInput".into(), (**common).clone());
        }
        fields.insert("Items".into(), Value::Array(items));
        Value::Object(fields)
    };
    batches.into_iter().map(whole).collect()
}

/// The items in what an `ItemReader` would read: JSON with its `ItemsPointer`, JSON Lines, or CSV.
fn read(config: &Value, data: &str) -> Result<Vec<Value>, Refusal> {
    let format = config.get("InputType").and_then(Value::as_str).unwrap_or("JSON");
    let refuse = |why: &dyn std::fmt::Display| Refusal::ReaderData { format: format.to_owned(), why: why.to_string() };
    match format {
        "JSONL" => data
            .lines()
            .filter(|l| !l.trim().is_empty())
            .map(|l| serde_json::from_str(l).map_err(|e| refuse(&e)))
            .collect(),
        "CSV" => rows(config, data)
            .map_err(|e| refuse(&e))?
            .ok_or_else(|| refuse(&format!("the items have more than {TEST_ITEMS_BYTES_MAX} bytes"))),
        _ => {
            let whole: Value = serde_json::from_str(data).map_err(|e| refuse(&e))?;
            let items = match config.get("ItemsPointer").and_then(Value::as_str) {
                Some(pointer) => whole.pointer(pointer).ok_or_else(|| refuse(&format!("nothing is at {pointer}")))?,
                None => &whole,
            };
            match items {
                Value::Array(items) => Ok(items.clone()),
                Value::Object(fields) => Ok(fields.iter().map(|(k, v)| json!({ "Key": k, "Value": v })).collect()),
                _ => Err(refuse(&"it is neither an array nor an object")),
            }
        }
    }
}

/// Rows of CSV as objects, read as an `ItemReader` reads them. `None`: they have more than [`TEST_ITEMS_BYTES_MAX`]
/// together.
fn rows(config: &Value, data: &str) -> Result<Option<Vec<Value>>, RowError> {
    let text = |name| config.get(name).and_then(Value::as_str);
    let mut reader = Rows::new(text("CSVDelimiter").and_then(Delimiter::parse).unwrap_or_default());
    let mut rows: Vec<Vec<String>> = Vec::new();
    for byte in data.bytes() {
        rows.extend(reader.byte(byte)?);
    }
    rows.extend(reader.end()?);
    let mut rows = rows.into_iter();
    let headers: Vec<String> = match config.get("CSVHeaders").and_then(Value::as_array) {
        Some(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => rows.next().unwrap_or_default(),
    };
    check_headers(&headers)?;
    // Each item has all names, with quotes, colon, comma and an empty text.
    let named: usize = headers.iter().map(|name| name.len() + 6).sum();
    if named.saturating_mul(rows.len()).saturating_add(data.len()) > TEST_ITEMS_BYTES_MAX {
        return Ok(None);
    }
    let item = |row: Vec<String>| {
        let mut row = row.into_iter();
        let named = headers.iter().map(|name| (name.clone(), row.next().unwrap_or_default().into()));
        Value::Object(named.collect::<Fields<String, Value>>())
    };
    Ok(Some(rows.map(item).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_items_of_a_csv_text_have_a_bound_together() {
        let config = json!({ "InputType": "CSV" });
        let names: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
        let header = names.join(",");
        assert_eq!(read(&config, &format!("{header}\n{}", " \n".repeat(100))).unwrap().len(), 100);
        let Err(Refusal::ReaderData { why, .. }) = read(&config, &format!("{header}\n{}", " \n".repeat(100_000)))
        else {
            panic!("100,000 items of 20 KB")
        };
        assert!(why.contains("8388608 bytes"), "{why}");
        let wide = (0..40_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert!(matches!(read(&config, &wide), Err(Refusal::ReaderData { why, .. }) if why.contains("headers")));
    }
}
