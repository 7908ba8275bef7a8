//! Length and depth of a JSON text, counted without making or reading it.

use serde_json::Value;

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

pub(crate) fn string_bytes(s: &str) -> usize {
    2 + s
        .bytes()
        .map(|b| match b {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
            0..=0x1f => 6,
            _ => 1,
        })
        .sum::<usize>()
}

/// True where a JSON text has more levels than these.
pub(crate) fn nests_deeper_than(bytes: &[u8], levels: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > levels {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
