//! The data languages, pure: JSONPath (Jayway's dialect, as AWS runs it), reference paths, intrinsic functions, payload
//! templates, JSONata.
//!
//! In: texts of a definition, compiled once. Out: values, or a [`QueryError`] in AWS's words. Nothing here knows a
//! state, an execution, a clock or a broker: all inputs of an expression come in through [`Roots`], time and chance
//! through [`Entropy`]. May enter: `clock::Timestamp`, `limits`. Nothing else of ours.

pub mod intrinsics;
mod java;
pub mod jsonata;
pub mod jsonpath;
pub mod programs;
#[cfg(test)]
mod recorded;
pub mod reference_path;
pub mod template;
#[cfg(test)]
mod test_roots;
#[cfg(test)]
pub(crate) mod worked;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::clock::Timestamp;

/// The values that an expression may read.
pub trait Roots {
    /// `$` (JSONPath): the state's effective input, or the value that the field works on.
    fn input(&self) -> &Value;
    /// The compact text of `$`, where it is known and a copy of it is cheaper than one of the value.
    fn text_of_input(&self) -> Option<&str> {
        None
    }
    /// `$$` (JSONPath), `$states.context` (JSONata): the context object; built when first asked for.
    fn context(&self) -> &Value;
    /// `$name`: a workflow variable.
    fn variable(&self, name: &str) -> Option<&Value>;
    /// Work that was done, in units of [`crate::limits::DECISION_WORK_MAX`]: the same for the same expression and
    /// values on every machine.
    fn spend(&self, _work: u64) {}
}

/// Work that a copy of the value costs: one for each value in it, and one for every 64 bytes of a text.
pub(crate) fn work_of(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(work_of).sum::<u64>(),
        Value::Object(fields) => 1 + fields.values().map(|v| 1 + work_of(v)).sum::<u64>(),
        Value::String(text) => 1 + text.len() as u64 / 64,
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// Time and chance as data: made by the shell from the stimulus, consumed by expressions. Equal seeds give equal
/// results.
#[derive(Debug)]
pub struct Entropy {
    pub now: Timestamp,
    rng: StdRng,
}

impl Entropy {
    #[must_use]
    pub fn new(now: Timestamp, seed: u64) -> Self {
        Self { now, rng: StdRng::seed_from_u64(seed) }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Uniform in `[0, 1)`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> uuid::Uuid {
        let bytes = (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64());
        uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid()
    }
}

/// An expression that did not give a value. The interpreter names the AWS error (`States.Runtime`,
/// `States.ParameterPathFailure`, `States.QueryEvaluationError`, ...) by the field in which the expression stood.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// A definite JSONPath that names a missing value. `path` is the text as written; `detail` is Jayway's own message
    /// (`No results for path: $['a']`, `Missing property in path $['a']`), which AWS quotes in some fields.
    #[error("Invalid path '{path}' : {detail}")]
    PathNotFound { path: String, detail: String },
    /// A JSONPath over an input that is null. AWS's text; its support calls it intended.
    #[error("Unable to apply Path transformation to null or empty input.")]
    NullInput,
    /// An intrinsic function that could not be computed. The text is AWS's cause where one is recorded.
    #[error("{message}")]
    Intrinsic { message: String },
    /// A path inside of an intrinsic function that names nothing. Observed on AWS: not the function's failure, but
    /// `States.Runtime`.
    #[error("{message}")]
    FunctionArgument { message: String },
    /// A JSONata expression that gave nothing.
    #[error("The expression returned nothing (undefined).")]
    Undefined,
    /// A JSONata expression that gave a value of another type than its field takes. `expected` in AWS's word.
    #[error("returned an unexpected result type. Expected '{expected}', but was '{actual}' for value: {value}")]
    UnexpectedType { expected: &'static str, actual: &'static str, value: Value },
    /// A JSONata expression that gave a function. Observed on AWS.
    #[error("returned an unsupported result type.")]
    UnsupportedType,
    /// A JSONata expression that failed; the text is AWS's cause where one is recorded.
    #[error("{message}")]
    Evaluation { message: String },
    /// A bound was met: time, depth, size. The text names the bound.
    #[error("{message}")]
    Bound { message: String },
}
