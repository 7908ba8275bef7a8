//! Reading fields: each function takes a field out of an object if it has the right shape, and otherwise reports the
//! fault.
//!
//! The messages are AWS's where one is recorded (`These fields are required: [..]`, `Expected value of type [..]`,
//! `Minimum value is ..`, `Value cannot be empty`, `Field '..' is not supported`); the others follow their form.

use super::diagnostics::{Findings, code};
use super::fields::{Field, Scope};
use super::location::Location;
use super::model::QueryLanguage;
use super::spans::{Json, Member, Node};

/// An object of the definition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'n> {
    pub members: &'n [Member],
    pub offset: u32,
}

impl<'n> Object<'n> {
    /// The member of this name; of two, the last.
    pub fn get(&self, name: &str) -> Option<&'n Member> {
        self.members.iter().rfind(|m| m.name == name)
    }

    pub fn node(&self, name: &str) -> Option<&'n Node> {
        self.get(name).map(|m| &m.node)
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// The reader of an object's fields, which gathers findings.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub findings: Findings,
}

impl Reader {
    /// A `SCHEMA_VALIDATION_FAILED` error.
    pub fn schema(&mut self, message: impl Into<String>, at: &Location<'_>, offset: u32) {
        self.findings.error(code::SCHEMA_VALIDATION_FAILED, message.into(), Some(at.to_aws()), offset as usize, None);
    }

    /// The same with advice.
    pub fn schema_hint(&mut self, message: impl Into<String>, at: &Location<'_>, offset: u32, hint: impl Into<String>) {
        self.error(code::SCHEMA_VALIDATION_FAILED, message, at, offset, hint);
    }

    pub fn error(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        at: &Location<'_>,
        offset: u32,
        hint: impl Into<String>,
    ) {
        self.findings.error(code, message.into(), Some(at.to_aws()), offset as usize, Some(hint.into()));
    }

    pub fn warning(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        at: &Location<'_>,
        offset: u32,
        hint: impl Into<String>,
    ) {
        self.findings.warning(code, message.into(), Some(at.to_aws()), offset as usize, Some(hint.into()));
    }

    fn expected(&mut self, kind: &str, at: &Location<'_>, node: &Node) {
        let hint = format!("write {} here; this is {}", article(kind), describe(&node.json));
        self.schema_hint(format!("Expected value of type [{kind}]"), at, node.offset, hint);
    }

    pub fn as_object<'n>(&mut self, node: &'n Node, at: &Location<'_>) -> Option<Object<'n>> {
        if let Json::Object(members) = &node.json {
            let object = Object { members, offset: node.offset };
            self.duplicate_fields(&object, at);
            return Some(object);
        }
        self.expected("OBJECT", at, node);
        None
    }

    /// A field twice in one object: the service's JSON reader refuses it. (State names have their own code.)
    fn duplicate_fields(&mut self, object: &Object<'_>, at: &Location<'_>) {
        for member in duplicates(object.members) {
            let hint = "remove one of the two; a JSON object must not hold a key twice";
            let message = format!("Duplicate field '{}'", member.name);
            self.error(code::INVALID_JSON_DESCRIPTION, message, at, member.offset, hint);
        }
    }

    pub fn object<'n>(&mut self, object: &Object<'n>, name: &str, at: &Location<'_>) -> Option<Object<'n>> {
        object.node(name).and_then(|node| self.as_object(node, &at.name(name)))
    }

    pub fn array<'n>(&mut self, object: &Object<'n>, name: &str, at: &Location<'_>) -> Option<&'n [Node]> {
        let node = object.node(name)?;
        if let Json::Array(items) = &node.json {
            return Some(items);
        }
        self.expected("ARRAY", &at.name(name), node);
        None
    }

    /// An array with at least one item.
    pub fn filled_array<'n>(&mut self, object: &Object<'n>, name: &str, at: &Location<'_>) -> Option<&'n [Node]> {
        let items = self.array(object, name, at)?;
        if items.is_empty() {
            let offset = object.node(name).map_or(object.offset, |node| node.offset);
            self.schema("Value cannot be empty", &at.name(name), offset);
            return None;
        }
        Some(items)
    }

    pub fn as_string<'n>(&mut self, node: &'n Node, at: &Location<'_>) -> Option<&'n str> {
        let text = node.as_str();
        if text.is_none() {
            self.expected("STRING", at, node);
        }
        text
    }

    pub fn string<'n>(&mut self, object: &Object<'n>, name: &str, at: &Location<'_>) -> Option<&'n str> {
        object.node(name).and_then(|node| self.as_string(node, &at.name(name)))
    }

