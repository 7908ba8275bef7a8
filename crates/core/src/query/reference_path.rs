//! Reference paths: the paths that name exactly one place, for `ResultPath`, `ItemsPath`, `Variable`, `SecondsPath` …
//!
//! Names and array indices only: no `@ .. , : ? *`, no negative index, no function (states-language.net, "Reference
//! Paths").

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::jsonpath::{Lookup, Path, PathSyntaxError, Root, Step};
use super::programs::Programs;
use super::{QueryError, Roots};

/// A compiled reference path.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferencePath {
    path: Path,
    steps: Vec<Step>,
}

/// A value that cannot be put, or found, where a reference path points. `error` is AWS's error name, the text is AWS's
/// cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct ReferencePathFailure {
    pub error: &'static str,
    pub cause: String,
}

impl ReferencePath {
    /// Compiles `text`: `$`, `$.a.b`, `$['a'][0]`, and the same after `$$` and `$name`.
    ///
    /// # Errors
    /// The reason why `text` is no path or no reference path, with the byte offset.
    pub fn parse(text: &str) -> Result<Self, PathSyntaxError> {
        Self::parse_within(text, &Programs::default())
    }

    /// The same for a path of a definition, whose patterns share `programs`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_within(text: &str, programs: &Programs) -> Result<Self, PathSyntaxError> {
        let path = Path::parse_within(text, programs)?;
        if let Some((offset, c)) = operator_outside_quotes(text) {
            return Err(PathSyntaxError::new(
                format!("A reference path names one place and cannot contain '{c}'"),
                offset,
            ));
        }
        match path.steps() {
            Some(steps) if steps.iter().all(|s| !matches!(s, Step::Index(i) if *i < 0)) => Ok(Self { path, steps }),
            _ => Err(PathSyntaxError::new("A reference path has property names and array indices from 0 only", 0)),
        }
    }

    pub fn text(&self) -> &str {
        self.path.text()
    }

    pub fn root(&self) -> &Root {
        self.path.root()
    }

    /// The same path for reading.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// Whether this is `$`, the whole input.
    pub fn is_whole_input(&self) -> bool {
        self.steps.is_empty() && *self.root() == Root::Input
    }

    /// The value that the path names, with Jayway's message when there is none.
    ///
    /// # Errors
    /// As [`Path::find`].
    pub fn find<'a>(&self, roots: &'a dyn Roots) -> Result<Cow<'a, Value>, QueryError> {
        self.path.find(roots)
    }

    /// The value that the path names, with AWS's own message when there is none, which is what a Map's `ItemsPath`
    /// gives: `States.ReferencePathConflict`, `Unable to apply step "items" to input {…}`.
    ///
    /// # Errors
    /// The error name and cause of the state.
    pub fn get<'a>(&self, roots: &'a dyn Roots) -> Result<Cow<'a, Value>, ReferencePathFailure> {
        let whole = match self.root() {
            Root::Input => Some(roots.input()),
            Root::Context => Some(roots.context()),
            Root::Variable(name) => roots.variable(name),
        };
        if let Ok(Lookup::Found(value)) = self.path.lookup(roots) {
            return Ok(value);
        }
        let mut reached = whole;
        let mut failed = String::new();
        for step in &self.steps {
            reached = reached.and_then(|value| step.of(value));
            if reached.is_none() {
                failed = step.to_string();
                break;
            }
        }
        let input = whole.map(ToString::to_string).unwrap_or_default();
        Err(ReferencePathFailure {
            error: "States.ReferencePathConflict",
            cause: format!("Unable to apply step \"{failed}\" to input {input}"),
        })
    }

    /// `input` with `value` at the place of the path, as `ResultPath` does: objects that are missing on the way are
    /// made, an existing value is replaced, an array's element must exist, and only an object gets a property.
    ///
    /// # Errors
    /// `States.ResultPathMatchFailure` with AWS's cause.
    pub fn set(&self, input: Value, value: Value) -> Result<Value, ReferencePathFailure> {
        if *self.root() != Root::Input || !self.fits(&input) {
            return Err(ReferencePathFailure {
                error: "States.ResultPathMatchFailure",
                cause: format!("Unable to apply ReferencePath {} to input {input}", self.text()),
            });
        }
        let mut input = input;
        let mut place = &mut input;
        for step in &self.steps {
            place = match (step, place) {
                (Step::Property(name), Value::Object(fields)) => {
                    fields.entry(name.as_str()).or_insert_with(|| Value::Object(Map::new()))
                }
                (Step::Index(index), Value::Array(items)) => {
                    match usize::try_from(*index).ok().and_then(|i| items.get_mut(i)) {
                        Some(item) => item,
                        None => unreachable!("fits() has found this element"),
                    }
                }
                _ => unreachable!("fits() has found an object or array for each step"),
            };
        }
        *place = value;
        Ok(input)
    }

    /// Checked before anything is changed, so that the failure can show the input as it was.
    fn fits(&self, input: &Value) -> bool {
        let mut place = Some(input);
        for step in &self.steps {
            place = match (place, step) {
                // A new object, or one step further in it.
                (None, Step::Property(_)) => None,
                (Some(Value::Object(fields)), Step::Property(name)) => fields.get(name),
                (Some(Value::Array(_)), Step::Index(_)) => match place.and_then(|value| step.of(value)) {
                    Some(item) => Some(item),
                    None => return false,
                },
                _ => return false,
            };
        }
        true
    }
}

