//! Payload templates: `Parameters`, `ItemSelector`, `ResultSelector` and JSONPath's `Assign`.
//!
//! JSON → [`Template`] (once) → [`Template::evaluate`]. A field whose name ends in `.$` holds a path or a call of an
//! intrinsic function; its value takes the field's place and the name loses the `.$`. All else stands for itself, so a
//! part without such a field is one constant that is copied and never walked. Where the input passes whole and its text
//! is known, the text of the result is made of texts ([`Template::splice`]), so that data which is only passed on is
//! never parsed.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::intrinsics::Intrinsic;
use super::jsonpath::{Lookup, Path};
use super::programs::Programs;
use super::{Entropy, QueryError, Roots};
use crate::limits::JSON_DEPTH_MAX;

/// A compiled payload template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    node: Node,
    /// The input stands in it whole.
    passes_input: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Constant(Value),
    Object(Vec<Field>),
    Array(Vec<Node>),
}

#[derive(Debug, Clone, PartialEq)]
struct Field {
    /// Without `.$`.
    name: String,
    value: FieldValue,
}

#[derive(Debug, Clone, PartialEq)]
enum FieldValue {
    Node(Node),
    Path(Box<Path>),
    Intrinsic(Box<Intrinsic>),
}

/// A JSON that is no payload template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at {pointer}: {detail}")]
pub struct TemplateError {
    /// JSON pointer of the field, from the template's own root. AWS's text names the object that holds it.
    pub pointer: String,
    /// AWS's text, without its "at /States/…".
    pub message: String,
    /// The fault of the expression, and its place.
    pub detail: String,
}

/// A field that gave no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("The field '{field}' ({path_text}): {source}")]
pub struct TemplateFailure {
    /// The field's name as written: `value.$`.
    pub field: String,
    /// The expression as written.
    pub path_text: String,
    /// Boxed: it holds a value, and every template returns it or a value.
    pub source: Box<QueryError>,
}

impl TemplateFailure {
    /// AWS's cause, recorded for payload templates, `ErrorPath` and `CausePath`; an intrinsic function brings its own.
    pub fn cause(&self, input: &Value) -> String {
        match &*self.source {
            QueryError::PathNotFound { .. } => not_found_cause(&self.path_text, &self.field, input),
            other => other.to_string(),
        }
    }
}

/// `The JSONPath '$.x' specified for the field 'CausePath' could not be found in the input '{…}'`
pub fn not_found_cause(path_text: &str, field: &str, input: &Value) -> String {
    format!("The JSONPath '{path_text}' specified for the field '{field}' could not be found in the input '{input}'")
}

impl Template {
    /// Compiles `json`: objects and arrays are walked, every `.$` field is compiled.
    ///
    /// # Errors
    /// The first field that is wrong, in document order, or a template that nests too deep.
    pub fn compile(json: &Value) -> Result<Self, TemplateError> {
        Self::compile_within(json, &Programs::default())
    }

    /// The same for a template of a definition, whose patterns share `programs`.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_within(json: &Value, programs: &Programs) -> Result<Self, TemplateError> {
        let node = compile(json, &mut String::new(), 0, programs)?;
        let passes_input = node.passes_input();
        Ok(Self { node, passes_input })
    }

    /// The value of the template over `roots`. A path that ends past the end of an array gives null (observed on AWS).
    ///
    /// # Errors
    /// The first field without a value, in document order.
    pub fn evaluate(&self, roots: &dyn Roots, entropy: &mut Entropy) -> Result<Value, TemplateFailure> {
        self.node.evaluate(roots, entropy)
    }

    /// The text of the value of [`Self::evaluate`], put together from the input's text and those of the other fields;
    /// `None` where the input does not pass whole or its text is not known. As in a template, a name that is given
    /// twice has its last value.
    ///
    /// # Errors
    /// The first field without a value, in document order.
    pub fn splice(&self, roots: &dyn Roots, entropy: &mut Entropy) -> Option<Result<String, TemplateFailure>> {
        // A path over null is an error, which the evaluation words.
        let input = roots.text_of_input().filter(|text| self.passes_input && *text != "null")?;
        let mut out = Vec::with_capacity(input.len() + 256);
        let written = self.node.write(&mut out, input, roots, entropy);
        // serde_json writes UTF-8.
        Some(written.map(|()| String::from_utf8(out).unwrap_or_default()))
    }

    /// Every path in the template, those in intrinsic functions included.
    pub fn paths(&self) -> Vec<&Path> {
        let mut out = Vec::new();
        self.node.fields(&mut |value| match value {
            FieldValue::Path(path) => out.push(path.as_ref()),
            FieldValue::Intrinsic(call) => out.extend(call.paths()),
            FieldValue::Node(_) => {}
        });
        out
    }

    /// Every call of an intrinsic function in the template.
    pub fn intrinsics(&self) -> Vec<&Intrinsic> {
        let mut out = Vec::new();
        self.node.fields(&mut |value| {
            if let FieldValue::Intrinsic(call) = value {
                out.push(call.as_ref());
            }
        });
        out
    }
}