    /// A string out of a list of words.
    pub fn word<'n>(&mut self, object: &Object<'n>, name: &str, at: &Location<'_>, words: &[&str]) -> Option<&'n str> {
        let text = self.string(object, name, at)?;
        if words.contains(&text) {
            return Some(text);
        }
        let offset = object.node(name).map_or(object.offset, |node| node.offset);
        let mut message = format!("Value should be one of the following: [{}]", words.join(", "));
        if name == "Type" && words.len() > 2 {
            message = format!("The field 'Type' should have one of these values: [{}]", words.join(", "));
        }
        let hint = nearest(text, words)
            .map_or_else(|| "names are case-sensitive".to_owned(), |word| format!("did you mean '{word}'?"));
        self.schema_hint(message, &at.name(name), offset, hint);
        None
    }

    pub fn boolean(&mut self, object: &Object<'_>, name: &str, at: &Location<'_>) -> Option<bool> {
        let node = object.node(name)?;
        if let Json::Bool(value) = node.json {
            return Some(value);
        }
        self.expected("BOOLEAN", &at.name(name), node);
        None
    }

    pub fn integer(&mut self, object: &Object<'_>, name: &str, at: &Location<'_>, min: u64, max: u64) -> Option<u64> {
        object.node(name).and_then(|node| self.as_integer(node, &at.name(name), min, max))
    }

    pub fn as_integer(&mut self, node: &Node, at: &Location<'_>, min: u64, max: u64) -> Option<u64> {
        self.as_integer_of("INTEGER", node, at, min, max)
    }

    /// The same where other kinds are allowed too: `kind` is AWS's list of them.
    pub fn as_integer_of(&mut self, kind: &str, node: &Node, at: &Location<'_>, min: u64, max: u64) -> Option<u64> {
        let Json::Number(number) = &node.json else {
            self.expected(kind, at, node);
            return None;
        };
        if let Some(value) = number.as_u64() {
            if value < min {
                self.schema(format!("Minimum value is {min}"), at, node.offset);
                return None;
            }
            if value > max {
                self.schema(format!("Maximum value is {max}"), at, node.offset);
                return None;
            }
            return Some(value);
        }
        match number.as_f64() {
            Some(value) if value.fract() != 0.0 => self.expected(kind, at, node),
            Some(value) if value < 0.0 => self.schema(format!("Minimum value is {min}"), at, node.offset),
            Some(value) if value <= 9_007_199_254_740_992.0 => {
                // 5.0 is an integer to JSON.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked: whole, positive, below 2^53"
                )]
                let whole = Node { offset: node.offset, json: Json::Number((value as u64).into()) };
                return self.as_integer_of(kind, &whole, at, min, max);
            }
            _ => self.schema(format!("Maximum value is {max}"), at, node.offset),
        }
        None
    }

    /// A number with a fraction, from `min` to `max`.
    pub fn number(&mut self, object: &Object<'_>, name: &str, at: &Location<'_>, min: f64, max: f64) -> Option<f64> {
        object.node(name).and_then(|node| self.as_number(node, &at.name(name), min, max))
    }

    pub fn as_number(&mut self, node: &Node, at: &Location<'_>, min: f64, max: f64) -> Option<f64> {
        self.as_number_of("NUMBER", node, at, min, max)
    }

    /// The same where other kinds are allowed too: `kind` is AWS's list of them. Measured: AWS writes the bounds as
    /// `0.0` and `100.0`.
    pub fn as_number_of(&mut self, kind: &str, node: &Node, at: &Location<'_>, min: f64, max: f64) -> Option<f64> {
        let Json::Number(number) = &node.json else {
            self.expected(kind, at, node);
            return None;
        };
        let value = number.as_f64()?;
        if value < min {
            self.schema(format!("Minimum value is {min:?}"), at, node.offset);
        } else if value > max {
            self.schema(format!("Maximum value is {max:?}"), at, node.offset);
        } else {
            return Some(value);
        }
        None
    }

    /// Says which of `names` are missing, in one finding, as AWS does.
    pub fn required(&mut self, object: &Object<'_>, names: &[&str], at: &Location<'_>) -> bool {
        let missing: Vec<&str> = names.iter().copied().filter(|name| !object.has(name)).collect();
        if !missing.is_empty() {
            self.schema(format!("These fields are required: [{}]", missing.join(", ")), at, object.offset);
        }
        missing.is_empty()
    }

    /// At most one of `names`.
    pub fn at_most_one(&mut self, object: &Object<'_>, names: &[&str], at: &Location<'_>) -> bool {
        let mut present = names.iter().filter_map(|name| object.get(name));
        if let (Some(_), Some(second)) = (present.next(), present.next()) {
            let message = format!("There should only be one of the following fields: [{}]", names.join(", "));
            self.schema_hint(message, at, second.offset, format!("remove all but one of {}", names.join(" and ")));
            return false;
        }
        true
    }

    /// One of `names`, and only one.
    pub fn exactly_one(&mut self, object: &Object<'_>, names: &[&str], at: &Location<'_>) -> bool {
        match names.iter().filter(|name| object.has(name)).count() {
            1 => true,
            0 => {
                self.schema(
                    format!("Exactly one of these fields is required: [{}]", names.join(", ")),
                    at,
                    object.offset,
                );
                false
            }
            _ => self.at_most_one(object, names, at),
        }
    }

    /// Refuses members that are no fields here, or that belong to the other query language.
    ///
    /// `language` is `None` where the state's language was refused: then AWS says nothing about the fields of either.
    pub fn known_fields(
        &mut self,
        object: &Object<'_>,
        fields: &[Field],
        language: Option<QueryLanguage>,
        at: &Location<'_>,
    ) {
        self.known_fields_and(object, fields, |_| None, language, at);
    }

    /// The same, with fields that no table lists.
    pub fn known_fields_and(
        &mut self,
        object: &Object<'_>,
        fields: &[Field],
        more: impl Fn(&str) -> Option<Scope>,
        language: Option<QueryLanguage>,
        at: &Location<'_>,
    ) {
        for member in object.members {
            if self.findings.is_full() {
                return; // hints cost more than the look
            }
            let listed = fields.iter().find(|field| field.name == member.name).map(|field| field.scope);
            let Some(scope) = listed.or_else(|| more(&member.name)) else {
                let names: Vec<&str> = fields.iter().map(|f| f.name).collect();
                let hint = nearest(&member.name, &names).map_or_else(
                    || format!("fields here: {}", names.join(", ")),
                    |name| format!("did you mean '{name}'? Fields here: {}", names.join(", ")),
                );
                self.schema_hint(format!("Field '{}' is not supported", member.name), at, member.offset, hint);
                continue;
            };
            let (set, only) = match (scope, language) {
                (Scope::JsonPath, Some(QueryLanguage::Jsonata)) => ("JSONata", "JSONPath"),
                (Scope::Jsonata, Some(QueryLanguage::JsonPath)) => ("JSONPath", "JSONata"),
                _ => continue,
            };
            let message = format!(
                "The QueryLanguage is set to '{set}', but field '{}' is only supported for the '{only}' QueryLanguage",
                member.name
            );
            let hint = format!(
                "set \"QueryLanguage\": \"{only}\" here or for the whole machine, or use the {set} field for this"
            );
            self.schema_hint(message, at, member.offset, hint);
        }
    }
}

