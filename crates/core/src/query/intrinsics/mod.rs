//! The intrinsic functions of the States Language: `States.Format('{} of {}', $.n, $$.Execution.Name)`.
//!
//! Text → [`Intrinsic`] (once) → [`Intrinsic::evaluate`] over [`Roots`] and [`Entropy`]. `parse.rs` reads the text,
//! `function.rs` lists the eighteen functions with their arities, `arrays.rs`, `numbers.rs` and `strings.rs` compute
//! them.
//!
//! Rules: states-language.net appendix B, with AWS's observed behaviour where it differs (fractions are cut, not
//! rounded, except by MathAdd; StringSplit drops empty parts; Base64Decode is lenient; an empty string is JSON null).

mod arrays;
mod function;
mod numbers;
mod parse;
mod strings;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

pub use self::function::Function;
use self::strings::Piece;
use super::jsonpath::{Lookup, Path};
use super::programs::Programs;
use super::{Entropy, QueryError, Roots, java};

/// Bounds of this room; going over one is an error that names it.
mod limits {
    /// AWS: "You can nest up to 10 intrinsic functions."
    pub const NESTING_MAX: usize = 10;
    /// AWS: States.ArrayRange gives at most 1,000 items.
    pub const RANGE_ITEMS_MAX: usize = 1000;
    /// AWS: States.Base64Encode, States.Base64Decode and States.Hash take at most 10,000 characters.
    pub const TEXT_CHARS_MAX: usize = 10_000;
}

/// A call with small arguments, in units of work.
const FUNCTION_WORK: u64 = 10;

/// The fault of a text that is no call of an intrinsic function, with its byte offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at position {offset}")]
pub struct IntrinsicSyntaxError {
    pub message: String,
    pub offset: usize,
}

/// A well-formed call that always fails when it is evaluated: a wrong number of arguments or a literal of a wrong type.
/// AWS accepts such definitions and fails the execution, so a validator may choose to warn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntrinsicProblem {
    pub message: String,
    pub offset: usize,
}

/// A compiled call.
#[derive(Debug, Clone)]
pub struct Intrinsic {
    text: String,
    call: Call,
}

#[derive(Debug, Clone)]
struct Call {
    function: Function,
    arguments: Vec<Argument>,
    /// Byte range of the call in the whole text.
    from: usize,
    to: usize,
}

#[derive(Debug, Clone)]
struct Argument {
    value: ArgumentValue,
    offset: usize,
}

#[derive(Debug, Clone)]
enum ArgumentValue {
    Literal(Value),
    /// The literal template of a `States.Format`, read once; `Err` is AWS's error when it runs.
    Template(Result<Vec<Piece>, String>),
    Path(Path),
    Call(Box<Call>),
}

impl Intrinsic {
    /// Whether `text` is meant as a call: it starts with `States.`.
    pub fn looks_like(text: &str) -> bool {
        text.starts_with("States.")
    }

    /// Compiles `text`.
    ///
    /// # Errors
    /// The fault of the form, the unknown function, or too deep nesting, with the byte offset.
    pub fn parse(text: &str) -> Result<Self, IntrinsicSyntaxError> {
        Self::parse_within(text, &Programs::default())
    }

    /// The same for a call of a definition, whose patterns share `programs`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_within(text: &str, programs: &Programs) -> Result<Self, IntrinsicSyntaxError> {
        Ok(Self { text: text.to_owned(), call: parse::whole(text, programs)? })
    }

    /// The call as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The certain failures of this call and the calls inside it: arity and types of literals.
    pub fn problems(&self) -> Vec<IntrinsicProblem> {
        let mut out = Vec::new();
        self.call.problems(&mut out);
        out
    }

    /// Every path that the call reads.
    pub fn paths(&self) -> Vec<&Path> {
        let mut out = Vec::new();
        self.call.paths(&mut out);
        out
    }

    /// Computes the call.
    ///
    /// # Errors
    /// [`QueryError::Intrinsic`] with AWS's cause (without the "An error occurred while executing the state …" before
    /// it); [`QueryError::Bound`] when a path meets a bound.
    pub fn evaluate(&self, roots: &dyn Roots, entropy: &mut Entropy) -> Result<Value, QueryError> {
        self.call.evaluate(&self.text, roots, entropy)
    }
}

