//! Values across the border: `serde_json` outside, the library's reference-counted values inside.
//!
//! Out is the dangerous way. A value inside may share its parts (a tree of 2^30 nodes in 30 allocations) or be nested
//! deeper than any stack, so the converter counts what it writes and stops at the limit.

use jsonata_core::IndexMap;
use jsonata_core::guard;
use jsonata_core::value::{JArray, JValue};
use serde_json::{Map, Number, Value};

use super::super::QueryError;
use super::Limits;

/// Into the library. Values from outside are bounded by the payload limit and by the JSON parser's depth.
pub(super) fn into_engine(value: &Value) -> JValue {
    match value {
        Value::Null => JValue::Null,
        Value::Bool(b) => JValue::Bool(*b),
        Value::Number(n) => JValue::Number(n.as_f64().unwrap_or(f64::NAN)),
        Value::String(s) => JValue::string(s.as_str()),
        Value::Array(items) => {
            // Input arrays are never of the kind that a path step keeps whole, so flat means: holds no array.
            let flat = !items.iter().any(Value::is_array);
            JValue::Array(JArray::new_flat(items.iter().map(into_engine).collect(), flat))
        }
        Value::Object(fields) => JValue::object(
            fields.iter().map(|(name, value)| (name.clone(), into_engine(value))).collect::<IndexMap<_, _>>(),
        ),
    }
}

/// Out of the library, within `limits.result_bytes` and `limits.result_depth`.
pub(super) fn out_of_engine(value: &JValue, limits: &Limits) -> Result<Value, QueryError> {
    if value.is_undefined() || value.is_function() {
        // A function is no JSON: as a result it is nothing.
        return Err(QueryError::Undefined);
    }
    Outward { bytes_left: limits.result_bytes, limits }.value(value, 0)
}

struct Outward<'a> {
    bytes_left: usize,
    limits: &'a Limits,
}

impl Outward<'_> {
    fn value(&mut self, value: &JValue, depth: usize) -> Result<Value, QueryError> {
        guard::charge(2);
        Ok(match value {
            JValue::Null | JValue::Undefined => {
                self.draw(4)?;
                Value::Null
            }
            JValue::Bool(b) => {
                self.draw(4)?;
                Value::Bool(*b)
            }
            JValue::Number(n) => {
                self.draw(1)?;
                number(*n)
            }
            JValue::String(s) => {
                self.draw(s.len() + 2)?;
                Value::String(s.to_string())
            }
            JValue::Array(items) => {
                self.draw(2 + items.len())?;
                let depth = self.deeper(depth)?;
                let items = items.iter().map(|item| self.value(item, depth));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            JValue::Object(fields) => {
                self.draw(2)?;
                let depth = self.deeper(depth)?;
                let mut out = Map::new();
                for (name, value) in fields.iter().filter(|(_, value)| !value.is_undefined()) {
                    self.draw(name.len() + 4)?;
                    out.insert(name.clone(), self.value(value, depth)?);
                }
                Value::Object(out)
            }
            // As `$string` writes a function.
            JValue::Lambda(_) | JValue::Builtin { .. } | JValue::Regex { .. } => Value::String(String::new()),
        })
    }

    fn draw(&mut self, bytes: usize) -> Result<(), QueryError> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(|| {
            let message = format!("The result of the expression is larger than {} bytes", self.limits.result_bytes);
            QueryError::Bound { message }
        })?;
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Result<usize, QueryError> {
        if depth >= self.limits.result_depth {
            let message =
                format!("The result of the expression is nested deeper than {} levels", self.limits.result_depth);
            return Err(QueryError::Bound { message });
        }
        Ok(depth + 1)
    }
}

/// All numbers of JSONata are doubles; a whole one is written without a fraction (2, not 2.0), one that is not finite
/// as null.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the comparison keeps to the range of i64"
)]
fn number(n: f64) -> Value {
    if n.fract() == 0.0 && n >= i64::MIN as f64 && n < i64::MAX as f64 {
        return Value::from(n as i64);
    }
    Number::from_f64(n).map_or(Value::Null, Value::Number)
}

/// A copy with numbers written as the engine writes them, save that an integer beyond 2^53 keeps its digits.
pub(super) fn normalized(value: &Value) -> Value {
    match value {
        Value::Number(n) if n.is_f64() => number(n.as_f64().unwrap_or(f64::NAN)),
        Value::Array(items) => Value::Array(items.iter().map(normalized).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), normalized(value))).collect())
        }
        other => other.clone(),
    }
}