/// Jayway takes `$.a*` as the property `a*`; a reference path must not.
fn operator_outside_quotes(text: &str) -> Option<(usize, char)> {
    let mut quote = None;
    let mut escaped = false;
    for (offset, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if matches!(c, '@' | ',' | ':' | '?' | '*' | '(' | ')') => return Some((offset, c)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::query::test_roots::TestRoots;

    #[test]
    fn a_result_is_put_where_the_path_points() {
        for (path, input, expected) in [
            ("$", json!({"a": 1}), json!("R")),
            ("$", json!(null), json!("R")),
            ("$.a", json!({"a": 1, "b": 2}), json!({"a": "R", "b": 2})),
            ("$.new", json!({"a": 1}), json!({"a": 1, "new": "R"})),
            ("$.x.y.z", json!({}), json!({"x": {"y": {"z": "R"}}})),
            ("$.x.y", json!({"x": {"k": 0}}), json!({"x": {"k": 0, "y": "R"}})),
            ("$['odd key'].b", json!({}), json!({"odd key": {"b": "R"}})),
            ("$.list[1]", json!({"list": [1, 2, 3]}), json!({"list": [1, "R", 3]})),
            ("$.list[0].k", json!({"list": [{}]}), json!({"list": [{"k": "R"}]})),
            ("$[0]", json!([1, 2]), json!(["R", 2])),
        ] {
            assert_eq!(ReferencePath::parse(path).unwrap().set(input, json!("R")), Ok(expected), "{path}");
        }
    }

    #[test]
    fn a_result_that_does_not_fit_is_a_match_failure() {
        for (path, input, shown) in [
            ("$.a", json!("text"), "\"text\""),
            ("$.a", json!(null), "null"),
            ("$.a", json!([1]), "[1]"),
            ("$.a.b", json!({"a": "s"}), r#"{"a":"s"}"#),
            ("$.a.b", json!({"a": null}), r#"{"a":null}"#),
            ("$.a[0]", json!({}), "{}"),
            ("$.a[2]", json!({"a": [1, 2]}), r#"{"a":[1,2]}"#),
            ("$.x.y[0]", json!({}), "{}"),
            ("$[0]", json!({"a": 1}), r#"{"a":1}"#),
        ] {
            let failure = ReferencePath::parse(path).unwrap().set(input, json!("R")).unwrap_err();
            assert_eq!(failure.error, "States.ResultPathMatchFailure");
            assert_eq!(failure.cause, format!("Unable to apply ReferencePath {path} to input {shown}"));
        }
    }

    #[test]
    fn a_missing_item_source_names_the_step() {
        let roots = TestRoots::of(json!({"discovery": {"statusCode": 500}}));
        let get = |path: &str| ReferencePath::parse(path).unwrap().get(&roots).map(Cow::into_owned);
        assert_eq!(get("$.discovery.statusCode"), Ok(json!(500)));
        assert_eq!(get("$list"), Ok(json!([1, 2, 3])));
        let failure = get("$.discovery.objects").unwrap_err();
        assert_eq!(failure.error, "States.ReferencePathConflict");
        assert_eq!(failure.cause, r#"Unable to apply step "objects" to input {"discovery":{"statusCode":500}}"#);
    }

    #[test]
    fn only_names_and_indices_are_reference_paths() {
        for text in ["$", "$.a.b", "$['a'].b", "$.a[0]", "$[\"a,b\"]", "$$.Execution.Id", "$var.x[1]", "$.a-b"] {
            assert!(ReferencePath::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "a",
            "$.",
            "$..a",
            "$.a[*]",
            "$.*",
            "$.a*",
            "$.a[0,1]",
            "$.a[1:2]",
            "$.a['b','c']",
            "$.a[?(@.b)]",
            "$.a[-1]",
            "$.a.length()",
        ] {
            assert!(ReferencePath::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"\$(\.|\[|\]|a|b|'|"|0|1|\*|:|,|\\| ){0,20}"#) {
            if let Ok(path) = ReferencePath::parse(&text) {
                drop(path.set(json!({"a": [{"b": 1}], "b": {"a": 2}}), json!(0)));
            }
        }
    }
}
