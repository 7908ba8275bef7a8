//! Functions of texts.

use std::cmp::Ordering;

use super::super::error::{Fault, Stop, fail};
use super::super::eval::{Machine, Outcome, finite};
use super::super::number;
use super::super::value::Val;
use super::{arg, number as numeric, text};

impl<'e> Machine<'e> {
    /// Appends a value as `$string` writes it. `indent` for the pretty form.
    pub(in crate::query::jsonata) fn write_text(
        &mut self,
        mark: usize,
        value: Val<'e>,
        indent: Option<usize>,
    ) -> Result<(), Stop> {
        match value {
            Val::Str(text) => {
                self.read(text)?;
                self.heap.write(mark, text)
            }
            Val::Undefined | Val::Native(_) | Val::Fun(_) => Ok(()),
            Val::Num(n) if !n.is_finite() => fail("D3001"),
            Val::Array(array) if array.flags & super::super::value::OUTER != 0 => {
                self.write_json(mark, array.items.get(0), indent)
            }
            value => self.write_json(mark, value, indent),
        }
    }

    fn write_json(&mut self, mark: usize, value: Val<'e>, indent: Option<usize>) -> Result<(), Stop> {
        self.step(1)?;
        match value {
            Val::Undefined | Val::Null | Val::Tuples(_) | Val::Tail => self.heap.write(mark, "null"),
            Val::Bool(b) => self.heap.write(mark, if b { "true" } else { "false" }),
            Val::Str(text) => self.write_quoted(mark, text),
            Val::Native(_) | Val::Fun(_) => self.heap.write(mark, "\"\""),
            Val::Num(_) => match finite(value)? {
                Some(n) => self.heap.write(mark, &number::text(number::rounded(n))),
                None => self.heap.write(mark, "null"),
            },
            // Measured on AWS: a `long` is written with all its digits.
            Val::Json(serde_json::Value::Number(n)) => self.heap.write(mark, &n.to_string()),
            _ => {
                self.budget.enter()?;
                self.write_container(mark, value, indent)?;
                self.budget.leave();
                Ok(())
            }
        }
    }

    fn write_container(&mut self, mark: usize, value: Val<'e>, indent: Option<usize>) -> Result<(), Stop> {
        let inner = indent.map(|by| by + 2);
        if let Some(items) = value.array() {
            self.heap.write(mark, "[")?;
            for (at, item) in items.iter().enumerate() {
                self.heap.write(mark, if at > 0 { "," } else { "" })?;
                self.new_line(mark, inner)?;
                self.write_json(mark, item, inner)?;
            }
            if items.len() > 0 {
                self.new_line(mark, indent)?;
            }
            return self.heap.write(mark, "]");
        }
        self.heap.write(mark, "{")?;
        let mut any = false;
        for (name, field) in value.fields().filter(|(_, field)| !field.is_undefined()) {
            self.heap.write(mark, if any { "," } else { "" })?;
            any = true;
            self.new_line(mark, inner)?;
            self.write_quoted(mark, name)?;
            self.heap.write(mark, if indent.is_some() { ": " } else { ":" })?;
            self.write_json(mark, field, inner)?;
        }
        if any {
            self.new_line(mark, indent)?;
        }
        self.heap.write(mark, "}")
    }

    fn new_line(&mut self, mark: usize, indent: Option<usize>) -> Result<(), Stop> {
        let Some(indent) = indent else { return Ok(()) };
        self.step(indent / 64)?;
        self.heap.write(mark, "\n")?;
        for _ in 0..indent {
            self.heap.write(mark, " ")?;
        }
        Ok(())
    }

    fn write_quoted(&mut self, mark: usize, text: &str) -> Result<(), Stop> {
        self.read(text)?;
        self.heap.write(mark, "\"")?;
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            self.heap.write(mark, &rest[..at])?;
            let escaped = serde_json::Value::from(&rest[at..=at]).to_string();
            self.heap.write(mark, &escaped[1..escaped.len() - 1])?;
            rest = &rest[at + 1..];
        }
        self.heap.write(mark, rest)?;
        self.heap.write(mark, "\"")
    }

    /// A new text, piece by piece.
    pub(super) fn text_of<'t>(&mut self, pieces: impl Iterator<Item = &'t str>) -> Outcome<'e> {
        let mark = self.heap.text_mark();
        for piece in pieces {
            self.step(1 + piece.len() / 64)?;
            self.heap.write(mark, piece)?;
        }
        self.heap.take_text(mark)
    }
}

