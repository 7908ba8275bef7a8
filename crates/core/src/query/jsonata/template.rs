//! The fields of a JSONata state: any JSON value in which strings of the form `{% ... %}` are expressions.
//!
//! Two forms: [`JsonataTemplate`] for whole values (`Arguments`, `Output`, `Assign`, `Items`, `ItemSelector`, ...),
//! `Field` for one value of a known type (`TimeoutSeconds`, `Seconds`, `Condition`, `Error`, ...). Parts without
//! expressions are kept as they are. A failure says where it happened as AWS does in `EvaluationFailed`:
//! `Output/result`, `Arguments/Items[0]`.

use serde_json::{Map, Value};

use super::super::programs::Programs;
use super::super::{Entropy, QueryError};
use super::{Bindings, Expression, Limits, References, SyntaxError, cause};

const OPEN: &str = "{%";
const CLOSE: &str = "%}";

/// A value with expressions in it.
#[derive(Debug)]
pub struct JsonataTemplate {
    root: Node,
}

#[derive(Debug)]
enum Node {
    /// No expression below here.
    Constant(Value),
    Expression(Box<Expression>),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A part of a template that is no valid expression. `pointer` is a JSON pointer from the template's root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    pub pointer: String,
    pub message: String,
}

/// An expression of a state that gave no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", self.cause())]
pub struct Failure {
    /// The field and the way inside of it: `Output/result`.
    pub location: String,
    /// The expression as written between its delimiters.
    pub expression: String,
    pub error: QueryError,
}

impl Failure {
    /// AWS's sentence about it; see [`cause()`].
    #[must_use]
    pub fn cause(&self) -> String {
        cause(&self.expression, &self.location, &self.error)
    }
}

/// The text between `{%` and `%}`, or `None` where the string is a constant.
///
/// # Errors
/// Where only one of the two delimiters stands at its end of the string: AWS does not take such a string for a
/// constant.
pub fn expression_text(text: &str) -> Result<Option<&str>, SyntaxError> {
    match (text.strip_prefix(OPEN), text.strip_suffix(CLOSE)) {
        (None, None) => Ok(None),
        (Some(rest), Some(_)) if rest.len() >= CLOSE.len() => Ok(Some(rest[..rest.len() - CLOSE.len()].trim())),
        _ => Err(SyntaxError::new("a JSONata expression must start with '{%' and end with '%}'")),
    }
}

impl JsonataTemplate {
    /// Compiles a value as it stands in a definition.
    ///
    /// # Errors
    /// The first expression that does not compile, with its place.
    pub fn compile(value: &Value) -> Result<Self, TemplateError> {
        Self::compile_within(value, &Programs::default())
    }

    /// The same for a value of a definition, whose patterns share `programs`.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_within(value: &Value, programs: &Programs) -> Result<Self, TemplateError> {
        Ok(Self { root: compile(value, &mut String::new(), programs)? })
    }

    /// The value, where no part of it has to be computed.
    #[must_use]
    pub fn constant(&self) -> Option<&Value> {
        match &self.root {
            Node::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// All expressions in document order.
    #[must_use]
    pub fn expressions(&self) -> Vec<&Expression> {
        fn collect<'a>(node: &'a Node, into: &mut Vec<&'a Expression>) {
            match node {
                Node::Constant(_) => {}
                Node::Expression(expression) => into.push(expression),
                Node::Array(items) => items.iter().for_each(|item| collect(item, into)),
                Node::Object(fields) => fields.iter().for_each(|(_, value)| collect(value, into)),
            }
        }
        let mut found = Vec::new();
        collect(&self.root, &mut found);
        found
    }

    /// The references of all expressions.
    pub fn references(&self) -> impl Iterator<Item = &References> {
        self.expressions().into_iter().map(Expression::references)
    }

    /// Computes the value. `field` is the name that AWS gives the place: `Output`, `Arguments`, `Assign`, `Items`, ...
    ///
    /// # Errors
    /// The first expression, in document order, that gives no value.
    pub fn evaluate(
        &self,
        field: &str,
        bindings: &Bindings<'_>,
        entropy: &mut Entropy,
        limits: &Limits,
    ) -> Result<Value, Box<Failure>> {
        Evaluation { bindings, entropy, limits, location: field.to_owned() }.node(&self.root)
    }

    /// As [`Self::evaluate`], for a field that takes one type only: `Items` an array, `ItemBatcher/BatchInput` an
    /// object, ...
    ///
    /// # Errors
    /// Also [`QueryError::UnexpectedType`] where a top-level expression gives another type.
    pub fn evaluate_as(
        &self,
        expected: ValueType,
        field: &str,
        bindings: &Bindings<'_>,
        entropy: &mut Entropy,
        limits: &Limits,
    ) -> Result<Value, Box<Failure>> {
        let value = self.evaluate(field, bindings, entropy, limits)?;
        let Node::Expression(expression) = &self.root else { return Ok(value) };
        expected.check(value).map_err(|error| failure(expression, field, error))
    }
}

