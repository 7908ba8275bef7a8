//! States.Array*: kinds of arguments are checked by the caller.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::limits::RANGE_ITEMS_MAX;
use super::numbers::truncated;

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Chunks of `size` (its fraction cut), the last one shorter.
pub(super) fn partition(array: &Value, size: &Value) -> Result<Value, String> {
    let size = truncated(size).and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
    let size = size.ok_or("the chunk size must be a positive integer")?;
    Ok(Value::Array(items(array).chunks(size).map(|chunk| Value::Array(chunk.to_vec())).collect()))
}

/// By JSON equality: `1` and `1.0` differ.
pub(super) fn contains(array: &Value, wanted: &Value) -> Value {
    Value::Bool(items(array).contains(wanted))
}

/// From `start` to `end` inclusive, fractions cut.
pub(super) fn range(start: &Value, end: &Value, step: &Value) -> Result<Value, String> {
    let integer = |value| truncated(value).ok_or("an argument is out of range");
    let (start, end, step) = (integer(start)?, integer(end)?, integer(step)?);
    if step == 0 {
        return Err("the step must not be 0".to_owned());
    }
    let mut out = Vec::new();
    let mut at = Some(start);
    while let Some(item) = at.filter(|at| if step > 0 { *at <= end } else { *at >= end }) {
        if out.len() == RANGE_ITEMS_MAX {
            return Err(format!("the range has more than {RANGE_ITEMS_MAX} items"));
        }
        out.push(Value::from(item));
        at = item.checked_add(step);
    }
    Ok(Value::Array(out))
}

/// The item at the index (its fraction cut). AWS was seen to give null for any index of an empty array.
pub(super) fn get_item(array: &Value, index: &Value) -> Result<Value, String> {
    let items = items(array);
    let index = truncated(index).and_then(|index| usize::try_from(index).ok());
    match index.and_then(|index| items.get(index)) {
        Some(item) => Ok(item.clone()),
        None if items.is_empty() && index.is_some() => Ok(Value::Null),
        None => Err(format!("the index is outside of the array, which has {} items", items.len())),
    }
}

pub(super) fn length(array: &Value) -> Value {
    Value::from(items(array).len())
}

/// The first of each equal items, in order. By canonical text: comparing each with each would take seconds for the
/// largest payload.
pub(super) fn unique(array: &Value) -> Value {
    let mut seen = HashSet::new();
    let first = |item: &&Value| {
        let mut key = String::new();
        canonical(&mut key, item);
        seen.insert(key)
    };
    Value::Array(items(array).iter().filter(first).cloned().collect())
}

/// JSON with sorted keys.
fn canonical(out: &mut String, value: &Value) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(out, item);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut entries: Vec<_> = fields.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (key, item) in entries {
                _ = write!(out, "{key:?}:");
                canonical(out, item);
                out.push(',');
            }
            out.push('}');
        }
        scalar => _ = write!(out, "{scalar}"),
    }
}
