//! States.Math*: kinds of arguments are checked by the caller.

use serde_json::Value;

use crate::query::Entropy;
use crate::query::java::JavaRandom;

/// The integer part. AWS documents rounding to the nearest integer and was seen to cut the fraction, in all functions
/// but MathAdd. `None`: beyond the integers that a double holds exactly.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
pub(super) fn truncated(value: &Value) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| value.as_f64().map(f64::trunc).filter(|n| n.abs() <= EXACT_MAX).map(|n| n as i64))
}

/// The sum of both, each rounded to the nearest integer (halves up, as Java's `Math.round`); all three within 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
pub(super) fn add(left: &Value, right: &Value) -> Result<Value, String> {
    let operand = |value: &Value| {
        let rounded = (value.as_f64().unwrap_or(f64::NAN) + 0.5).floor();
        let within = rounded >= f64::from(i32::MIN) && rounded <= f64::from(i32::MAX);
        if within { Ok(rounded as i32) } else { Err("an argument is outside of -2147483648 to 2147483647") }
    };
    let sum = operand(left)?.checked_add(operand(right)?).ok_or("the sum is outside of -2147483648 to 2147483647")?;
    Ok(Value::from(sum))
}

/// A whole number from `start` (inclusive) to `end` (exclusive). The same seed gives the same number, today and after
/// any upgrade: the generator is spelled out here. Without a seed the number comes from `entropy`.
pub(super) fn random(start: &Value, end: &Value, seed: Option<&Value>, entropy: &mut Entropy) -> Result<Value, String> {
    let integer = |value| truncated(value).ok_or("an argument is out of range");
    let (start, end) = (integer(start)?, integer(end)?);
    let span = end.checked_sub(start).and_then(|span| u64::try_from(span).ok()).filter(|span| *span > 0);
    let span = span.ok_or("the start must be less than the end")?;
    let bits = match seed {
        Some(seed) => JavaRandom::new(integer(seed)?).next_u64(),
        None => entropy.next_u64(),
    };
    // The high half of the product is uniform in [0, span) up to 2^-64 of bias.
    let offset = (u128::from(bits) * u128::from(span)) >> 64;
    let picked =
        i64::try_from(offset).ok().and_then(|offset| start.checked_add(offset)).ok_or("an argument is out of range")?;
    Ok(Value::from(picked))
}
