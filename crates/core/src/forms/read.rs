//! JSON → form, with each fault and its place.

use serde_json::{Map, Value};

use super::{Action, End, Fault, Field, Form, Format, Kind, Shown, Step};
use crate::limits::{FORM_ACTIONS_MAX, FORM_FIELDS_MAX, FORM_PATTERN_BYTES_MAX, FORM_WORDS_MAX};
use crate::query::programs::{self, Programs};

/// Reads a form; `template`: it stands in a definition, and parts of it are open.
pub(super) fn form(value: &Value, template: bool, programs: &Programs) -> (Form, Vec<Fault>) {
    let mut reader = Reader { template, programs, faults: Vec::new(), at: Vec::new(), fields: 0 };
    let form = reader.form(value);
    (form, reader.faults)
}

struct Reader<'p> {
    template: bool,
    /// For the patterns of fields.
    programs: &'p Programs,
    faults: Vec<Fault>,
    at: Vec<Step>,
    fields: usize,
}

const FORM: [&str; 7] = ["Title", "Text", "For", "Show", "Schema", "Actions", "SignIn"];
const OF_ALL: [&str; 4] = ["type", "title", "description", "default"];

impl Reader<'_> {
    fn fault(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.faults.push(Fault { path: self.at.clone(), message: message.into(), hint: hint.into() });
    }

    fn within<T>(&mut self, step: Step, read: impl FnOnce(&mut Self) -> T) -> T {
        self.at.push(step);
        let read = read(self);
        self.at.pop();
        read
    }

    /// Not known before the task runs.
    fn is_open(&self, value: &Value) -> bool {
        self.template && value.as_str().is_some_and(|text| text.trim_start().starts_with("{%"))
    }

    /// The member is given by a path.
    fn has_path(&self, object: &Map<String, Value>, name: &str) -> bool {
        self.template && object.contains_key(&format!("{name}.$"))
    }

    fn object<'v>(&mut self, value: &'v Value, what: &str) -> Option<&'v Map<String, Value>> {
        let found = value.as_object();
        if found.is_none() && !self.is_open(value) {
            self.fault(format!("{what} must be an object"), "write { ... } here");
        }
        found
    }

    fn list<'v>(&mut self, value: &'v Value, what: &str) -> Option<&'v Vec<Value>> {
        let found = value.as_array();
        if found.is_none() && !self.is_open(value) {
            self.fault(format!("{what} must be a list"), "write [ ... ] here");
        }
        found
    }

    /// Reads a member, where it is there and known.
    fn member<T>(
        &mut self,
        object: &Map<String, Value>,
        name: &str,
        read: impl FnOnce(&mut Self, &Value) -> Option<T>,
    ) -> Option<T> {
        let value = object.get(name)?;
        if self.is_open(value) {
            return None;
        }
        self.within(Step::Name(name.to_owned()), |reader| read(reader, value))
    }

    fn text(&mut self, object: &Map<String, Value>, name: &str) -> Option<String> {
        self.member(object, name, |reader, value| {
            let text = value.as_str().map(str::to_owned);
            if text.is_none() {
                reader.fault(format!("{name} must be a text"), "write a string here");
            }
            text
        })
    }

    fn flag(&mut self, object: &Map<String, Value>, name: &str) -> Option<bool> {
        self.member(object, name, |reader, value| {
            let flag = value.as_bool();
            if flag.is_none() {
                reader.fault(format!("{name} must be true or false"), "write true or false here");
            }
            flag
        })
    }

    fn count(&mut self, object: &Map<String, Value>, name: &str) -> Option<u64> {
        self.member(object, name, |reader, value| {
            let count = value.as_u64();
            if count.is_none() {
                reader.fault(format!("{name} must be a whole number from 0"), "write a number such as 10");
            }
            count
        })
    }

    fn number(&mut self, object: &Map<String, Value>, name: &str) -> Option<f64> {
        self.member(object, name, |reader, value| {
            let number = value.as_f64();
            if number.is_none() {
                reader.fault(format!("{name} must be a number"), "write a number such as 20");
            }
            number
        })
    }

    fn texts(&mut self, object: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
        self.member(object, name, |reader, value| {
            let items = reader.list(value, name)?;
            let texts: Vec<String> = items.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            if texts.len() != items.len() {
                reader.fault(format!("{name} must be a list of texts"), "write strings in it");
            }
            if texts.len() > FORM_WORDS_MAX {
                reader.fault(format!("{name} has more than {FORM_WORDS_MAX} texts"), "ask for a text instead");
            }
            Some(texts)
        })
    }

    /// Refuses members of other names.
    fn only(&mut self, object: &Map<String, Value>, allowed: &[&str], what: &str) {
        for name in object.keys() {
            let bare = if self.template { name.strip_suffix(".$").unwrap_or(name) } else { name };
            if !allowed.contains(&bare) {
                let hint = format!("there are: {}", allowed.join(", "));
                self.within(Step::Name(name.clone()), |reader| {
                    reader.fault(format!("{what} has no '{name}'"), hint);
                });
            }
        }
    }

    fn form(&mut self, value: &Value) -> Form {
        let Some(object) = self.object(value, "Form") else { return Form::default() };
        self.only(object, &FORM, "A form");
        let fields = self.member(object, "Schema", |reader, schema| Some(reader.schema(schema))).unwrap_or_default();
        let show = self.member(object, "Show", |reader, show| Some(reader.show(show))).unwrap_or_default();
        let schema_is_open = self.has_path(object, "Schema") || object.get("Schema").is_some_and(|s| self.is_open(s));
        let read = |reader: &mut Self, actions: &Value| Some(reader.actions(actions, &fields, schema_is_open));
        let actions = self.member(object, "Actions", read).unwrap_or_default();
        let actions = if actions.is_empty() { vec![answers(&fields)] } else { actions };
        Form {
            title: self.text(object, "Title"),
            text: self.text(object, "Text"),
            audience: self.texts(object, "For").unwrap_or_default(),
            show,
            fields,
            actions,
            sign_in: self.flag(object, "SignIn").unwrap_or_default(),
        }
    }

    fn show(&mut self, value: &Value) -> Vec<Shown> {
        let Some(items) = self.list(value, "Show") else { return Vec::new() };
        if items.len() > FORM_FIELDS_MAX {
            self.fault(format!("Show has more than {FORM_FIELDS_MAX} values"), "show what helps to decide");
        }
        let mut shown = Vec::new();
        for (n, item) in items.iter().enumerate() {
            self.within(Step::Index(n), |reader| {
                let Some(object) = reader.object(item, "A shown value") else { return };
                reader.only(object, &["Label", "Value"], "A shown value");
                let label = reader.text(object, "Label");
                for name in ["Label", "Value"] {
                    if !object.contains_key(name) && !reader.has_path(object, name) {
                        reader.fault(format!("{name} is missing"), "a shown value has a Label and a Value");
                    }
                }
                let value = object.get("Value").cloned().unwrap_or_default();
                shown.push(Shown { label: label.unwrap_or_default(), value });
            });
        }
        shown
    }

    fn schema(&mut self, value: &Value) -> Vec<Field> {
        let Some(object) = self.object(value, "Schema") else { return Vec::new() };
        self.only(object, &["type", "title", "description", "required", "properties"], "The schema of a form");
        let kind = self.text(object, "type");
        if kind.as_deref().is_some_and(|kind| kind != "object") || (kind.is_none() && !object.contains_key("type")) {
            self.fault("The schema of a form is an object", "write \"type\": \"object\" and its properties");
        }
        self.properties(object, false)
    }

    fn properties(&mut self, object: &Map<String, Value>, nested: bool) -> Vec<Field> {
        let required = self.texts(object, "required").unwrap_or_default();
        let read = |reader: &mut Self, value: &Value| {
            let properties = reader.object(value, "properties")?;
            let mut fields = Vec::new();
            for (name, value) in properties {
                let is_open = reader.is_open(value) || (reader.template && name.strip_suffix(".$").is_some());
                reader.fields += 1;
                if reader.fields == FORM_FIELDS_MAX + 1 {
                    reader.fault(format!("A form has at most {FORM_FIELDS_MAX} fields"), "ask for less at once");
                }
                if is_open || reader.fields > FORM_FIELDS_MAX {
                    continue;
                }
                let required = required.contains(name);
                let step = Step::Name(name.clone());
                fields.extend(reader.within(step, |reader| reader.field(name, value, required, nested)));
            }
            Some((fields, properties.keys().any(|name| name.strip_suffix(".$").is_some())))
        };
        let (fields, more) = self.member(object, "properties", read).unwrap_or_default();
        for name in required {
            if !more && object.get("properties").is_some_and(Value::is_object) && !has(object, &name) {
                self.within(Step::Name("required".to_owned()), |reader| {
                    reader.fault(format!("There is no property '{name}'"), "required names properties");
                });
            }
        }
        fields
    }

    fn field(&mut self, name: &str, value: &Value, required: bool, nested: bool) -> Option<Field> {
        let object = self.object(value, "A property")?;
        let kind = self.text(object, "type");
        let kind = match kind.as_deref() {
            Some("string") => self.string(object),
            Some("number") => self.numeric(object, false),
            Some("integer") => self.numeric(object, true),
            Some("boolean") => {
                self.keywords(object, &[], "a boolean");
                Kind::Flag
            }
            Some("array") => self.array(object)?,
            Some("object") if !nested => {
                self.keywords(object, &["properties", "required"], "an object");
                Kind::Group(self.properties(object, true))
            }
            Some("object") => {
                self.fault("An object in an object in a form", "a form nests one level: put these properties there");
                return None;
            }
            Some(other) => {
                let hint = "there are: string, number, integer, boolean, array, object";
                self.fault(format!("A form has no fields of type '{other}'"), hint);
                return None;
            }
            None if object.contains_key("type") || self.has_path(object, "type") => return None,
            None => {
                self.fault("A property has no type", "write \"type\": \"string\" or another one");
                return None;
            }
        };
        let default = object.get("default").filter(|default| !self.is_open(default)).cloned();
        if default.as_ref().is_some_and(|default| !fits(&kind, default)) {
            self.within(Step::Name("default".to_owned()), |reader| {
                reader
                    .fault("The default does not fit the type of its property", "write a value that a person may give");
            });
        }
        Some(Field {
            name: name.to_owned(),
            title: self.text(object, "title"),
            description: self.text(object, "description"),
            required,
            default,
            kind,
        })
    }

    fn keywords(&mut self, object: &Map<String, Value>, more: &[&str], what: &str) {
        let allowed: Vec<&str> = OF_ALL.iter().chain(more).copied().collect();
        for name in object.keys() {
            let bare = if self.template { name.strip_suffix(".$").unwrap_or(name) } else { name };
            if !allowed.contains(&bare) {
                let hint = format!("{what} may have: {}", allowed.join(", "));
                self.within(Step::Name(name.clone()), |reader| {
                    reader.fault(format!("Forms do not know the keyword '{name}' for {what}"), hint);
                });
            }
        }
    }

    fn string(&mut self, object: &Map<String, Value>) -> Kind {
        if let Some(words) = self.texts(object, "enum") {
            self.keywords(object, &["enum"], "a string with an enum");
            if words.is_empty() {
                self.fault("The enum is empty", "a person must have something to choose");
            }
            return Kind::Choice(words);
        }
        self.keywords(object, &["enum", "pattern", "minLength", "maxLength", "format"], "a string");
        let format = self.text(object, "format").map_or(Format::Plain, |format| match format.as_str() {
            "textarea" => Format::Textarea,
            "date" => Format::Date,
            "date-time" => Format::DateTime,
            "email" => Format::Email,
            "uri" => Format::Uri,
            other => {
                let hint = "there are: date, date-time, email, uri, textarea";
                self.within(Step::Name("format".to_owned()), |reader| {
                    reader.fault(format!("Forms do not know the format '{other}'"), hint);
                });
                Format::Plain
            }
        });
        let pattern = self.text(object, "pattern");
        if let Some(why) = pattern.as_deref().and_then(|pattern| expression(pattern, self.programs).err()) {
            self.within(Step::Name("pattern".to_owned()), |reader| {
                reader.fault(why, "a regular expression without look-around and back-references");
            });
        }
        Kind::Text { format, min: self.count(object, "minLength"), max: self.count(object, "maxLength"), pattern }
    }

    fn numeric(&mut self, object: &Map<String, Value>, whole: bool) -> Kind {
        self.keywords(object, &["minimum", "maximum"], if whole { "an integer" } else { "a number" });
        Kind::Number { whole, min: self.number(object, "minimum"), max: self.number(object, "maximum") }
    }

    fn array(&mut self, object: &Map<String, Value>) -> Option<Kind> {
        self.keywords(object, &["items", "minItems", "maxItems", "uniqueItems"], "an array");
        let hint = "write \"items\": {\"type\": \"string\", \"enum\": [...]}";
        if !object.contains_key("items") && !self.has_path(object, "items") {
            self.fault("A list in a form has given words", hint);
        }
        let words = self.member(object, "items", |reader, items| {
            let items = reader.object(items, "items")?;
            reader.only(items, &["type", "enum"], "The items of a list");
            let words = reader.texts(items, "enum");
            if words.as_ref().is_none_or(Vec::is_empty) && !reader.has_path(items, "enum") {
                reader.fault("A list in a form has given words", hint);
            }
            words
        });
        let (min, max) = (self.count(object, "minItems"), self.count(object, "maxItems"));
        Some(Kind::Many { words: words?, min, max })
    }

    fn actions(&mut self, value: &Value, fields: &[Field], schema_is_open: bool) -> Vec<Action> {
        let Some(items) = self.list(value, "Actions") else { return Vec::new() };
        if items.is_empty() || items.len() > FORM_ACTIONS_MAX {
            self.fault(format!("A form has 1 to {FORM_ACTIONS_MAX} actions"), "leave Actions out for one button");
        }
        let mut actions = Vec::new();
        for (n, item) in items.iter().enumerate() {
            actions.extend(self.within(Step::Index(n), |reader| reader.action(item, fields, schema_is_open)));
        }
        actions
    }

    fn action(&mut self, value: &Value, fields: &[Field], schema_is_open: bool) -> Option<Action> {
        let object = self.object(value, "An action")?;
        self.only(object, &["Label", "Success", "Failure", "Ask"], "An action");
        let label = self.text(object, "Label");
        if !object.contains_key("Label") && !self.has_path(object, "Label") {
            self.fault("Label is missing", "a button has words on it");
        }
        let asked = self.texts(object, "Ask");
        for name in asked.iter().flatten() {
            if !schema_is_open && !fields.iter().any(|field| field.name == *name) {
                self.within(Step::Name("Ask".to_owned()), |reader| {
                    reader.fault(format!("There is no field '{name}'"), "Ask names properties of the Schema");
                });
            }
        }
        let given = ["Success", "Failure"].map(|name| object.contains_key(name) || self.has_path(object, name));
        let all = || fields.iter().map(|field| field.name.clone()).collect();
        match given {
            [true, false] => {
                let success = self.member(object, "Success", |reader, value| reader.object(value, "Success").cloned());
                let end = End::Success(success.unwrap_or_default());
                Some(Action { label: label.unwrap_or_default(), end, ask: asked.unwrap_or_else(all) })
            }
            [false, true] => {
                let end = self.member(object, "Failure", |reader, value| {
                    let failure = reader.object(value, "Failure")?;
                    reader.only(failure, &["Error", "Cause"], "A failure");
                    if !failure.contains_key("Error") && !reader.has_path(failure, "Error") {
                        reader.fault("Error is missing", "Retry and Catch know a failure by its Error");
                    }
                    let error = reader.text(failure, "Error").unwrap_or_default();
                    Some(End::Failure { error, cause: reader.text(failure, "Cause") })
                });
                let end = end.unwrap_or(End::Failure { error: String::new(), cause: None });
                Some(Action { label: label.unwrap_or_default(), end, ask: asked.unwrap_or_default() })
            }
            _ => {
                self.fault("An action has either Success or Failure", "write how the button ends the task");
                None
            }
        }
    }
}

