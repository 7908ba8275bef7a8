//! Forms that people answer tasks with: read from JSON, and answers checked against them. Pure.
//!
//! ```text
//! "Form": {Title, Text, For, Show, Schema, Actions, SignIn} ──read──▶ Form, or faults with their places
//! the typed fields, and the button ──check::answer──▶ the task's output or failure, or the wrong fields
//! ```
//!
//! A form in a definition is a payload template: members with `.$` and JSONata expressions are open until the task
//! runs. `Schema` is a subset of JSON Schema that a plain page can show: an object of strings, numbers, booleans, lists
//! of given words, and one nested object. A keyword beyond it is a fault, never ignored: a rule that is not checked
//! would be no rule.
//!
//! May enter: `query` (a form beside a definition is a template over a state's input), `clock`, `limits`.

mod check;
mod read;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::query::programs::Programs;
use crate::query::template::Template;
use crate::query::{Entropy, Roots};

pub use self::check::{Outcome, Wrong, answer, path};

/// A form, ready to be shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Form {
    pub title: Option<String>,
    pub text: Option<String>,
    /// The people that are asked, in the words of the definition.
    pub audience: Vec<String>,
    pub show: Vec<Shown>,
    pub fields: Vec<Field>,
    /// At least one.
    pub actions: Vec<Action>,
    /// An approval link shows it only to a person who is signed in and may answer tasks.
    pub sign_in: bool,
}

/// A value that helps to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub label: String,
    pub value: Value,
}

/// An input of the form.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The member of the answer.
    pub name: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub required: bool,
    pub default: Option<Value>,
    pub kind: Kind,
}

impl Field {
    /// The words beside the input.
    #[must_use]
    pub fn label(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Text { format: Format, min: Option<u64>, max: Option<u64>, pattern: Option<String> },
    Choice(Vec<String>),
    Number { whole: bool, min: Option<f64>, max: Option<f64> },
    Flag,
    Many { words: Vec<String>, min: Option<u64>, max: Option<u64> },
    Group(Vec<Field>),
}

/// The form of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Plain,
    Textarea,
    Date,
    DateTime,
    Email,
    Uri,
}

/// A button.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    pub label: String,
    pub end: End,
    /// The fields that it takes, by name; the others are not read.
    pub ask: Vec<String>,
}

/// How a button ends the task.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The fields with these members over them are the output.
    Success(Map<String, Value>),
    Failure {
        error: String,
        cause: Option<String>,
    },
}

/// A fault of a form, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub path: Vec<Step>,
    pub message: String,
    pub hint: String,
}

/// A step of a path into a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Name(String),
    Index(usize),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "/{name}"),
            Self::Index(n) => write!(f, "[{n}]"),
        }
    }
}

impl Form {
    /// The form of a task that runs: all values are there.
    ///
    /// # Errors
    /// Its faults.
    pub fn read(form: &Value) -> Result<Self, Vec<Fault>> {
        let (form, faults) = read::form(form, false, &Programs::default());
        if faults.is_empty() { Ok(form) } else { Err(faults) }
    }

    /// The form that a template gives over the input of a state.
    ///
    /// # Errors
    /// The faults of the form, or the member that has no value.
    pub fn fill(template: &Value, input: &Value) -> Result<Self, Vec<Fault>> {
        let wrong = |message: String| {
            vec![Fault { path: Vec::new(), message, hint: "the form beside the definition is put again".to_owned() }]
        };
        let compiled = Template::compile(template).map_err(|error| wrong(error.to_string()))?;
        let mut entropy = Entropy::new(Timestamp::from_millis(0), 0);
        let form = compiled.evaluate(&Over { input }, &mut entropy).map_err(|error| wrong(error.to_string()))?;
        Self::read(&form)
    }

    /// The actions of these labels as bits, the first the lowest; without labels all of them.
    ///
    /// # Errors
    /// The label that no action has.
    pub fn bits(&self, labels: Option<&[&str]>) -> Result<u16, String> {
        let all = || u16::MAX >> (16 - self.actions.len().min(16));
        let Some(labels) = labels else { return Ok(all()) };
        labels.iter().try_fold(0, |bits, label| {
            let place = self.actions.iter().position(|action| action.label == *label);
            place.map(|n| bits | 1 << n).ok_or_else(|| (*label).to_owned())
        })
    }

    /// The faults of a form's template, as far as its text says.
    #[must_use]
    pub fn faults(template: &Value) -> Vec<Fault> {
        Self::faults_within(template, &Programs::default())
    }

    /// The same for a form in a definition, whose patterns share `programs`.
    #[must_use]
    pub fn faults_within(template: &Value, programs: &Programs) -> Vec<Fault> {
        read::form(template, true, programs).1
    }
}

/// A state's input alone: no context object, no variables.
struct Over<'a> {
    input: &'a Value,
}

impl Roots for Over<'_> {
    fn input(&self) -> &Value {
        self.input
    }

    fn context(&self) -> &Value {
        &Value::Null
    }

    fn variable(&self, _: &str) -> Option<&Value> {
        None
    }
}
