//! The functions that AWS adds to JSONata: `$partition`, `$range`, `$hash`, `$random`, `$uuid`, `$parse`.
//!
//! Source: "Transforming data with JSONata", AWS Step Functions developer guide; `$partition` and `$parse` also from
//! recorded executions. Their errors have no recorded text except that they are `T0410` where an argument has the wrong
//! type.

use jsonata_core::evaluator::{Evaluator, EvaluatorError};
use jsonata_core::guard;
use jsonata_core::value::JValue;
use md5::Md5;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{Limits, convert};
use crate::limits::JSON_DEPTH_MAX;

type Outcome = Result<JValue, EvaluatorError>;

/// Makes the functions known to an evaluator.
pub(super) fn register(evaluator: &mut Evaluator, limits: &Limits) -> Result<(), EvaluatorError> {
    let items_max = limits.sequence_items;
    evaluator.register_fn("partition", |args: &[JValue]| partition(args))?;
    evaluator.register_fn("range", move |args: &[JValue]| range(args, items_max))?;
    evaluator.register_fn("hash", |args: &[JValue]| hash(args))?;
    evaluator.register_fn("uuid", |args: &[JValue]| uuid(args))?;
    evaluator.register_fn("parse", |args: &[JValue]| parse(args))?;
    evaluator.register_fn_override("random", |args: &[JValue]| random(args))?;
    // Refused when a machine is created; this is for a name that comes to it in another way.
    evaluator.register_fn_override("eval", |_: &[JValue]| -> Outcome {
        Err(failure("T1006: Attempted to invoke a non-function"))
    })
}

fn failure(message: impl Into<String>) -> EvaluatorError {
    EvaluatorError::EvaluationError(message.into())
}

/// JSONata's error of a wrong argument; `index` counts from 1.
fn wrong_argument(index: usize, function: &str) -> EvaluatorError {
    failure(format!("T0410: Argument {index} of function \"{function}\" does not match function signature"))
}

fn at_most(args: &[JValue], count: usize, function: &str) -> Result<(), EvaluatorError> {
    if args.len() > count { Err(wrong_argument(count + 1, function)) } else { Ok(()) }
}

fn number(args: &[JValue], index: usize, function: &str) -> Result<f64, EvaluatorError> {
    args.get(index)
        .and_then(JValue::as_f64)
        .filter(|n| n.is_finite())
        .ok_or_else(|| wrong_argument(index + 1, function))
}

fn text<'a>(args: &'a [JValue], index: usize, function: &str) -> Result<&'a str, EvaluatorError> {
    args.get(index).and_then(JValue::as_str).ok_or_else(|| wrong_argument(index + 1, function))
}

fn is_undefined(args: &[JValue]) -> bool {
    args.first().is_none_or(JValue::is_undefined)
}

/// `$partition(array, size)`: consecutive pieces of at most `size` items.
fn partition(args: &[JValue]) -> Outcome {
    at_most(args, 2, "partition")?;
    if is_undefined(args) {
        return Ok(JValue::Undefined);
    }
    let size = number(args, 1, "partition")?.floor();
    if size < 1.0 {
        return Err(failure("The second argument of the partition function must be a positive integer"));
    }
    // JSONata makes an array of one item and the item itself interchangeable in arguments.
    let single;
    let items = match &args[0] {
        JValue::Array(items) => items.as_slice(),
        other => {
            single = [other.clone()];
            &single
        }
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1, and `as` saturates")]
    let pieces = items.chunks(size as usize).map(|piece| JValue::array(piece.to_vec()));
    Ok(JValue::array(pieces.collect()))
}

/// `$range(first, last, delta)`: `first`, `first + delta`, ... up to and including `last`.
fn range(args: &[JValue], items_max: usize) -> Outcome {
    at_most(args, 3, "range")?;
    if is_undefined(args) {
        return Ok(JValue::Undefined);
    }
    let (first, last) = (number(args, 0, "range")?, number(args, 1, "range")?);
    let delta = if args.len() > 2 { number(args, 2, "range")? } else { 1.0 };
    if delta == 0.0 {
        return Err(failure("The third argument of the range function must not be zero"));
    }
    let steps = ((last - first) / delta).floor();
    if steps < 0.0 {
        return Ok(JValue::array(Vec::new()));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and `as` saturates")]
    let count = (steps as usize).saturating_add(1);
    if count > items_max {
        // The library's code for it, so that it ends as the same bound.
        return Err(failure("D2015: Sequence length limit exceeded"));
    }
    // By multiplication: repeated addition would gather the error of each step.
    #[expect(clippy::cast_precision_loss, reason = "the bound on items is far below 2^53")]
    let items = (0..count).map(|position| JValue::Number(first + position as f64 * delta));
    Ok(JValue::array(items.collect()))
}

/// `$hash(text, algorithm)` in lower-case hexadecimal.
fn hash(args: &[JValue]) -> Outcome {
    at_most(args, 2, "hash")?;
    if is_undefined(args) {
        return Ok(JValue::Undefined);
    }
    let (text, algorithm) = (text(args, 0, "hash")?, text(args, 1, "hash")?);
    let digest = match algorithm {
        "MD5" => hex::encode(Md5::digest(text)),
        "SHA-1" => hex::encode(Sha1::digest(text)),
        "SHA-256" => hex::encode(Sha256::digest(text)),
        "SHA-384" => hex::encode(Sha384::digest(text)),
        "SHA-512" => hex::encode(Sha512::digest(text)),
        _ => {
            return Err(failure(
                "The second argument of the hash function must be MD5, SHA-1, SHA-256, SHA-384 or SHA-512",
            ));
        }
    };
    Ok(JValue::string(digest))
}

/// `$random()`, `$random(seed)`: in `[0, 1)`; a seed gives the same number each time.
fn random(args: &[JValue]) -> Outcome {
    at_most(args, 1, "random")?;
    let bits = match args.first() {
        None | Some(JValue::Undefined) => guard::next_u64(),
        Some(_) => StdRng::seed_from_u64(number(args, 0, "random")?.to_bits()).next_u64(),
    };
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let unit = (bits >> 11) as f64 / (1u64 << 53) as f64;
    Ok(JValue::Number(unit))
}

/// `$uuid()`: a version 4 UUID.
fn uuid(args: &[JValue]) -> Outcome {
    at_most(args, 0, "uuid")?;
    let bytes = (u128::from(guard::next_u64()) << 64) | u128::from(guard::next_u64());
    Ok(JValue::string(uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid().to_string()))
}

/// `$parse(text)`: the value of a JSON text.
fn parse(args: &[JValue]) -> Outcome {
    at_most(args, 1, "parse")?;
    if is_undefined(args) {
        return Ok(JValue::Undefined);
    }
    let text = text(args, 0, "parse")?;
    guard::charge(text.len() / 4);
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| {
        failure(format!("The argument of the parse function is not JSON of at most {JSON_DEPTH_MAX} levels: {e}"))
    })?;
    Ok(convert::into_engine(&value))
}
