//! Functions at the end of a path: `$.items.length()`.

use std::borrow::Cow;

use serde_json::{Number, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Length,
    Min,
    Max,
    Avg,
    Stddev,
    Sum,
    Keys,
    First,
    Last,
}

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            // Jayway has both names.
            "length" | "size" => Self::Length,
            "min" => Self::Min,
            "max" => Self::Max,
            "avg" => Self::Avg,
            "stddev" => Self::Stddev,
            "sum" => Self::Sum,
            "keys" => Self::Keys,
            "first" => Self::First,
            "last" => Self::Last,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Stddev => "stddev",
            Self::Sum => "sum",
            Self::Keys => "keys",
            Self::First => "first",
            Self::Last => "last",
        }
    }

    /// Applies the function to one value. A value of another type gives null or, for numeric functions, Jayway's error
    /// text.
    pub(super) fn apply(self, value: &Value) -> Result<Value, String> {
        match self {
            Self::Length => Ok(child_count(value).map_or(Value::Null, Value::from)),
            Self::Keys => Ok(match value {
                Value::Object(fields) => Value::Array(fields.keys().cloned().map(Value::String).collect()),
                _ => Value::Null,
            }),
            Self::First | Self::Last => {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                let item = if self == Self::First { items.first() } else { items.last() };
                item.cloned()
                    .ok_or_else(|| "Aggregation function attempted to calculate value using empty array".to_owned())
            }
            _ => self.aggregate(value.as_array().into_iter().flatten().filter_map(Value::as_f64)),
        }
    }

    /// The function of all results of a scan: `$..price.sum()`.
    pub(super) fn gathered(self, results: &[Cow<'_, Value>]) -> Result<Value, String> {
        match self {
            // Jayway appends a wildcard to the scan and counts: the children of all results.
            Self::Length => Ok(Value::from(results.iter().filter_map(|r| child_count(r)).sum::<usize>())),
            Self::Keys | Self::First | Self::Last => {
                self.apply(&Value::Array(results.iter().map(|r| r.as_ref().clone()).collect()))
            }
            _ => self.aggregate(results.iter().flat_map(|r| numbers(r))),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of values in a payload is far below 2^53")]
    fn aggregate(self, numbers: impl Iterator<Item = f64>) -> Result<Value, String> {
        let (mut count, mut sum, mut squares) = (0usize, 0.0f64, 0.0f64);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for n in numbers {
            count += 1;
            sum += n;
            squares = n.mul_add(n, squares);
            min = min.min(n);
            max = max.max(n);
        }
        if count == 0 {
            return Err("Aggregation function attempted to calculate value using empty array".to_owned());
        }
        let count = count as f64;
        let result = match self {
            Self::Min => min,
            Self::Max => max,
            Self::Avg => sum / count,
            Self::Stddev => (squares / count - sum * sum / count / count).max(0.0).sqrt(),
            _ => sum,
        };
        Number::from_f64(result).map(Value::Number).ok_or_else(|| format!("{}() is not a finite number", self.name()))
    }
}

fn child_count(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(fields) => Some(fields.len()),
        _ => None,
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_f64).collect(),
        other => other.as_f64().into_iter().collect(),
    }
}
