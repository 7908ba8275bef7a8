//! Faults of JSON texts in the words of Jackson, the JSON reader of AWS, whose answers quote them (recorded:
//! `Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')`).
//!
//! One walk over a text that was refused already, in the order of Jackson's reader. Its texts follow Jackson's public
//! documentation and messages. A fault that only we refuse (half a surrogate pair) has our own text.

use std::fmt::Write as _;

/// The fault of a text, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub message: String,
    /// The byte at which reading stopped.
    pub offset: usize,
}

const VALUES: &str = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
/// Characters of a quoted token: Jackson cuts it.
const TOKEN_CHARS_MAX: usize = 256;

/// The complaint about `text`; `None` where Jackson accepts it.
#[must_use]
pub fn complaint(text: &str) -> Option<Complaint> {
    let mut reader = Reader { text, at: 0, open: Vec::new() };
    reader.document().err()
}

/// Jackson's name of a place in a text that must not be shown.
#[must_use]
pub fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().encode_utf16().count() + 1;
    place_at(line, column)
}

/// The same of a line and a column, both from 1.
#[must_use]
pub fn place_at(line: usize, column: usize) -> String {
    format!(
        "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {line}, column: {column}]"
    )
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// Open containers: whether each is an object, and the byte at which it begins.
    open: Vec<(bool, usize)>,
}

