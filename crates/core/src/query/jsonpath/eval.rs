//! The walk over a value. Order of results, silent misses and error texts are Jayway's (`PathToken` and its
//! subclasses).

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Step;
use super::filter::{self, Expr};
use super::functions::Function;
use super::limits::{VISITS_MAX, WALK_DEPTH_MAX};
use crate::query::java;

/// AWS builds on this provider: recorded is that an index past the end reads as null, which only this one does.
const JSON_PROVIDER: &str = "com.jayway.jsonpath.spi.json.JacksonJsonNodeJsonProvider";

#[derive(Debug, Clone)]
pub(super) enum Segment {
    /// `.x`, `['x']`; with several names: merged when last, else one after the other.
    Properties { names: Vec<String>, quote: char },
    /// `[1]`, `[-1]`
    Index(i64),
    /// `[0,2]`
    Indices(Vec<i64>),
    /// `[1:3]`
    Slice(Slice),
    /// `.*`, `[*]`
    Wildcard,
    /// `..`: the next segment at every level.
    Descend,
    /// `[?(…)]`
    Filter(Box<Expr>),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub step: Option<i64>,
}

#[derive(Debug, Clone)]
pub(super) struct Query {
    segments: Vec<Segment>,
    function: Option<Function>,
    definite: bool,
    /// Only single names and indices and no function: walked without recursion and without allocation.
    plain: bool,
    /// `$..x.sum()`: Jayway turns a scan that ends in a function inside out, the function gets all results at once.
    gathers: bool,
}

#[derive(Debug)]
pub(super) enum Fault {
    Missing {
        detail: String,
        past_end: bool,
    },
    /// Something stands there, but of a kind that the step cannot be applied to.
    Unfit {
        detail: String,
    },
    Bound(String),
}

impl Fault {
    fn missing(detail: String) -> Self {
        Self::Missing { detail, past_end: false }
    }

    fn unfit(detail: String) -> Self {
        Self::Unfit { detail }
    }
}

/// The budget of one evaluation, shared by the walk and its filters.
#[derive(Default)]
pub(super) struct Budget {
    visits: Cell<u32>,
    depth: Cell<u32>,
}

impl Budget {
    pub(super) fn visits(&self) -> u32 {
        self.visits.get()
    }

    fn visit(&self) -> Result<(), Fault> {
        let visits = self.visits.get() + 1;
        self.visits.set(visits);
        if visits > VISITS_MAX {
            return Err(Fault::Bound(format!("the evaluation visits more than {VISITS_MAX} values")));
        }
        Ok(())
    }

    /// Runs `inner` one level deeper.
    fn nested<T>(&self, inner: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let depth = self.depth.get() + 1;
        if depth > WALK_DEPTH_MAX {
            return Err(Fault::Bound(format!("the evaluation nests deeper than {WALK_DEPTH_MAX} levels")));
        }
        self.depth.set(depth);
        let out = inner();
        self.depth.set(depth - 1);
        out
    }
}

impl Query {
    pub(super) fn new(segments: Vec<Segment>, function: Option<Function>) -> Self {
        let scans = segments.iter().any(|s| matches!(s, Segment::Descend));
        let last = segments.len().saturating_sub(1);
        let definite = segments.iter().enumerate().all(|(at, segment)| match segment {
            Segment::Properties { names, .. } => names.len() == 1 || (at == last && function.is_none()),
            Segment::Index(_) => true,
            _ => false,
        });
        let single = |s: &Segment| {
            matches!(s, Segment::Index(_)) || matches!(s, Segment::Properties { names, .. } if names.len() == 1)
        };
        let plain = function.is_none() && segments.iter().all(single);
        let gathers = scans && function.is_some();
        Self { segments, function, definite: definite || gathers, plain, gathers }
    }

    pub(super) fn is_definite(&self) -> bool {
        self.definite
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.function.is_none()
    }

    pub(super) fn steps(&self) -> Option<Vec<Step>> {
        let step = |segment: &Segment| match segment {
            Segment::Properties { names, .. } => names.first().cloned().map(Step::Property),
            Segment::Index(index) => Some(Step::Index(*index)),
            _ => None,
        };
        if self.plain { self.segments.iter().map(step).collect() } else { None }
    }

