//! An answer against its form.

use serde_json::{Map, Number, Value};

use super::read::expression;
use super::{Action, End, Field, Form, Format, Kind};
use crate::query::programs::Programs;

/// The end of a task that an answer asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Success(Value),
    Failure { error: String, cause: String },
}

/// A field that cannot be taken as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// As [`path`] names it.
    pub field: String,
    pub label: String,
    pub why: String,
}

/// The name of an input in a page: the places of its field, so that the names of members may hold anything.
#[must_use]
pub fn path(group: Option<usize>, n: usize) -> String {
    group.map_or_else(|| format!("f{n}"), |group| format!("f{group}-{n}"))
}

/// Reads typed fields as an answer by this action. A name may stand several times: once for each word of a list.
///
/// # Errors
/// The wrong fields, all of them. An action that the form does not have is wrong as a whole.
pub fn answer(form: &Form, action: usize, typed: &[(String, String)]) -> Result<Outcome, Vec<Wrong>> {
    let Some(Action { end, ask, .. }) = form.actions.get(action) else {
        let why = "This form has no such button.".to_owned();
        return Err(vec![Wrong { field: String::new(), label: "The answer".to_owned(), why }]);
    };
    let mut reader = Reader { typed, wrong: Vec::new() };
    let given = reader.members(&form.fields, None, Some(ask));
    if !reader.wrong.is_empty() {
        return Err(reader.wrong);
    }
    Ok(match end {
        End::Success(members) => {
            let mut output = given;
            output.extend(members.clone());
            Outcome::Success(Value::Object(output))
        }
        End::Failure { error, cause } => {
            Outcome::Failure { error: error.clone(), cause: cause_of(cause.as_deref(), &given) }
        }
    })
}

/// The fixed cause, and the typed fields: one text as it is, several as JSON.
fn cause_of(cause: Option<&str>, given: &Map<String, Value>) -> String {
    let mut values = given.values();
    let typed = match (values.next(), values.next()) {
        (None, _) => String::new(),
        (Some(Value::String(text)), None) => text.clone(),
        _ => Value::Object(given.clone()).to_string(),
    };
    match cause.filter(|cause| !cause.is_empty()) {
        Some(cause) if typed.is_empty() => cause.to_owned(),
        Some(cause) => format!("{cause}: {typed}"),
        None => typed,
    }
}

struct Reader<'t> {
    typed: &'t [(String, String)],
    wrong: Vec<Wrong>,
}

impl Reader<'_> {
    fn members(&mut self, fields: &[Field], group: Option<usize>, ask: Option<&[String]>) -> Map<String, Value> {
        let mut members = Map::new();
        for (n, field) in fields.iter().enumerate() {
            if ask.is_some_and(|ask| !ask.contains(&field.name)) {
                continue;
            }
            let value = match &field.kind {
                Kind::Group(inner) => {
                    let inner = self.members(inner, Some(n), None);
                    (!inner.is_empty() || field.required).then_some(Value::Object(inner))
                }
                _ => self.value(field, &path(group, n)),
            };
            if let Some(value) = value {
                members.insert(field.name.clone(), value);
            }
        }
        members
    }

    fn value(&mut self, field: &Field, name: &str) -> Option<Value> {
        let typed: Vec<&str> = self.typed.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect();
        match read(field, &typed) {
            Ok(value) => value,
            Err(why) => {
                self.wrong.push(Wrong { field: name.to_owned(), label: field.label().to_owned(), why });
                None
            }
        }
    }
}

/// One field; `None`: it was left empty, and may be.
fn read(field: &Field, typed: &[&str]) -> Result<Option<Value>, String> {
    match &field.kind {
        Kind::Flag => return Ok(Some(Value::Bool(typed.first().is_some_and(|text| *text == "true")))),
        Kind::Many { words, min, max } => return many(field, typed, words, *min, *max).map(Some),
        _ => {}
    }
    // A browser ends the lines of a text with two characters.
    let text = typed.first().map(|text| text.replace("\r\n", "\n")).unwrap_or_default();
    let is_empty = if matches!(field.kind, Kind::Text { format: Format::Plain | Format::Textarea, .. }) {
        text.is_empty()
    } else {
        text.trim().is_empty()
    };
    if is_empty || (field.required && text.trim().is_empty()) {
        return if field.required { Err("This is needed.".to_owned()) } else { Ok(None) };
    }
    let value = match &field.kind {
        Kind::Choice(words) if words.contains(&text) => Value::String(text),
        Kind::Choice(_) => return Err("Choose one of the given words.".to_owned()),
        Kind::Number { whole, min, max } => Value::Number(number(text.trim(), *whole, *min, *max)?),
        Kind::Text { format, min, max, pattern } => {
            let text = formatted(*format, text)?;
            fitting(&text, *min, *max, pattern.as_deref())?;
            Value::String(text)
        }
        Kind::Flag | Kind::Many { .. } | Kind::Group(_) => return Ok(None),
    };
    Ok(Some(value))
}

