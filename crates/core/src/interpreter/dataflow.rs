//! How data flows through a state: which field sees what, and how a field that fails names its error.
//!
//! Source: Amazon States Language, "Input and output processing"; causes as recorded in execution histories.

use std::borrow::Cow;

use serde_json::Value;

use crate::asl::model::{Quantity, QueryLanguage, ResultPath, Selection, State, Template, Text};
use crate::query::jsonata::{Bindings, Limits};
use crate::query::template::TemplateFailure;
use crate::query::{Entropy, QueryError, Roots};

use super::event::{Assigned, Payload};

/// A field that gave no value, before the state's name is put around it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EvalError {
    /// The error as AWS names it.
    pub name: &'static str,
    /// The sentence after "An error occurred while executing the state ...".
    pub detail: String,
    /// JSONata: `EvaluationFailed` is shown.
    pub evaluation: bool,
    /// Where, in it.
    pub location: Option<String>,
    /// JSONata: the failure came after the evaluation itself (a timestamp that does not parse), and is chained to the
    /// state's entry.
    pub after_evaluation: bool,
    /// The cause is the sentence alone, without the state around it.
    pub bare: bool,
}

pub(super) const QUERY_EVALUATION: &str = "States.QueryEvaluationError";

impl EvalError {
    pub fn runtime(detail: impl Into<String>) -> Self {
        Self::named("States.Runtime", detail)
    }

    pub fn named(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, detail: detail.into(), evaluation: false, location: None, after_evaluation: false, bare: false }
    }

    /// A value of the wrong kind: `States.Runtime` in JSONPath, `States.QueryEvaluationError` with its event in
    /// JSONata.
    pub fn value(language: QueryLanguage, detail: impl Into<String>, location: Option<&str>) -> Self {
        match language {
            QueryLanguage::JsonPath => Self::runtime(detail),
            QueryLanguage::Jsonata => Self {
                name: QUERY_EVALUATION,
                detail: detail.into(),
                evaluation: true,
                location: location.map(str::to_owned),
                after_evaluation: false,
                bare: false,
            },
        }
    }

    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    pub fn after_evaluation(mut self) -> Self {
        self.after_evaluation = true;
        self
    }
}

impl From<&crate::query::jsonata::Failure> for EvalError {
    fn from(failure: &crate::query::jsonata::Failure) -> Self {
        Self {
            name: QUERY_EVALUATION,
            detail: failure.cause(),
            evaluation: true,
            location: Some(failure.location.clone()),
            after_evaluation: false,
            bare: false,
        }
    }
}

/// Values that a JSONata expression may read besides the roots.
#[derive(Clone, Copy, Default)]
pub(super) struct Extra<'a> {
    pub result: Option<&'a Value>,
    pub error_output: Option<&'a Value>,
}

