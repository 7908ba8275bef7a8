//! Fields that hold expressions: paths, payload templates, JSONata, and numbers and texts that may be computed.
//!
//! Each is checked and compiled in one go, so that an execution never parses. AWS's words where they are known.

use std::collections::HashSet;

use serde_json::Value;

use super::check::Checker;
use super::diagnostics::code;
use super::location::Location;
use super::model::{Quantity, QueryLanguage, ResultPath, Selection, Template, Text};
use super::reader::Object;
use super::spans::{Json, Node};
use crate::query::intrinsics::Intrinsic;
use crate::query::jsonata::{Expression, JsonataTemplate, StatesMember, expression_text};
use crate::query::jsonpath::{Path, Root};
use crate::query::reference_path::ReferencePath;
use crate::query::template::Template as PathTemplate;

/// Names and bounds of a number that may be computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuantityField {
    pub name: &'static str,
    /// The field's `...Path` form.
    pub path_name: &'static str,
    pub min: u64,
    pub max: u64,
    /// Fractions are allowed.
    pub fraction: bool,
}

impl<'n> Checker<'n> {
    /// `InputPath`, `OutputPath`: a JSONPath or `null`.
    pub fn selection(&mut self, object: &Object<'n>, name: &str, at: &Location<'_>) -> Option<Selection> {
        let Some(node) = object.node(name) else { return Some(Selection::Whole) };
        match &node.json {
            Json::Null => Some(Selection::Nothing),
            Json::String(text) if text == "$" => Some(Selection::Whole),
            _ => self.path(node, &at.name(name)).map(Selection::Path),
        }
    }

    /// `ItemsPath`: a JSONPath; `null` is refused.
    pub fn items_path(&mut self, object: &Object<'n>, at: &Location<'_>) -> Option<Selection> {
        match object.node("ItemsPath") {
            Some(node) if node.as_str() != Some("$") => self.path(node, &at.name("ItemsPath")).map(Selection::Path),
            _ => Some(Selection::Whole),
        }
    }

    /// `ResultPath`: a reference path or `null`.
    pub fn result_path(&mut self, object: &Object<'n>, at: &Location<'_>) -> Option<ResultPath> {
        let Some(node) = object.node("ResultPath") else { return Some(ResultPath::Replace) };
        let at = at.name("ResultPath");
        if node.json == Json::Null {
            return Some(ResultPath::Discard);
        }
        let text = self.read.as_string(node, &at)?;
        if text == "$" {
            return Some(ResultPath::Replace);
        }
        if text.starts_with("$$") {
            let hint = "the context object is read-only; ResultPath puts the result into the state's input, for \
                example '$.result'";
            self.read.schema_hint(
                "Value is not a Reference Path: the context object cannot be written",
                &at,
                node.offset,
                hint,
            );
            return None;
        }
        let reference = self.reference(node, &at)?;
        if let Root::Variable(name) = reference.root() {
            let hint =
                format!("ResultPath puts the result into the state's input: '$.{name}'; a variable is set by Assign");
            let message = "Value is not a Reference Path: a variable cannot be written";
            self.read.schema_hint(message, &at, node.offset, hint);
            return None;
        }
        Some(ResultPath::Into(reference))
    }

    /// Any JSONPath.
    fn path(&mut self, node: &'n Node, at: &Location<'_>) -> Option<Path> {
        let text = self.read.as_string(node, at)?;
        Path::parse_within(text, self.programs)
            .map_err(|e| {
                self.read.schema_hint(
                    "Value must be a valid JSONPath.",
                    at,
                    node.offset,
                    path_hint(text, &e.to_string()),
                );
            })
            .ok()
    }

    fn reference(&mut self, node: &'n Node, at: &Location<'_>) -> Option<ReferencePath> {
        let text = self.read.as_string(node, at)?;
        let refuse = |this: &mut Self, reason: &str| {
            let reason = if text.starts_with('$') { reason } else { "Reference path didn't start with '$'" };
            this.read.schema_hint(
                format!("Value is not a Reference Path: {reason}"),
                at,
                node.offset,
                path_hint(text, reason),
            );
        };
        // AWS's reader of reference paths wants the '$' first; that of JSONPaths lets blanks stand before it.
        let parsed = ReferencePath::parse_within(text, self.programs).map_err(|e| e.to_string());
        parsed
            .and_then(|path| if text.starts_with('$') { Ok(path) } else { Err(String::new()) })
            .map_err(|e| refuse(self, &e))
            .ok()
    }