fn failure(expression: &Expression, location: &str, error: QueryError) -> Box<Failure> {
    Box::new(Failure { location: location.to_owned(), expression: expression.text().to_owned(), error })
}

fn compile(value: &Value, pointer: &mut String, programs: &Programs) -> Result<Node, TemplateError> {
    let here = pointer.len();
    let mut below = |name: &str, value: &Value| {
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let node = compile(value, pointer, programs);
        pointer.truncate(here);
        node
    };
    match value {
        Value::String(text) => {
            let compiled = expression_text(text)
                .and_then(|inner| inner.map(|inner| Expression::compile_within(inner, programs)).transpose());
            match compiled {
                Ok(Some(expression)) => Ok(Node::Expression(Box::new(expression))),
                Ok(None) => Ok(Node::Constant(value.clone())),
                Err(e) => Err(TemplateError { pointer: pointer.clone(), message: e.message }),
            }
        }
        Value::Array(items) => {
            let nodes = items.iter().enumerate().map(|(index, item)| below(&index.to_string(), item));
            let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
            let constant = nodes.iter().all(|node| matches!(node, Node::Constant(_)));
            Ok(if constant { Node::Constant(value.clone()) } else { Node::Array(nodes) })
        }
        Value::Object(fields) => {
            let nodes = fields.iter().map(|(name, value)| Ok((name.clone(), below(name, value)?)));
            let nodes = nodes.collect::<Result<Vec<_>, TemplateError>>()?;
            let constant = nodes.iter().all(|(_, node)| matches!(node, Node::Constant(_)));
            Ok(if constant { Node::Constant(value.clone()) } else { Node::Object(nodes) })
        }
        other => Ok(Node::Constant(other.clone())),
    }
}

struct Evaluation<'a> {
    bindings: &'a Bindings<'a>,
    entropy: &'a mut Entropy,
    limits: &'a Limits,
    /// Field and way to the node at hand.
    location: String,
}

impl Evaluation<'_> {
    fn node(&mut self, node: &Node) -> Result<Value, Box<Failure>> {
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Expression(expression) => expression
                .evaluate(self.bindings, self.entropy, self.limits)
                .map_err(|error| failure(expression, &self.location, error)),
            Node::Array(items) => {
                let items = items.iter().enumerate().map(|(index, item)| self.below(&format!("[{index}]"), item));
                Ok(Value::Array(items.collect::<Result<_, _>>()?))
            }
            Node::Object(fields) => {
                let fields =
                    fields.iter().map(|(name, node)| Ok((name.clone(), self.below(&format!("/{name}"), node)?)));
                Ok(Value::Object(fields.collect::<Result<Map<_, _>, Box<Failure>>>()?))
            }
        }
    }

    fn below(&mut self, step: &str, node: &Node) -> Result<Value, Box<Failure>> {
        let here = self.location.len();
        self.location.push_str(step);
        let value = self.node(node);
        self.location.truncate(here);
        value
    }
}

/// The types of JSON, in the words of AWS's causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    Array,
    Boolean,
    Null,
    Number,
    Object,
    String,
}

impl ValueType {
    #[must_use]
    pub const fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Null => "null",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }

    /// The value, if it is of this type.
    ///
    /// # Errors
    /// [`QueryError::UnexpectedType`] with both types and the value.
    pub fn check(self, value: Value) -> Result<Value, QueryError> {
        let actual = Self::of(&value);
        if actual == self {
            return Ok(value);
        }
        Err(QueryError::UnexpectedType { expected: self.name(), actual: actual.name(), value })
    }
}

impl Expression {
    /// Evaluates for a field of one type; `name` is the field as AWS locates it.
    ///
    /// # Errors
    /// The failure of the expression, or [`QueryError::UnexpectedType`].
    pub fn evaluate_as(
        &self,
        expected: ValueType,
        name: &str,
        bindings: &Bindings<'_>,
        entropy: &mut Entropy,
        limits: &Limits,
    ) -> Result<Value, Box<Failure>> {
        let value = self.evaluate(bindings, entropy, limits).and_then(|value| expected.check(value));
        value.map_err(|error| failure(self, name, error))
    }
}
