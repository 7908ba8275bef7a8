//! Text → call.

use serde_json::{Number, Value};

use super::function::Function;
use super::limits::NESTING_MAX;
use super::strings;
use super::{Argument, ArgumentValue, Call, IntrinsicSyntaxError};
use crate::query::jsonpath::parse::Cursor;
use crate::query::jsonpath::{Path, PathSyntaxError};
use crate::query::programs::Programs;

impl IntrinsicSyntaxError {
    fn new(message: impl Into<String>, offset: usize) -> Self {
        Self { message: message.into(), offset }
    }
}

pub(super) fn whole(text: &str, programs: &Programs) -> Result<Call, IntrinsicSyntaxError> {
    let mut cursor = Cursor::new(text, programs);
    let call = call(&mut cursor, 1)?;
    cursor.skip_blanks();
    if cursor.at_end() { Ok(call) } else { Err(IntrinsicSyntaxError::new("Nothing can follow the call", cursor.at)) }
}

fn call(cursor: &mut Cursor<'_>, depth: usize) -> Result<Call, IntrinsicSyntaxError> {
    let from = cursor.at;
    if depth > NESTING_MAX {
        return Err(IntrinsicSyntaxError::new(format!("Intrinsic functions nest at most {NESTING_MAX} levels"), from));
    }
    cursor.skip_while(|c| c.is_ascii_alphanumeric() || c == '.');
    let name = &cursor.text[from..cursor.at];
    let function = Function::named(name)
        .ok_or_else(|| IntrinsicSyntaxError::new(format!("'{name}' is not the name of an intrinsic function"), from))?;
    cursor.skip_blanks();
    if !cursor.eat('(') {
        return Err(IntrinsicSyntaxError::new(format!("'(' is missing after {name}"), cursor.at));
    }
    let mut arguments = Vec::new();
    cursor.skip_blanks();
    if !cursor.eat(')') {
        loop {
            cursor.skip_blanks();
            let is_template = function == Function::Format && arguments.is_empty();
            arguments.push(argument(cursor, depth, is_template)?);
            cursor.skip_blanks();
            if cursor.eat(')') {
                break;
            }
            if !cursor.eat(',') {
                return Err(IntrinsicSyntaxError::new("',' or ')' is missing after an argument", cursor.at));
            }
        }
    }
    Ok(Call { function, arguments, from, to: cursor.at })
}

fn argument(cursor: &mut Cursor<'_>, depth: usize, is_template: bool) -> Result<Argument, IntrinsicSyntaxError> {
    let offset = cursor.at;
    let value = match cursor.peek() {
        Some('\'') => {
            let raw = string(cursor)?;
            if is_template {
                ArgumentValue::Template(strings::pieces(raw))
            } else {
                ArgumentValue::Literal(Value::String(unescaped(raw)))
            }
        }
        Some('$') => ArgumentValue::Path(path(cursor)?),
        Some('0'..='9' | '-') => ArgumentValue::Literal(Value::Number(number(cursor)?)),
        Some('S') => ArgumentValue::Call(Box::new(call(cursor, depth + 1)?)),
        _ => {
            cursor.skip_while(|c| c.is_ascii_alphabetic());
            ArgumentValue::Literal(match &cursor.text[offset..cursor.at] {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ => {
                    let message =
                        "An argument must be a string in single quotes, a number, true, false, null, a path or a call";
                    return Err(IntrinsicSyntaxError::new(message, offset));
                }
            })
        }
    };
    Ok(Argument { value, offset })
}

/// The text between the quotes, escapes not yet resolved. AWS knows `\'`, `\{`, `\}` and `\\` and refuses all others.
fn string<'t>(cursor: &mut Cursor<'t>) -> Result<&'t str, IntrinsicSyntaxError> {
    let opened = cursor.at;
    cursor.bump();
    let from = cursor.at;
    loop {
        let at = cursor.at;
        match cursor.bump() {
            Some('\'') => return Ok(&cursor.text[from..at]),
            Some('\\') if !matches!(cursor.bump(), Some('\'' | '{' | '}' | '\\')) => {
                return Err(IntrinsicSyntaxError::new(
                    "A backslash must stand before ', {, } or another backslash",
                    at,
                ));
            }
            Some(_) => {}
            None => return Err(IntrinsicSyntaxError::new("The string is not closed: missing '", opened)),
        }
    }
}

fn unescaped(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

fn number(cursor: &mut Cursor<'_>) -> Result<Number, IntrinsicSyntaxError> {
    let from = cursor.at;
    cursor.skip_while(|c| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
    let digits = &cursor.text[from..cursor.at];
    digits.parse().map_err(|_| IntrinsicSyntaxError::new(format!("'{digits}' is no number"), from))
}

/// A path ends before a blank, `,` or `)` that is not inside brackets, parentheses or quotes of its own.
fn path(cursor: &mut Cursor<'_>) -> Result<Path, IntrinsicSyntaxError> {
    let from = cursor.at;
    let mut open = 0usize;
    let mut quote = None;
    while let Some(c) = cursor.peek() {
        match (quote, c) {
            (Some(_), '\\') => {
                cursor.bump();
            }
            (Some(mark), c) if c == mark => quote = None,
            (None, '\'' | '"') if open > 0 => quote = Some(c),
            (None, '[' | '(') => open += 1,
            (None, ']' | ')') if open > 0 => open -= 1,
            (None, ',' | ')') if open == 0 => break,
            (None, c) if open == 0 && c.is_whitespace() => break,
            _ => {}
        }
        cursor.bump();
    }
    Path::parse_within(&cursor.text[from..cursor.at], cursor.programs)
        .map_err(|PathSyntaxError { message, offset }| IntrinsicSyntaxError::new(message, from + offset))
}