    /// Evaluates from `value`; `$` inside filters means `document`.
    pub(super) fn evaluate_at<'v>(
        &self,
        value: &'v Value,
        document: &'v Value,
        budget: &Budget,
    ) -> Result<Cow<'v, Value>, Fault> {
        if self.plain {
            return self.follow(value).map(Cow::Borrowed);
        }
        let mut walk = Walk { query: self, document, budget, results: Vec::new() };
        walk.step(0, value, true)?;
        let mut results = walk.results;
        if self.gathers
            && let Some(function) = self.function
        {
            return function.gathered(&results).map(Cow::Owned).map_err(Fault::missing);
        }
        if !self.definite {
            return Ok(Cow::Owned(Value::Array(results.into_iter().map(Cow::into_owned).collect())));
        }
        results.pop().ok_or_else(|| self.no_results(false))
    }

    /// The plain walk: one value after the other, no recursion.
    fn follow<'v>(&self, mut value: &'v Value) -> Result<&'v Value, Fault> {
        for (at, segment) in self.segments.iter().enumerate() {
            value = match segment {
                Segment::Properties { names, .. } => match value {
                    Value::Object(fields) => match names.first().and_then(|name| fields.get(name)) {
                        Some(found) => found,
                        None => return Err(self.no_property(at)),
                    },
                    other => return Err(self.not_an_object(at, other)),
                },
                Segment::Index(index) => match value {
                    Value::Array(items) => match resolve(*index, items.len()).and_then(|i| items.get(i)) {
                        Some(found) => found,
                        None => return Err(self.no_results(at + 1 == self.segments.len())),
                    },
                    other => return Err(self.not_an_array(at, other)),
                },
                _ => unreachable!("a plain query has names and indices only"),
            };
        }
        Ok(value)
    }

    fn is_leaf(&self, at: usize) -> bool {
        at + 1 == self.segments.len() && self.function.is_none()
    }

    /// The normalised path up to `end` segments, as Jayway tracks it while walking a definite path.
    fn prefix(&self, end: usize) -> String {
        let mut out = String::from("$");
        for segment in &self.segments[..end] {
            match segment {
                Segment::Properties { names, .. } => {
                    // Writing to a String cannot fail.
                    _ = write!(out, "['{}']", names.join("', '"));
                }
                other => other.write_fragment(&mut out),
            }
        }
        out
    }

    /// The normalised text of the segments from `at` on (Jayway's `PathToken.toString`).
    fn rest(&self, at: usize) -> String {
        let mut out = String::new();
        for segment in &self.segments[at..] {
            segment.write_fragment(&mut out);
        }
        if let Some(function) = self.function {
            _ = write!(out, ".{}()", function.name());
        }
        out
    }

    fn no_results(&self, past_end: bool) -> Fault {
        Fault::Missing { detail: format!("No results for path: ${}", self.rest(0)), past_end }
    }

    fn no_property(&self, at: usize) -> Fault {
        if self.is_leaf(at) {
            self.no_results(false)
        } else {
            Fault::missing(format!("Missing property in path {}", self.prefix(at + 1)))
        }
    }

    fn not_an_object(&self, at: usize, found: &Value) -> Fault {
        let mut fragment = String::new();
        self.segments[at].write_fragment(&mut fragment);
        Fault::unfit(format!(
            "Expected to find an object with property {fragment} in path {} but found '{}'. This is not a json object \
             according to the JsonProvider: '{JSON_PROVIDER}'.",
            self.prefix(at),
            java::class(found)
        ))
    }

    fn not_an_array(&self, at: usize, found: &Value) -> Fault {
        if found.is_null() {
            return Fault::missing(format!("The path {} is null", self.prefix(at)));
        }
        Fault::unfit(format!(
            "Filter: {} can only be applied to arrays. Current context is: {}",
            self.rest(at),
            node_text(found)
        ))
    }

    fn not_filterable(&self, at: usize, found: &Value) -> Fault {
        Fault::unfit(format!(
            "Filter: {} can not be applied to primitives. Current context is: {}",
            self.rest(at),
            node_text(found)
        ))
    }
}

/// A value as Jackson's nodes print it: strings bare, all else JSON.
fn node_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(s) => Cow::Borrowed(s),
        other => Cow::Owned(other.to_string()),
    }
}