pub(super) fn string<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let value = arg(args, 0);
    if value.is_undefined() || value.text().is_some() {
        return Ok(value);
    }
    let pretty = matches!(arg(args, 1), Val::Bool(true));
    let mark = machine.heap.text_mark();
    machine.write_text(mark, value, pretty.then_some(0))?;
    machine.heap.take_text(mark)
}

pub(super) fn length<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    Ok(match text(machine, args, 0)? {
        Some(text) => Val::Num(number::double(text.chars().count())),
        None => Val::Undefined,
    })
}

/// The byte at which the character with this number begins.
fn byte_of(text: &str, character: usize) -> usize {
    if character >= text.len() {
        return text.len();
    }
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}

pub(super) fn substring<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(whole) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let count = number::double(whole.chars().count());
    let start = numeric(args, 1)?.unwrap_or(0.0);
    let start = if count + start < 0.0 { 0.0 } else { start };
    // Positions from the end count back from it.
    let place = |at: f64| {
        let at = at.trunc();
        if at < 0.0 { (count + at).max(0.0) } else { at.min(count) }
    };
    let end = match numeric(args, 2)? {
        Some(length) if length <= 0.0 || arg(args, 1).is_undefined() => return Ok(Val::Str("")),
        Some(length) if start >= 0.0 => place(start + length),
        Some(length) => place(count + start + length),
        None => count,
    };
    let from = place(start);
    if end <= from {
        return Ok(Val::Str(""));
    }
    Ok(Val::Str(&whole[byte_of(whole, number::count(from))..byte_of(whole, number::count(end))]))
}

pub(super) fn substring_before<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(whole) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let Some(part) = text(machine, args, 1)? else { return Ok(Val::Str(whole)) };
    Ok(Val::Str(whole.find(part).map_or(whole, |at| &whole[..at])))
}

pub(super) fn substring_after<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(whole) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let Some(part) = text(machine, args, 1)? else { return Ok(Val::Str(whole)) };
    Ok(Val::Str(whole.find(part).map_or(whole, |at| &whole[at + part.len()..])))
}

/// The last sigma of a word is a letter of its own, so a whole word is asked for at once.
pub(super) fn cased<'e>(machine: &mut Machine<'e>, args: &[Val<'e>], case: fn(&str) -> String) -> Outcome<'e> {
    let Some(text) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let mark = machine.heap.text_mark();
    for word in text.split_inclusive(' ') {
        machine.heap.write(mark, &case(word))?;
    }
    machine.heap.take_text(mark)
}

pub(super) fn trim<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(text) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let words = text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty());
    machine.text_of(words.enumerate().flat_map(|(at, word)| [if at > 0 { " " } else { "" }, word]))
}

pub(super) fn pad<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(whole) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let width = numeric(args, 1)?.unwrap_or(0.0).trunc();
    let filler = text(machine, args, 2)?.filter(|filler| !filler.is_empty()).unwrap_or(" ");
    let missing = number::count(width.abs()).saturating_sub(whole.chars().count());
    if missing == 0 {
        return Ok(Val::Str(whole));
    }
    let mark = machine.heap.text_mark();
    if width > 0.0 {
        machine.heap.write(mark, whole)?;
    }
    let count = filler.chars().count();
    for _ in 0..missing / count {
        machine.step(1)?;
        machine.heap.write(mark, filler)?;
    }
    machine.heap.write(mark, &filler[..byte_of(filler, missing % count)])?;
    if width <= 0.0 {
        machine.heap.write(mark, whole)?;
    }
    machine.heap.take_text(mark)
}

pub(super) fn join<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let list = arg(args, 0);
    if list.is_undefined() {
        return Ok(list);
    }
    let separator = text(machine, args, 1)?.unwrap_or("");
    let items = list.items();
    machine.step(items.len())?;
    let mark = machine.heap.text_mark();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            machine.read(separator)?;
            machine.heap.write(mark, separator)?;
        }
        match item {
            Val::Str(text) => {
                machine.read(text)?;
                machine.heap.write(mark, text)?;
            }
            Val::Undefined | Val::Null => {}
            _ => return Err(Fault::new("T0412").index(1).text("strings").into()),
        }
    }
    machine.heap.take_text(mark)
}

/// The order of two texts or two numbers.
pub(super) fn natural_order(a: Val<'_>, b: Val<'_>) -> Option<Ordering> {
    match (a, b) {
        (Val::Str(a), Val::Str(b)) => Some(super::super::value::compare_texts(a, b)),
        _ => a.num()?.partial_cmp(&b.num()?),
    }
}