    /// A path that names one place: `Variable`, `SecondsPath`, `TimeoutSecondsPath`, operands `...Path`.
    pub fn reference_path(&mut self, node: &'n Node, at: &Location<'_>) -> Option<Path> {
        self.reference(node, at)?;
        self.path(node, at)
    }

    /// A field with a payload template (JSONPath) or a value with JSONata expressions.
    pub fn template(
        &mut self,
        object: &Object<'n>,
        name: &str,
        at: &Location<'_>,
        language: QueryLanguage,
    ) -> Option<Option<Template>> {
        match object.node(name) {
            Some(node) => self.as_template(node, &at.name(name), language, false).map(Some),
            None => Some(None),
        }
    }

    /// `in_catcher`: `$states.errorOutput` exists there.
    pub fn as_template(
        &mut self,
        node: &'n Node,
        at: &Location<'_>,
        language: QueryLanguage,
        in_catcher: bool,
    ) -> Option<Template> {
        let value = node.to_value();
        match language {
            QueryLanguage::JsonPath => {
                let sound = self.payload_fields(node, at);
                match PathTemplate::compile_within(&value, self.programs) {
                    Ok(template) if sound => Some(Template::JsonPath(template)),
                    Ok(_) => None,
                    Err(e) => {
                        if !self.refuse_payload_fields(node, at) {
                            self.read.schema(e.message, at, node.offset);
                        }
                        None
                    }
                }
            }
            QueryLanguage::Jsonata => match JsonataTemplate::compile_within(&value, self.programs) {
                Ok(template) => {
                    if !in_catcher && template.references().any(|r| r.names(StatesMember::ErrorOutput)) {
                        self.refuse_expressions(node, at, in_catcher);
                        return None;
                    }
                    Some(Template::Jsonata(template))
                }
                Err(e) => {
                    if !self.refuse_expressions(node, at, in_catcher) {
                        self.read.schema(e.message, at, node.offset);
                    }
                    None
                }
            },
        }
    }