/// `pointer` grows and shrinks on the way. Evaluation recurses as deep as the template, so the depth is bounded here.
fn compile(json: &Value, pointer: &mut String, depth: usize, programs: &Programs) -> Result<Node, TemplateError> {
    if depth > JSON_DEPTH_MAX {
        let detail = format!("more than {JSON_DEPTH_MAX} levels");
        return Err(TemplateError {
            pointer: pointer.clone(),
            message: "The payload template nests too deep".to_owned(),
            detail,
        });
    }
    let here = pointer.len();
    let node = match json {
        Value::Object(fields) => {
            let mut compiled = Vec::with_capacity(fields.len());
            for (name, value) in fields {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                compiled.push(match name.strip_suffix(".$") {
                    Some(bare) => Field { name: bare.to_owned(), value: expression(name, value, pointer, programs)? },
                    None => Field {
                        name: name.clone(),
                        value: FieldValue::Node(compile(value, pointer, depth + 1, programs)?),
                    },
                });
                pointer.truncate(here);
            }
            if compiled.iter().all(|field| matches!(field.value, FieldValue::Node(Node::Constant(_)))) {
                Node::Constant(json.clone())
            } else {
                Node::Object(compiled)
            }
        }
        Value::Array(items) => {
            let mut compiled = Vec::with_capacity(items.len());
            for (at, item) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&at.to_string());
                compiled.push(compile(item, pointer, depth + 1, programs)?);
                pointer.truncate(here);
            }
            if compiled.iter().all(|node| matches!(node, Node::Constant(_))) {
                Node::Constant(json.clone())
            } else {
                Node::Array(compiled)
            }
        }
        scalar => Node::Constant(scalar.clone()),
    };
    Ok(node)
}

/// The content of a `.$` field.
fn expression(name: &str, value: &Value, pointer: &str, programs: &Programs) -> Result<FieldValue, TemplateError> {
    let wrong = |detail: String| TemplateError {
        pointer: pointer.to_owned(),
        message: format!(
            "The value for the field '{name}' must be a valid JSONPath or a valid intrinsic function call"
        ),
        detail,
    };
    let Value::String(text) = value else { return Err(wrong("it is no string".to_owned())) };
    if Intrinsic::looks_like(text) {
        return Intrinsic::parse_within(text, programs)
            .map(|call| FieldValue::Intrinsic(Box::new(call)))
            .map_err(|e| wrong(e.to_string()));
    }
    Path::parse_within(text, programs).map(|path| FieldValue::Path(Box::new(path))).map_err(|e| wrong(e.to_string()))
}

impl Node {
    fn evaluate(&self, roots: &dyn Roots, entropy: &mut Entropy) -> Result<Value, TemplateFailure> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Array(items) => {
                items.iter().map(|item| item.evaluate(roots, entropy)).collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Object(fields) => {
                let mut out = Map::with_capacity(fields.len());
                for field in fields {
                    out.insert(field.name.clone(), field.evaluate(roots, entropy)?);
                }
                Ok(Value::Object(out))
            }
        }
    }

    /// As text, where `input` is the text of the input.
    fn write(
        &self,
        out: &mut Vec<u8>,
        input: &str,
        roots: &dyn Roots,
        entropy: &mut Entropy,
    ) -> Result<(), TemplateFailure> {
        match self {
            Self::Constant(value) => write_json(out, value),
            Self::Array(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    item.write(out, input, roots, entropy)?;
                }
                out.push(b']');
            }
            Self::Object(fields) => {
                out.push(b'{');
                for (at, field) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    write_json(out, &field.name);
                    out.push(b':');
                    match &field.value {
                        FieldValue::Node(node) => node.write(out, input, roots, entropy)?,
                        FieldValue::Path(path) if path.is_whole_input() => out.extend_from_slice(input.as_bytes()),
                        FieldValue::Path(_) | FieldValue::Intrinsic(_) => {
                            write_json(out, &field.evaluate(roots, entropy)?);
                        }
                    }
                }
                out.push(b'}');
            }
        }
        Ok(())
    }

    fn passes_input(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Array(items) => items.iter().any(Self::passes_input),
            Self::Object(fields) => fields.iter().any(|field| match &field.value {
                FieldValue::Node(node) => node.passes_input(),
                FieldValue::Path(path) => path.is_whole_input(),
                FieldValue::Intrinsic(_) => false,
            }),
        }
    }

    fn fields<'t>(&'t self, visit: &mut impl FnMut(&'t FieldValue)) {
        match self {
            Self::Constant(_) => {}
            Self::Array(items) => items.iter().for_each(|item| item.fields(visit)),
            Self::Object(fields) => {
                for field in fields {
                    match &field.value {
                        FieldValue::Node(node) => node.fields(visit),
                        expression => visit(expression),
                    }
                }
            }
        }
    }
}

impl Field {
    fn evaluate(&self, roots: &dyn Roots, entropy: &mut Entropy) -> Result<Value, TemplateFailure> {
        let (text, result) = match &self.value {
            FieldValue::Node(node) => return node.evaluate(roots, entropy),
            FieldValue::Path(path) => (path.text(), read(path, roots)),
            FieldValue::Intrinsic(call) => (call.text(), call.evaluate(roots, entropy)),
        };
        result.map_err(|source| TemplateFailure {
            field: format!("{}.$", self.name),
            path_text: text.to_owned(),
            source: Box::new(source),
        })
    }
}

/// Our values always have a JSON text, and writing to a vector does not fail.
fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(out, value);
}

fn read(path: &Path, roots: &dyn Roots) -> Result<Value, QueryError> {
    match path.lookup(roots)? {
        Lookup::Found(value) => {
            roots.spend(super::work_of(&value));
            Ok(Cow::into_owned(value))
        }
        Lookup::Missing { past_end: true, .. } => Ok(Value::Null),
        Lookup::Missing { detail, .. } => Err(QueryError::PathNotFound { path: path.text().to_owned(), detail }),
    }
}

#[cfg(test)]
mod tests;