/// Members whose name stood before. Small objects are compared in place, large ones through a set.
pub(super) fn duplicates(members: &[Member]) -> Vec<&Member> {
    if members.len() <= 16 {
        let stood = |i: usize, m: &Member| members[..i].iter().any(|other| other.name == m.name);
        return members.iter().enumerate().filter(|(i, m)| stood(*i, m)).map(|(_, m)| m).collect();
    }
    let mut seen = std::collections::HashSet::with_capacity(members.len());
    members.iter().filter(|m| !seen.insert(m.name.as_str())).collect()
}

fn article(kind: &str) -> &'static str {
    match kind {
        "OBJECT" => "an object {..}",
        "ARRAY" => "an array [..]",
        "BOOLEAN" => "true or false",
        "INTEGER" => "a whole number",
        "NUMBER" => "a number",
        "INTEGER, JSONATA" => "a whole number or an expression {% .. %}",
        "NUMBER, JSONATA" => "a number or an expression {% .. %}",
        _ => "a string",
    }
}

const fn describe(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

/// The word that a slip of the pen most likely meant: equal but for case, or two edits away.
pub(super) fn nearest<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    if text.len() > 80 {
        return None;
    }
    let distance = |word: &str| edits(&text.to_lowercase(), &word.to_lowercase());
    words
        .iter()
        .copied()
        .map(|word| (distance(word), word))
        .filter(|(d, word)| *d <= 2 && *d < word.len())
        .min()
        .map(|(_, word)| word)
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let best = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_word() {
        assert_eq!(nearest("resource", &["Resource", "Retry"]), Some("Resource"));
        assert_eq!(nearest("Paramters", &["Parameters", "Result"]), Some("Parameters"));
        assert_eq!(nearest("Foo", &["Resource", "End"]), None);
    }
}
