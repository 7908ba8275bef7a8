//! How long and how deep a value is as JSON text, without writing it.

use serde_json::Value;

use crate::limits::{JSON_DEPTH_MAX, PAYLOAD_BYTES_MAX};
use crate::payload::Payload;

/// Which bound a payload goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// More than [`PAYLOAD_BYTES_MAX`] of JSON text.
    Bytes,
    /// Nested deeper than [`JSON_DEPTH_MAX`]: what a journal, a message or a client's parser would not read back.
    Depth,
}

/// Bytes of a value's JSON text, where it is within the bounds of a payload.
///
/// One walk, and it never goes deeper than the bound, however deep the value is.
///
/// # Errors
/// The bound that it goes over.
pub fn payload(value: &Value) -> Result<usize, Excess> {
    let mut bytes = 0;
    walk(value, JSON_DEPTH_MAX, &mut bytes)?;
    Ok(bytes)
}

/// The same of a payload, whose text may be there already.
///
/// # Errors
/// The bound that it goes over.
pub fn of(whole: &Payload) -> Result<usize, Excess> {
    match whole.measured() {
        Some(bytes) if bytes > PAYLOAD_BYTES_MAX => Err(Excess::Bytes),
        Some(bytes) => Ok(bytes),
        None => payload(whole),
    }
}

fn walk(value: &Value, levels: usize, bytes: &mut usize) -> Result<(), Excess> {
    *bytes += match value {
        Value::Array(items) => {
            let levels = levels.checked_sub(1).ok_or(Excess::Depth)?;
            items.iter().try_for_each(|v| walk(v, levels, bytes))?;
            1 + items.len().max(1)
        }
        Value::Object(fields) => {
            let levels = levels.checked_sub(1).ok_or(Excess::Depth)?;
            for (name, value) in fields {
                *bytes += string_bytes(name) + 1;
                walk(value, levels, bytes)?;
            }
            1 + fields.len().max(1)
        }
        scalar => json_bytes(scalar),
    };
    if *bytes > PAYLOAD_BYTES_MAX { Err(Excess::Bytes) } else { Ok(()) }
}

/// Bytes of the compact JSON text of `value` (UTF-8), counted without allocating.
#[must_use]
pub fn json_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(n) => number_bytes(n),
        Value::String(s) => string_bytes(s),
        Value::Array(items) => 1 + items.len().max(1) + items.iter().map(json_bytes).sum::<usize>(),
        Value::Object(fields) => {
            1 + fields.len().max(1) + fields.iter().map(|(k, v)| string_bytes(k) + 1 + json_bytes(v)).sum::<usize>()
        }
    }
}

fn number_bytes(n: &serde_json::Number) -> usize {
    if let Some(u) = n.as_u64() {
        return u.checked_ilog10().map_or(1, |d| d as usize + 1);
    }
    if let Some(i) = n.as_i64() {
        return 1 + i.unsigned_abs().checked_ilog10().map_or(1, |d| d as usize + 1);
    }
    n.to_string().len()
}

fn string_bytes(s: &str) -> usize {
    2 + s
        .bytes()
        .map(|b| match b {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
            0..=0x1f => 6,
            _ => 1,
        })
        .sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_count_is_the_length_of_the_text() {
        for v in [
            json!(null),
            json!([]),
            json!({}),
            json!([1, -20, 3.5, "a\"b\n\u{1}é", true, false, null]),
            json!({"a": {"b": [1, 2]}, "c": "d"}),
        ] {
            assert_eq!(json_bytes(&v), v.to_string().len(), "{v}");
            assert_eq!(payload(&v), Ok(v.to_string().len()), "{v}");
        }
    }

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!(1), |inner, i| if i % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) })
    }

    #[test]
    fn a_payload_is_measured_to_the_byte_and_to_the_level() {
        let text = |bytes: usize| Value::String("x".repeat(bytes - 2));
        assert_eq!(payload(&text(PAYLOAD_BYTES_MAX)), Ok(PAYLOAD_BYTES_MAX));
        assert_eq!(payload(&text(PAYLOAD_BYTES_MAX + 1)), Err(Excess::Bytes));
        assert!(payload(&nested(JSON_DEPTH_MAX)).is_ok());
        assert_eq!(payload(&nested(JSON_DEPTH_MAX + 1)), Err(Excess::Depth));
    }
}
