//! JSONata as AWS Step Functions runs it: the language of version 2.0.6, AWS's six functions, no `$eval`, no input
//! document (everything is read through `$states` and the workflow variables).
//!
//! ```text
//! text ──compile──▶ Expression (Send + Sync, shared in an Arc) ──evaluate(Bindings, Entropy, Limits)──▶ serde_json::Value
//!        check.rs: what may not stand there,      convert.rs: only what the expression names goes in; out under a budget
//!                  what the expression reads      engine.rs:  jsonata-core under its guard; functions.rs: AWS's functions
//! ```
//!
//! `template.rs` holds the fields of a state (`Arguments`, `Output`, ...) in which such expressions stand, `cause.rs`
//! AWS's sentences for what went wrong. Evaluation is synchronous, runs on the caller's thread and ends within its
//! [`Limits`], whatever the expression does: see `docs/decisions/0003-jsonata.md`.

mod cause;
mod check;
mod convert;
mod engine;
mod functions;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod suite;
pub mod template;

use std::time::Duration;

use jsonata_core::ast::AstNode;
use serde_json::Value;

pub use cause::cause;
pub use check::{References, StatesMember};
pub use template::{Failure, Field, JsonataTemplate, TemplateError, ValueType, expression_text};

use super::{Entropy, QueryError, Roots};

/// A compiled expression. Made once when the machine is loaded, then shared.
#[derive(Debug)]
pub struct Expression {
    text: String,
    ast: AstNode,
    references: References,
    extensions: Vec<&'static str>,
    /// Where the expression is no more than `$states.input.a.b` or `$x.a.b`: the names to follow, without an engine.
    plain_path: Option<PlainPath>,
}

/// `$root.name.name`: what most expressions of real machines are.
#[derive(Debug)]
struct PlainPath {
    root: String,
    names: Vec<String>,
}

/// A text that is no expression, or not one that Step Functions accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    /// Byte offset in the text, where it is known.
    pub offset: Option<usize>,
}

impl SyntaxError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), offset: None }
    }
}

/// What an expression can read.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// `$states.input`, `$states.context` and the workflow variables.
    pub roots: &'a dyn Roots,
    /// `$states.result`: only where the state has one.
    pub result: Option<&'a Value>,
    /// `$states.errorOutput`: only in a Catcher.
    pub error_output: Option<&'a Value>,
}

impl<'a> Bindings<'a> {
    #[must_use]
    pub fn new(roots: &'a dyn Roots) -> Self {
        Self { roots, result: None, error_output: None }
    }

    #[must_use]
    pub fn with_result(self, result: &'a Value) -> Self {
        Self { result: Some(result), ..self }
    }

    #[must_use]
    pub fn with_error_output(self, error_output: &'a Value) -> Self {
        Self { error_output: Some(error_output), ..self }
    }

    fn member(&self, member: StatesMember) -> Option<&'a Value> {
        match member {
            StatesMember::Input => Some(self.roots.input()),
            StatesMember::Context => Some(self.roots.context()),
            StatesMember::Result => self.result,
            StatesMember::ErrorOutput => self.error_output,
        }
    }
}

impl std::fmt::Debug for Bindings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bindings").finish_non_exhaustive() // payloads are not for logs
    }
}

/// What one evaluation may use. Going over a bound is [`QueryError::Bound`], which names it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Units of work: about one per node evaluated, container visited or 64 bytes copied. Decides before `time` does,
    /// so that a slow machine gives the same answer as a fast one.
    pub steps: u64,
    /// The backstop, for work that is not counted well.
    pub time: Duration,
    /// Bytes of all strings and containers that an evaluation builds, freed or not.
    pub built_bytes: u64,
    /// Bytes of any one string.
    pub string_bytes: usize,
    /// Items of any one sequence.
    pub sequence_items: usize,
    /// Nesting of calls; about a third of it is left to a recursive function.
    pub call_depth: usize,
    /// Bytes of the result as JSON text. Above AWS's payload limit, so that the interpreter can say that one was met.
    pub result_bytes: usize,
    /// Nesting of the result. A journal read by serde_json holds 128 levels, and a result stands inside of an event.
    pub result_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 10_000_000,
            time: Duration::from_secs(1),
            built_bytes: 256 << 20,
            string_bytes: 8 << 20,
            sequence_items: 500_000,
            call_depth: 3_000,
            result_bytes: 1 << 20,
            result_depth: 100,
        }
    }
}

impl Expression {
    /// Compiles the text between `{%` and `%}`, as Step Functions does when a machine is created.
    ///
    /// # Errors
    /// What stands where it may not: a syntax error with JSONata's code, or something that Step Functions does not
    /// offer (`$eval`; `$`, `$$` or a bare field name at the top level).
    pub fn compile(text: &str) -> Result<Self, SyntaxError> {
        let text = text.trim();
        let ast = check::parse(text)?;
        check::reject_what_step_functions_lacks(&ast)?;
        let references = check::references(&ast);
        let plain_path = check::plain_path(&ast).map(|(root, names)| PlainPath { root, names });
        Ok(Self { text: text.to_owned(), extensions: check::extensions(&ast), ast, references, plain_path })
    }

    /// The text as written, trimmed: AWS quotes it in causes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the expression reads: workflow variables and members of `$states`.
    #[must_use]
    pub fn references(&self) -> &References {
        &self.references
    }

    /// Operators that JSONata has since 2.1 and Step Functions (2.0.6) has not: such a machine does not run on AWS.
    #[must_use]
    pub fn extensions(&self) -> &[&'static str] {
        &self.extensions
    }

    /// Evaluates. Equal bindings, `entropy` and `limits` give equal results.
    ///
    /// # Errors
    /// [`QueryError::Undefined`] where the expression gives nothing, [`QueryError::Evaluation`] with JSONata's code and
    /// text where it fails, [`QueryError::Bound`] where it goes over a limit.
    pub fn evaluate(
        &self,
        bindings: &Bindings<'_>,
        entropy: &mut Entropy,
        limits: &Limits,
    ) -> Result<Value, QueryError> {
        if let Some(path) = &self.plain_path
            && let Some(outcome) = path.follow(bindings)
        {
            return outcome;
        }
        engine::evaluate(&self.ast, &self.references, bindings, entropy, limits)
    }
}

impl PlainPath {
    /// `None` where the engine has to decide: a step over an array maps, flattens and unwraps.
    fn follow(&self, bindings: &Bindings<'_>) -> Option<Result<Value, QueryError>> {
        let (first, names) = if self.root == check::STATES {
            let (member, names) = self.names.split_first()?;
            (StatesMember::named(member).and_then(|member| bindings.member(member)), names)
        } else {
            (bindings.roots.variable(&self.root), &self.names[..])
        };
        let mut value = first;
        for name in names {
            value = match value? {
                Value::Object(fields) => fields.get(name),
                _ => return None,
            };
        }
        value.map(|value| Ok(convert::normalized(value)))
    }
}

#[cfg(test)]
mod tests;
