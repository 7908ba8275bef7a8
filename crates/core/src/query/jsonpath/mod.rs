//! JSONPath as AWS runs it: Jayway's dialect (`com.jayway.jsonpath`), which no RFC 9535 library speaks.
//!
//! Text → [`Path`] (once, when a machine is compiled) → [`Path::find`] over [`Roots`]. `parse.rs` reads the text,
//! `filter.rs` the `[?(…)]` expressions, `eval.rs` walks, `functions.rs` has the tail functions.
//!
//! The difference to other dialects: a *definite* path (it can name one value only) gives that value or an error; any
//! other gives an array, empty when nothing matches. `['x','y']` at the end is definite and merges into one object.

mod eval;
mod filter;
mod functions;
pub(super) mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use self::eval::{Budget, Fault, Query};
use super::programs::Programs;
use super::{QueryError, Roots};

/// Bounds of this room; going over one is an error that names it.
mod limits {
    /// Segments of one path. JSON is read to 128 levels, so a longer path finds nothing.
    pub const SEGMENTS_MAX: usize = 256;
    /// Nesting of parentheses, literals and filters inside a filter: the parser and the evaluator recurse on it.
    pub const FILTER_DEPTH_MAX: usize = 32;
    /// Nested calls while walking a value: a descent through the deepest JSON (128 levels), and one more in a filter
    /// inside it. A level costs below 2 KB of stack in a debug build, a thread has 2 MB.
    pub const WALK_DEPTH_MAX: u32 = 300;
    /// Values visited by one evaluation. A payload of 256 KiB holds at most 131,072 values, so every path that looks at
    /// each value a few times stays below; `$..*..*` over a large payload and `[0,0][0,0]…` do not. About 20 ms.
    pub const VISITS_MAX: u32 = 1_000_000;
    /// A compiled regular expression in a filter, bytes. The crate's own default is ten times this.
    pub const REGEX_BYTES_MAX: usize = 1 << 20;
}

/// A walk along a few names, in units of work.
const LOOKUP_WORK: u64 = 5;
/// A value that a scan or a filter looks at, tests and perhaps copies.
const VISIT_WORK: u64 = 10;

/// The fault of a text that is no JSONPath, with its byte offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at position {offset}")]
pub struct PathSyntaxError {
    pub message: String,
    pub offset: usize,
}

impl PathSyntaxError {
    pub(super) fn new(message: impl Into<String>, offset: usize) -> Self {
        Self { message: message.into(), offset }
    }
}

/// Where a path starts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Root {
    /// `$`: the input of the field.
    Input,
    /// `$$`: the context object.
    Context,
    /// `$name`: a workflow variable.
    Variable(String),
}

/// A compiled JSONPath. Cheap to evaluate, immutable, shareable between threads.
#[derive(Clone)]
pub struct Path {
    text: String,
    root: Root,
    query: Query,
}

/// Why a path gave no value. `past_end`: the last step indexes an array that is too short; AWS reads that as `null` in
/// a payload template and as missing elsewhere.
pub(super) enum Lookup<'a> {
    Found(Cow<'a, Value>),
    Missing { detail: String, past_end: bool },
}

/// One step of a path that has only names and indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Property(String),
    Index(i64),
}

impl Step {
    /// The values to which the step leads from `value`.
    pub(super) fn of<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Property(name) => value.as_object()?.get(name),
            Self::Index(index) => value.as_array()?.get(usize::try_from(*index).ok()?),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(name) => f.write_str(name),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

impl Path {
    /// Compiles `text`: `$…`, `$$…` or `$name…`.
    ///
    /// # Errors
    /// The fault in Jayway's dialect, with the byte offset.
    pub fn parse(text: &str) -> Result<Self, PathSyntaxError> {
        Self::parse_within(text, &Programs::default())
    }

    /// The same for a path of a definition, whose patterns share `programs`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_within(text: &str, programs: &Programs) -> Result<Self, PathSyntaxError> {
        let (root, query) = parse::path(text, programs)?;
        Ok(Self { text: text.to_owned(), root, query })
    }

    /// The path as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the path can name one value only (Jayway's `isPathDefinite`).
    pub fn is_definite(&self) -> bool {
        self.query.is_definite()
    }

    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Evaluates over `roots`. A definite path borrows the value it names unless it merges properties or ends in a
    /// function; an indefinite one gives a new array.
    ///
    /// # Errors
    /// [`QueryError::PathNotFound`] with Jayway's detail, [`QueryError::NullInput`] for a path over an input that is
    /// null, [`QueryError::Bound`] when a bound is met.
    pub fn find<'a>(&self, roots: &'a dyn Roots) -> Result<Cow<'a, Value>, QueryError> {
        self.settle(self.lookup(roots)?)
    }

    /// Evaluates over `value`, with any root of the path.
    ///
    /// # Errors
    /// As [`Path::find`].
    pub fn find_in<'a>(&self, value: &'a Value) -> Result<Cow<'a, Value>, QueryError> {
        self.settle(self.lookup_in(value)?)
    }

    /// The steps, when there are only names and indices.
    pub(super) fn steps(&self) -> Option<Vec<Step>> {
        self.query.steps()
    }

    /// `$`
    pub(super) fn is_whole_input(&self) -> bool {
        matches!(self.root, Root::Input) && self.query.is_empty()
    }

    pub(super) fn lookup<'a>(&self, roots: &'a dyn Roots) -> Result<Lookup<'a>, QueryError> {
        match &self.root {
            Root::Input => match roots.input() {
                Value::Null => Err(QueryError::NullInput),
                input => self.lookup_spending(input, roots),
            },
            Root::Context => self.lookup_spending(roots.context(), roots),
            Root::Variable(name) => match roots.variable(name) {
                Some(value) => self.lookup_spending(value, roots),
                None => Ok(Lookup::Missing { detail: format!("Variable '{name}' has no value"), past_end: false }),
            },
        }
    }

    fn lookup_spending<'a>(&self, value: &'a Value, roots: &dyn Roots) -> Result<Lookup<'a>, QueryError> {
        let budget = Budget::default();
        let found = self.lookup_within(value, &budget);
        roots.spend(LOOKUP_WORK + VISIT_WORK * u64::from(budget.visits()));
        found
    }

    fn lookup_in<'a>(&self, value: &'a Value) -> Result<Lookup<'a>, QueryError> {
        self.lookup_within(value, &Budget::default())
    }

    fn lookup_within<'a>(&self, value: &'a Value, budget: &Budget) -> Result<Lookup<'a>, QueryError> {
        match self.query.evaluate_at(value, value, budget) {
            Ok(found) => Ok(Lookup::Found(found)),
            // Recorded on AWS: a wildcard, slice or filter over a missing value finds nothing, and that is no error.
            Err(Fault::Missing { .. }) if !self.is_definite() => {
                Ok(Lookup::Found(Cow::Owned(Value::Array(Vec::new()))))
            }
            Err(Fault::Missing { detail, past_end }) => Ok(Lookup::Missing { detail, past_end }),
            Err(Fault::Unfit { detail }) => Ok(Lookup::Missing { detail, past_end: false }),
            Err(Fault::Bound(what)) => Err(QueryError::Bound { message: format!("Path '{}': {what}", self.text) }),
        }
    }

    fn settle<'a>(&self, lookup: Lookup<'a>) -> Result<Cow<'a, Value>, QueryError> {
        match lookup {
            Lookup::Found(value) => Ok(value),
            Lookup::Missing { detail, .. } => Err(QueryError::PathNotFound { path: self.text.clone(), detail }),
        }
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Path").field(&self.text).finish()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Path {
    /// Equal texts compile to equal paths.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
