//! Text → root and segments, in exactly the dialect of Jayway's `PathCompiler`.

use super::eval::{Query, Segment, Slice};
use super::filter;
use super::functions::Function;
use super::limits::SEGMENTS_MAX;
use super::{PathSyntaxError, Root};
use crate::limits::NAME_CHARS_MAX;
use crate::query::programs::Programs;

pub(super) fn path(text: &str, programs: &Programs) -> Result<(Root, Query), PathSyntaxError> {
    let trimmed = text.trim_end();
    let mut cursor = Cursor::new(trimmed, programs);
    cursor.skip_blanks();
    if !cursor.eat('$') {
        return Err(cursor.error("A path must start with '$'"));
    }
    let root = root(&mut cursor)?;
    let query = query(&mut cursor, Names::Greedy)?;
    if !cursor.at_end() {
        return Err(cursor.error("Illegal character: expected '.' or '['"));
    }
    Ok((root, query))
}

fn root(cursor: &mut Cursor<'_>) -> Result<Root, PathSyntaxError> {
    if cursor.eat('$') {
        return Ok(Root::Context);
    }
    let start = cursor.at;
    if cursor.peek().is_some_and(|c| c == '_' || c.is_alphabetic()) {
        cursor.skip_while(|c| c == '_' || c.is_alphanumeric());
    }
    let name = &cursor.text[start..cursor.at];
    if name.is_empty() {
        return Ok(Root::Input);
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(PathSyntaxError::new(format!("A variable's name has at most {NAME_CHARS_MAX} characters"), start));
    }
    Ok(Root::Variable(name.to_owned()))
}

/// Where a name after a dot ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// In a path of its own: at `.`, `[` or `(`. So `$.a-b` and `$.a*` name one property, as in Jayway.
    Greedy,
    /// In a filter: also before an operator, a bracket or a blank.
    InFilter { depth: usize },
}

impl Names {
    fn ends_at(self, c: char) -> bool {
        matches!(c, '.' | '[' | '(')
            || c.is_whitespace()
            || (self != Self::Greedy && matches!(c, ')' | ']' | ',' | '=' | '!' | '<' | '>' | '~' | '&' | '|'))
    }

    fn filter_depth(self) -> usize {
        match self {
            Self::Greedy => 0,
            Self::InFilter { depth } => depth,
        }
    }
}

/// The segments after a root, as far as they go.
pub(super) fn query(cursor: &mut Cursor<'_>, names: Names) -> Result<Query, PathSyntaxError> {
    let mut segments = Vec::new();
    let mut function = None;
    loop {
        let start = cursor.at;
        match cursor.peek() {
            Some('.') => {
                cursor.bump();
                if cursor.eat('.') {
                    segments.push(Segment::Descend);
                }
                match cursor.peek() {
                    None => return Err(PathSyntaxError::new("A path must not end with '.' or '..'", start)),
                    Some('.') => return Err(cursor.error("Character '.' is not valid here")),
                    Some('[') => segments.push(bracket(cursor, names)?),
                    Some('*') => {
                        cursor.bump();
                        segments.push(Segment::Wildcard);
                    }
                    Some(_) => match named(cursor, names)? {
                        Named::Property(name) => segments.push(Segment::Properties { names: vec![name], quote: '\'' }),
                        Named::Function(_) if matches!(segments.last(), Some(Segment::Descend)) => {
                            return Err(PathSyntaxError::new("A function cannot follow '..'", start));
                        }
                        Named::Function(f) => function = Some(f),
                    },
                }
            }
            Some('[') => segments.push(bracket(cursor, names)?),
            _ => break,
        }
        if segments.len() > SEGMENTS_MAX {
            return Err(PathSyntaxError::new(format!("A path has at most {SEGMENTS_MAX} steps"), start));
        }
        if function.is_some() {
            if matches!(cursor.peek(), Some('.' | '[')) {
                return Err(cursor.error("A function must be the last step of a path"));
            }
            break;
        }
    }
    Ok(Query::new(segments, function))
}

enum Named {
    Property(String),
    Function(Function),
}

/// `name` or `name()`.
fn named(cursor: &mut Cursor<'_>, names: Names) -> Result<Named, PathSyntaxError> {
    let start = cursor.at;
    cursor.skip_while(|c| !names.ends_at(c));
    let name = &cursor.text[start..cursor.at];
    if name.is_empty() {
        return Err(cursor.error("A property name is missing"));
    }
    match cursor.peek() {
        Some('(') => {
            cursor.bump();
            cursor.skip_blanks();
            if !cursor.eat(')') {
                return Err(cursor.error(format!("The function '{name}' takes no arguments")));
            }
            let function = Function::named(name)
                .ok_or_else(|| PathSyntaxError::new(format!("Function with name: {name} does not exist."), start))?;
            Ok(Named::Function(function))
        }
        Some(c) if c.is_whitespace() && names == Names::Greedy => {
            Err(cursor.error("Use bracket notation ['my prop'] if your property contains blank characters"))
        }
        _ => Ok(Named::Property(name.to_owned())),
    }
}

