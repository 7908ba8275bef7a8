//! Text → [`Node`]: JSON with the place of each value and each key, so that a semantic error has a line and a column.
//!
//! One pass, no look-back. Nesting is bounded by [`JSON_DEPTH_MAX`], the size by [`DEFINITION_BYTES_MAX`]: the scanner
//! recurses and offsets are 32 bits wide. A key that occurs twice in an object is kept twice; the reader of the object
//! decides its meaning.

use serde_json::{Map, Number, Value};

use crate::limits::{DEFINITION_BYTES_MAX, JSON_DEPTH_MAX};

/// A JSON value and the byte at which it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub offset: u32,
    pub json: Json,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

/// A key with its value; `offset` is where the key's opening quote stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub name: String,
    pub offset: u32,
    pub node: Node,
}

impl Node {
    pub fn as_str(&self) -> Option<&str> {
        match &self.json {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value without its places. A key that stands twice: the last one counts.
    pub fn to_value(&self) -> Value {
        match &self.json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => Value::Number(n.clone()),
            Json::String(s) => Value::String(s.clone()),
            Json::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Json::Object(members) => {
                let mut map = Map::with_capacity(members.len());
                for member in members {
                    map.insert(member.name.clone(), member.node.to_value());
                }
                Value::Object(map)
            }
        }
    }
}

/// A text that is no JSON document that we read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    /// The byte at which reading stopped.
    pub offset: usize,
    /// The document may be JSON, but it nests deeper than we read.
    pub too_deep: bool,
}

/// Line and column (both from 1, in characters) of byte offsets.
#[derive(Debug)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1))
            .collect();
        Self { text, starts }
    }

    /// Costs the length of the line: callers bound how many places they ask for.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.as_bytes()[start..offset].iter().filter(|byte| !is_continuation(**byte)).count();
        (line, column + 1)
    }
}

/// True for the second and later bytes of a character in UTF-8.
const fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// Reads a whole text as one JSON value.
///
/// # Errors
/// The fault of a text that is not JSON (RFC 8259) or exceeds a bound, with its byte offset.
pub fn scan(text: &str) -> Result<Node, SyntaxError> {
    let mut scanner = Scanner { bytes: text.as_bytes(), text, at: 0 };
    if text.len() > DEFINITION_BYTES_MAX {
        return Err(scanner
            .error(format!("the definition has {} bytes; at most {DEFINITION_BYTES_MAX} are allowed", text.len())));
    }
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        scanner.at = text.len() - rest.len();
    }
    let node = scanner.value(0)?;
    scanner.space();
    if scanner.at < text.len() {
        return Err(scanner.unexpected("the end of the text"));
    }
    Ok(node)
}

struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
}

