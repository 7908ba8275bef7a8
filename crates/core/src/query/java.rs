//! How Java writes values. AWS's interpreter is a Java program and its texts show through: in `States.Format`, in
//! Jayway's messages, in `States.Hash` of something that is not a string.

use std::fmt::Write as _;

use serde_json::Value;

/// Java's `toString`: `{k=v, l=w}` for maps and `[a, b]` for lists, strings bare. Recorded on AWS for a context object
/// in `States.Format`: `{Id=arn:aws:…, Name=…}`.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

/// Appends [`text`] of `value` to `out`. Recursion is as deep as the value, which the JSON reader bounds (128 levels).
pub(super) fn write(out: &mut String, value: &Value) {
    match value {
        Value::String(s) => out.push_str(s),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (at, (key, item)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                out.push_str(key);
                out.push('=');
                write(out, item);
            }
            out.push('}');
        }
        // Writing to a String cannot fail.
        Value::Null | Value::Bool(_) | Value::Number(_) => _ = write!(out, "{value}"),
    }
}

/// The class that Jayway names when a value does not fit the path.
pub(super) fn class(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "java.lang.Boolean",
        Value::String(_) => "java.lang.String",
        Value::Number(n) if n.is_f64() => "java.lang.Double",
        Value::Number(n) => match n.as_i64() {
            Some(i) if i32::try_from(i).is_ok() => "java.lang.Integer",
            Some(_) => "java.lang.Long",
            None => "java.math.BigInteger",
        },
        Value::Array(_) => "com.fasterxml.jackson.databind.node.ArrayNode",
        Value::Object(_) => "com.fasterxml.jackson.databind.node.ObjectNode",
    }
}

/// The linear congruential generator of `java.util.Random`, which its specification fixes for ever.
pub(super) struct JavaRandom(u64);

impl JavaRandom {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;

    pub(super) fn new(seed: i64) -> Self {
        Self((seed.cast_unsigned() ^ Self::MULTIPLIER) & Self::MASK)
    }

    /// The next `bits` bits, 32 at most.
    fn next(&mut self, bits: u32) -> u32 {
        self.0 = (self.0.wrapping_mul(Self::MULTIPLIER).wrapping_add(0xB)) & Self::MASK;
        u32::try_from(self.0 >> (48 - bits)).unwrap_or_else(|_| unreachable!("32 bits at most"))
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        (u64::from(self.next(32)) << 32) | u64::from(self.next(32))
    }

    /// Uniform in `[0, 1)`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub(super) fn next_double(&mut self) -> f64 {
        let bits = (u64::from(self.next(26)) << 27) | u64::from(self.next(27));
        bits as f64 / (1_u64 << 53) as f64
    }
}