impl fmt::Display for Intrinsic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Intrinsic {
    /// Equal texts compile to equal calls.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Call {
    fn problems(&self, out: &mut Vec<IntrinsicProblem>) {
        let (least, most) = self.function.arity();
        let count = self.arguments.len();
        if count < least || count > most {
            let wanted = match (least, most) {
                (least, most) if least == most => least.to_string(),
                (least, usize::MAX) => format!("at least {least}"),
                (least, most) => format!("{least} to {most}"),
            };
            out.push(IntrinsicProblem {
                message: format!("{} takes {wanted} arguments and is given {count}", self.function.name()),
                offset: self.from,
            });
        }
        for (at, argument) in self.arguments.iter().enumerate() {
            let kind = self.function.argument_kind(at);
            match &argument.value {
                ArgumentValue::Literal(value) if !kind.admits(value) => out.push(IntrinsicProblem {
                    message: format!("Argument {} of {} must be {}", at + 1, self.function.name(), kind.name()),
                    offset: argument.offset,
                }),
                ArgumentValue::Template(Err(message)) => {
                    out.push(IntrinsicProblem { message: message.clone(), offset: argument.offset });
                }
                ArgumentValue::Template(Ok(pieces)) if strings::holes(pieces) + 1 != count => {
                    out.push(IntrinsicProblem {
                        message: strings::HOLES_DO_NOT_MATCH.to_owned(),
                        offset: argument.offset,
                    });
                }
                ArgumentValue::Call(call) => call.problems(out),
                _ => {}
            }
        }
    }

    fn paths<'c>(&'c self, out: &mut Vec<&'c Path>) {
        for argument in &self.arguments {
            match &argument.value {
                ArgumentValue::Path(path) => out.push(path),
                ArgumentValue::Call(call) => call.paths(out),
                ArgumentValue::Literal(_) | ArgumentValue::Template(_) => {}
            }
        }
    }

    fn evaluate(&self, whole: &str, roots: &dyn Roots, entropy: &mut Entropy) -> Result<Value, QueryError> {
        let mut values = Vec::with_capacity(self.arguments.len());
        for argument in &self.arguments {
            values.push(match &argument.value {
                ArgumentValue::Literal(value) => Cow::Borrowed(value),
                // Stands for the template, which `apply` takes from the argument itself.
                ArgumentValue::Template(_) => Cow::Owned(Value::Null),
                ArgumentValue::Path(path) => read(path, whole, roots)?,
                ArgumentValue::Call(call) => Cow::Owned(call.evaluate(whole, roots, entropy)?),
            });
        }
        roots.spend(FUNCTION_WORK + values.iter().map(|value| super::work_of(value)).sum::<u64>());
        self.apply(values, entropy).map_err(|reason| QueryError::Intrinsic {
            message: format!(
                "There was an error while evaluating the intrinsic function: {}. {reason}",
                whole.get(self.from..self.to).unwrap_or(whole)
            ),
        })
    }

    /// Applies the function. The error is the part of AWS's cause after the text of the call.
    fn apply(&self, values: Vec<Cow<'_, Value>>, entropy: &mut Entropy) -> Result<Value, String> {
        let (least, most) = self.function.arity();
        if values.len() < least || values.len() > most {
            return Err(self.function.invalid("wrong number of arguments"));
        }
        let template = match self.arguments.first().map(|a| &a.value) {
            Some(ArgumentValue::Template(Ok(pieces))) => Some(Cow::Borrowed(pieces.as_slice())),
            Some(ArgumentValue::Template(Err(message))) => return Err(message.clone()),
            _ => None,
        };
        self.function.apply(template, values, entropy)
    }
}

/// An argument's value; that there is none is worded as recorded on AWS, with the whole expression.
fn read<'a>(path: &Path, whole: &str, roots: &'a dyn Roots) -> Result<Cow<'a, Value>, QueryError> {
    let detail = match path.lookup(roots)? {
        Lookup::Found(value) => return Ok(value),
        Lookup::Missing { detail, .. } => detail,
    };
    // AWS lets this one message of its JSONPath library through.
    let error = if detail.starts_with("Filter: ") {
        detail
    } else {
        format!(
            "The JsonPath argument for the field '{}' could not be found in the input '{}'",
            path.text(),
            roots.input()
        )
    };
    Err(QueryError::FunctionArgument { message: format!("The function '{whole}' had the following error: {error}") })
}

/// The text of an argument of any type, where AWS takes it as text.
fn as_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(s) => Cow::Borrowed(s),
        other => Cow::Owned(java::text(other)),
    }
}