impl Scanner<'_> {
    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { message: message.into(), offset: self.at, too_deep: false }
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => self.error(format!("expected {wanted}, found {found:?}")),
            None => self.error(format!("expected {wanted}, found the end of the text")),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The place where we stand; the text is at most 1 MiB, so it fits.
    fn here(&self) -> u32 {
        u32::try_from(self.at).unwrap_or(u32::MAX)
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        self.space();
        if depth > JSON_DEPTH_MAX {
            let message = format!("values nest deeper than {JSON_DEPTH_MAX} levels");
            return Err(SyntaxError { too_deep: true, ..self.error(message) });
        }
        let offset = self.here();
        let json = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Json::String(self.string()?),
            Some(b't') => self.word("true", Json::Bool(true))?,
            Some(b'f') => self.word("false", Json::Bool(false))?,
            Some(b'n') => self.word("null", Json::Null)?,
            Some(b'-' | b'0'..=b'9') => Json::Number(self.number()?),
            _ => return Err(self.unexpected("a JSON value")),
        };
        Ok(Node { offset, json })
    }

    fn word(&mut self, word: &str, json: Json) -> Result<Json, SyntaxError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected("a JSON value"));
        }
        self.at += word.len();
        Ok(json)
    }

    fn object(&mut self, depth: usize) -> Result<Json, SyntaxError> {
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let offset = self.here();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let name = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("':' after the key"));
            }
            self.at += 1;
            let node = self.value(depth + 1)?;
            members.push(Member { name, offset, node });
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break self.at += 1,
                _ => return Err(self.unexpected("',' or '}'")),
            }
        }
        Ok(Json::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Json, SyntaxError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break self.at += 1,
                _ => return Err(self.unexpected("',' or ']'")),
            }
        }
        Ok(Json::Array(items))
    }

    /// A string literal; escapes are left to serde_json, which knows surrogate pairs.
    fn string(&mut self) -> Result<String, SyntaxError> {
        let open = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0..=0x1F) => return Err(self.error("a control character in a string must be escaped")),
                Some(_) => self.at += 1,
                None => {
                    self.at = open;
                    return Err(self.error("the string that begins here is not closed"));
                }
            }
        }
        self.at += 1;
        let Some(inner) = self.text.get(open + 1..self.at - 1) else {
            return Err(self.error("the string is not closed"));
        };
        if !escaped {
            return Ok(inner.to_owned());
        }
        self.text.get(open..self.at).and_then(|literal| serde_json::from_str(literal).ok()).ok_or_else(|| {
            self.at = open;
            self.error("the string holds an escape that JSON does not know")
        })
    }

    fn number(&mut self) -> Result<Number, SyntaxError> {
        let from = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        serde_json::from_str(&self.text[from..self.at]).map_err(|_| {
            self.at = from;
            self.error("this is not a JSON number")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_serde_json_reads_it() {
        let text =
            " {\"a\": [1, -2.5e3, \"x\\u00e9\\n\", null], \"b\": {\"c\": true, \"d\": false}, \"\": \"\u{1F600}\"} ";
        assert_eq!(scan(text).unwrap().to_value(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let text = "{\n  \"a\": {\n    \"é\": 1, \"b\": 2\n  }\n}";
        let node = scan(text).unwrap();
        let lines = Lines::new(text);
        let Json::Object(top) = &node.json else { panic!() };
        assert_eq!(lines.position(top[0].offset as usize), (2, 3));
        assert_eq!(lines.position(top[0].node.offset as usize), (2, 8));
        let Json::Object(inner) = &top[0].node.json else { panic!() };
        // Columns count characters, not bytes.
        assert_eq!(lines.position(inner[1].offset as usize), (3, 13));
    }

    #[test]
    fn a_syntax_error_names_the_place_and_what_was_wanted() {
        for (text, message, place) in [
            ("", "expected a JSON value, found the end of the text", (1, 1)),
            ("{\"a\": 1,}", "expected a key in double quotes, found '}'", (1, 9)),
            ("{\"a\" 1}", "expected ':' after the key, found '1'", (1, 6)),
            ("{\n\"a\": tru\n}", "expected a JSON value, found 't'", (2, 6)),
            ("[1 2]", "expected ',' or ']', found '2'", (1, 4)),
            ("{} x", "expected the end of the text, found 'x'", (1, 4)),
            ("[\"a", "the string that begins here is not closed", (1, 2)),
            ("[\"a\\", "the string that begins here is not closed", (1, 2)),
            ("[\"\\q\"]", "the string holds an escape that JSON does not know", (1, 2)),
            ("[01]", "this is not a JSON number", (1, 2)),
            ("[1e999]", "this is not a JSON number", (1, 2)),
            ("[\"a\nb\"]", "a control character in a string must be escaped", (1, 4)),
        ] {
            let error = scan(text).unwrap_err();
            assert_eq!((error.message.as_str(), Lines::new(text).position(error.offset)), (message, place), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded_and_hostile_depth_costs_nothing() {
        let ok = format!("{}1{}", "[".repeat(JSON_DEPTH_MAX), "]".repeat(JSON_DEPTH_MAX));
        assert!(scan(&ok).is_ok());
        for hostile in ["[".repeat(DEFINITION_BYTES_MAX), "{\"a\":".repeat(200_000)] {
            let error = scan(&hostile).unwrap_err();
            assert!(error.too_deep, "{}", error.message);
        }
        assert!(!scan(&" ".repeat(DEFINITION_BYTES_MAX + 1)).unwrap_err().too_deep);
    }
}