impl Segment {
    fn write_fragment(&self, out: &mut String) {
        // Writing to a String cannot fail: the results are dropped.
        match self {
            Self::Properties { names, quote } => {
                out.push('[');
                for (at, name) in names.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    _ = write!(out, "{quote}{}{quote}", name.replace('\\', "\\\\").replace('\'', "\\'"));
                }
                out.push(']');
            }
            Self::Index(index) => _ = write!(out, "[{index}]"),
            Self::Indices(indices) => {
                let texts: Vec<String> = indices.iter().map(ToString::to_string).collect();
                _ = write!(out, "[{}]", texts.join(","));
            }
            Self::Slice(slice) => {
                let show = |bound: Option<i64>| bound.map(|b| b.to_string()).unwrap_or_default();
                _ = write!(out, "[{}:{}]", show(slice.from), show(slice.to));
            }
            Self::Wildcard => out.push_str("[*]"),
            Self::Descend => out.push_str(".."),
            Self::Filter(_) => out.push_str("[?]"),
        }
    }
}

/// Where `index` (from the end when negative) points in an array of `length`; `None` before its start.
fn resolve(index: i64, length: usize) -> Option<usize> {
    if index >= 0 {
        return usize::try_from(index).ok();
    }
    let back = usize::try_from(index.unsigned_abs()).ok()?;
    length.checked_sub(back)
}

impl Slice {
    /// The positions of the slice in an array of `length`, which may lie outside of it.
    ///
    /// Without a step exactly as Jayway: `[1:-1]` is empty and `[-2:2]` starts at the end and goes on at the front,
    /// because a two-sided slice does not count from the end. With a step, which Jayway has not, as RFC 9535.
    fn positions(self, length: usize) -> Vec<i64> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        match (self.from, self.to, self.step) {
            (Some(from), None, None) => {
                let from = if from < 0 { length.saturating_add(from) } else { from };
                (from.max(0)..length).collect()
            }
            (Some(from), Some(to), None) => (from.max(-length)..to.min(length)).collect(),
            (None, to, None) => {
                let to = to.unwrap_or(length);
                let to = if to < 0 { length.saturating_add(to) } else { to };
                (0..to.min(length)).collect()
            }
            (from, to, Some(step)) => stepped(from, to, step, length),
        }
    }
}

/// RFC 9535, section 2.3.4.2.2.
fn stepped(from: Option<i64>, to: Option<i64>, step: i64, length: i64) -> Vec<i64> {
    let from_end = |i: i64| if i >= 0 { i } else { length.saturating_add(i) };
    let mut out = Vec::new();
    match step {
        0 => {}
        1.. => {
            let lower = from_end(from.unwrap_or(0)).clamp(0, length);
            let upper = from_end(to.unwrap_or(length)).clamp(0, length);
            let mut at = lower;
            while at < upper {
                out.push(at);
                at = at.saturating_add(step);
            }
        }
        _ => {
            let upper = from.map_or(length - 1, from_end).clamp(-1, length - 1);
            let lower = to.map_or(-1, from_end).clamp(-1, length - 1);
            let mut at = upper;
            while at > lower {
                out.push(at);
                at = at.saturating_add(step);
            }
        }
    }
    out
}

struct Walk<'q, 'v, 'b> {
    query: &'q Query,
    document: &'v Value,
    budget: &'b Budget,
    results: Vec<Cow<'v, Value>>,
}

impl<'v> Walk<'_, 'v, '_> {
    /// Applies segment `at` to `value`. `definite`: all segments before are definite, so a miss is an error, not
    /// silence.
    fn step(&mut self, at: usize, value: &'v Value, definite: bool) -> Result<(), Fault> {
        let budget = self.budget;
        budget.visit()?;
        budget.nested(|| self.apply(at, value, definite))
    }