impl<'a> Extra<'a> {
    fn bind(self, roots: &'a dyn Roots) -> Bindings<'a> {
        let mut bindings = Bindings::new(roots);
        if let Some(result) = self.result {
            bindings = bindings.with_result(result);
        }
        if let Some(error) = self.error_output {
            bindings = bindings.with_error_output(error);
        }
        bindings
    }
}

/// `InputPath`, `OutputPath`, `ItemsPath` on `input`.
pub(super) fn select(selection: &Selection, input: &Payload, roots: &dyn Roots) -> Result<Payload, EvalError> {
    match selection {
        Selection::Whole => Ok(Payload::clone(input)),
        Selection::Nothing => Ok(Payload::new(Value::Object(serde_json::Map::new()))),
        Selection::Path(path) => match path.find(roots) {
            Ok(found) => Ok(Payload::new(found.into_owned())),
            Err(e) => Err(path_error(&e)),
        },
    }
}

fn path_error(error: &QueryError) -> EvalError {
    match error {
        QueryError::Intrinsic { message } => EvalError::named("States.IntrinsicFailure", message.clone()),
        other => EvalError::runtime(other.to_string()),
    }
}

/// `Parameters`, `Arguments`, `ItemSelector`, `ResultSelector`, `Output`: `field` as AWS locates it.
pub(super) fn template(
    template: &Template,
    field: &str,
    roots: &dyn Roots,
    extra: Extra<'_>,
    entropy: &mut Entropy,
) -> Result<Value, EvalError> {
    match template {
        Template::JsonPath(t) => t.evaluate(roots, entropy).map_err(|f| unanswered(&f, roots)),
        Template::Jsonata(t) => {
            t.evaluate(field, &extra.bind(roots), entropy, &Limits::default()).map_err(|f| EvalError::from(&*f))
        }
    }
}

/// A template whose value travels on: as text where it is only put together.
pub(super) fn payload(
    template: &Template,
    field: &str,
    roots: &dyn Roots,
    extra: Extra<'_>,
    entropy: &mut Entropy,
) -> Result<Payload, EvalError> {
    if let Template::JsonPath(t) = template
        && let Some(spliced) = t.splice(roots, entropy)
    {
        let text = spliced.map_err(|f| unanswered(&f, roots))?;
        // A template that nests too deep for a reader of texts is evaluated, and refused for its depth where that is
        // too much.
        if let Ok(payload) = Payload::parse(text) {
            return Ok(payload);
        }
    }
    self::template(template, field, roots, extra, entropy).map(Payload::new)
}

fn unanswered(f: &TemplateFailure, roots: &dyn Roots) -> EvalError {
    match &*f.source {
        QueryError::PathNotFound { .. } => not_found(&f.path_text, &f.field, roots),
        other => path_error(other),
    }
}

fn not_found(path: &str, field: &str, roots: &dyn Roots) -> EvalError {
    EvalError::runtime(format!(
        "The JSONPath '{path}' specified for the field '{field}' could not be found in the input '{}'",
        roots.input()
    ))
}

/// `Assign`: a template that gives an object; the sum of its values is bounded. `field` as AWS locates it: `Assign`,
/// `Choices[0]/Assign`.
pub(super) fn assign(
    assign: Option<&Template>,
    field: &str,
    roots: &dyn Roots,
    extra: Extra<'_>,
    entropy: &mut Entropy,
) -> Result<Option<Box<Assigned>>, EvalError> {
    let Some(assign) = assign else { return Ok(None) };
    match template(assign, field, roots, extra, entropy)? {
        Value::Object(fields) => {
            let mut total = 0;
            for (name, value) in &fields {
                match super::size::payload(value) {
                    Ok(bytes) => total += bytes,
                    Err(super::size::Excess::Bytes) => total += crate::limits::VARIABLE_BYTES_MAX + 1,
                    Err(super::size::Excess::Depth) => {
                        let detail = format!(
                            "The variable '{name}' is nested deeper than the limit of {} levels.",
                            crate::limits::JSON_DEPTH_MAX
                        );
                        return Err(EvalError::named("States.DataLimitExceeded", detail));
                    }
                }
            }
            if total > crate::limits::VARIABLE_BYTES_MAX {
                return Err(EvalError::named(
                    "States.DataLimitExceeded",
                    format!(
                        "The variables assigned are together over the limit of {} bytes.",
                        crate::limits::VARIABLE_BYTES_MAX
                    ),
                ));
            }
            Ok(Some(Box::new(fields)))
        }
        other => Err(EvalError::runtime(format!("Assign must give an object but gave: {other}"))),
    }
}

/// The required value of a Map's number, `place` in its state (`ItemBatcher/MaxItemsPerBatch`): AWS has one sentence
/// for all of the `...Path` fields. Recorded: a text that is a number is one. Measured: a miss names the field.
pub(super) fn map_quantity(
    quantity: &Quantity,
    place: &str,
    kind: &str,
    roots: &dyn Roots,
    entropy: &mut Entropy,
) -> Result<f64, EvalError> {
    let name = last_name(place);
    if let Quantity::Path(path) = quantity {
        let value = path.find(roots).map_err(|e| match e {
            QueryError::PathNotFound { .. } => not_found(path.text(), &format!("{name}Path"), roots),
            e => path_error(&e),
        })?;
        if number(&value).is_none_or(|n| kind == "integer" && n.fract() != 0.0) {
            return Err(EvalError::runtime(format!(
                "The {name}Path field refers to value \"{}\" which is not a valid {kind}: {}",
                plain(&value),
                path.text()
            )));
        }
    }
    self::quantity(quantity, place, roots, Extra::default(), entropy).map(|(n, _)| n)
}

fn last_name(place: &str) -> &str {
    place.rsplit('/').next().unwrap_or(place)
}

/// A number of items, bytes or iterations of a Map. `None` for an absent field.
pub(super) fn map_count(
    field: Option<&Quantity>,
    place: &str,
    roots: &dyn Roots,
    entropy: &mut Entropy,
) -> Result<Option<u64>, EvalError> {
    let Some(q) = field else { return Ok(None) };
    let name = last_name(place);
    let n = map_quantity(q, place, "integer", roots, entropy)?;
    let language = if matches!(q, Quantity::Jsonata(_)) { QueryLanguage::Jsonata } else { QueryLanguage::JsonPath };
    if n < 0.0 {
        return Err(EvalError::value(language, format!("{name} cannot be negative."), Some(place)));
    }
    if n.fract() != 0.0 {
        let detail = format!("The {name} field must be a positive integer but was: {n}");
        return Err(EvalError::value(language, detail, Some(place)));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, whole; `as` saturates")]
    Ok(Some(n as u64))
}

/// A number field: its name in messages is `name` (`TimeoutSeconds`), with `Path` added where it is one.
pub(super) fn quantity(
    quantity: &Quantity,
    name: &str,
    roots: &dyn Roots,
    extra: Extra<'_>,
    entropy: &mut Entropy,
) -> Result<(f64, Value), EvalError> {
    let value: Cow<'_, Value> = match quantity {
        Quantity::Literal(n) => return Ok((*n, Value::from(*n))),
        Quantity::Path(path) => path.find(roots).map_err(|e| path_error(&e))?,
        Quantity::Jsonata(e) => Cow::Owned(
            e.evaluate_as(
                crate::query::jsonata::ValueType::Number,
                name,
                &extra.bind(roots),
                entropy,
                &Limits::default(),
            )
            .map_err(|f| EvalError::from(&*f))?,
        ),
    };
    if let Some(n) = number(&value) {
        return Ok((n, value.into_owned()));
    }
    let path = match quantity {
        Quantity::Path(p) => p.text(),
        Quantity::Literal(_) | Quantity::Jsonata(_) => "",
    };
    Err(EvalError::runtime(format!(
        "The {name}Path parameter does not reference an integer value: {path} == {}",
        plain(&value)
    )))
}

/// A number, or (recorded on AWS for `...Path` fields) a text that is one.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok().filter(|n: &f64| n.is_finite()),
        other => other.as_f64(),
    }
}

