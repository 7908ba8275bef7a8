//! Length and depth of a value as JSON text, without writing it.

use serde_json::Value;

use crate::limits::{JSON_DEPTH_MAX, PAYLOAD_BYTES_MAX};
use crate::payload::Payload;
pub use crate::payload::length::json_bytes;
use crate::payload::length::string_bytes;

/// The bound that a payload exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// More than [`PAYLOAD_BYTES_MAX`] of JSON text.
    Bytes,
    /// Nested deeper than [`JSON_DEPTH_MAX`]: a journal, a message or a client's parser could not be read back.
    Depth,
}

/// Bytes of a value's JSON text, where it is within the bounds of a payload.
///
/// One walk, and it never goes deeper than the bound, however deep the value is.
///
/// # Errors
/// The bound that it exceeds.
pub fn payload(value: &Value) -> Result<usize, Excess> {
    let mut bytes = 0;
    walk(value, JSON_DEPTH_MAX, &mut bytes)?;
    Ok(bytes)
}

/// The same for a payload, whose text may be known already.
///
/// # Errors
/// The bound that it exceeds.
pub fn of(whole: &Payload) -> Result<usize, Excess> {
    match whole.measured() {
        Some(bytes) if bytes > PAYLOAD_BYTES_MAX => Err(Excess::Bytes),
        Some(bytes) => Ok(bytes),
        None => payload(whole).inspect(|bytes| whole.fits(*bytes)),
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