fn has(object: &Map<String, Value>, name: &str) -> bool {
    object.get("properties").and_then(|properties| properties.get(name)).is_some()
}

/// The one button of a form without actions.
fn answers(fields: &[Field]) -> Action {
    let ask = fields.iter().map(|field| field.name.clone()).collect();
    Action { label: "Answer".to_owned(), end: End::Success(Map::new()), ask }
}

fn fits(kind: &Kind, default: &Value) -> bool {
    match kind {
        Kind::Text { .. } => default.is_string(),
        Kind::Choice(words) => default.as_str().is_some_and(|word| words.iter().any(|known| known == word)),
        Kind::Number { whole, .. } => default.is_number() && (!whole || default.is_i64() || default.is_u64()),
        Kind::Flag => default.is_boolean(),
        Kind::Many { words, .. } => default.as_array().is_some_and(|items| {
            items.iter().all(|item| item.as_str().is_some_and(|word| words.iter().any(|known| known == word)))
        }),
        Kind::Group(_) => false,
    }
}

/// The expression of a `pattern`.
pub(super) fn expression(pattern: &str, programs: &Programs) -> Result<regex::Regex, String> {
    let folded = programs::folded(pattern, false);
    programs
        .compile(&mut regex::RegexBuilder::new(pattern), FORM_PATTERN_BYTES_MAX, folded)
        .map_err(|reason| format!("The pattern is no regular expression that a form can check: {reason}"))
}