    /// Checks a payload template as far as that is cheap: a field given both as `x` and as `x.$` (the service drops the
    /// suffix, so the two meet), and, as a warning, a path where nothing evaluates it.
    fn payload_fields(&mut self, node: &'n Node, at: &Location<'_>) -> bool {
        let mut sound = true;
        match &node.json {
            Json::Object(members) => {
                self.read.as_object(node, at);
                // Objects of a payload may be large: look-ups by set.
                let names: HashSet<&str> = members.iter().map(|m| m.name.as_str()).collect();
                for member in members {
                    if let Some(plain) = member.name.strip_suffix(".$") {
                        if names.contains(plain) {
                            let hint = format!("remove '{plain}' or '{plain}.$'; both give the field '{plain}'");
                            let message = format!("The field '{plain}' is defined more than once");
                            self.read.schema_hint(message, at, member.offset, hint);
                            sound = false;
                        }
                        continue;
                    }
                    if member.node.as_str().is_some_and(looks_computed) {
                        let hint = format!("to evaluate it, name the field '{}.$'", member.name);
                        let message = format!(
                            "The value of the field '{}' looks like a path or an intrinsic function",
                            member.name
                        );
                        self.read.warning(code::NO_DOLLAR, message, &at.name(&member.name), member.offset, hint);
                    }
                    sound &= self.payload_fields(&member.node, &at.name(&member.name));
                }
            }
            Json::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    sound &= self.payload_fields(item, &at.index(i));
                }
            }
            _ => {}
        }
        sound
    }

    /// Names each `x.$` whose value is no path and no intrinsic function; true if there is one.
    fn refuse_payload_fields(&mut self, node: &'n Node, at: &Location<'_>) -> bool {
        let mut refused = false;
        match &node.json {
            Json::Object(members) => {
                for member in members {
                    if !member.name.ends_with(".$") {
                        refused |= self.refuse_payload_fields(&member.node, &at.name(&member.name));
                        continue;
                    }
                    let reason = match member.node.as_str() {
                        None => Some("the value must be a string".to_owned()),
                        Some(text) if text.starts_with('$') => {
                            Path::parse_within(text, self.programs).err().map(|e| path_hint(text, &e.to_string()))
                        }
                        Some(text) => Intrinsic::parse_within(text, self.programs).err().map(|e| e.to_string()),
                    };
                    if let Some(reason) = reason {
                        refused = true;
                        let name = &member.name;
                        let message = format!(
                            "The value for the field '{name}' must be a valid JSONPath or a valid intrinsic function \
                             call"
                        );
                        self.read.schema_hint(message, at, member.node.offset, reason);
                    }
                }
            }
            Json::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    refused |= self.refuse_payload_fields(item, &at.index(i));
                }
            }
            _ => {}
        }
        refused
    }

    /// Names each JSONata expression that is refused; true if there is one.
    fn refuse_expressions(&mut self, node: &'n Node, at: &Location<'_>, in_catcher: bool) -> bool {
        match &node.json {
            Json::String(_) => self.expression(node, at, in_catcher).is_err(),
            Json::Object(members) => {
                let refused = members.iter().map(|m| self.refuse_expressions(&m.node, &at.name(&m.name), in_catcher));
                refused.filter(|refused| *refused).count() > 0
            }
            Json::Array(items) => {
                let refused =
                    items.iter().enumerate().map(|(i, item)| self.refuse_expressions(item, &at.index(i), in_catcher));
                refused.filter(|refused| *refused).count() > 0
            }
            _ => false,
        }
    }

    /// A string that may be a JSONata expression: `Ok(None)` where it is a literal, `Err` where it was refused.
    pub fn expression(
        &mut self,
        node: &'n Node,
        at: &Location<'_>,
        in_catcher: bool,
    ) -> Result<Option<Expression>, ()> {
        let Some(text) = node.as_str() else { return Ok(None) };
        let Ok(text) = expression_text(text) else {
            let hint = "put the whole expression between '{%' and '%}', with nothing before or after; join texts with \
                '&' inside";
            self.read.schema_hint("JSONata string must start with {% and end with %}", at, node.offset, hint);
            return Err(());
        };
        let Some(text) = text else { return Ok(None) };
        let expression = Expression::compile_within(text, self.programs).map_err(|e| {
            let (code, message) = match strip_jsonata_code(&e.message) {
                Some(message) => (code::INVALID_JSONATA_EXPRESSION, message),
                None => (code::UNSUPPORTED_JSONATA_EXPRESSION, e.message.as_str()),
            };
            let hint = "the input is $states.input, the result $states.result, the context object $states.context, a \
                variable $name";
            self.read.error(code, message, at, node.offset, hint);
        })?;
        if !in_catcher && expression.references().names(StatesMember::ErrorOutput) {
            let hint = "$states.errorOutput exists in the Output and the Assign of a catcher only";
            let message = "Field '$states.errorOutput' does not exist.";
            self.read.error(code::UNSUPPORTED_JSONATA_EXPRESSION, message, at, node.offset, hint);
            return Err(());
        }
        Ok(Some(expression))
    }

    /// A number or its computation: JSONata, or the field's `...Path` form.
    pub fn quantity(
        &mut self,
        object: &Object<'n>,
        field: QuantityField,
        at: &Location<'_>,
        language: QueryLanguage,
    ) -> Option<Option<Quantity>> {
        let QuantityField { name, path_name, min, max, fraction } = field;
        if !self.read.at_most_one(object, &[name, path_name], at) {
            return None;
        }
        if let Some(node) = object.node(path_name) {
            return self.reference_path(node, &at.name(path_name)).map(|path| Some(Quantity::Path(path)));
        }
        let Some(node) = object.node(name) else { return Some(None) };
        let at = at.name(name);
        // For a text that is no expression the finding lists the allowed kinds, as AWS does for `Items`.
        let computed = language == QueryLanguage::Jsonata;
        if computed
            && node.as_str().is_some_and(|text| text.starts_with("{%") || text.ends_with("%}"))
            && let Some(expression) = self.expression(node, &at, false).ok()?
        {
            return Some(Some(Quantity::Jsonata(expression)));
        }
        let kind = match (fraction, computed) {
            (true, true) => "NUMBER, JSONATA",
            (true, false) => "NUMBER",
            (false, true) => "INTEGER, JSONATA",
            (false, false) => "INTEGER",
        };
        #[expect(clippy::cast_precision_loss, reason = "bounds are below 2^53")]
        let value = if fraction {
            self.read.as_number_of(kind, node, &at, min as f64, max as f64)?
        } else {
            self.read.as_integer_of(kind, node, &at, min, max)? as f64
        };
        Some(Some(Quantity::Literal(value)))
    }

    /// A number of a Map. Measured on AWS: its `...Path` form takes no path into the context object.
    pub fn map_quantity(
        &mut self,
        object: &Object<'n>,
        field: QuantityField,
        at: &Location<'_>,
        language: QueryLanguage,
    ) -> Option<Option<Quantity>> {
        let found = self.quantity(object, field, at, language)?;
        if let (Some(Quantity::Path(path)), Some(node)) = (&found, object.node(field.path_name))
            && *path.root() == Root::Context
        {
            let hint = "the path starts at the state's input ('$.limit') or at a variable ('$limit')";
            let message = "Value is not a Reference Path: The context object is not allowed here";
            self.read.schema_hint(message, &at.name(field.path_name), node.offset, hint);
            return None;
        }
        Some(found)
    }

    /// A text or its computation. `intrinsic`: the `...Path` form takes an intrinsic function too.
    pub fn text(
        &mut self,
        object: &Object<'n>,
        (name, path_name): (&'static str, &'static str),
        at: &Location<'_>,
        language: QueryLanguage,
        intrinsic: bool,
    ) -> Option<Option<Text>> {
        if !self.read.at_most_one(object, &[name, path_name], at) {
            return None;
        }
        if let Some(node) = object.node(path_name) {
            let at = at.name(path_name);
            if intrinsic && node.as_str().is_some_and(|text| !text.starts_with('$')) {
                return self.intrinsic(node, &at).map(|i| Some(Text::Intrinsic(i)));
            }
            return self.reference_path(node, &at).map(|path| Some(Text::Path(path)));
        }
        let Some(node) = object.node(name) else { return Some(None) };
        let at = at.name(name);
        let text = self.read.as_string(node, &at)?;
        if language == QueryLanguage::Jsonata
            && let Some(expression) = self.expression(node, &at, false).ok()?
        {
            return Some(Some(Text::Jsonata(expression)));
        }
        if language == QueryLanguage::JsonPath && looks_computed(text) {
            let message = format!("The value of the field '{name}' looks like a path or an intrinsic function");
            let hint = format!("to evaluate it, use the field '{path_name}'");
            self.read.warning(code::NO_PATH, message, &at, node.offset, hint);
        }
        Some(Some(Text::Literal(text.to_owned())))
    }

    fn intrinsic(&mut self, node: &'n Node, at: &Location<'_>) -> Option<Intrinsic> {
        let text = self.read.as_string(node, at)?;
        let refuse = |this: &mut Self, reason: String| {
            this.read.schema_hint(
                "Value must be a valid JSONPath or a valid intrinsic function call",
                at,
                node.offset,
                reason,
            );
        };
        Intrinsic::parse_within(text, self.programs).map_err(|e| refuse(self, e.to_string())).ok()
    }
}

