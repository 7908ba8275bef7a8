//! Regular expressions of JavaScript in the words of a linear engine, compiled once per expression.
//!
//! Classes are ASCII as in JavaScript. Look-around and back-references have no linear engine: they are refused here,
//! with their place.

use std::fmt::Write as _;

use regex::{Regex, RegexBuilder};

use super::Refusal;
use crate::query::programs::Programs;

/// A compiled literal.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub regex: Regex,
    /// Work for 64 bytes of text, in steps: grows with the program.
    pub cost: usize,
}

/// Bytes of a compiled program.
const PROGRAM_BYTES_MAX: usize = 512 * 1024;

/// White space in JavaScript.
const SPACE: &str = r"\t-\r\x{20}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}";
const NO_SPACE: &str = concat!(
    r"\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}",
    r"\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}"
);
const WORD: &str = "0-9A-Za-z_";
const NO_WORD: &str = r"\x{0}-/:-@\[-\^`\{-\x{10ffff}";
const DIGIT: &str = "0-9";
const NO_DIGIT: &str = r"\x{0}-/:-\x{10ffff}";
const ANY_IN_LINE: &str = r"[^\n\r\x{2028}\x{2029}]";

impl Pattern {
    /// `at` is the byte at which the pattern begins.
    pub(super) fn compile(
        pattern: &str,
        case: bool,
        lines: bool,
        at: usize,
        programs: &Programs,
    ) -> Result<Self, Refusal> {
        let translated = Translation { rest: pattern, whole: pattern, out: String::new(), at, groups: 0 }.run()?;
        let mut builder = RegexBuilder::new(&translated);
        builder.case_insensitive(!case).multi_line(lines).nest_limit(100);
        let folded = if case { 0 } else { wide_ranges(&translated) };
        let regex = programs.compile(&mut builder, PROGRAM_BYTES_MAX, folded).map_err(|reason| {
            Refusal::ours(format!("The regular expression /{pattern}/ cannot be used: {reason}"), at)
        })?;
        // Repetitions unfold in the program, so its cost is not that of the text.
        let cost = 1 + weight(pattern);
        Ok(Self { regex, cost })
    }
}

/// Ranges that end beyond ASCII.
fn wide_ranges(translated: &str) -> usize {
    let wide = |tail: &&str| tail.starts_with("\\x{") || tail.starts_with(|c: char| !c.is_ascii());
    translated.split('-').skip(1).filter(wide).count()
}

/// A rough count of the states of a pattern: its length, times its counted repetitions.
fn weight(pattern: &str) -> usize {
    let counts = pattern.split('{').skip(1).filter_map(|tail| {
        let digits = tail.split('}').next()?;
        digits.rsplit(',').find(|part| !part.is_empty())?.trim().parse::<usize>().ok()
    });
    let product = counts.fold(1_usize, |product, count| product.saturating_mul(count.max(1)));
    pattern.len().saturating_mul(product).min(PROGRAM_BYTES_MAX) / 64
}

struct Translation<'t> {
    rest: &'t str,
    whole: &'t str,
    out: String,
    at: usize,
    groups: usize,
}

