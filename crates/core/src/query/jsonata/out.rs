//! Values on their way out: to `serde_json` within the bounds of a result, and to short texts in errors.

use serde_json::{Map, Value};

use super::Limits;
use super::error::{Bound, Stop};
use super::number;
use super::value::{Items, Val};

/// Bytes of a value in an error's text.
const BRIEF_BYTES: usize = 1024;

/// The result of an evaluation, and the work of copying it ([`super::super::work_of`]). A function is no JSON: as a
/// whole it is refused, inside of a value an empty text. `memory` is the rest of the evaluation's limit.
pub(super) fn json(value: Val<'_>, limits: &Limits, memory: usize) -> Result<(Option<Value>, u64), Stop> {
    match value {
        Val::Undefined | Val::Tuples(_) | Val::Tail => Ok((None, 0)),
        Val::Native(_) | Val::Fun(_) => Err(Stop::Function),
        // AWS: a number that is not finite passes as a whole result, but JSON has none.
        Val::Num(n) => Ok((Some(number::json(n).unwrap_or(Value::Null)), 1)),
        other => {
            let (bytes_left, depth_left) = (limits.result_bytes, limits.result_depth);
            let mut outward = Outward { bytes_left, depth_left, memory_left: memory, work: 0 };
            let mut result = Value::Null;
            outward.write(other, &mut result)?;
            Ok((Some(result), outward.work))
        }
    }
}

struct Outward {
    bytes_left: usize,
    depth_left: usize,
    memory_left: usize,
    work: u64,
}

impl Outward {
    fn draw(&mut self, bytes: usize) -> Result<(), Stop> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(Stop::Bound(Bound::ResultBytes))?;
        Ok(())
    }

    fn hold(&mut self, count: usize, bytes: usize) -> Result<(), Stop> {
        let left = self.memory_left.checked_sub(count.saturating_mul(bytes));
        self.memory_left = left.ok_or(Stop::Bound(Bound::Memory))?;
        Ok(())
    }

    /// Writes a value where it belongs: values of JSON are large to move. Numbers are written as computed ones are,
    /// save that a long integer of the payload keeps its digits.
    fn write(&mut self, value: Val<'_>, place: &mut Value) -> Result<(), Stop> {
        self.draw(1)?;
        self.work += 1;
        *place = match value {
            Val::Undefined | Val::Null | Val::Tail => return Ok(()),
            Val::Bool(b) => Value::Bool(b),
            Val::Num(n) => number::json(n).unwrap_or_else(|| Value::String(number::text(n).to_owned())),
            Val::Str(s) => {
                self.draw(s.len() + 1)?;
                self.work += s.len() as u64 / 64;
                Value::String(s.to_owned())
            }
            Val::Json(number @ Value::Number(_)) => number.clone(),
            // As `$string` writes a function.
            Val::Native(_) | Val::Fun(_) | Val::Tuples(_) => Value::String(String::new()),
            Val::Json(_) | Val::Array(_) | Val::Object(_) => {
                self.depth_left = self.depth_left.checked_sub(1).ok_or(Stop::Bound(Bound::ResultDepth))?;
                let made = match value.array() {
                    Some(items) => self.items(items)?,
                    None => self.fields(value)?,
                };
                self.depth_left += 1;
                made
            }
        };
        Ok(())
    }

    fn items(&mut self, items: Items<'_>) -> Result<Value, Stop> {
        self.draw(items.len() + 1)?;
        self.hold(items.len(), size_of::<Value>())?;
        let mut out = vec![Value::Null; items.len()];
        for (item, place) in items.iter().zip(&mut out) {
            self.write(item, place)?;
        }
        Ok(Value::Array(out))
    }

    fn fields(&mut self, object: Val<'_>) -> Result<Value, Stop> {
        // An entry has the name, its hash and its place in the index beside the value.
        self.hold(object.width(), size_of::<Value>() + 48)?;
        let mut out = Map::with_capacity(object.width().min(1024));
        for (name, value) in object.fields().filter(|(_, value)| !value.is_undefined()) {
            self.draw(name.len() + 3)?;
            self.work += 1;
            self.write(value, out.entry(name).or_insert(Value::Null))?;
        }
        Ok(Value::Object(out))
    }
}

/// A copy with whole numbers written without a fraction.
pub(super) fn normalized(value: &Value) -> Value {
    match value {
        Value::Number(n) if n.as_i64().is_none() => number::json(n.as_f64().unwrap_or(f64::NAN)).unwrap_or(Value::Null),
        Value::Array(items) => Value::Array(items.iter().map(normalized).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), normalized(value))).collect())
        }
        other => other.clone(),
    }
}

/// At most so many bytes of a text as an error may carry.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(BRIEF_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A value as JSON, cut short.
pub(super) fn brief(value: Val<'_>) -> String {
    let mut out = String::new();
    if matches!(value, Val::Undefined | Val::Native(_) | Val::Fun(_)) {
        return "undefined".to_owned();
    }
    write_brief(&mut out, value);
    let end = cut(&out).len();
    out.truncate(end);
    out
}

fn write_brief(out: &mut String, value: Val<'_>) {
    if out.len() > BRIEF_BYTES {
        return;
    }
    match value {
        Val::Undefined | Val::Null | Val::Native(_) | Val::Fun(_) | Val::Tuples(_) | Val::Tail => out.push_str("null"),
        Val::Bool(b) => out.push_str(if b { "true" } else { "false" }),
        Val::Str(s) => out.push_str(&Value::from(cut(s)).to_string()),
        _ => {
            if let Some(n) = value.num() {
                let shown = number::text(n);
                out.push_str(if n.is_finite() { &shown } else { "null" });
            } else if let Some(items) = value.array() {
                out.push('[');
                for (at, item) in items.iter().take(BRIEF_BYTES).enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_brief(out, item);
                }
                out.push(']');
            } else {
                out.push('{');
                for (at, (name, value)) in value.fields().take(BRIEF_BYTES).enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(&Value::from(cut(name)).to_string());
                    out.push(':');
                    write_brief(out, value);
                }
                out.push('}');
            }
        }
    }
}