/// Whether a literal reads as if its author expected it to be evaluated.
pub(super) fn looks_computed(text: &str) -> bool {
    text == "$"
        || text.starts_with("$.")
        || text.starts_with("$[")
        || text.starts_with("$$.")
        || (text.starts_with("States.") && text.ends_with(')') && text.contains('('))
}

/// Whether a value holds such a literal, or a key that ends in `.$`.
pub(super) fn holds_computed(value: &Value) -> bool {
    match value {
        Value::String(text) => looks_computed(text),
        Value::Array(items) => items.iter().any(holds_computed),
        Value::Object(map) => map.iter().any(|(key, value)| key.ends_with(".$") || holds_computed(value)),
        _ => false,
    }
}

fn path_hint(text: &str, reason: &str) -> String {
    if text.starts_with("States.") {
        return "an intrinsic function may stand in a payload template under a key that ends in '.$', not here"
            .to_owned();
    }
    if text.starts_with('$') {
        return reason.to_owned();
    }
    format!(
        "a path begins with '$' (the input), '$$' (the context object) or '$name' (a variable): perhaps '$.{}'",
        text.trim_start_matches('.')
    )
}

/// JSONata's own errors begin with a code (`S0202: `), which the service leaves out; ours about what Step Functions
/// lacks do not.
fn strip_jsonata_code(message: &str) -> Option<&str> {
    let (code, rest) = message.split_once(": ")?;
    let (letter, digits) = code.split_at_checked(1)?;
    (matches!(letter, "S" | "T" | "D" | "U") && digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then_some(rest)
}