fn many(field: &Field, typed: &[&str], words: &[String], min: Option<u64>, max: Option<u64>) -> Result<Value, String> {
    if typed.iter().any(|word| !words.iter().any(|known| known == word)) {
        return Err("Choose from the given words.".to_owned());
    }
    // In the order of the form, each once.
    let chosen: Vec<Value> =
        words.iter().filter(|word| typed.contains(&word.as_str())).map(|w| Value::from(w.as_str())).collect();
    let count = chosen.len() as u64;
    let least = min.unwrap_or(u64::from(field.required));
    if count < least {
        return Err(format!("Choose at least {least}."));
    }
    match max {
        Some(most) if count > most => Err(format!("Choose at most {most}.")),
        _ => Ok(Value::Array(chosen)),
    }
}

fn number(text: &str, whole: bool, min: Option<f64>, max: Option<f64>) -> Result<Number, String> {
    let example = if whole { "Write a whole number, such as 12." } else { "Write a number, such as 12.5." };
    let number: Number = serde_json::from_str(text).map_err(|_| example.to_owned())?;
    if whole && !number.is_i64() && !number.is_u64() {
        return Err(example.to_owned());
    }
    let size = number.as_f64().ok_or_else(|| example.to_owned())?;
    match (min, max) {
        (Some(min), Some(max)) if size < min || size > max => Err(format!("Write a number from {min} to {max}.")),
        (Some(min), _) if size < min => Err(format!("Write at least {min}.")),
        (_, Some(max)) if size > max => Err(format!("Write at most {max}.")),
        _ => Ok(number),
    }
}

fn formatted(format: Format, text: String) -> Result<String, String> {
    let trimmed = text.trim();
    match format {
        Format::Plain | Format::Textarea => Ok(text),
        Format::Date => match trimmed.parse::<jiff::civil::Date>() {
            Ok(date) if trimmed.len() == 10 => Ok(date.to_string()),
            _ => Err("Write a date as 2026-12-31.".to_owned()),
        },
        Format::DateTime => moment(trimmed).ok_or_else(|| "Write a moment as 2026-12-31T18:30Z.".to_owned()),
        Format::Email => {
            let (name, host) = trimmed.rsplit_once('@').unwrap_or_default();
            let plain = |text: &str| !text.is_empty() && !text.contains([' ', '@', ',', ';', '<', '>', '\n']);
            if plain(name) && plain(host) {
                Ok(trimmed.to_owned())
            } else {
                Err("Write an address as olga@example.com.".to_owned())
            }
        }
        Format::Uri => {
            let (scheme, rest) = trimmed.split_once(':').unwrap_or_default();
            let letters = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
            if begins && letters && !rest.is_empty() && !rest.contains(char::is_whitespace) {
                Ok(trimmed.to_owned())
            } else {
                Err("Write an address as https://example.com/page.".to_owned())
            }
        }
    }
}

/// A moment with its zone as it is; without one (as browsers write it) it is UTC.
fn moment(text: &str) -> Option<String> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Some(text.to_owned());
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    if !text.contains(['T', 't', ' ']) {
        return None;
    }
    Some(format!("{civil}Z"))
}

fn fitting(text: &str, min: Option<u64>, max: Option<u64>, pattern: Option<&str>) -> Result<(), String> {
    let count = text.chars().count() as u64;
    if min.is_some_and(|min| count < min) {
        return Err(format!("Write at least {} characters; these are {count}.", min.unwrap_or_default()));
    }
    if max.is_some_and(|max| count > max) {
        return Err(format!("Write at most {} characters; these are {count}.", max.unwrap_or_default()));
    }
    let fits =
        |pattern: &str| expression(pattern, &Programs::default()).is_ok_and(|expression| expression.is_match(text));
    match pattern {
        Some(pattern) if !fits(pattern) => Err(format!("This does not have the form {pattern}")),
        _ => Ok(()),
    }
}