type Read<T = ()> = Result<T, Complaint>;

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Read<T> {
        Err(Complaint { message: message.into(), offset: self.at })
    }

    fn unexpected<T>(&self, c: char, what: &str) -> Read<T> {
        self.fail(format!("Unexpected character ({}): {what}", described(c)))
    }

    fn at_end<T>(&self, what: &str) -> Read<T> {
        self.fail(format!("Unexpected end-of-input{what}"))
    }

    /// Jackson's name of the innermost container.
    fn innermost(&self) -> &'static str {
        match self.open.last() {
            Some((true, _)) => "Object",
            Some((false, _)) => "Array",
            None => "root",
        }
    }

    fn document(&mut self) -> Read {
        self.skip_blanks()?;
        if self.peek().is_none() {
            return self.fail("No content to map due to end-of-input");
        }
        self.token()?;
        let mut fresh = !self.open.is_empty();
        while !self.open.is_empty() {
            self.entry(&mut fresh)?;
        }
        self.skip_blanks()?;
        if self.peek().is_none() {
            return Ok(());
        }
        let start = self.at;
        self.token()?;
        let kind = match self.text.as_bytes().get(start) {
            Some(b'{') => "START_OBJECT",
            Some(b'[') => "START_ARRAY",
            Some(b'"') => "VALUE_STRING",
            Some(b't') => "VALUE_TRUE",
            Some(b'f') => "VALUE_FALSE",
            Some(b'n') => "VALUE_NULL",
            _ if self.text[start..self.at].contains(['.', 'e', 'E']) => "VALUE_NUMBER_FLOAT",
            _ => "VALUE_NUMBER_INT",
        };
        self.fail(format!(
            "Trailing token (of type {kind}) found after value (bound as `com.fasterxml.jackson.databind.JsonNode`): \
             not allowed as per `DeserializationFeature.FAIL_ON_TRAILING_TOKENS`"
        ))
    }

    /// Reads one entry of the innermost container, or its end. `fresh`: it has no entry yet.
    fn entry(&mut self, fresh: &mut bool) -> Read {
        self.skip_blanks()?;
        let Some((is_object, started)) = self.open.last().copied() else { return Ok(()) };
        let kind = self.innermost();
        let Some(c) = self.next() else {
            let place = place(self.text, started);
            return self.at_end(&format!(": expected close marker for {kind} (start marker at {place})"));
        };
        if matches!(c, ']' | '}') {
            let wanted = if is_object { '}' } else { ']' };
            if c != wanted {
                let place = place(self.text, started);
                return self.fail(format!(
                    "Unexpected close marker '{c}': expected '{wanted}' (for {kind} starting at {place})"
                ));
            }
            self.open.pop();
            *fresh = false;
            return Ok(());
        }
        let mut first = c;
        if !*fresh {
            if c != ',' {
                return self.unexpected(c, &format!("was expecting comma to separate {kind} entries"));
            }
            self.skip_blanks()?;
            match self.next() {
                Some(c) => first = c,
                None => return self.at_end(&format!(" within/between {kind} entries")),
            }
        }
        if is_object {
            if first != '"' {
                return self.unexpected(first, "was expecting double-quote to start field name");
            }
            self.string("name")?;
            self.skip_blanks()?;
            match self.next() {
                Some(':') => self.skip_blanks()?,
                Some(c) => return self.unexpected(c, "was expecting a colon to separate field name and value"),
                None => return self.at_end(" within/between Object entries"),
            }
            if self.peek().is_none() {
                return self.at_end(" within/between Object entries");
            }
        } else {
            self.at -= first.len_utf8();
        }
        let depth = self.open.len();
        self.token()?;
        *fresh = self.open.len() > depth;
        Ok(())
    }

    /// A value, or the beginning of an object or array.
    fn token(&mut self) -> Read {
        let start = self.at;
        let Some(c) = self.next() else { return self.at_end(" in a value") };
        match c {
            '"' => self.string("string value"),
            '{' | '[' => {
                self.open.push((c == '{', start));
                Ok(())
            }
            't' => self.word(start, "true"),
            'f' => self.word(start, "false"),
            'n' => self.word(start, "null"),
            '-' | '0'..='9' => self.number(c),
            '}' if self.open.is_empty() => self.no_such_close(c, ']'),
            ']' if self.open.is_empty() => self.no_such_close(c, '}'),
            '}' => self.unexpected(c, "expected a value"),
            'N' | 'I' => {
                let wanted = if c == 'N' { "NaN" } else { "Infinity" };
                self.word(start, wanted)?;
                self.non_standard(wanted)
            }
            '+' => self.fail(format!(
                "Unexpected character ({}) in numeric value: JSON spec does not allow numbers to have plus signs: \
                 enable `JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS` to allow",
                described(c)
            )),
            c if is_identifier_start(c) => self.unrecognized(start),
            c => self.unexpected(c, &format!("expected a valid value {VALUES}")),
        }
    }

    fn no_such_close<T>(&self, c: char, wanted: char) -> Read<T> {
        let place = place(self.text, 0);
        self.fail(format!("Unexpected close marker '{c}': expected '{wanted}' (for root starting at {place})"))
    }

    fn non_standard<T>(&self, word: &str) -> Read<T> {
        self.fail(format!("Non-standard token '{word}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"))
    }

    fn word(&mut self, start: usize, word: &str) -> Read {
        let end = start + word.len();
        let stands = self.text.get(start..end) == Some(word);
        if !stands || self.text[end..].chars().next().is_some_and(is_identifier_part) {
            return self.unrecognized(start);
        }
        self.at = end;
        Ok(())
    }

    fn unrecognized<T>(&mut self, start: usize) -> Read<T> {
        let mut token: String =
            self.text[start..].chars().take_while(|c| is_identifier_part(*c)).take(TOKEN_CHARS_MAX).collect();
        self.at = start + token.len();
        if token.chars().count() == TOKEN_CHARS_MAX {
            token.push_str("...");
        }
        self.fail(format!("Unrecognized token '{token}': was expecting {VALUES}"))
    }

    fn number(&mut self, first: char) -> Read {
        let numeric = |this: &Self, c: char, what: &str| {
            this.fail(format!("Unexpected character ({}) in numeric value: {what}", described(c)))
        };
        let mut digit = first;
        if first == '-' {
            digit = match self.next() {
                Some(c @ '0'..='9') => c,
                Some('I') => return self.non_standard("-Infinity"),
                Some(c) => {
                    let what = "expected digit (0-9) to follow minus sign, for valid numeric value";
                    return numeric(self, c, what);
                }
                None => return self.at_end(" in a Number value"),
            };
        }
        if digit == '0' && self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return self.fail("Invalid numeric value: Leading zeroes not allowed");
        }
        self.digits();
        if self.peek() == Some('.') {
            self.next();
            if self.digits() == 0 {
                let c = self.peek().unwrap_or('.');
                return numeric(self, c, "Decimal point not followed by a digit");
            }
        }
        if let Some(mark @ ('e' | 'E')) = self.peek() {
            self.next();
            if matches!(self.peek(), Some('+' | '-')) {
                self.next();
            }
            if self.digits() == 0 {
                let c = self.peek().unwrap_or(mark);
                return numeric(self, c, "Exponent indicator not followed by a digit");
            }
        }
        match self.peek() {
            Some(c) if self.open.is_empty() && !matches!(c, ' ' | '\t' | '\n' | '\r') => {
                self.next();
                self.unexpected(c, "Expected space separating root-level values")
            }
            _ => Ok(()),
        }
    }

    fn digits(&mut self) -> usize {
        let count = self.text[self.at..].bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        count
    }

    /// Reads a string behind its opening quote. `what` is Jackson's word for it.
    fn string(&mut self, what: &str) -> Read {
        loop {
            match self.next() {
                Some('"') => return Ok(()),
                Some('\\') => self.escape()?,
                Some(c) if c < ' ' => {
                    return self.fail(format!(
                        "Illegal unquoted character ({}): has to be escaped using backslash to be included in {what}",
                        described(c)
                    ));
                }
                Some(_) => {}
                None if what == "name" => return self.at_end(" in field name"),
                None => return self.at_end(": was expecting closing quote for a string value"),
            }
        }
    }

    fn escape(&mut self) -> Read {
        match self.next() {
            Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => Ok(()),
            Some('u') => self.surrogates(),
            Some(c) => self.fail(format!("Unrecognized character escape {}", described(c))),
            None => self.at_end(" in character escape sequence"),
        }
    }

    /// Reads the digits behind `\u`. Texts of Java may hold half a character, ours may not.
    fn surrogates(&mut self) -> Read {
        let start = self.at - 2;
        let unit = self.hex()?;
        if !(0xd800..0xe000).contains(&unit) {
            return Ok(());
        }
        if unit < 0xdc00 && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            if (0xdc00..0xe000).contains(&self.hex()?) {
                return Ok(());
            }
        }
        self.at = start;
        self.fail(format!(
            "Half of a surrogate pair: \\u{unit:04x} at character {} stands for no character without its other half",
            self.text[..start].chars().count() + 1
        ))
    }

    fn hex(&mut self) -> Read<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            match self.next() {
                Some(c) if c.is_ascii_hexdigit() => unit = unit * 16 + c.to_digit(16).unwrap_or_default(),
                Some(c) => return self.unexpected(c, "expected a hex-digit for character escape sequence"),
                None => return self.at_end(" in character escape sequence"),
            }
        }
        Ok(unit)
    }

    fn skip_blanks(&mut self) -> Read {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | '\r' => self.at += 1,
                '/' => {
                    self.at += 1;
                    let what = "maybe a (non-standard) comment? (not recognized as one since Feature 'ALLOW_COMMENTS' \
                                not enabled for parser)";
                    return self.unexpected(c, what);
                }
                c if c < ' ' => {
                    self.at += 1;
                    return self.fail(format!(
                        "Illegal character ({}): only regular white space (\\r, \\n, \\t) is allowed between tokens",
                        described(c)
                    ));
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

/// `'x' (code 120)`, by UTF-16 unit.
fn described(c: char) -> String {
    if c.is_control() {
        return format!("(CTRL-CHAR, code {})", u32::from(c));
    }
    let unit = c.encode_utf16(&mut [0; 2])[0];
    let mut out = format!("'{c}' (code {unit}");
    if unit > 255 {
        // Writing to a String cannot fail.
        _ = write!(out, " / 0x{unit:x}");
    }
    out.push(')');
    out
}

fn is_identifier_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '$')
}

fn is_identifier_part(c: char) -> bool {
    is_identifier_start(c) || c.is_numeric()
}

#[cfg(test)]
mod tests;