    fn apply(&mut self, at: usize, value: &'v Value, definite: bool) -> Result<(), Fault> {
        let query = self.query;
        let Some(segment) = query.segments.get(at) else { return self.arrive(value) };
        match segment {
            Segment::Properties { names, .. } => self.properties(at, names, value, definite),
            Segment::Index(index) => match value {
                Value::Array(items) => self.element(at, *index, items, definite),
                other if definite => Err(query.not_an_array(at, other)),
                _ => Ok(()),
            },
            Segment::Indices(indices) => match value {
                Value::Array(items) => indices.iter().try_for_each(|i| self.element(at, *i, items, false)),
                other if definite => Err(query.not_an_array(at, other)),
                _ => Ok(()),
            },
            Segment::Slice(slice) => match value {
                Value::Array(items) => {
                    slice.positions(items.len()).into_iter().try_for_each(|i| self.element(at, i, items, false))
                }
                other if definite => Err(query.not_an_array(at, other)),
                _ => Ok(()),
            },
            Segment::Wildcard => match value {
                Value::Object(fields) => fields.values().try_for_each(|child| self.step(at + 1, child, false)),
                Value::Array(items) => items.iter().try_for_each(|child| self.step(at + 1, child, false)),
                _ => Ok(()),
            },
            Segment::Descend => self.descend(at + 1, value),
            Segment::Filter(expr) => match value {
                Value::Object(_) => self.keep_if(at, expr, value),
                Value::Array(items) => items.iter().try_for_each(|item| self.keep_if(at, expr, item)),
                other if definite => Err(query.not_filterable(at, other)),
                _ => Ok(()),
            },
        }
    }

    /// All segments are applied.
    fn arrive(&mut self, value: &'v Value) -> Result<(), Fault> {
        match self.query.function {
            Some(function) if !self.query.gathers => {
                self.results.push(Cow::Owned(function.apply(value).map_err(Fault::missing)?));
            }
            _ => self.results.push(Cow::Borrowed(value)),
        }
        Ok(())
    }

    fn properties(&mut self, at: usize, names: &[String], value: &'v Value, definite: bool) -> Result<(), Fault> {
        let query = self.query;
        let Value::Object(fields) = value else {
            return if definite { Err(query.not_an_object(at, value)) } else { Ok(()) };
        };
        if let [name] = names {
            return match fields.get(name) {
                Some(child) => self.step(at + 1, child, definite),
                None if definite && !query.is_leaf(at) => Err(query.no_property(at)),
                None => Ok(()),
            };
        }
        if query.is_leaf(at) {
            let found = names.iter().filter_map(|name| fields.get(name).map(|child| (name.clone(), child.clone())));
            self.results.push(Cow::Owned(Value::Object(found.collect::<Map<_, _>>())));
            return Ok(());
        }
        names.iter().filter_map(|name| fields.get(name)).try_for_each(|child| self.step(at + 1, child, false))
    }

    fn element(&mut self, at: usize, index: i64, items: &'v [Value], definite: bool) -> Result<(), Fault> {
        match resolve(index, items.len()).and_then(|i| items.get(i)) {
            Some(item) => self.step(at + 1, item, definite),
            // Jayway adds the null that Jackson gives for an index past the end; a definite path has words of its own
            // for it. Measured on AWS: `$.rows[*][0]` of `[[1],[],[2]]` is `[1,null,2]`.
            None if !definite && self.query.is_leaf(at) => self.arrive(&Value::Null),
            None => Ok(()),
        }
    }

    fn keep_if(&mut self, at: usize, expr: &Expr, value: &'v Value) -> Result<(), Fault> {
        self.budget.visit()?;
        if filter::test(expr, value, self.document, self.budget)? { self.step(at + 1, value, false) } else { Ok(()) }
    }

    /// Segment `at` on `value` and on every object and array below it, parents first.
    fn descend(&mut self, at: usize, value: &'v Value) -> Result<(), Fault> {
        match (&self.query.segments[at], value) {
            // Jayway wants all of several names at once here, elsewhere any of them.
            (Segment::Properties { names, .. }, Value::Object(fields)) if names.len() > 1 && self.query.is_leaf(at) => {
                if names.iter().all(|name| fields.contains_key(name)) {
                    self.step(at, value, false)?;
                }
            }
            // An object in an array is tested when the descent comes to it, not twice.
            (Segment::Filter(expr), Value::Array(items)) => {
                for item in items.iter().filter(|item| !item.is_object()) {
                    self.keep_if(at, expr, item)?;
                }
            }
            _ => self.step(at, value, false)?,
        }
        let budget = self.budget;
        let mut deeper = |child: &'v Value| {
            if child.is_object() || child.is_array() { budget.nested(|| self.descend(at, child)) } else { Ok(()) }
        };
        match value {
            Value::Object(fields) => fields.values().try_for_each(&mut deeper),
            Value::Array(items) => items.iter().try_for_each(&mut deeper),
            _ => Ok(()),
        }
    }
}