/// A whole number of seconds or items, not negative. Returns `None` for an absent field.
pub(super) fn whole(
    field: Option<&Quantity>,
    name: &str,
    roots: &dyn Roots,
    entropy: &mut Entropy,
) -> Result<Option<u64>, EvalError> {
    let Some(q) = field else { return Ok(None) };
    let (n, value) = quantity(q, name, roots, Extra::default(), entropy)?;
    if n < 0.0 || n.fract() != 0.0 {
        return Err(no_positive_integer(q, name, &value));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, whole; `as` saturates")]
    Ok(Some(n as u64))
}

/// Of a field that wants a number from 0 or from 1.
pub(super) fn no_positive_integer(q: &Quantity, name: &str, value: &Value) -> EvalError {
    let detail = match q {
        Quantity::Path(p) => format!(
            "The {name}Path parameter does not reference a positive integer value: {} == {}",
            p.text(),
            plain(value)
        ),
        _ => format!("The {name} field must be a positive integer but was: {value}"),
    };
    let language = if matches!(q, Quantity::Jsonata(_)) { QueryLanguage::Jsonata } else { QueryLanguage::JsonPath };
    EvalError::value(language, detail, Some(name))
}

/// A text field: `Error`, `Cause`, `Timestamp`. `name` as the definition has it without `Path`.
pub(super) fn text(text: &Text, name: &str, roots: &dyn Roots, entropy: &mut Entropy) -> Result<String, EvalError> {
    let value = match text {
        Text::Literal(t) => return Ok(t.clone()),
        Text::Path(path) => path
            .find(roots)
            .map_err(|e| match e {
                QueryError::PathNotFound { .. } => EvalError::runtime(format!(
                    "The JSONPath '{}' specified for the field '{name}Path' could not be found in the input '{}'",
                    path.text(),
                    roots.input()
                )),
                other => path_error(&other),
            })?
            .into_owned(),
        Text::Intrinsic(f) => f.evaluate(roots, entropy).map_err(|e| path_error(&e))?,
        Text::Jsonata(e) => e
            .evaluate_as(
                crate::query::jsonata::ValueType::String,
                name,
                &Extra::default().bind(roots),
                entropy,
                &Limits::default(),
            )
            .map_err(|f| EvalError::from(&*f))?,
    };
    match value {
        Value::String(s) => Ok(s),
        other => Err(EvalError::runtime(format!("The {name}Path field must reference a string but was: {other}"))),
    }
}

/// `Condition` (JSONata): must give a boolean.
pub(super) fn condition(
    expression: &crate::query::jsonata::Expression,
    location: &str,
    roots: &dyn Roots,
    entropy: &mut Entropy,
) -> Result<bool, EvalError> {
    let value = expression
        .evaluate_as(
            crate::query::jsonata::ValueType::Boolean,
            location,
            &Extra::default().bind(roots),
            entropy,
            &Limits::default(),
        )
        .map_err(|f| EvalError::from(&*f))?;
    Ok(value == Value::Bool(true))
}

/// Puts a result into the raw input as `ResultPath` says.
pub(super) fn apply_result_path(path: &ResultPath, input: &Payload, result: Payload) -> Result<Payload, EvalError> {
    match path {
        ResultPath::Replace => Ok(result),
        ResultPath::Discard => Ok(Payload::clone(input)),
        ResultPath::Into(reference) => reference
            .set((**input).clone(), result.into_value())
            .map(Payload::new)
            .map_err(|f| EvalError::named(f.error, f.cause)),
    }
}

/// The state's output in JSONPath, from the value after `ResultPath`.
pub(super) fn output_path(state: &State, value: &Payload, roots: &dyn Roots) -> Result<Payload, EvalError> {
    select(&state.output_path, value, roots)
}

/// A value as AWS quotes it in messages: strings without quotes.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;
    use crate::interpreter::size::{self, Excess};

    struct Input(Payload);

    impl Roots for Input {
        fn input(&self) -> &Value {
            &self.0
        }

        fn text_of_input(&self) -> Option<&str> {
            self.0.unread()
        }

        fn context(&self) -> &Value {
            &Value::Null
        }

        fn variable(&self, _: &str) -> Option<&Value> {
            None
        }
    }

    /// `levels` objects around the whole input.
    fn around(input: &Input, levels: usize) -> Payload {
        let json = (0..levels).fold(json!({"x.$": "$"}), |inner, _| json!({ "a": inner }));
        let template = Template::JsonPath(crate::query::template::Template::compile(&json).unwrap());
        payload(&template, "Parameters", input, Extra::default(), &mut Entropy::new(Timestamp::from_millis(0), 7))
            .unwrap()
    }

    #[test]
    fn what_is_only_passed_on_is_not_read_and_too_deep_is_told() {
        let deep = Input(Payload::parse(format!("{}{}", "[".repeat(60), "]".repeat(60))).unwrap());
        assert_eq!((size::of(&around(&deep, 60)), size::of(&around(&deep, 80))), (Ok(486), Err(Excess::Depth)));
        let input = Input(Payload::parse(r#"{"n":[1]}"#).unwrap());
        let passed = around(&input, 2);
        assert_eq!((passed.unread(), input.0.unread()), (Some(r#"{"a":{"a":{"x":{"n":[1]}}}}"#), Some(r#"{"n":[1]}"#)));
        // A parsed input is evaluated.
        assert_eq!(input.0["n"], json!([1]));
        assert_eq!(around(&input, 2).unread(), None);
        assert_eq!(around(&input, 2), passed);
    }
}
