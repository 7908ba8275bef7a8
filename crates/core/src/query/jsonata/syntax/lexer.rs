//! Tokens, on demand: a `/` begins a regular expression only where an operand may stand.

use super::super::error::Fault;
use super::super::value::Val;
use super::Refusal;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tok {
    End,
    Op(&'static str),
    Name(String),
    Variable(String),
    Text(String),
    Number(f64),
    Null,
    Bool(bool),
    Regex { pattern: String, case: bool, lines: bool },
}

/// A token and the byte at which it begins.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub tok: Tok,
    pub at: usize,
}

/// Longer ones first. `..`, `:=` and the like would else be read as two.
const PAIRS: [&str; 8] = ["..", ":=", "!=", ">=", "<=", "**", "~>", "~"];
const SINGLES: [&str; 23] =
    [".", "[", "]", "{", "}", "(", ")", ",", "@", "#", ";", ":", "?", "+", "-", "*", "/", "%", "|", "=", "<", ">", "^"];
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}')
}

fn ends_name(c: char) -> bool {
    is_space(c) || matches!(c, '&' | '!' | '~') || SINGLES.iter().any(|op| op.starts_with(c))
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_blanks(&mut self) -> Result<(), Refusal> {
        loop {
            self.at = self.text.len() - self.rest().trim_start_matches(is_space).len();
            if !self.rest().starts_with("/*") {
                return Ok(());
            }
            match self.text[self.at + 2..].find("*/") {
                Some(end) => self.at += end + 4,
                None => return Err(Refusal::new(&Fault::new("S0106"), self.at)),
            }
        }
    }

    /// `operand`: an operand may stand here, so that a `/` begins a regular expression.
    pub(super) fn next(&mut self, operand: bool) -> Result<Token, Refusal> {
        self.skip_blanks()?;
        let at = self.at;
        let Some(c) = self.peek() else { return Ok(Token { tok: Tok::End, at }) };
        let tok = match c {
            '/' if operand => self.regex()?,
            '"' | '\'' => self.text_literal(c)?,
            '`' => self.quoted_name()?,
            '0'..='9' => self.number()?,
            _ => match self.operator()? {
                Some(op) => Tok::Op(op),
                None => self.word(),
            },
        };
        Ok(Token { tok, at })
    }

    fn operator(&mut self) -> Result<Option<&'static str>, Refusal> {
        let found = PAIRS.into_iter().chain(SINGLES).chain(["&", "!"]).find(|op| self.rest().starts_with(op));
        if let Some(op @ ("!" | "~")) = found {
            return Err(Refusal::new(&Fault::new("S0204").token(op), self.at));
        }
        self.at += found.map_or(0, str::len);
        Ok(found)
    }

    fn word(&mut self) -> Tok {
        let end = self.rest().char_indices().find(|(at, c)| *at > 0 && ends_name(*c)).map(|(at, _)| at);
        let word = &self.rest()[..end.unwrap_or(self.rest().len())];
        self.at += word.len();
        if let Some(name) = word.strip_prefix('$') {
            return Tok::Variable(name.to_owned());
        }
        match word {
            "or" => Tok::Op("or"),
            "in" => Tok::Op("in"),
            "and" => Tok::Op("and"),
            "true" => Tok::Bool(true),
            "false" => Tok::Bool(false),
            "null" => Tok::Null,
            name => Tok::Name(name.to_owned()),
        }
    }

    fn quoted_name(&mut self) -> Result<Tok, Refusal> {
        let start = self.at + 1;
        let Some(len) = self.text[start..].find('`') else {
            return Err(Refusal::new(&Fault::new("S0105"), self.text.len()));
        };
        self.at = start + len + 1;
        Ok(Tok::Name(self.text[start..start + len].to_owned()))
    }

    fn number(&mut self) -> Result<Tok, Refusal> {
        let bytes = self.rest().as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        // A zero stands alone.
        let mut len = if bytes[0] == b'0' { 1 } else { digits(0) };
        if bytes.get(len) == Some(&b'.') && digits(len + 1) > 0 {
            len += 1 + digits(len + 1);
        }
        if matches!(bytes.get(len), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
            if digits(len + 1 + sign) > 0 {
                len += 1 + sign + digits(len + 1 + sign);
            }
        }
        let text = &self.rest()[..len];
        let value: f64 = text.parse().unwrap_or(f64::INFINITY);
        if !value.is_finite() {
            return Err(Refusal::new(&Fault::new("S0102").token(text), self.at));
        }
        self.at += len;
        Ok(Tok::Number(value))
    }

    fn text_literal(&mut self, quote: char) -> Result<Tok, Refusal> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else { return Err(Refusal::new(&Fault::new("S0101"), start)) };
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(Tok::Text(out)),
                '\\' => out.push(self.escape()?),
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Refusal> {
        let at = self.at;
        let Some(c) = self.peek() else {
            return Err(Refusal::new(&Fault::new("S0103").token(""), at));
        };
        self.at += c.len_utf8();
        Ok(match c {
            '"' | '\'' | '\\' | '/' if c != '\'' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = self.unit(at)?;
                if (0xd800..0xdc00).contains(&high) && self.rest().starts_with("\\u") {
                    self.at += 2;
                    let low = self.unit(at)?;
                    let pair = char::decode_utf16([high, low]).next().and_then(Result::ok);
                    return pair.ok_or_else(|| Self::lone_surrogate(at));
                }
                char::from_u32(u32::from(high)).ok_or_else(|| Self::lone_surrogate(at))?
            }
            other => return Err(Refusal::new(&Fault::new("S0103").token(&other.to_string()), at)),
        })
    }

    /// Half of a character is no text here.
    fn lone_surrogate(at: usize) -> Refusal {
        let message = "S0104: The escape sequence \\u must name a character: half of a surrogate pair is none";
        Refusal::ours(message.to_owned(), at)
    }

    fn unit(&mut self, at: usize) -> Result<u16, Refusal> {
        let digits = self.rest().get(..4).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|hex| u16::from_str_radix(hex, 16).ok());
        self.at += 4;
        unit.ok_or_else(|| Refusal::new(&Fault::new("S0104"), at))
    }

    /// The literal ends at the first `/` that no bracket encloses.
    fn regex(&mut self) -> Result<Tok, Refusal> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut depth = 0_i64;
        let mut at = start;
        let escaped = |at: usize| bytes[start..at].iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'/' if depth == 0 && !escaped(at) => break,
                b'(' | b'[' | b'{' if bytes[at - 1] != b'\\' => depth += 1,
                b')' | b']' | b'}' if bytes[at - 1] != b'\\' => depth -= 1,
                _ => {}
            }
            at += 1;
        }
        if at == bytes.len() {
            return Err(Refusal::new(&Fault::new("S0302"), start));
        }
        let pattern = self.text[start..at].to_owned();
        if pattern.is_empty() {
            return Err(Refusal::new(&Fault::new("S0301"), at));
        }
        let flags = bytes[at + 1..].iter().take_while(|b| matches!(b, b'i' | b'm')).count();
        let named = &self.text[at + 1..at + 1 + flags];
        self.at = at + 1 + flags;
        Ok(Tok::Regex { pattern, case: !named.contains('i'), lines: named.contains('m') })
    }
}

impl Tok {
    /// As an error shows it.
    pub(super) fn shown(&self) -> Val<'_> {
        match self {
            Self::End => Val::Str("(end)"),
            Self::Op(op) => Val::Str(op),
            Self::Name(text) | Self::Variable(text) | Self::Text(text) => Val::Str(text),
            Self::Number(n) => Val::Num(*n),
            Self::Null => Val::Null,
            Self::Bool(b) => Val::Bool(*b),
            Self::Regex { pattern, .. } => Val::Str(pattern),
        }
    }

    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self, Self::Op(op) if *op == symbol)
    }
}