/// `[…]`
fn bracket(cursor: &mut Cursor<'_>, names: Names) -> Result<Segment, PathSyntaxError> {
    let start = cursor.at;
    cursor.bump();
    cursor.skip_blanks();
    match cursor.peek() {
        Some(quote @ ('\'' | '"')) => {
            let mut found = Vec::new();
            loop {
                found.push(cursor.quoted_name(quote)?);
                cursor.skip_blanks();
                if !cursor.eat(',') {
                    break;
                }
                cursor.skip_blanks();
                if cursor.peek() != Some(quote) {
                    return Err(cursor.error("Found empty property"));
                }
            }
            cursor.close(start)?;
            Ok(Segment::Properties { names: found, quote })
        }
        Some('*') => {
            cursor.bump();
            cursor.skip_blanks();
            cursor.close(start)?;
            Ok(Segment::Wildcard)
        }
        Some('?') => {
            cursor.bump();
            cursor.skip_blanks();
            if cursor.peek() != Some('(') {
                return Err(cursor.error("A filter must start with '[?('"));
            }
            let expr = filter::parse(cursor, names.filter_depth() + 1)?;
            cursor.skip_blanks();
            cursor.close(start)?;
            Ok(Segment::Filter(Box::new(expr)))
        }
        Some('0'..='9' | '-' | ':') => {
            let segment = indices(cursor)?;
            cursor.skip_blanks();
            cursor.close(start)?;
            Ok(segment)
        }
        _ => Err(PathSyntaxError::new("Could not parse token. Expected ?, ', 0-9, *", start)),
    }
}

/// `1`, `-1`, `0,2`, `1:3`, `:3`, `1:`, `::2`
fn indices(cursor: &mut Cursor<'_>) -> Result<Segment, PathSyntaxError> {
    let start = cursor.at;
    let first = integer(cursor)?;
    cursor.skip_blanks();
    match (first, cursor.peek()) {
        (from, Some(':')) => {
            cursor.bump();
            cursor.skip_blanks();
            let to = integer(cursor)?;
            cursor.skip_blanks();
            let step = if cursor.eat(':') {
                cursor.skip_blanks();
                integer(cursor)?
            } else {
                None
            };
            if (from, to, step) == (None, None, None) {
                return Err(PathSyntaxError::new("Failed to parse slice: a bound is missing", start));
            }
            Ok(Segment::Slice(Slice { from, to, step }))
        }
        (Some(first), Some(',')) => {
            let mut all = vec![first];
            while cursor.eat(',') {
                cursor.skip_blanks();
                all.push(integer(cursor)?.ok_or_else(|| cursor.error("An array index is missing"))?);
                cursor.skip_blanks();
            }
            Ok(Segment::Indices(all))
        }
        (Some(index), _) => Ok(Segment::Index(index)),
        (None, _) => Err(cursor.error("An array index is missing")),
    }
}

/// A 32-bit integer as in Java, or nothing.
fn integer(cursor: &mut Cursor<'_>) -> Result<Option<i64>, PathSyntaxError> {
    let start = cursor.at;
    cursor.eat('-');
    cursor.skip_while(|c| c.is_ascii_digit());
    let digits = &cursor.text[start..cursor.at];
    if digits.is_empty() {
        return Ok(None);
    }
    digits
        .parse::<i32>()
        .map(|i| Some(i64::from(i)))
        .map_err(|_| PathSyntaxError::new(format!("'{digits}' is no array index"), start))
}

/// A place in a text. All steps are by whole characters.
pub(in crate::query) struct Cursor<'t> {
    pub text: &'t str,
    pub at: usize,
    /// For the patterns in the text.
    pub programs: &'t Programs,
}

impl<'t> Cursor<'t> {
    pub fn new(text: &'t str, programs: &'t Programs) -> Self {
        Self { text, at: 0, programs }
    }

    pub fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    pub fn skip_while(&mut self, keep: impl Fn(char) -> bool) {
        self.at += self.rest().find(|c| !keep(c)).unwrap_or(self.rest().len());
    }

    pub fn skip_blanks(&mut self) {
        self.skip_while(char::is_whitespace);
    }

    pub fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub fn error(&self, message: impl Into<String>) -> PathSyntaxError {
        PathSyntaxError::new(message, self.at)
    }

    fn close(&mut self, opened_at: usize) -> Result<(), PathSyntaxError> {
        if self.eat(']') {
            return Ok(());
        }
        let message = if self.at_end() {
            "The bracket is not closed: missing ']'"
        } else {
            "Could not parse token. Expected ']'"
        };
        Err(PathSyntaxError::new(message, if self.at_end() { opened_at } else { self.at }))
    }

    /// A string in `quote`s, with Java's escapes.
    pub fn quoted(&mut self, quote: char) -> Result<String, PathSyntaxError> {
        let start = self.at;
        self.bump();
        let mut out = String::new();
        while let Some(c) = self.bump() {
            match c {
                c if c == quote => return Ok(out),
                '\\' => out.push(self.escaped()?),
                c => out.push(c),
            }
        }
        Err(PathSyntaxError::new(format!("The string is not closed: missing {quote}"), start))
    }

    /// A property name in `quote`s. A backslash escapes the quote only and stands for itself else (recorded on AWS:
    /// `$['Test\""Name"']` names the property `Test\""Name"`).
    fn quoted_name(&mut self, quote: char) -> Result<String, PathSyntaxError> {
        let start = self.at;
        self.bump();
        let mut out = String::new();
        while let Some(c) = self.bump() {
            match c {
                c if c == quote => return Ok(out),
                '\\' if self.peek() == Some(quote) => {
                    self.bump();
                    out.push(quote);
                }
                c => out.push(c),
            }
        }
        Err(PathSyntaxError::new(format!("The string is not closed: missing {quote}"), start))
    }

    fn escaped(&mut self) -> Result<char, PathSyntaxError> {
        let start = self.at;
        match self.bump() {
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some('r') => Ok('\r'),
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('u') => {
                let code =
                    self.rest().get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
                self.at += if code.is_some() { 4 } else { 0 };
                code.ok_or_else(|| PathSyntaxError::new("\\u needs four hexadecimal digits", start))
            }
            Some(other) => Ok(other),
            None => Err(PathSyntaxError::new("A backslash must not end the text", start)),
        }
    }
}