impl Translation<'_> {
    fn refuse<T>(&self, what: &str) -> Result<T, Refusal> {
        let place = self.whole.len() - self.rest.len();
        let message = format!(
            "The regular expression /{}/ uses {what} at position {}, which Reveille does not support: it runs in \
             linear time",
            self.whole,
            self.whole[..place.min(self.whole.len())].chars().count() + 1
        );
        Err(Refusal::ours(message, self.at + place))
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A character by its number.
    fn code(&mut self, code: u32) {
        // Writing to a String cannot fail.
        _ = write!(self.out, "\\x{{{code:x}}}");
    }

    fn literal(&mut self, c: char) {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' && !c.is_ascii_whitespace() && !c.is_ascii_control() {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    fn run(mut self) -> Result<String, Refusal> {
        self.groups = self.whole.matches('(').count();
        while !self.rest.is_empty() {
            let before = self.rest;
            match self.take().unwrap_or_default() {
                '\\' => self.escape(before, false)?,
                '.' => self.out.push_str(ANY_IN_LINE),
                '[' => self.class()?,
                '(' => {
                    for (prefix, what) in [("?=", "a look-ahead"), ("?!", "a negative look-ahead")] {
                        if self.rest.starts_with(prefix) {
                            self.rest = before;
                            return self.refuse(what);
                        }
                    }
                    for prefix in ["?<=", "?<!"] {
                        if self.rest.starts_with(prefix) {
                            self.rest = before;
                            return self.refuse("a look-behind");
                        }
                    }
                    self.out.push('(');
                    if self.eat("?:") {
                        self.out.push_str("?:");
                    } else if self.eat("?<") {
                        self.out.push_str("?P<");
                        let end = self.rest.find('>').map_or(0, |end| end + 1);
                        self.out.push_str(&self.rest[..end]);
                        self.rest = &self.rest[end..];
                    }
                }
                '{' if !counted(before) => self.out.push_str("\\{"),
                '}' => {
                    // The end of a count is copied with the count below.
                    self.out.push_str("\\}");
                }
                '{' => {
                    let end = before.find('}').unwrap_or(before.len() - 1);
                    self.out.push_str(&before[..=end]);
                    self.rest = &before[end + 1..];
                }
                ']' => self.out.push_str("\\]"),
                '$' | '^' | '|' | ')' | '*' | '+' | '?' => self.out.push_str(&before[..1]),
                c => self.literal(c),
            }
        }
        Ok(self.out)
    }

    /// Behind a backslash. `before` begins with it.
    fn escape(&mut self, before: &str, in_class: bool) -> Result<(), Refusal> {
        let Some(c) = self.take() else {
            self.out.push_str("\\\\");
            return Ok(());
        };
        // These sets are the same in either case. The library would add `ſ` and the sign for Kelvin to the letters of a
        // word.
        let set = |inner: &str| if in_class { inner.to_owned() } else { format!("(?-i:[{inner}])") };
        match c {
            'd' => self.out.push_str(&set(DIGIT)),
            'D' => self.out.push_str(&set(NO_DIGIT)),
            'w' => self.out.push_str(&set(WORD)),
            'W' => self.out.push_str(&set(NO_WORD)),
            's' => self.out.push_str(&set(SPACE)),
            'S' => self.out.push_str(&set(NO_SPACE)),
            'b' if in_class => self.out.push_str("\\x{8}"),
            'b' => self.out.push_str("(?-u:\\b)"),
            'B' if !in_class => self.out.push_str("\\B"),
            'n' | 'r' | 't' | 'f' | 'v' => {
                self.out.push('\\');
                self.out.push(c);
            }
            '0' => self.out.push_str("\\x{0}"),
            '1'..='9' if !in_class => {
                let digits: String =
                    std::iter::once(c).chain(self.rest.chars().take_while(char::is_ascii_digit)).collect();
                if digits.parse::<usize>().is_ok_and(|number| number <= self.groups) {
                    self.rest = &self.whole[self.whole.len() - before.len()..];
                    return self.refuse("a back-reference");
                }
                self.literal(c);
            }
            'k' if !in_class && self.rest.starts_with('<') => {
                self.rest = &self.whole[self.whole.len() - before.len()..];
                return self.refuse("a back-reference");
            }
            'c' if self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                let control = self.take().unwrap_or_default();
                self.code(u32::from(control) % 32);
            }
            'x' | 'u' => {
                let digits = if c == 'x' { 2 } else { 4 };
                let hex = |text: &&str| text.bytes().all(|b| b.is_ascii_hexdigit());
                let unit = |text: &str| u16::from_str_radix(text.get(..digits).filter(hex)?, 16).ok();
                match unit(self.rest) {
                    Some(high) if (0xd800..0xdc00).contains(&high) => {
                        let low = self.rest[digits..].strip_prefix("\\u").and_then(unit);
                        let pair = char::decode_utf16([high, low.unwrap_or(0)]).next().and_then(Result::ok);
                        let Some(c) = pair else {
                            self.rest = &self.whole[self.whole.len() - before.len()..];
                            return self.refuse("half of a surrogate pair");
                        };
                        self.rest = &self.rest[2 * digits + 2..];
                        self.code(u32::from(c));
                    }
                    Some(unit) => {
                        self.rest = &self.rest[digits..];
                        self.code(u32::from(unit));
                    }
                    None => self.out.push(c),
                }
            }
            other => self.literal(other),
        }
        Ok(())
    }

    fn class(&mut self) -> Result<(), Refusal> {
        let negated = self.eat("^");
        if self.eat("]") {
            // Nothing at all, or anything.
            self.out.push_str(if negated { "(?s:.)" } else { "[a&&b]" });
            return Ok(());
        }
        self.out.push_str(if negated { "[^" } else { "[" });
        loop {
            let before = self.rest;
            match self.take() {
                None => {
                    let message = format!("The regular expression /{}/ has a class without an end", self.whole);
                    return Err(Refusal::ours(message, self.at));
                }
                Some(']') => break,
                Some('\\') => self.escape(before, true)?,
                // A range, unless a class of characters stands at either side.
                Some('-') => {
                    let sides = self.out.ends_with(['[', '^']) || self.rest.starts_with(']');
                    let class = ends_in_class(&self.whole[..self.whole.len() - before.len()])
                        || ["\\d", "\\w", "\\s", "\\D", "\\W", "\\S"].iter().any(|class| self.rest.starts_with(class));
                    self.out.push_str(if sides || class { "\\-" } else { "-" });
                }
                Some(c) => self.literal(c),
            }
        }
        self.out.push(']');
        Ok(())
    }
}

fn ends_in_class(before: &str) -> bool {
    ["\\d", "\\w", "\\s", "\\D", "\\W", "\\S"].iter().any(|class| before.ends_with(class))
}

/// Whether the brace begins `{2}`, `{2,}` or `{2,3}`.
fn counted(text: &str) -> bool {
    let Some(end) = text.find('}') else { return false };
    let mut parts = text[1..end].splitn(2, ',');
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    parts.next().is_some_and(|least| !least.is_empty() && digits(least)) && parts.next().is_none_or(digits)
}
